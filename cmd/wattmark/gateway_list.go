package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/api"
	"wattmark/signer"
)

func newGatewayList() *cobra.Command {
	var asJSON, troubled bool
	c := &cobra.Command{
		Use:   "list DIR",
		Short: "List the gateways, those in trouble first",
		Long: `List tells of each gateway that has a key on the ledger in DIR when it was heard
last and how long that was on its way, its clock, the firmware that it signs on
and whether that is logged, and what became of its last update: from what it has
signed, and from what it has announced to the oracle of DIR. Trouble is said in a
sentence, and comes first.

Exit status: 0 done, 1 it could not be read, 2 wrong usage, 3 it is damaged.`,
		Example: "  wattmark gateway list /var/lib/wattmark-oracle --troubled",
		Args:    oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkedFalse(listGateways(cmd.OutOrStdout(), args[0], asJSON, troubled))
		},
	}
	c.Flags().BoolVar(&troubled, "troubled", false, "only those in trouble")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, a gateway a line")
	return c
}

// fleetIn is the fleet as a directory of an oracle tells it.
func fleetIn(dir string) ([]api.FleetGateway, error) {
	r, _, err := store.OpenReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	charter, err := charterOf(r)
	if err != nil {
		return nil, err
	}
	lives, err := ledger.LivesOf(r, r.Size())
	if err != nil {
		return nil, err
	}
	var f ledger.Fleet
	if err := f.Read(r, r.Size()); err != nil {
		return nil, err
	}
	ids, keys := make(map[string]signer.KeyID), make(map[string][]signer.PublicKey)
	for _, k := range lives.Keys {
		if k.To == nil {
			ids[k.Gateway] = k.Key.ID()
			keys[k.Gateway] = append(keys[k.Gateway], k.Key)
		}
	}
	now := time.Now().UnixMilli()
	if charter.Simulated {
		now = f.Time()
	}
	births := oracle.ReadBirths(dir, keys)
	heights, err := r.Handovers()
	if err == nil {
		err = oracle.CountBehind(births, charter.Origin, heights, r.Handover)
	}
	if err != nil {
		return nil, err
	}
	return api.Fleet(ids, f.Gateways(), births, now), nil
}

func listGateways(w io.Writer, dir string, asJSON, troubled bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	list, err := fleetIn(dirs[0])
	if err != nil {
		return err
	}
	p := newPage(w)
	well := 0
	for i := range list {
		g := &list[i]
		if len(g.Trouble) == 0 {
			well++
			if troubled {
				continue
			}
		}
		if asJSON {
			if err := json.NewEncoder(w).Encode(g); err != nil {
				return err
			}
			continue
		}
		printGateway(p, g)
	}
	if !asJSON {
		p.line(2, "%d of %s without trouble", well, plural(len(list), "gateway", "gateways"))
	}
	return p.err
}

func printGateway(p *page, g *api.FleetGateway) {
	heard := "never heard"
	if g.Heard != "" {
		heard = fmt.Sprintf("heard %s, %d s on its way; clock %s", g.Heard, g.DelayS, g.Clock)
	}
	p.line(4, "%s: %s", g.Gateway, heard)
	for _, t := range g.Trouble {
		p.line(6, "    ! %s: %s", t.Kind, t.Text)
	}
	on := "no image"
	switch {
	case g.Release != nil:
		on = fmt.Sprintf("release %d for %s of %s, logged as leaf %d", g.Release.Version, g.Release.Board, g.Release.Origin, g.Release.Leaf)
	case g.Root != "":
		on = "firmware that no release names, " + g.Root
	}
	if g.Program != "" {
		on += "; program " + g.Program
	}
	p.line(6, "    key %s; %s", g.KeyID, on)
	if u := g.Update; u != nil {
		why := ""
		if u.Reason != "" {
			why = ": " + u.Reason
		}
		p.line(6, "    last update: version %d %s%s, %s", u.Version, u.Result, why, u.At.UTC().Format(time.RFC3339))
	}
	if g.CertificateEnds != "" {
		p.line(6, "    certificate for the broker until %s", g.CertificateEnds)
	}
	if g.Calibrated != "" {
		p.line(6, "    calibrated %s", g.Calibrated)
	}
}
