package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

func newCarbonJoin() *cobra.Command {
	var key, origin, out string
	r := entry.PartyRequest{}
	c := &cobra.Command{
		Use:   "join NAME --role ROLE --ledger ORIGIN --key FILE",
		Short: "Make a verifier's or registry's key, and ask to be appointed",
		Long: `Join makes the key of a verifier or a registry, where FILE holds none yet, and
writes a request that the key has signed. The oracles appoint it: each gives
'wattmark carbon enter appointment request=@REQUEST' once the words are those
that you tell them, and it takes effect with as many as must vote for a change.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  wattmark carbon join veritas --role verifier --title \"Veritas & Daughters\" \\\n    --ledger wattmark.example/street --key veritas.pem",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return errors.New("give one NAME, by which the ledger knows the party")
			case r.Role != entry.RoleVerifier && r.Role != entry.RoleRegistry:
				return errors.New("give --role verifier or --role registry")
			case key == "" || origin == "" || r.Title == "":
				return errors.New("give --title TEXT, --ledger ORIGIN and --key FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			k, err := keyfile.LoadOrCreate(key, signer.EdDSA)
			if err != nil {
				return failed(err)
			}
			b, err := request.SignParty(k, r, origin, time.Now().Unix())
			if err != nil {
				return err
			}
			if out == "" {
				out = r.Name + ".party"
			}
			if err := newFile(out, b); err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "Wrote %s. Its words, for the operators to compare:", out)
			p.line(2, "  %s", strings.Join(enrol.Words(k.Public().ID()), " "))
			return failed(p.err)
		},
	}
	c.Flags().StringVar(&r.Role, "role", "", "`ROLE`: verifier or registry")
	c.Flags().StringVar(&r.Title, "title", "", "what it is called, a `TEXT` for people")
	c.Flags().StringVar(&origin, "ledger", "", "`ORIGIN` of the ledger")
	c.Flags().StringVar(&key, "key", "", "`FILE` of its key; made if it is not there")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write (default: NAME.party)")
	return c
}
