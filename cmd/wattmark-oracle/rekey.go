package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/oracle"
	"wattmark/oracle/founding"
)

// Directories of keys beside the ones in use.
const (
	keysDir  = "keys"
	nextKeys = "keys-next"  // asked for; in use from the block on at which the members' vote takes effect
	oldKeys  = "keys-ended" // those before: they sign nothing that anybody takes any more
)

func newRekey() *cobra.Command {
	var request string
	var asJSON bool
	c := &cobra.Command{
		Use:   "rekey --request FILE",
		Short: "Ask the members for new keys of this oracle",
		Long: `Rekey makes new keys beside the ones in use and writes a request that they have
signed. Start the oracle again, so that it has both; then propose the change, and
let the members vote:

  wattmark ledger propose oracles --add FILE --dir STATE
  wattmark ledger vote HASH --dir STATE        (each other member)

From the block on at which the change takes effect the oracle signs with the new
keys, by itself; at its next start they are the ones in keys/, and those before are
in keys-ended/: destroy them. Asked again, rekey writes the same request.

Exit status: 0 written, 1 failed, 2 wrong usage.`,
		Example: "  wattmark-oracle rekey --request member-1.request",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if request == "" {
				return errors.New("give --request FILE to write")
			}
			f, err := configured(cmd)
			if err != nil {
				return err
			}
			s := f.state()
			r, err := s.rekey()
			if err != nil {
				return failed(err)
			}
			if err := writeFile(request, r.Statement(), 0o644); err != nil {
				return failed(err)
			}
			w := requestWords(r)
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(initFacts{State: "requested", Ledger: r.Origin, Oracle: r.Oracle.Name, Words: w, File: request}))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s: public keys only, signed by the new ones. Start the oracle again, then propose it:\n"+
				"  wattmark ledger propose oracles --add %s --dir %s\n\n  words    %s\n           %s\n",
				request, request, s, strings.Join(w[:4], " "), strings.Join(w[4:], " "))
			return failed(err)
		},
	}
	c.Flags().StringVar(&request, "request", "", "`FILE` to write: for the members who vote")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// rekey makes the next keys, unless they are there, and the request that they sign.
func (s stateDir) rekey() (*founding.Request, error) {
	a, err := s.agreed()
	if err != nil {
		return nil, err
	}
	next, err := oracle.LoadKeys(s.file(nextKeys))
	if err != nil {
		return nil, err
	}
	return founding.NewRequest(founding.Keys(next), a.own.Oracle.Name, a.charter.Origin, a.own.TLS, time.Now().Unix())
}

// next loads the keys that were asked for, nil where none were.
func (s stateDir) next() (*oracle.Keys, error) {
	if !exists(s.file(nextKeys)) {
		return nil, nil
	}
	k, err := oracle.LoadKeys(s.file(nextKeys))
	return &k, err
}

// takeNext puts the next keys in the place of those in use once a change that has them was
// final. It reports whether it has.
func (s stateDir) takeNext(a *agreed) (bool, error) {
	next, err := s.next()
	if next == nil || err != nil {
		return false, err
	}
	sets, err := s.lastSets(a.charter)
	if err != nil {
		return false, err
	}
	in := false
	for _, o := range sets[0] {
		in = in || samePublic(next.Public(a.own.Oracle.Name, a.charter.Origin), o)
	}
	if !in {
		return false, nil
	}
	if err := os.RemoveAll(s.file(oldKeys)); err != nil { // of a change before
		return false, err
	}
	if err := os.Rename(s.file(keysDir), s.file(oldKeys)); err != nil {
		return false, err
	}
	a.keys = *next
	return true, s.finishTaking()
}

// finishTaking is the second half of takeNext, also after a power cut between the two: no
// keys are made anew where others wait to be taken.
func (s stateDir) finishTaking() error {
	if exists(s.file(keysDir)) || !exists(s.file(oldKeys)) || !exists(s.file(nextKeys)) {
		return nil
	}
	if err := os.Rename(s.file(nextKeys), s.file(keysDir)); err != nil {
		return err
	}
	return syncDir(string(s))
}
