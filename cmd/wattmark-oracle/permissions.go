package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

func newPermissions() *cobra.Command {
	var sites []string
	var out string
	c := &cobra.Command{
		Use:   "permissions",
		Short: "Write who may do what at a cluster's servers, as the ledger says",
		Long: `Permissions writes the file that the configuration of a NATS cluster includes
(deploy/nats): every gateway with a key on the ledger, on its own subjects; every
oracle of the set in force, and of one that was adopted and waits for its block;
and each site named, a leaf node, for its gateways. Where a file is there already
and says the same it is left alone, so that a timer can run it and reload the
servers when it has changed.

Exit status: 0 written or the same, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := configured(cmd)
			if err != nil {
				return err
			}
			b, err := f.state().authorization(sites)
			if err != nil {
				return failed(err)
			}
			if out == "" {
				_, err := cmd.OutOrStdout().Write(b)
				return failed(err)
			}
			if have, err := read(out); err == nil && string(have) == string(b) {
				return nil
			}
			return failed(writeFile(out, b, 0o644))
		},
	}
	c.Flags().StringArrayVar(&sites, "site", nil, "a leaf node and its gateways, as `NAME=GATEWAY,GATEWAY`")
	c.Flags().StringVar(&out, "out", "", "write to `FILE` instead of standard output")
	return c
}

// clients reads who may connect: the names of the gateways that have a key on the ledger,
// sorted, and the oracle sets in force and to come.
func (s stateDir) clients() (gateways []string, sets [][]entry.OracleKeys, err error) {
	r, _, err := store.OpenReader(string(s))
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	lives, err := ledger.LivesOf(r, r.Size())
	if err != nil {
		return nil, nil, err
	}
	for _, k := range lives.Keys {
		if k.To == nil {
			gateways = append(gateways, k.Gateway)
		}
	}
	now, coming, err := ledger.OracleSetsOf(r, r.Size())
	if err != nil {
		return nil, nil, err
	}
	for _, set := range append([]*entry.OracleSet{now}, coming...) {
		sets = append(sets, set.Oracles)
	}
	slices.Sort(gateways)
	return slices.Compact(gateways), sets, nil
}

// authorization is what the ledger says of who may connect.
func (s stateDir) authorization(sites []string) ([]byte, error) {
	a, err := s.agreed()
	if err != nil {
		return nil, err
	}
	names, sets, err := s.clients()
	if err != nil {
		return nil, err
	}
	origin, n := a.charter.Origin, placesOf(sets)
	var leaves []broker.Site
	for _, text := range sites {
		name, list, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("--site %q: write it as NAME=GATEWAY,GATEWAY", text)
		}
		site := broker.Site{Name: name, Identity: broker.SiteIdentity(wire.ShortName(origin), name)}
		for g := range strings.SplitSeq(list, ",") {
			if !slices.Contains(names, g) {
				return nil, fmt.Errorf("--site %s: no gateway %q has a key on this ledger", name, g)
			}
			site.Gateways = append(site.Gateways, oracle.GatewayRights(origin, g, n))
		}
		leaves = append(leaves, site)
	}
	return broker.Authorization(rightsOf(origin, names, n), oraclesOf(origin, sets), leaves)
}
