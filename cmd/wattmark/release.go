package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"wattmark/firmware/manifest"
	"wattmark/firmware/update"
	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

func newRelease() *cobra.Command {
	return noun("release", "Publish firmware for gateways, and check what was published",
		newReleaseKey(), newReleasePublish(), newReleaseRollout(), newReleaseStage(), newReleaseShow(), newReleaseVerify())
}

// releaseSigner says whose release it is.
type releaseSigner struct{ origin, key string }

func (s *releaseSigner) add(c *cobra.Command) {
	c.Flags().StringVar(&s.origin, "origin", "", "`NAME` of who releases, as wattmark.example/firmware")
	c.Flags().StringVar(&s.key, "key", "", "the release key, a `FILE` in PEM")
}

func (s *releaseSigner) check() error {
	if s.origin == "" || s.key == "" {
		return errors.New("give --origin NAME and --key FILE: whose release it is")
	}
	return nil
}

func newReleaseKey() *cobra.Command {
	var s releaseSigner
	c := &cobra.Command{
		Use:   "key --origin NAME --key FILE",
		Short: "Make a release key, and print what gateways hold of it",
		Long: `Key makes a release key in FILE, unless it is there, and prints the line that
gateways hold in the file that update.keys of their configuration names.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			return errors.Join(cobra.NoArgs(nil, args), s.check())
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := keyfile.LoadOrCreate(s.key, signer.EdDSA)
			if err != nil {
				return failed(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), manifest.Key(s.origin, key.Public()))
			return failed(err)
		},
	}
	s.add(c)
	return c
}

// described is what the builder of an image says of it.
type described struct {
	Board   string `json:"board"`
	Version uint64 `json:"version"`
	Commit  string `json:"commit"`
	Root    string `json:"root"`
	Size    uint64 `json:"size"`
	Kernel  string `json:"kernel"`
}

// readDescribed reads what is said of an image, and checks that the root is that one.
func readDescribed(name, root, origin string, after uint64) (*entry.Release, error) {
	b, err := readLimited(name, 1<<16)
	if err != nil {
		return nil, err
	}
	var d described
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s: %w: it is what make image writes beside an image", name, err)
	}
	raw, err := hex.DecodeString(d.Root)
	r := &entry.Release{Origin: origin, Board: d.Board, Version: d.Version, Commit: d.Commit, Size: d.Size, Kernel: d.Kernel, After: after}
	if err != nil || len(raw) != len(r.Root) {
		return nil, fmt.Errorf("%s: %q is not the hexadecimal of a SHA-256", name, d.Root)
	}
	copy(r.Root[:], raw)
	return r, sameRoot(r, root)
}

// sameRoot compares a file with what a release says of its root.
func sameRoot(r *entry.Release, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if uint64(n) != r.Size || string(h.Sum(nil)) != string(r.Root[:]) {
		return fmt.Errorf("%s has %d bytes and the digest %x; the release has %d and %x", name, n, h.Sum(nil), r.Size, r.Root)
	}
	return nil
}

func newReleasePublish() *cobra.Command {
	var f memberFlags
	var s releaseSigner
	var root, out string
	var after, percent uint64
	c := &cobra.Command{
		Use:   "publish FILE --root FILE --dir DIR --out FOLDER",
		Short: "Sign a release, log it, and write what gateways fetch",
		Long: `Publish signs what make image says of an image in FILE, puts the release onto
the ledger with the right of the oracle in DIR, waits until it is final, and
writes into FOLDER what a web server offers to gateways: the proof that it is
there, the root file system, and how many of the gateways may take it: none,
unless --percent says more. Gateways take no release that is not on the ledger.
A version that is there already is not put there again: the proof is made anew.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return fmt.Errorf("give one FILE that make image has written, not %d", len(args))
			case root == "" || out == "":
				return errors.New("give --root FILE and --out FOLDER")
			case percent > 100:
				return fmt.Errorf("--percent %d is more than all", percent)
			}
			return s.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			key, err := keyfile.Load(s.key)
			if err != nil {
				return failed(err)
			}
			r, err := readDescribed(args[0], root, s.origin, after)
			if err != nil {
				return failed(err)
			}
			return failed(publish(cmd.Context(), newPage(cmd.OutOrStdout()), m, key, r, root, out, percent))
		},
	}
	f.add(c)
	s.add(c)
	c.Flags().StringVar(&root, "root", "", "the root file system, a `FILE`")
	c.Flags().StringVar(&out, "out", "", "`FOLDER` that gateways are served")
	c.Flags().Uint64Var(&after, "after", 0, "the oldest `VERSION` that this one may follow")
	c.Flags().Uint64Var(&percent, "percent", 0, "`N` of a hundred gateways may take it")
	return c
}

func publish(ctx context.Context, p *page, m *member, key signer.Signer, r *entry.Release, root, out string, percent uint64) error {
	note, err := manifest.Sign(key, r)
	if err != nil {
		return err
	}
	l := entry.LoggedRelease{Manifest: note}
	payload, err := l.Encode()
	if err != nil {
		return err
	}
	statement, err := m.sign(entry.TypeRelease, payload)
	if err != nil {
		return err
	}
	proof, err := m.logRelease(ctx, statement)
	if err != nil {
		return err
	}
	dir := filepath.Join(out, r.Board)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	content, err := os.ReadFile(root)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, update.RootFile(r.Version)), content); err != nil {
		return err
	}
	if err := writeRollout(key, r.Origin, r.Board, r.Version, percent, dir); err != nil {
		return err
	}
	// The proof is what gateways look for: when it is there, so is the rest.
	if err := writeFile(filepath.Join(dir, update.ProofFile), proof.Encode()); err != nil {
		return err
	}
	p.line(2, "leaf %d of %s: release %d for %s of %s", proof.Index, m.charter.Origin, r.Version, r.Board, r.Origin)
	p.line(2, "Wrote %s: %d%% of the gateways may take it.", dir, percent)
	return p.err
}

// logRelease brings a release onto the ledger, if it is not there, and proves that it is.
func (m *member) logRelease(ctx context.Context, statement []byte) (*block.LogProof, error) {
	msg, err := signer.Parse(statement)
	if err != nil {
		return nil, err
	}
	proof, err := m.provenRelease(msg, 0)
	if proof != nil || err != nil {
		return proof, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.conn.Close()
	from, err := m.size()
	if err != nil {
		return nil, err
	}
	if err := l.submit(ctx, statement); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, finalWithin)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		if proof, err := m.provenRelease(msg, from); proof != nil || err != nil {
			return proof, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("it is in the order, and in no final block after %v: see that a quorum of oracles runs, and give the same command again, which puts it there once", finalWithin)
		case <-poll.C:
		}
	}
}

// provenRelease proves a release that is in a final block, nil where it is in none yet.
func (m *member) provenRelease(msg *signer.Message, from uint64) (*block.LogProof, error) {
	r, note, signed, err := openFinal(m.dir, m.policy)
	if errors.Is(err, errNoFinal) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	at, err := search(r, msg, from, signed.Size)
	if err != nil || at == nil {
		return nil, err
	}
	return ledger.LogProof(r, note, signed.Checkpoint, *at)
}

func newReleaseRollout() *cobra.Command {
	var s releaseSigner
	var out string
	var percent, version uint64
	c := &cobra.Command{
		Use:   "rollout BOARD --version N --percent N --out FOLDER",
		Short: "Say how many gateways may take a release, or none to stop it",
		Long: `Rollout signs how many of a hundred gateways may take a release, and writes it
into the FOLDER that they are served. Who is in at a percentage stays in at a
higher one. 0 stops those that have not begun; who has taken it keeps it.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1 || entry.CheckGateway(args[0]) != nil:
				return errors.New("give one BOARD, as the folder of its releases is called")
			case out == "" || version == 0 || percent > 100 || !cmd.Flags().Changed("percent"):
				return errors.New("give --version N, --percent N of 0 to 100, and --out FOLDER")
			}
			return s.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyfile.Load(s.key)
			if err != nil {
				return failed(err)
			}
			if err := writeRollout(key, s.origin, args[0], version, percent, filepath.Join(out, args[0])); err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "release %d for %s: %d%% of the gateways may take it", version, args[0], percent)
			return failed(p.err)
		},
	}
	s.add(c)
	c.Flags().StringVar(&out, "out", "", "`FOLDER` that gateways are served")
	c.Flags().Uint64Var(&version, "version", 0, "the version `N`")
	c.Flags().Uint64Var(&percent, "percent", 0, "`N` of a hundred gateways")
	return c
}

func writeRollout(key signer.Signer, origin, board string, version, percent uint64, dir string) error {
	b, err := manifest.SignRollout(key, &manifest.Rollout{Origin: origin, Board: board, Version: version, Percent: percent, Issued: time.Now().Unix()})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, update.RolloutFile), b)
}
