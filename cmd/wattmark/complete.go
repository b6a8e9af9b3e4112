package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/state"
)

// completeWithin is how long a shell waits for names out of a ledger.
const completeWithin = 3 * time.Second

// named are the flags whose values are names on the ledger in --dir.
var named = map[string]func(*state.State) []string{
	"member":  membersOf,
	"owner":   membersOf,
	"gateway": gatewaysOf,
	"zone": func(s *state.State) (names []string) {
		for _, z := range s.Zones() {
			names = append(names, z.Zone)
		}
		return names
	},
	"site": func(s *state.State) (names []string) {
		for _, k := range s.CarbonSources() {
			names = append(names, k.Site)
		}
		return names
	},
	"period": func(s *state.State) (names []string) {
		for _, k := range s.Periods() {
			names = append(names, k.ID)
		}
		return names
	},
}

func membersOf(s *state.State) (names []string) {
	for _, m := range s.Members() {
		if m.Revoked == 0 {
			names = append(names, m.Member)
		}
	}
	return names
}

func gatewaysOf(s *state.State) (names []string) {
	for _, k := range s.Keys() {
		if k.Revoked == 0 {
			names = append(names, k.Gateway)
		}
	}
	return names
}

// completeNames has shells offer the names that a ledger has, in every command below that
// takes them and says which ledger.
func completeNames(root *cobra.Command) {
	for _, c := range root.Commands() {
		completeNames(c)
		if c.Flags().Lookup("dir") == nil {
			continue
		}
		for flag, names := range named {
			if c.Flags().Lookup(flag) == nil {
				continue
			}
			if err := c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				return ledgerNames(c, names), cobra.ShellCompDirectiveNoFileComp
			}); err != nil {
				panic("internal error: " + err.Error())
			}
		}
	}
}

// ledgerNames reads names from the ledger in --dir. Where that fails or takes long, a shell
// offers nothing.
func ledgerNames(c *cobra.Command, names func(*state.State) []string) []string {
	dir, err := c.Flags().GetString("dir")
	if err != nil || dir == "" {
		return nil
	}
	f := memberFlags{dir: dir, oracle: 1}
	m, err := f.open()
	if err != nil {
		return nil
	}
	parent := c.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completeWithin)
	defer cancel()
	s, _, err := replayed(ctx, m.dir, m.policy)
	if err != nil {
		return nil
	}
	out := names(s)
	slices.Sort(out)
	return slices.Compact(out)
}
