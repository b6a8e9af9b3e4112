package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

func newMemberJoin() *cobra.Command {
	var key, ledgerOrigin, out string
	var points []string
	var r entry.MemberRequest
	c := &cobra.Command{
		Use:   "join MEMBER --ledger ORIGIN --zone ZONE --power W --point SUBJECT=IMPORT[,EXPORT] --key FILE",
		Short: "Make a member's key, and the request to be admitted with it",
		Long: `Join makes the key of a member, where FILE holds none yet, and writes a request
that the key has signed. Who runs an oracle admits it with 'wattmark member
admit'. The words are those of the key: tell them to the operator.

MEMBER is a pseudonym, as it is public for ever. Each --point names a metering
point and the channels of its import and export registers.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one MEMBER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if key == "" || ledgerOrigin == "" {
				return errors.New("give --key FILE and --ledger ORIGIN")
			}
			r.Member = args[0]
			var err error
			if r.Connections, err = parsePoints(points); err != nil {
				return err
			}
			k, err := keyfile.LoadOrCreate(key, signer.EdDSA)
			if err != nil {
				return failed(err)
			}
			b, err := request.SignMember(k, r, ledgerOrigin, time.Now().Unix())
			if err != nil {
				return err
			}
			if out == "" {
				out = r.Member + ".member"
			}
			if err := newFile(out, b); err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "Wrote %s. Its words, for the operator to compare:", out)
			p.line(2, "  %s", strings.Join(enrol.Words(k.Public().ID()), " "))
			return p.err
		},
	}
	c.Flags().StringVar(&key, "key", "", "`FILE` of the member's key; made if it is not there")
	c.Flags().StringVar(&ledgerOrigin, "ledger", "", "`ORIGIN` of the ledger")
	c.Flags().StringVar(&r.Zone, "zone", "", "`ZONE` whose market to join")
	c.Flags().Int64Var(&r.Power, "power", 0, "registered power of the connection, in `W`")
	c.Flags().BoolVar(&r.Renewable, "renewable", false, "the device behind the connection may sell green")
	c.Flags().StringArrayVar(&points, "point", nil, "`SUBJECT=IMPORT[,EXPORT]`, once for each metering point")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write (default: MEMBER.member)")
	return c
}

func newMemberAdmit() *cobra.Command {
	var f memberFlags
	var yes bool
	c := &cobra.Command{
		Use:   "admit FILE|MEMBER --dir DIR",
		Short: "Admit a member to a zone's market",
		Long: `Admit reads the request that 'wattmark member join' has made, or that an invited
member's device has sent, and shows who asks for what. The words must be those that the member tells: with --yes they were
compared. It signs the admission with the oracle's key, puts it onto the ledger,
and waits until it is final.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one FILE with a request, or the MEMBER that was invited")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return failed(admit(cmd, &f, args[0], yes))
		},
	}
	f.add(c)
	c.Flags().BoolVar(&yes, "yes", false, "the words were compared")
	return c
}

func admit(cmd *cobra.Command, f *memberFlags, name string, yes bool) error {
	m, err := f.open()
	if err != nil {
		return err
	}
	name, sent := m.asked(name)
	b, err := readLimited(name, entry.MaxRequest)
	if err != nil {
		return err
	}
	r, err := request.OpenMember(b, m.charter.Origin)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p := newPage(cmd.OutOrStdout())
	p.line(2, "Member %q asks to join zone %q with %d W", r.Member, r.Zone, r.Power)
	for _, c := range r.Connections {
		p.line(4, "  metered by %s: %s", c.Subject, strings.TrimSuffix(c.Import+", "+c.Export, ", "))
	}
	p.line(2, "  words  %s", strings.Join(enrol.Words(r.Public.ID()), " "))
	if !yes {
		return &exitError{exitUsage, errors.New("nothing was signed: give --yes once the words are those that the member tells")}
	}
	payload, err := (&entry.Member{Request: b}).Encode()
	if err != nil {
		return err
	}
	statement, err := m.sign(entry.TypeMember, payload)
	if err != nil {
		return err
	}
	leaf, height, err := m.put(cmd.Context(), statement)
	if err != nil {
		return err
	}
	p.line(2, "leaf %d of %s, final in block %d", leaf, m.charter.Origin, height)
	if sent { // the device asks again, and is told that it is in
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return p.err
}
