package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
)

func newMemberRevoke() *cobra.Command {
	var f memberFlags
	var reason, out string
	c := &cobra.Command{
		Use:   "revoke (GATEWAY | KEY) --reason TEXT --dir DIR",
		Short: "End a gateway's key",
		Long: `Revoke states that a key ends: the one that GATEWAY signs with now, or the KEY
with that id. Of another's key it takes as many oracles as change a rule: each
operator gives the same command with the same reason, word for word. What the
key has signed before stays on the ledger.

Exit status: 0 stated, 1 failed or refused, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one GATEWAY or KEY, not %d", len(args))
			}
			if reason == "" {
				return errors.New("give --reason TEXT: it stands on the ledger, and all oracles state the same")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			id, err := m.living(args[0])
			if err != nil {
				return failed(err)
			}
			r := entry.Revocation{KeyID: id[:], Reason: reason}
			payload := r.Encode()
			if _, err := entry.ParseRevocation(payload); err != nil {
				return failed(err)
			}
			statement, err := m.sign(entry.TypeRevocation, payload)
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			if out != "" {
				return failed(offLine(p, out, statement))
			}
			return failed(m.finish(cmd.Context(), p, statement, ""))
		},
	}
	f.add(c)
	c.Flags().StringVar(&reason, "reason", "", "why, in words that stand on the ledger")
	c.Flags().StringVar(&out, "out", "", "write the signed statement to `FILE`, and put nothing onto the ledger")
	return c
}

// living returns the key that a gateway signs with, or that has the given id.
func (m *member) living(name string) (signer.KeyID, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return signer.KeyID{}, err
	}
	defer r.Close()
	lives, err := ledger.LivesOf(r, r.Size())
	if err != nil {
		return signer.KeyID{}, err
	}
	known := false
	for _, k := range lives.Keys {
		if k.Gateway != name && k.Key.ID().String() != name {
			continue
		}
		known = true
		if k.To == nil {
			return k.Key.ID(), nil
		}
	}
	if known {
		return signer.KeyID{}, fmt.Errorf("%q has no key that could end: see 'wattmark gateway show'", name)
	}
	return signer.KeyID{}, fmt.Errorf("no gateway or key %q is on this ledger: see 'wattmark gateway show'", name)
}
