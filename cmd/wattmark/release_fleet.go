package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/store"
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
	var f ledger.Fleet
	if err := f.Read(src, src.Size()); err != nil {
		return nil, err
	}
	fleet := make(map[string]*shownRunning)
	for _, h := range f.Gateways() {
		s := &shownRunning{Gateway: h.Gateway, Root: hex.EncodeToString(h.Root), WentBack: h.WentBack(), Since: seconds(h.Since), Last: seconds(h.IssuedAt)}
		if h.Release != nil {
			s.Board, s.Version, s.Origin = h.Release.Release.Board, h.Release.Release.Version, h.Release.Release.Origin
		}
		fleet[h.Gateway] = s
	}
	return fleet, nil
}
