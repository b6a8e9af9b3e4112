package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
)

// approving is the command line of approve.
type approving struct {
	memberFlags
	text, out, approval string
	yes, asJSON         bool
}

func newMemberApprove() *cobra.Command {
	var a approving
	c := &cobra.Command{
		Use:   "approve (REQUEST|NAME|WORDS|--qr-text TEXT) --dir DIR",
		Short: "Admit a gateway's key to the ledger",
		Long: `Approve takes the request that 'wattmark-gateway enrol' has made, and shows who
asks for what: one that has come on line, by the gateway's name or by the eight
words of its key (see 'wattmark member pending'), or its file, or the text of
its QR code. The words must be the ones on the gateway's screen; whoever gives
them all is not asked again. Then it signs the approval with the oracle's key,
puts it onto the ledger, waits until it is final, gives it to the gateway if
that waits on line, and writes the file that it takes otherwise. What is on the
ledger already is not put there again: the same request may be approved once
more, as after a change of oracles.

Where the oracle's broker cannot be reached, --out FILE writes the signed
approval alone, for 'wattmark member submit FILE' at the oracle.

A gateway that replaces its key has signed with the old one too. A name or a
metering point that had a key otherwise takes as many oracles as change a rule:
each operator approves the same request.

Exit status: 0 done, 1 failed, refused or not approved, 2 wrong usage.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("qr-text") == (len(args) > 0) {
				return errWhich
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failed(a.run(cmd, []byte(a.text), nil))
			}
			which, err := parseMeant(args)
			if err != nil {
				return err
			}
			if which.file == "" {
				return failed(a.run(cmd, nil, &which))
			}
			raw, err := readLimited(which.file, 1<<20)
			if err != nil {
				return failed(err)
			}
			return failed(a.run(cmd, raw, nil))
		},
	}
	a.add(c)
	c.Flags().StringVar(&a.text, "qr-text", "", "the `TEXT` of the gateway's QR code, instead of a file")
	c.Flags().StringVar(&a.out, "out", "", "write the signed approval to `FILE`, and put nothing onto the ledger")
	c.Flags().StringVar(&a.approval, "approval", "", "`FILE` for the gateway to write (default: <gateway>.approval)")
	c.Flags().BoolVar(&a.yes, "yes", false, "approve without asking: the words were compared")
	c.Flags().BoolVar(&a.asJSON, "json", false, "print the request as JSON")
	return c
}

// run approves the request of the bytes raw, or, where those are none, the one that
// waits on line as which says.
func (a *approving) run(cmd *cobra.Command, raw []byte, which *meant) error {
	var r *enrol.Request
	var err error
	if which == nil { // what is no request needs no oracle
		if r, err = enrol.ParseRequest(raw); err != nil {
			return err
		}
	}
	m, err := a.open()
	if err != nil {
		return err
	}
	if which != nil {
		if r, err = m.waiting(cmd.Context(), which); err != nil {
			return err
		}
		// Whoever read the words off the gateway's screen has compared them.
		a.yes = a.yes || which.words != nil
	}
	if r.Origin != m.charter.Origin {
		return fmt.Errorf("the request is for the ledger %q, this is %q: set the ledger in the gateway's configuration and let it ask again", r.Origin, m.charter.Origin)
	}
	for i := range r.Points {
		for k := range r.Points[i].Channels {
			if err := entry.CheckClaimable(&r.Points[i].Channels[k]); err != nil {
				return fmt.Errorf("metering point %s: %w", r.Points[i].Subject, err)
			}
		}
	}
	if err := a.show(cmd.OutOrStdout(), r); err != nil {
		return err
	}
	if err := a.confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), r); err != nil {
		return err
	}
	e := entry.ProvenEnrolment{Request: r.Carried}
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	statement, err := m.sign(entry.TypeProvenEnrolment, payload)
	if err != nil {
		return err
	}
	said := cmd.OutOrStdout()
	if a.asJSON {
		said = cmd.ErrOrStderr()
	}
	p := newPage(said)
	if a.out == "" {
		return m.finish(cmd.Context(), p, statement, a.approval)
	}
	return offLine(p, a.out, statement)
}

// offLine writes a signed statement for whoever reaches the oracle.
func offLine(p *page, name string, statement []byte) error {
	if err := newFile(name, statement); err != nil {
		return err
	}
	p.line(2, "Wrote %s: signed, and on no ledger yet. Where the oracle runs:", name)
	p.line(2, "  wattmark member submit %s --dir DIR", name)
	return p.err
}

// shownRequest is a request as approve prints it.
type shownRequest struct {
	Gateway  string        `json:"gateway"`
	Ledger   string        `json:"ledger"`
	KeyID    string        `json:"key_id"`
	Alg      string        `json:"algorithm"`
	Words    string        `json:"words"`
	Signed   string        `json:"signed_at"`
	Model    string        `json:"model,omitempty"`
	Serial   string        `json:"serial,omitempty"`
	Replaces string        `json:"replaces_key,omitempty"`
	Devices  []shownDevice `json:"devices"`
	Points   []shownPoint  `json:"metering_points"`
}

type shownDevice struct {
	Model   string `json:"model"`
	Serial  string `json:"serial,omitempty"`
	Where   string `json:"where,omitempty"`
	Subject string `json:"metering_point,omitempty"`
}

type shownPoint struct {
	Subject  string   `json:"subject"`
	Mode     string   `json:"mode"`
	Channels []string `json:"channels"`
}

// shownOf is a request for people.
func shownOf(r *enrol.Request) shownRequest {
	s := shownRequest{
		Gateway: r.Gateway, Ledger: r.Origin, KeyID: r.Public.ID().String(), Alg: r.Public.Algorithm().String(),
		Words: strings.Join(enrol.Words(r.Public.ID()), " "), Signed: r.Time.Format(time.RFC3339), Model: r.Model, Serial: r.Serial,
		Devices: []shownDevice{}, Points: []shownPoint{},
	}
	if len(r.Replaces) > 0 {
		s.Replaces = fmt.Sprintf("%x", r.Replaces)
	}
	for _, d := range r.Devices {
		s.Devices = append(s.Devices, shownDevice(d))
	}
	for _, pt := range r.Points {
		s.Points = append(s.Points, pointOf(&pt))
	}
	return s
}

func (a *approving) show(w io.Writer, r *enrol.Request) error {
	s := shownOf(r)
	if a.asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	return s.print(newPage(w))
}

func (s *shownRequest) print(p *page) error {
	p.line(2, "Gateway %q asks to sign on %s", s.Gateway, s.Ledger)
	if s.Model+s.Serial != "" {
		p.line(11, "  machine  %s", strings.TrimSpace(s.Model+" "+s.Serial))
	}
	p.line(11, "  key      %s, %s", s.KeyID, s.Alg)
	p.line(11, "  signed   %s by the gateway's clock", s.Signed)
	if s.Replaces != "" {
		p.line(11, "  replaces key %s, which has signed it too", s.Replaces)
		p.line(11, "           its metering points stay as they are")
	}
	for _, d := range s.Devices {
		at := d.Model
		for _, more := range []string{d.Serial, d.Where} {
			if more != "" {
				at += ", " + more
			}
		}
		if d.Subject != "" {
			at += ", for " + d.Subject
		}
		p.line(11, "  device   %s", at)
	}
	for _, pt := range s.Points {
		mode := "open: its readings are public"
		if pt.Mode == entry.ModeCommitted {
			mode = "committed: its readings are hidden"
		}
		p.line(11, "  point    %s, %s", pt.Subject, mode)
		p.line(11, "           %s", strings.Join(pt.Channels, ", "))
	}
	words := strings.Fields(s.Words)
	p.line(11, "  words    %s", strings.Join(words[:4], " "))
	p.line(11, "           %s", strings.Join(words[4:], " "))
	return p.err
}

// confirm asks whether the words are those on the gateway's screen.
func (a *approving) confirm(in io.Reader, w io.Writer, r *enrol.Request) error {
	if a.yes {
		return nil
	}
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &exitError{exitUsage, errors.New("nobody is there to compare the words: give --yes once they are those on the gateway's screen")}
	}
	fmt.Fprint(w, "Are these the words on the gateway's screen? Type the last one to approve: ")
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("reading the answer: %w", err)
	}
	words := enrol.Words(r.Public.ID())
	if strings.TrimSpace(strings.ToLower(line)) != words[len(words)-1] {
		return errors.New("not approved, nothing was signed")
	}
	return nil
}
