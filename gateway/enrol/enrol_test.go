package enrol_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/enrol"
	"wattmark/gateway/sampler"
	"wattmark/gateway/uplink"
	"wattmark/hardware"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func key(t testing.TB, alg signer.Algorithm, seed byte) *signer.PrivateKey {
	t.Helper()
	k, err := signer.FromSeed(alg, [32]byte{seed})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func devices() []enrol.Device {
	return []enrol.Device{
		{Name: "main", Subject: "mp-1", Mode: entry.ModeCommitted, Serial: "23451234", Where: "rs485/1", About: hardware.Descriptor{
			Model: "sdm120", Channels: []hardware.Channel{
				hardware.NewChannel("voltage_l1", hardware.Limits{Low: 176, High: 276}),
				hardware.NewChannel("active_energy_import", hardware.Limits{}),
			},
		}},
		{Name: "air", Subject: "mp-2", Mode: entry.ModeOpen, About: hardware.Descriptor{
			Model: "scd41", Channels: []hardware.Channel{hardware.NewChannel("temperature", hardware.Limits{Low: -10, High: 60})},
		}},
	}
}

func request(t testing.TB, k signer.Signer) *enrol.Request {
	t.Helper()
	ask, err := enrol.Ask("home-01", devices())
	if err != nil {
		t.Fatal(err)
	}
	ask.Model, ask.Serial = "Raspberry Pi Zero 2 W Rev 1.0", "10000000a1b2c3d4"
	r, err := enrol.NewRequest(k, ledgertest.Origin, now, ask)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rotation(t testing.TB, k, old signer.Signer) *enrol.Request {
	t.Helper()
	r, err := enrol.NewRotation(k, old, ledgertest.Origin, now, entry.EnrolmentRequest{Gateway: "home-01"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// admit puts a request on the ledger and returns its approval.
func admit(c *ledgertest.Chain, r *enrol.Request) *enrol.Approval {
	c.TB().Helper()
	c.Append(c.Deliver(sign(c, c.Admitting(r.Carried)), nil))
	return &enrol.Approval{Policy: c.Policy, Charter: proof(c, 0), Enrolment: proof(c, find(c, r.Carried))}
}

func sign(c *ledgertest.Chain, s *ledgertest.Statement) []byte {
	c.TB().Helper()
	b, _ := s.Sign(c.TB())
	return b
}

func proof(c *ledgertest.Chain, index uint64) *block.LogProof {
	c.TB().Helper()
	p, err := block.ParseLogProof(c.LogProof(index))
	if err != nil {
		c.TB().Fatal(err)
	}
	return p
}

// find returns the leaf that carries a request.
func find(c *ledgertest.Chain, carried []byte) uint64 {
	c.TB().Helper()
	for i := c.Size(); i > 0; i-- {
		if b, err := c.Leaf(i - 1); err == nil && bytes.Contains(b, carried) {
			return i - 1
		}
	}
	c.TB().Fatal("the ledger has not taken the request")
	return 0
}

func TestAskNamesWhatReadingsWillHave(t *testing.T) {
	list := devices()
	list[1].Subject, list[1].Mode = "mp-1", entry.ModeCommitted
	ask, err := enrol.Ask("home-01", list)
	if err != nil {
		t.Fatal(err)
	}
	most := entry.Int(1_000_000_000_000_000)
	want := []entry.Point{{Subject: "mp-1", Mode: entry.ModeCommitted, Channels: []entry.Channel{
		{Name: "air.temperature", Unit: "Cel", Kind: entry.KindGauge, Least: entry.Int(-10), Most: entry.Int(60)},
		{Name: "main.active_energy_import", Unit: "Wh", Kind: entry.KindCounter, Most: most},
		{Name: "main.voltage_l1", Unit: "V", Kind: entry.KindGauge, Least: entry.Int(176), Most: entry.Int(276)},
	}}}
	if diff := cmp.Diff(want, ask.Points); diff != "" {
		t.Errorf("two devices of one point (-want +got):\n%s", diff)
	}
	list[1].Mode = entry.ModeOpen
	if _, err := enrol.Ask("home-01", list); err == nil || !strings.Contains(err.Error(), "both") {
		t.Errorf("a point of two modes: %v", err)
	}
	// A mass of CO2 is computed at the point, and a part there is not read for now: the
	// first is asked for as a channel and no device, the second not at all.
	list = append(devices()[:1],
		enrol.Device{Name: "stack", Subject: "mp-1", Mode: entry.ModeCommitted, Disabled: true, About: devices()[1].About},
		enrol.Device{Name: "flue", Subject: "mp-1", Derived: true, About: (&sampler.Derived{}).About()},
		enrol.Device{Name: "old", Subject: "mp-9", Mode: entry.ModeOpen, Disabled: true, About: devices()[1].About})
	if ask, err = enrol.Ask("home-01", list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range ask.Points[0].Channels {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"flue.co2_mass", "flue.co2_mass_flow", "main.active_energy_import", "main.voltage_l1"}, names); diff != "" {
		t.Errorf("derived and disabled ones (-want +got):\n%s", diff)
	}
	if len(ask.Devices) != 1 || ask.Devices[0].Model != "sdm120" || len(ask.Points) != 1 {
		t.Errorf("derived and disabled ones: devices %v, %d points", ask.Devices, len(ask.Points))
	}
	scaled := devices()[:1]
	scaled[0].About.Channels = []hardware.Channel{hardware.NewChannel("pressure", hardware.Limits{Low: 3, High: 11, Exponent: 4})}
	if ask, err = enrol.Ask("home-01", scaled); err != nil || ask.Points[0].Channels[0].Most != entry.Int(110_000) {
		t.Errorf("a range in tens of thousands: %v, %v", ask.Points, err)
	}
}

func TestRequestsProvePossession(t *testing.T) {
	k, old := key(t, signer.ES256, 1), key(t, signer.EdDSA, 2)
	first := request(t, k)
	if first.Public != k.Public() || first.Origin != ledgertest.Origin || !first.Time.Equal(now) || first.Rotation || len(first.Points) != 2 {
		t.Errorf("request %+v", first)
	}
	turned := rotation(t, k, old)
	if id := old.Public().ID(); !turned.Rotation || !bytes.Equal(turned.Replaces, id[:]) || len(turned.Points) != 0 {
		t.Errorf("rotation %+v", turned)
	}
	for _, r := range []*enrol.Request{first, turned} {
		for _, form := range [][]byte{r.Carried, []byte(r.Text()), []byte(strings.ToLower(r.Text()) + "\n")} {
			again, err := enrol.ParseRequest(form)
			if err != nil || !bytes.Equal(again.Carried, r.Carried) {
				t.Errorf("read back from %.12q: %v", form, err)
			}
		}
	}
	for i := range first.Carried {
		b := bytes.Clone(first.Carried)
		b[i] ^= 1
		if got, err := enrol.ParseRequest(b); err == nil {
			t.Errorf("byte %d changed: taken as %+v", i, got)
		}
	}
	if _, err := enrol.NewRotation(k, k, ledgertest.Origin, now, entry.EnrolmentRequest{Gateway: "home-01"}); err == nil {
		t.Error("a key replaces itself")
	}
	if _, err := enrol.NewRequest(k, ledgertest.Origin, now, entry.EnrolmentRequest{Gateway: "Home"}); err == nil {
		t.Error("a gateway of a wrong name asks")
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	text := request(t, key(t, signer.EdDSA, 1)).Text()
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"", "no enrolment request"},
		"another version":    {"WM2:" + text[4:], `version "WM2:"`},
		"cut":                {text[:len(text)/2], "cut or damaged"},
		"a letter too many":  {text + "A", "no enrolment request"},
		"not base32":         {text[:10] + "1" + text[11:], "damaged"},
		"something behind":   {text + "AAAAAAAA", "no enrolment request"},
		"a letter changed":   {text[:60] + string('A'+(text[60]-'A'+1)%16) + text[61:], "no enrolment request"},
		"another's contents": {"WM1:" + strings.Repeat("A", 40), "no enrolment request"},
		"too long":           {"WM1:" + strings.Repeat("A", 100_000), "over the limit"},
	} {
		if r, err := enrol.ParseRequest([]byte(test.text)); !errors.Is(err, enrol.ErrRequest) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v, want %q", name, r, err, test.want)
		}
	}
}

func TestAnApprovalEndsTheCeremony(t *testing.T) {
	c := ledgertest.New(t, 4)
	k, next := key(t, signer.ES256, 1), key(t, signer.EdDSA, 2)
	dir := t.TempDir()
	if _, err := enrol.Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}

	r := request(t, k)
	if err := enrol.SaveRequest(dir, r); err != nil {
		t.Fatal(err)
	}
	if again, err := enrol.LoadRequest(dir); err != nil || !bytes.Equal(again.Carried, r.Carried) {
		t.Errorf("the request that waits: %v", err)
	}
	a, err := enrol.ParseApproval(admit(c, r).Encode())
	if err != nil {
		t.Fatal(err)
	}
	e, err := enrol.Accept(a, r, c.Policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := enrol.Save(dir, e, r); err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.LoadRequest(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the request still waits: %v", err)
	}
	kept, err := enrol.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if kept.Origin != ledgertest.Origin || kept.Key != k.Public() || kept.Gateway != "home-01" || len(kept.OracleKeys()) != 4 ||
		kept.Policy.String() != c.Policy.String() {
		t.Errorf("kept %+v", kept)
	}
	if diff := cmp.Diff(r.Points, kept.Points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if err := kept.CheckKey(k.Public()); err != nil {
		t.Error(err)
	}
	if err := kept.CheckKey(next.Public()); err == nil || !strings.Contains(err.Error(), "for EdDSA") || !strings.Contains(err.Error(), "wattmark-gateway enrol") {
		t.Errorf("a key of another type: %v", err)
	}
	if err := kept.CheckKey(key(t, signer.ES256, 9).Public()); err == nil || !strings.Contains(err.Error(), "is enrolled") {
		t.Errorf("another key: %v", err)
	}

	// The next key takes over, with the points as they are.
	turn := rotation(t, next, k)
	b := admit(c, turn)
	if _, err := enrol.Accept(b, turn, c.Policy, nil); err == nil {
		t.Error("a rotation without an enrolment before it")
	}
	e, err = enrol.Accept(b, turn, c.Policy, kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := enrol.Save(dir, e, turn); err != nil {
		t.Fatal(err)
	}
	if kept, err = enrol.Load(dir); err != nil || kept.Key != next.Public() || !cmp.Equal(kept.Points, r.Points) {
		t.Errorf("after the rotation: %+v, %v", kept, err)
	}
}

func TestApprovalsThatAreRefused(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=1000")
	r, other := request(t, key(t, signer.ES256, 1)), request(t, key(t, signer.ES256, 2))
	good := admit(c, r)
	strangers, err := block.NewPolicy(
		[]block.VerifierKey{{Name: ledgertest.Origin, Key: key(t, signer.EdDSA, 7).Public()}},
		[]block.VerifierKey{{Name: "example.org/stranger", Key: key(t, signer.EdDSA, 8).Public(), Cosigner: true}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.Accept(good, other, c.Policy, nil); err == nil || !strings.Contains(err.Error(), "another request") {
		t.Errorf("of another request: %v", err)
	}
	if _, err := enrol.Accept(good, r, strangers, nil); err == nil || !strings.Contains(err.Error(), "not those that are trusted here") {
		t.Errorf("under another policy: %v", err)
	}
	for name, test := range map[string]struct {
		change func(a *enrol.Approval)
		want   string
	}{
		"another leaf as the charter":   {func(a *enrol.Approval) { a.Charter = proof(c, 1) }, "in the place of the charter"},
		"another leaf as the enrolment": {func(a *enrol.Approval) { a.Enrolment = proof(c, find(c, []byte("home1"))) }, "in the place of the enrolment"},
		"a leaf that is not there":      {func(a *enrol.Approval) { a.Enrolment.Extra[len(a.Enrolment.Extra)-1] ^= 1 }, "the enrolment's proof"},
		"one oracle alone": {func(a *enrol.Approval) {
			p, err := block.ParseLogProof(c.LogProof(a.Enrolment.Index, 0))
			if err != nil {
				t.Fatal(err)
			}
			a.Enrolment = p
		}, "policy is not satisfied"},
		"strangers' policy": {func(a *enrol.Approval) { a.Policy = strangers }, "the charter's proof"},
	} {
		a, err := enrol.ParseApproval(good.Encode())
		if err != nil {
			t.Fatal(err)
		}
		test.change(a)
		if e, err := enrol.Accept(a, r, nil, nil); !errors.Is(err, enrol.ErrApproval) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v, want %q", name, e, err, test.want)
		}
	}
	b := good.Encode()
	for i := 0; i < len(b); i += 41 {
		d := bytes.Clone(b)
		d[i] ^= 1
		a, err := enrol.ParseApproval(d)
		if err != nil {
			continue
		}
		if e, err := enrol.Accept(a, r, c.Policy, nil); err == nil {
			t.Errorf("byte %d changed: accepted %v", i, e.Origin)
		}
	}
}

func TestADamagedEnrolmentIsSaid(t *testing.T) {
	c := ledgertest.New(t, 1)
	r := request(t, key(t, signer.EdDSA, 1))
	e, err := enrol.Accept(admit(c, r), r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := enrol.Save(dir, e, r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "enrolment")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, good[:len(good)/2], append(bytes.Clone(good), 0), bytes.Repeat([]byte{0}, 2_000_000)} {
		if err := os.WriteFile(path, b, 0o640); err != nil {
			t.Fatal(err)
		}
		if e, err := enrol.Load(dir); err == nil {
			t.Errorf("%d bytes: %+v", len(b), e)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v", left, err)
	}
}

// line is a broker in this process: what is sent to it reaches who listens, once it was
// asked as often as it wants.
type line struct {
	fail        int // connections that fail first
	ask, answer string
	asked       [][]byte
	wants       int
	send        [][]byte
	done        chan struct{}

	deliver func(string, []byte)
}

func (l *line) String() string        { return "a line" }
func (l *line) Done() <-chan struct{} { return l.done }
func (l *line) Err() error            { return nil }
func (l *line) Close()                {}

func (l *line) Publish(_ context.Context, subject string, message []byte) error {
	if subject != l.ask {
		return fmt.Errorf("a gateway that waits publishes on %q", subject)
	}
	l.asked = append(l.asked, message)
	if len(l.asked) == l.wants {
		for _, b := range l.send {
			l.deliver(l.answer, b)
		}
	}
	return nil
}

func (l *line) Connect(_ context.Context, listen []string, deliver func(string, []byte)) (uplink.Conn, error) {
	if l.fail--; l.fail >= 0 {
		return nil, errors.New("nobody there")
	}
	if len(listen) != 1 || listen[0] != l.answer {
		return nil, fmt.Errorf("a gateway that waits listens to %q", listen)
	}
	l.deliver = deliver
	return l, nil
}

// TestAnApprovalComesOnLine: a request is sent until its approval comes, by time that the
// test does not wait for.
func TestAnApprovalComesOnLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ledgertest.New(t, 1)
		r := request(t, key(t, signer.EdDSA, 1))
		good := admit(c, r).Encode()
		wrong := enrol.Approval{Policy: c.Policy, Charter: proof(c, 0), Enrolment: proof(c, 0)}
		sub := wire.For(ledgertest.Origin)
		for _, shared := range []bool{false, true} {
			l := &line{
				fail: 2, ask: sub.EnrolBy("home-01"), answer: sub.Receipt("home-01"), wants: 3, done: make(chan struct{}),
				send: [][]byte{[]byte("receipts of others"), wrong.Encode(), good},
			}
			if shared {
				l.ask, l.answer = sub.Enrol(), sub.Approval(r.Public.ID())
			}
			var told []string
			w := enrol.Waiting{
				Transport: l, Shared: shared, Request: r, Trusted: c.Policy, Again: func(int) time.Duration { return 0 },
				Tell: func(err error) { told = append(told, err.Error()) },
			}
			begin := time.Now()
			e, err := w.Run(t.Context())
			if err != nil || e.Key != r.Public {
				t.Fatalf("%v, %v", e, err)
			}
			if len(told) != 3 || !strings.Contains(told[0], "nobody there") || !strings.Contains(told[2], "no approval of this request") {
				t.Errorf("told %q", told)
			}
			if took := time.Since(begin); took < 54*time.Second || took > 66*time.Second {
				t.Errorf("it was sent three times within %s, want a minute", took)
			}
			for _, m := range l.asked {
				if statement, err := wire.ParseRequest(m); err != nil || !bytes.Equal(statement, r.Carried) {
					t.Errorf("sent %x, %v", m, err)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := enrol.Waiting{Transport: &line{fail: 1}, Request: r, Again: func(int) time.Duration { return 0 }}
		if e, err := w.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v, %v", e, err)
		}
	})
}

// TestVector reads a request and its approval as they were written once; later
// versions read them too.
func TestVector(t *testing.T) {
	text, err := os.ReadFile("testdata/request.txt")
	if err != nil {
		t.Fatal(err)
	}
	r, err := enrol.ParseRequest(text)
	if err != nil {
		t.Fatal(err)
	}
	if want := request(t, key(t, signer.EdDSA, 1)); !bytes.Equal(r.Carried, want.Carried) {
		t.Errorf("the vector holds %x, want %x", r.Carried, want.Carried)
	}
	if got, want := strings.Join(enrol.Words(r.Public.ID()), " "), "humor twilight emblem world drum stork grove compost"; got != want {
		t.Errorf("words %q, want %q", got, want)
	}
	approval, err := os.ReadFile("testdata/approval")
	if err != nil {
		t.Fatal(err)
	}
	a, err := enrol.ParseApproval(approval)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := enrol.Accept(a, r, nil, nil); err != nil || e.Key != r.Public || e.Origin != ledgertest.Origin {
		t.Errorf("the approval: %+v, %v", e, err)
	}
}

func FuzzRequest(f *testing.F) {
	r := request(f, key(f, signer.EdDSA, 1))
	f.Add(r.Carried)
	f.Add([]byte(r.Text()))
	f.Add(rotation(f, key(f, signer.ES256, 1), key(f, signer.EdDSA, 2)).Carried)
	f.Add([]byte("WM1:AAAA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := enrol.ParseRequest(b)
		if err != nil {
			if !errors.Is(err, enrol.ErrRequest) {
				t.Fatalf("%x: error %v", b, err)
			}
			return
		}
		again, err := enrol.ParseRequest([]byte(r.Text()))
		if err != nil || !bytes.Equal(again.Carried, r.Carried) {
			t.Fatalf("%x: its text reads as %v, %v", b, again, err)
		}
	})
}

func FuzzApproval(f *testing.F) {
	c := ledgertest.New(f, 1)
	r := request(f, key(f, signer.EdDSA, 1))
	f.Add(admit(c, r).Encode())
	f.Add([]byte{0x85})
	after, _, list := exchanged(f, 1)
	f.Add(approved(after, r, list).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := enrol.ParseApproval(b)
		if err != nil {
			if !errors.Is(err, enrol.ErrApproval) {
				t.Fatalf("%x: error %v", b, err)
			}
			return
		}
		if !bytes.Equal(a.Encode(), b) {
			t.Fatalf("%x is written again as %x", b, a.Encode())
		}
		if _, err := enrol.Accept(a, r, nil, nil); err != nil && !errors.Is(err, enrol.ErrApproval) {
			t.Fatalf("%x: error %v", b, err)
		}
	})
}
