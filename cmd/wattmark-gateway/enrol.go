package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"wattmark/gateway"
	"wattmark/gateway/enrol"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

func newEnrol() *cobra.Command {
	c := &ceremony{}
	cmd := &cobra.Command{
		Use:   "enrol",
		Short: "Make the key, ask for its enrolment, and take the approval",
		Long: `Enrol makes the gateway's key in the store of [key], unless it is there, and
signs a request with it: name, model, devices and metering points. It shows the
request as a QR code, and eight words by which an operator and you know that it
is the same key. The operator approves it with "wattmark member approve".

On line, enrol sends the request to the oracles, where the operator finds it by
"wattmark member pending", and waits until the approval arrives; a gateway that
has no certificate yet asks with the one of uplink.bootstrap. Off line,
--offline --request FILE writes the request and ends; bring the approval back
with --approval FILE. A request that waits is shown again, word for word, until
it is approved.

With --rotate a new key asks to take the old one's place, and both sign. Wait
until the outbox is empty and stop the gateway first: what the old key has
signed and the ledger has not taken by then is refused.

Exit status: 0 enrolled, or the request is written with --offline, 1 failed, 2
wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			switch {
			case c.approval != "" && (c.offline || c.rotate || c.again || c.request != ""):
				return errors.New("--approval goes with nothing that asks: the request was made before")
			case c.rotate && c.again:
				return errors.New("--rotate is with the enrolled key's consent, --again without it: take one of them")
			}
			c.out, c.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return failed(c.run(cmd.Context(), name))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.approval, "approval", "", "take the approval that was brought back in `FILE`")
	f.StringVar(&c.request, "request", "", "also write the request to `FILE`")
	f.BoolVar(&c.offline, "offline", false, "end when the request is shown, without waiting")
	f.BoolVar(&c.rotate, "rotate", false, "put a new key in the place of the enrolled one")
	f.BoolVar(&c.again, "again", false, "begin anew with another key, as the enrolled one was lost and revoked")
	f.BoolVar(&c.light, "light", false, "draw for a terminal with a light background")
	f.BoolVar(&c.plain, "plain", false, "draw without block characters")
	f.BoolVar(&c.asJSON, "json", false, "print a JSON object for each step, and draw nothing")
	return cmd
}

// ceremony is one run of enrol.
type ceremony struct {
	approval, request      string
	offline, rotate, again bool
	light, plain, asJSON   bool
	out, err               io.Writer

	file   *gateway.File
	dir    string
	before *enrol.Enrolment // nil where none is enrolled
	policy *block.Policy    // of the configuration
	// trusted is the policy to which the oracles were followed from there.
	trusted *block.Policy
}

func (c *ceremony) run(ctx context.Context, name string) error {
	var err error
	if c.file, err = gateway.ReadFile(name); err != nil {
		return &exitError{exitFailed, err}
	}
	c.dir = c.file.Path(c.file.Gateway.State)
	if err := os.MkdirAll(c.dir, 0o750); err != nil {
		return fmt.Errorf("the state directory: %w", err)
	}
	if c.policy, err = readPolicy(c.file.Path(c.file.Uplink.Policy)); err != nil {
		return err
	}
	_, spans, err := enrol.LoadOracles(c.dir, c.policy)
	if err != nil { // as the gateway does, it goes on with what the technician gave it
		fmt.Fprintln(c.err, err)
	}
	c.trusted = spans[len(spans)-1].Policy
	if c.before, err = enrol.Load(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) && c.approval == "" && !c.again {
		return err
	}
	key, err := c.openKey()
	if err != nil {
		return err
	}
	defer func() { closeKey(key) }()
	if c.before != nil {
		if err := c.finishRotation(&key); err != nil {
			return err
		}
	}
	switch known := c.before != nil && !c.again; {
	case c.approval != "":
		return c.take(key)
	case c.rotate && !known:
		return errors.New("no key is enrolled here that could be replaced: leave --rotate out")
	case known:
		if err := c.file.CheckEnrolled(key.Public()); err != nil {
			return err
		}
		if !c.rotate {
			return c.report(c.before, nil)
		}
	case c.before != nil && key.Public() == c.before.Key:
		return fmt.Errorf("key %v is the one that is enrolled: move it away to begin anew with another", c.before.Key.ID())
	}
	r, err := c.ask(key)
	if err != nil {
		return err
	}
	if err := c.show(r); err != nil || c.offline {
		return err
	}
	return c.wait(ctx, r)
}

func readPolicy(path string) (*block.Policy, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the ledger's policy: %w: get it from the consortium", err)
	}
	p, err := block.ParsePolicy(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: get it again from the consortium", path, err)
	}
	return p, nil
}

// openKey opens the gateway's key, or makes it where none is enrolled whose place it
// would take.
func (c *ceremony) openKey() (signer.Signer, error) {
	if c.before != nil && !c.again {
		key, err := c.file.OpenKey()
		if err != nil {
			return nil, fmt.Errorf("the gateway's key, %v of which is enrolled: %w: put it back; if it is lost, have it revoked and run wattmark-gateway enrol --again", c.before.Key.ID(), err)
		}
		return key, nil
	}
	key, made, err := c.file.OpenOrMakeKey()
	if err != nil {
		return nil, fmt.Errorf("the gateway's key: %w", err)
	}
	if made {
		fmt.Fprintf(c.err, "Made a key in the store %q.\n", c.file.Key.Backend)
	}
	return key, nil
}

// closeKey lets go of what holds a key.
func closeKey(key signer.Signer) {
	if k, ok := key.(io.Closer); ok {
		k.Close()
	}
}

// finishRotation puts the next key in its place where the power went between its
// enrolment and that.
func (c *ceremony) finishRotation(key *signer.Signer) error {
	if (*key).Public() == c.before.Key {
		return nil
	}
	next, err := c.file.NextKey()
	if err != nil {
		return fmt.Errorf("the next key: %w", err)
	}
	if next.Public() != c.before.Key {
		closeKey(next)
		return nil // CheckEnrolled says what is wrong
	}
	closeKey(*key)
	*key = next
	return c.file.AdvanceKey()
}

// ask returns the request that waits, if it is for the same, or makes one.
func (c *ceremony) ask(key signer.Signer) (*enrol.Request, error) {
	r, err := c.newRequest(key)
	if err != nil {
		return nil, err
	}
	if waits, err := enrol.LoadRequest(c.dir); err == nil && sameRequest(waits, r) {
		return waits, nil
	}
	return r, enrol.SaveRequest(c.dir, r)
}

// sameRequest reports whether two requests differ in nothing but time and signature.
func sameRequest(a, b *enrol.Request) bool {
	x, errA := a.Encode()
	y, errB := b.Encode()
	return errA == nil && errB == nil && bytes.Equal(x, y) && a.Origin == b.Origin
}

func (c *ceremony) newRequest(key signer.Signer) (*enrol.Request, error) {
	origin := c.file.Uplink.Ledger
	if c.rotate {
		next, err := c.file.NextKey()
		if err != nil {
			return nil, fmt.Errorf("the next key: %w", err)
		}
		defer closeKey(next)
		return enrol.NewRotation(next, key, origin, time.Now(), entry.EnrolmentRequest{Gateway: c.file.Gateway.Name})
	}
	var list []enrol.Device
	for i := range c.file.Devices {
		d := c.file.Device(i)
		part, err := d.Open(nil, nil) // for what it says of itself; no bus is touched
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", d.Name, err)
		}
		where := d.Bus
		if d.Address != 0 {
			where = fmt.Sprintf("%s/%d", d.Bus, d.Address)
		}
		list = append(list, enrol.Device{Name: d.Name, About: part.Describe(), Where: where, Subject: d.Subject, Mode: d.Mode, Disabled: d.Disabled})
	}
	for i := range c.file.Derived {
		d := c.file.Derivation(i)
		list = append(list, enrol.Device{Name: d.Name, About: d.About(), Subject: d.Subject, Derived: true})
	}
	ask, err := enrol.Ask(c.file.Gateway.Name, list)
	if err != nil {
		return nil, err
	}
	ask.Model, ask.Serial = firmware("model"), firmware("serial-number")
	if ask.TLS, err = c.file.TLSKey(); err != nil {
		// The certificate can come another way, and the ceremony goes on without it.
		fmt.Fprintln(c.err, err)
	}
	return enrol.NewRequest(key, origin, time.Now(), ask)
}

// firmware is what the machine's device tree says of it, empty where it has none.
func firmware(name string) string {
	b, err := os.ReadFile("/proc/device-tree/" + name)
	text := strings.TrimRight(string(b), "\x00\n ")
	if err != nil || len(text) > 64 {
		return ""
	}
	return text
}

// take accepts an approval that was brought back.
func (c *ceremony) take(key signer.Signer) error {
	r, err := enrol.LoadRequest(c.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no request waits for an approval: run wattmark-gateway enrol --offline, and have that request approved")
	case err != nil:
		return err
	case !r.Rotation && r.Public != key.Public():
		return fmt.Errorf("the request that waits is of key %v, and the key store holds %v: set [key] back, or ask anew", r.Public.ID(), key.Public().ID())
	}
	b, err := os.ReadFile(c.approval)
	if err != nil {
		return fmt.Errorf("the approval: %w", err)
	}
	a, err := enrol.ParseApproval(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.approval, err)
	}
	e, err := enrol.Accept(a, r, c.trusted, c.before)
	if err != nil {
		return fmt.Errorf("%s: %w", c.approval, err)
	}
	return c.accepted(e, r)
}

// accepted keeps an enrolment, and has its key in its place.
func (c *ceremony) accepted(e *enrol.Enrolment, r *enrol.Request) error {
	if err := e.SaveOracles(c.dir, c.policy); err != nil {
		return err
	}
	if err := c.file.SaveCertificate(e.Certificate, e.Roots); err != nil {
		return err
	}
	if err := enrol.Save(c.dir, e, r); err != nil {
		return err
	}
	if r.Rotation {
		if err := c.file.AdvanceKey(); err != nil {
			return fmt.Errorf("%w: run wattmark-gateway enrol again", err)
		}
	}
	return c.report(e, r)
}

// wait waits on line for the approval.
func (c *ceremony) wait(ctx context.Context, r *enrol.Request) error {
	transport, shared, err := c.file.EnrolTransport()
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("%w\nThe request is kept. Without a connection, run wattmark-gateway enrol --offline", err)}
	}
	fmt.Fprintln(c.err, "Asking on line: the operator finds it with  wattmark member pending")
	fmt.Fprintln(c.err, "Waiting for the approval. Ctrl-C ends it; the request is kept.")
	var last string
	w := enrol.Waiting{
		Transport: transport, Shared: shared, Request: r, Trusted: c.trusted, Before: c.before,
		Again: func(n int) time.Duration {
			return min(c.file.Uplink.ReconnectAfter<<min(n-1, 16), c.file.Uplink.ReconnectMost)
		},
		Tell: func(err error) {
			if text := err.Error(); text != last { // once, however often it is tried
				fmt.Fprintln(c.err, text)
				last = text
			}
		},
	}
	e, err := w.Run(ctx)
	if err != nil {
		return fmt.Errorf("no approval came: %w: run it again, or bring the approval with --approval FILE", err)
	}
	return c.accepted(e, r)
}

// facts is the JSON of enrol.
type facts struct {
	State     string       `json:"state"` // requested or enrolled
	Gateway   string       `json:"gateway"`
	Ledger    string       `json:"ledger"`
	Key       string       `json:"key"`
	Algorithm string       `json:"algorithm"`
	Words     []string     `json:"words"`
	Replaces  string       `json:"replaces,omitempty"`
	Request   string       `json:"request,omitempty"`
	Leaf      *uint64      `json:"leaf,omitempty"`
	Points    []pointFacts `json:"points"`
}

type pointFacts struct {
	Point    string `json:"point"`
	Mode     string `json:"mode"`
	Channels int    `json:"channels"`
}

func newFacts(state, name, origin string, key signer.PublicKey, points []entry.Point) *facts {
	f := &facts{
		State: state, Gateway: name, Ledger: origin, Key: key.ID().String(), Algorithm: key.Algorithm().String(),
		Words: enrol.Words(key.ID()), Points: []pointFacts{},
	}
	for _, p := range points {
		f.Points = append(f.Points, pointFacts{p.Subject, p.Mode, len(p.Channels)})
	}
	return f
}

// show prints a request, and draws it.
func (c *ceremony) show(r *enrol.Request) error {
	if c.request != "" {
		if err := os.WriteFile(c.request, []byte(r.Text()+"\n"), 0o644); err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
	}
	f := newFacts("requested", r.Gateway, r.Origin, r.Public, r.Points)
	f.Request = r.Text()
	if r.Rotation {
		f.Replaces = signer.KeyID(r.Replaces).String()
	}
	if c.asJSON {
		return json.NewEncoder(c.out).Encode(f)
	}
	var b bytes.Buffer
	c.draw(&b, r)
	f.print(&b)
	if r.Model != "" {
		fmt.Fprintf(&b, "  %-10s%s\n", "Model", strings.TrimSpace(r.Model+"  "+r.Serial))
	}
	for _, d := range r.Devices {
		fmt.Fprintf(&b, "  %-10s%s on %s for %s\n", "Device", d.Model, d.Where, d.Subject)
	}
	fmt.Fprintf(&b, "\nThe operator scans the code, or takes this text%s:\n\n", map[bool]string{true: " from " + c.request}[c.request != ""])
	for part := range slices.Chunk([]byte(r.Text()), 76) {
		fmt.Fprintf(&b, "  %s\n", part)
	}
	fmt.Fprintf(&b, "\nand sees the same eight words in:  wattmark member approve\n")
	_, err := c.out.Write(b.Bytes())
	return err
}

// draw draws a request where it has room.
func (c *ceremony) draw(w io.Writer, r *enrol.Request) {
	p, err := enrol.QR(r.Text(), c.light, c.plain)
	if err != nil {
		fmt.Fprintf(w, "%v\n\n", err)
		return
	}
	columns := 80
	if out, ok := c.out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		if width, _, err := term.GetSize(int(out.Fd())); err == nil && width > 0 {
			columns = width
		}
	} else if c.plain {
		columns = p.Columns // it goes to a file
	}
	if p.Columns > columns {
		fmt.Fprintf(w, "A QR code needs %d columns and there are %d: make the window wider, or use the text.\n\n", p.Columns, columns)
		return
	}
	fmt.Fprintln(w, strings.Join(p.Lines, "\n"))
}

// print writes the facts for people.
func (f *facts) print(w io.Writer) {
	fmt.Fprintf(w, "\n  %-10s%s\n  %-10s%s\n", "Gateway", f.Gateway, "Ledger", f.Ledger)
	fmt.Fprintf(w, "  %-10s%s\n  %-10s%s\n", "Words", strings.Join(f.Words[:4], " "), "", strings.Join(f.Words[4:], " "))
	fmt.Fprintf(w, "  %-10s%s (%s)\n", "Key", f.Key, f.Algorithm)
	if f.Replaces != "" {
		fmt.Fprintf(w, "  %-10s%s\n", "Replaces", f.Replaces)
	}
	for _, p := range f.Points {
		fmt.Fprintf(w, "  %-10s%s, %s, %d channels\n", "Point", p.Point, p.Mode, p.Channels)
	}
}

// report prints what is enrolled; r is the request that just was, if any.
func (c *ceremony) report(e *enrol.Enrolment, r *enrol.Request) error {
	f := newFacts("enrolled", e.Gateway, e.Origin, e.Key, e.Points)
	f.Leaf = &e.Leaf
	if c.asJSON {
		return json.NewEncoder(c.out).Encode(f)
	}
	var b bytes.Buffer
	if r == nil {
		fmt.Fprintf(&b, "This gateway is enrolled already, at leaf %d.\n", e.Leaf)
	} else {
		fmt.Fprintf(&b, "Enrolled: the ledger took the key at leaf %d.\n", e.Leaf)
	}
	f.print(&b)
	fmt.Fprintf(&b, "\nThe first receipt proves that readings arrive:  wattmark-gateway status\n")
	_, err := c.out.Write(b.Bytes())
	return err
}
