package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/enrol"
	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// site is a street whose oracles run and whose gateways wait to be enrolled.
type site struct {
	*demo
	t *testing.T
}

func openSite(t *testing.T) *site {
	t.Helper()
	o := &demoOptions{speed: 60, dir: t.TempDir(), http: "off", gateways: 1, oracles: 4, seed: 1}
	o.given = func(string) bool { return true }
	d := &demo{demoOptions: o, begin: time.Now(), screen: newScreen(io.Discard, true)}
	t.Cleanup(d.screen.close)
	release, err := d.openDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	ctx, cancel := context.WithCancel(context.Background())
	if err := d.open(ctx); err != nil {
		cancel()
		d.close()
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, part := range []func(context.Context) error{d.street.Run, d.cluster.run} {
		running.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		d.cluster.close()
		d.street.Close()
	})
	return &site{d, t}
}

// exec runs the command as a person types it, and returns what it printed.
func (s *site) exec(want int, args ...string) string {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(s.t.Context(), args, &stdout, &stderr); got != want {
		s.t.Fatalf("wattmark %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, want, &stdout, &stderr)
	}
	return stdout.String() + stderr.String()
}

// until waits for something that other processes do.
func (s *site) until(what string, done func() bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("waited for %s in vain", what)
		}
	}
}

// runs runs a gateway with its newest key file until stop.
func (s *site) runs(g *demoGateway) (stop func()) {
	s.t.Helper()
	keys, err := oracleKeys(s.cluster.charter)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := g.open(keys, 10*time.Second, time.Minute); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.gateway.Load().Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	s.t.Cleanup(stop)
	return stop
}

// signedBy reports whether a gateway has a receipt for a statement of a key.
func (s *site) signedBy(g *demoGateway, key signer.PublicKey) bool {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "receipts", g.Name, "*"+coseSuffix))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // no longer among the newest
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if id := key.ID(); bytes.Contains(b, id[:]) {
			return true
		}
	}
	return false
}

// TestAKeysLife enrols a real gateway by the text of its QR code, has it sign, rotates
// its key, has it sign on, and ends the second key: what the ledger then shows is which
// key signed when.
func TestAKeysLife(t *testing.T) {
	s := openSite(t)
	g := &demoGateway{Gateway: s.street.Gateways()[0], demo: s.demo, cable: newCable(), latest: make(map[string]float64), unseen: make(map[entry.Sequence]time.Time)}
	first, err := gatewayKey(s.dir, &g.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	ask := entry.EnrolmentRequest{Gateway: g.Name, Points: g.Points(), Devices: []entry.RequestDevice{{Model: "sdm630", Serial: "123", Where: "rs485/1"}}, Model: "Raspberry Pi"}
	r, err := enrol.NewRequest(first, s.cluster.charter.Origin, time.Now(), ask)
	if err != nil {
		t.Fatal(err)
	}

	// A gateway that waits hears of its approval on line.
	conn, err := s.cluster.broker.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heard, err := conn.SubscribeSync(wire.For(r.Origin).Receipt(g.Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "approval")
	said := s.exec(0, "member", "approve", "--qr-text", r.Text(), "--dir", s.dir, "--approval", file, "--yes")
	for _, want := range []string{`Gateway "` + g.Name + `" asks`, "machine  Raspberry Pi", "sdm630, 123, rs485/1", enrol.Words(first.Public().ID())[7], "signs for " + g.Name + " from block"} {
		if !strings.Contains(said, want) {
			t.Errorf("approve does not say %q:\n%s", want, said)
		}
	}
	approval := func(b []byte, r *enrol.Request, before *enrol.Enrolment) *enrol.Enrolment {
		t.Helper()
		a, err := enrol.ParseApproval(b)
		if err != nil {
			t.Fatal(err)
		}
		e, err := enrol.Accept(a, r, s.cluster.policy, before)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	enrolled := approval(written, r, nil)
	m, err := heard.NextMsg(10 * time.Second)
	if err != nil || !bytes.Equal(m.Data, written) {
		t.Errorf("the gateway heard %d bytes, %v; want the %d written", len(m.Data), err, len(written))
	}
	// Approved once more, nothing is stated again, and the gateway hears it again.
	s.exec(0, "member", "approve", "--qr-text", r.Text(), "--dir", s.dir, "--approval", file, "--yes")
	// Another oracle's operator has nothing to state either, and can give the approval.
	s.exec(0, "member", "approve", "--qr-text", r.Text(), "--dir", s.dir, "--oracle", "3", "--approval", file, "--yes")
	if written, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if again := approval(written, r, nil); again.Leaf != enrolled.Leaf {
		t.Errorf("the second operator's approval is of leaf %d, the first's of %d", again.Leaf, enrolled.Leaf)
	}

	stop := s.runs(g)
	s.until("a receipt under the first key", func() bool { return s.signedBy(g, first.Public()) })
	stop() // with everything receipted

	// Another oracle's operator approves the rotation, from a file.
	second, err := signer.Generate(g.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	rotation, err := enrol.NewRotation(second, first, r.Origin, time.Now(), entry.EnrolmentRequest{Gateway: g.Name})
	if err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(asked, rotation.Carried, 0o600); err != nil {
		t.Fatal(err)
	}
	said = s.exec(0, "member", "approve", asked, "--dir", s.dir, "--oracle", "2", "--approval", file, "--yes")
	if !strings.Contains(said, "has signed it too") || !strings.Contains(said, "Key "+first.Public().ID().String()+" has ended") {
		t.Errorf("approve says of a rotation:\n%s", said)
	}
	if written, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if e := approval(written, rotation, enrolled); len(e.Points) != len(g.Points()) {
		t.Errorf("the new key has %d metering points", len(e.Points))
	}
	path := filepath.Join(gatewayDir(s.dir, g.Name), "key.pem")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Save(path, second); err != nil {
		t.Fatal(err)
	}
	stop = s.runs(g)
	s.until("a receipt under the second key", func() bool { return s.signedBy(g, second.Public()) })

	// Three of four oracles end it, while the gateway goes on signing.
	for i, want := range []string{"2 oracles more", "1 oracle more", "has ended"} {
		said := s.exec(0, "member", "revoke", g.Name, "--reason", "moved out", "--dir", s.dir, "--oracle", string(rune('1'+i)))
		if !strings.Contains(said, want) {
			t.Errorf("oracle %d revokes:\n%s", i+1, said)
		}
	}
	s.until("a refusal of the key that ended", func() bool {
		var n uint64
		for _, node := range s.cluster.nodes {
			n += node.Ingest().Stats().Refused[entry.ReasonRevokedKey]
		}
		return n > 0
	})
	stop()

	var shown shownGateway
	if err := json.Unmarshal([]byte(s.exec(0, "gateway", "show", s.dir, g.Name, "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Keys) != 2 {
		t.Fatalf("show tells of %d keys", len(shown.Keys))
	}
	a, b := shown.Keys[0], shown.Keys[1]
	if a.KeyID != first.Public().ID().String() || b.KeyID != second.Public().ID().String() || a.ReplacedBy != b.KeyID || !a.Proven || !b.Proven {
		t.Errorf("the keys are %+v and %+v", a, b)
	}
	if a.To == nil || b.To == nil || *a.To != b.From || b.Reason != "moved out" || a.From.Height >= a.To.Height || b.From.Height >= b.To.Height {
		t.Errorf("they lived from %v to %v and from %v to %v: %q", a.From, a.To, b.From, b.To, b.Reason)
	}
	if text := s.exec(0, "gateway", "show", s.dir); !strings.Contains(text, "replaced") || !strings.Contains(text, `ended, "moved out"`) {
		t.Errorf("show says:\n%s", text)
	}
	// The rules agree with what was shown.
	l := s.cluster.nodes[0].Ledger()
	lives, err := ledger.LivesOf(l.Store(), l.Store().Size())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{a.From.Leaf, b.From.Leaf}, []uint64{lives.Keys[0].From.Leaf, lives.Keys[1].From.Leaf}); diff != "" {
		t.Error(diff)
	}
	s.exec(0, "ledger", "audit", s.dir)
}

// TestApprovalsOffLine signs where no broker is, and submits where one is. What is
// wrong with a request is said, and nothing is signed.
func TestApprovalsOffLine(t *testing.T) {
	s := openSite(t)
	g := s.street.Gateways()[0]
	key, err := gatewayKey(s.dir, &g)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	request := func(origin string, points []entry.Point) string {
		t.Helper()
		r, err := enrol.NewRequest(key, origin, time.Now(), entry.EnrolmentRequest{Gateway: g.Name, Points: points})
		if err != nil {
			t.Fatal(err)
		}
		f := filepath.Join(dir, "request")
		if err := os.WriteFile(f, r.Carried, 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	refused := func(code int, want string, args ...string) {
		t.Helper()
		out := filepath.Join(dir, "signed")
		said := s.exec(code, append(append([]string{"member", "approve"}, args...), "--dir", s.dir, "--out", out)...)
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: something was signed: %v", args, err)
		}
		if !strings.Contains(said, want) {
			t.Errorf("%v does not say %q:\n%s", args, want, said)
		}
	}
	refused(1, "is for the ledger", request("elsewhere.example/street", g.Points()), "--yes")
	air := []entry.Point{{Subject: "p", Mode: entry.ModeOpen, Channels: []entry.Channel{{Name: "eco2", Unit: "ppm", Kind: entry.KindCounter}}}}
	refused(1, "is a concentration and no total", request(s.cluster.charter.Origin, air), "--yes")
	good := request(s.cluster.charter.Origin, g.Points())
	refused(2, "nobody is there to compare the words", good)
	refused(1, "no enrolment request", "--qr-text", "WM1:NONSENSE", "--yes")

	signed := filepath.Join(dir, "signed")
	said := s.exec(0, "member", "approve", good, "--dir", s.dir, "--out", signed, "--yes")
	if !strings.Contains(said, "wattmark member submit "+signed) {
		t.Errorf("approve off line says:\n%s", said)
	}
	s.exec(1, "member", "approve", good, "--dir", s.dir, "--out", signed, "--yes") // a file that is there stays
	approval := filepath.Join(dir, "approval")
	for range 2 { // the second time it is there already
		s.exec(0, "member", "submit", signed, "--dir", s.dir, "--approval", approval)
	}
	b, err := os.ReadFile(approval)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.ParseApproval(b); err != nil {
		t.Error(err)
	}
	// What the rules refuse is told with the reason: the key is known, another name.
	r, err := enrol.NewRequest(key, s.cluster.charter.Origin, time.Now(), entry.EnrolmentRequest{Gateway: "other", Points: g.Points()})
	if err != nil {
		t.Fatal(err)
	}
	said = s.exec(1, "member", "approve", "--qr-text", r.Text(), "--dir", s.dir, "--approval", approval, "--yes")
	if !strings.Contains(said, "the ledger refused it: already_known") {
		t.Errorf("approve of a known key says:\n%s", said)
	}
}
