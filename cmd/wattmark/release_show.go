package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"wattmark/firmware/manifest"
	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
)

// shownRelease is a release in JSON.
type shownRelease struct {
	Leaf    *uint64 `json:"leaf,omitempty"`
	Origin  string  `json:"origin"`
	Board   string  `json:"board"`
	Version uint64  `json:"version"`
	After   uint64  `json:"after"`
	Commit  string  `json:"commit"`
	Root    string  `json:"root"`
	Size    uint64  `json:"size"`
	Kernel  string  `json:"kernel"`
	// Verdict and Detail are what release verify says.
	Verdict audit.Answer `json:"verdict,omitempty"`
	Detail  string       `json:"detail,omitempty"`
}

func shownReleaseOf(r *entry.Release, leaf *uint64) shownRelease {
	return shownRelease{Leaf: leaf, Origin: r.Origin, Board: r.Board, Version: r.Version, After: r.After, Commit: r.Commit, Root: hex.EncodeToString(r.Root[:]), Size: r.Size, Kernel: r.Kernel}
}

func (s *shownRelease) print(p *page) {
	p.line(2, "release %d for %s of %s", s.Version, s.Board, s.Origin)
	if s.Leaf != nil {
		p.line(4, "    leaf    %d", *s.Leaf)
	}
	p.line(12, "    commit  %s", s.Commit)
	p.line(12, "    root    %s, %d bytes", s.Root, s.Size)
	p.line(12, "    kernel  %s", s.Kernel)
	if s.After > 0 {
		p.line(12, "    after   %d", s.After)
	}
}

func newReleaseShow() *cobra.Command {
	var board string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show DIR [--board BOARD]",
		Short: "Show the releases of firmware that are on a ledger",
		Long: `Show lists the releases that the ledger in DIR has, in their order. Nothing is
verified: 'wattmark release verify' does that.

Exit status: 0 done, 1 it could not be read, 2 wrong usage, 3 it is damaged.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkedFalse(showReleases(cmd.OutOrStdout(), args[0], board, asJSON))
		},
	}
	c.Flags().StringVar(&board, "board", "", "only those for `BOARD`")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, a release a line")
	return c
}

func showReleases(w io.Writer, dir, board string, asJSON bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	r, _, err := store.OpenReader(dirs[0])
	if err != nil {
		return err
	}
	defer r.Close()
	p := newPage(w)
	err = ledger.Releases(r, r.Size(), func(on ledger.Released) bool {
		if board != "" && on.Release.Board != board {
			return true
		}
		s := shownReleaseOf(&on.Release, &on.Leaf)
		if asJSON {
			p.err = json.NewEncoder(w).Encode(s)
		} else {
			s.print(p)
		}
		return p.err == nil
	})
	return errors.Join(err, p.err)
}

func newReleaseVerify() *cobra.Command {
	var policy, keys, root string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE --policy FILE --keys FILE [--root FILE]",
		Short: "Verify a release, offline, as gateways do",
		Long: `Verify asks of the proof of a release what a gateway asks: whether a key that
is trusted has signed it, and whether it stands on the ledger under a
checkpoint that satisfies the policy; with --root also whether a file is its
root.

Exit status: 0 it holds, 1 it could not be checked, 2 wrong usage, 3 it is
false.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one FILE with the proof of a release, not %d", len(args))
			}
			if policy == "" || keys == "" {
				return errors.New("give --policy FILE and --keys FILE: whom you trust")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return verifyRelease(cmd.OutOrStdout(), args[0], policy, keys, root, asJSON)
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` with the oracles you trust")
	c.Flags().StringVar(&keys, "keys", "", "a `FILE` of release keys, one a line, as gateways hold it")
	c.Flags().StringVar(&root, "root", "", "the root file system, a `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func verifyRelease(w io.Writer, name, policy, keys, root string, asJSON bool) error {
	proof, err := readLimited(name, 1<<20)
	if err != nil {
		return failed(err)
	}
	var trust manifest.Trust
	b, err := readLimited(policy, 1<<20)
	if err != nil {
		return failed(err)
	}
	if trust.Policy, err = block.ParsePolicy(b); err != nil {
		return failed(fmt.Errorf("%s: %w: give --policy a C2SP tlog-policy", policy, err))
	}
	if b, err = readLimited(keys, 1<<16); err != nil {
		return failed(err)
	}
	if trust.Keys, err = manifest.ParseKeys(b); err != nil {
		return failed(fmt.Errorf("%s: %w", keys, err))
	}
	l, err := trust.Verify(proof)
	var shown shownRelease
	if err == nil {
		shown = shownReleaseOf(&l.Release, &l.Leaf)
		if root != "" {
			err = sameRoot(&l.Release, root)
		}
	}
	shown.Verdict, shown.Detail = audit.Holds, "signed by a key that is trusted, and on the ledger"
	if err != nil {
		shown.Verdict, shown.Detail = audit.False, err.Error()
	}
	p := newPage(w)
	if asJSON {
		p.err = json.NewEncoder(w).Encode(shown)
	} else {
		if shown.Version > 0 {
			shown.print(p)
		}
		p.line(2, "%s: %s", sign(shown.Verdict), shown.Detail)
	}
	if p.err != nil {
		return failed(p.err)
	}
	if err != nil {
		return &exitError{code: audit.ExitFalse}
	}
	return nil
}
