package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// shownRunning is which firmware a gateway has signed on last.
type shownRunning struct {
	Gateway string `json:"gateway"`
	// Root is the digest, empty where the gateway runs no image. Board and Version are
	// those of the release with that root, empty and 0 where the ledger has none.
	Root    string `json:"root"`
	Board   string `json:"board,omitempty"`
	Version uint64 `json:"version,omitempty"`
	Origin  string `json:"origin,omitempty"`
	// Since is when the gateway signed its first statement on it, Last its last one.
	Since string `json:"since"`
	Last  string `json:"last"`
	// WentBack is the highest version that it has signed on and signs on no more.
	WentBack uint64 `json:"went_back_from,omitempty"`

	since, last int64
	sequence    entry.Sequence
}

func newReleaseFleet() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "fleet DIR",
		Short: "Show which release each gateway signs on, and who went back",
		Long: `Fleet tells, from what the ledger in DIR has of each gateway, which release of
firmware it has signed on last, since when, and whether it has signed on a
higher version before and went back: then look at what its birth says of the
update, and stop the roll-out. The statements are the gateways' own; nothing is
verified.

Exit status: 0 done, 1 it could not be read, 2 wrong usage, 3 it is damaged.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkedFalse(showFleet(cmd.OutOrStdout(), args[0], asJSON))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, a gateway a line")
	return c
}

// gatewayIssuer begins the issuer in what gateways sign.
const gatewayIssuer = "urn:wattmark:gateway:"

func showFleet(w io.Writer, dir string, asJSON bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	r, _, err := store.OpenReader(dirs[0])
	if err != nil {
		return err
	}
	defer r.Close()
	fleet, err := fleetOf(r)
	if err != nil {
		return err
	}
	p := newPage(w)
	for _, name := range slices.Sorted(maps.Keys(fleet)) {
		s := fleet[name]
		s.Since, s.Last = time.Unix(s.since, 0).UTC().Format(time.RFC3339), time.Unix(s.last, 0).UTC().Format(time.RFC3339)
		if asJSON {
			if err := json.NewEncoder(w).Encode(s); err != nil {
				return err
			}
			continue
		}
		on := "no image"
		switch {
		case s.Version > 0:
			on = fmt.Sprintf("release %d for %s of %s", s.Version, s.Board, s.Origin)
		case s.Root != "":
			on = "firmware that no release names, " + s.Root
		}
		if s.WentBack > 0 {
			on += fmt.Sprintf("; went back from %d", s.WentBack)
		}
		p.line(4, "%s: %s", s.Gateway, on)
		p.line(4, "    since %s, last heard of %s", s.Since, s.Last)
	}
	return p.err
}

// fleetOf reads the whole ledger.
func fleetOf(src ledger.Source) (map[string]*shownRunning, error) {
	releases := make(map[string]entry.Release) // by the hexadecimal of the root
	fleet := make(map[string]*shownRunning)
	highest := make(map[string]uint64) // version that a gateway has signed on
	err := src.Leaves(0, src.Size(), func(_ uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement {
			return nil
		}
		m, err := signer.Parse(leaf)
		if err != nil {
			return nil
		}
		if m.Type == entry.TypeRelease {
			if _, r, err := entry.ParseLoggedRelease(m.Payload); err == nil {
				releases[hex.EncodeToString(r.Root[:])] = *r
			}
			return nil
		}
		c, err := entry.ParseClaims(m.Claims)
		name, ours := strings.CutPrefix(c.Issuer, gatewayIssuer)
		if err != nil || !ours || c.Sequence.Count == 0 {
			return nil
		}
		root := hex.EncodeToString(c.Firmware)
		highest[name] = max(highest[name], releases[root].Version)
		s := fleet[name]
		if s == nil {
			s = &shownRunning{Gateway: name}
			fleet[name] = s
		}
		if c.Sequence.Less(s.sequence) { // a backlog that came late
			return nil
		}
		if s.Root != root || s.since == 0 {
			s.Root, s.since = root, c.IssuedAt
		}
		s.last, s.sequence = c.IssuedAt, c.Sequence
		return nil
	})
	for name, s := range fleet {
		r := releases[s.Root]
		s.Board, s.Version, s.Origin = r.Board, r.Version, r.Origin
		if highest[name] > r.Version {
			s.WentBack = highest[name]
		}
	}
	return fleet, err
}
