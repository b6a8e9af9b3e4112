package gateway_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/outbox"
	"wattmark/gateway/sampler"
	"wattmark/gateway/uplink"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

const (
	name    = "home-01"
	subject = "mp-0123456789abcdef"
	unit    = 1
)

// nowhere is a transport without a network.
type nowhere struct{}

func (nowhere) String() string { return "nowhere" }

func (nowhere) Connect(context.Context, []string, func(string, []byte)) (uplink.Conn, error) {
	return nil, errors.New("there is no network")
}

// line is an emulated SDM120 at the far end of a serial port, importing 1.2 kW.
func line(t *testing.T) (port string, meter *emulated.Meter) {
	t.Helper()
	l, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	meter = emulated.NewMeter("sdm120", 12345678)
	meter.SetPower(1200)
	meter.SetEnergy(512_345, 0)
	l.Attach(unit, meter)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		l.Close()
	})
	return l.Path(), meter
}

func newKey(t *testing.T, alg signer.Algorithm) *signer.PrivateKey {
	t.Helper()
	k, err := signer.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// config is a gateway that reads the meter each second and makes a pack each second.
func config(t *testing.T, dir, port string, key signer.Signer) gateway.Config {
	t.Helper()
	c := ledgertest.NewConsortium(t, 4)
	keys := make(map[signer.KeyID]signer.PublicKey)
	for i := range c.Oracles {
		k := c.Oracles[i].Statement.Public()
		keys[k.ID()] = k
	}
	return gateway.Config{
		Name: name, Dir: dir, Clock: sampler.NewMachineClock(), Key: key,
		Origin: ledgertest.Origin, Policy: c.Policy, OracleKeys: keys,
		Buses: []gateway.Bus{{Name: "rs485", Open: bus.Serial(port, bus.Mode{})}},
		Devices: []gateway.Device{{
			Name: "grid", Model: "sdm120", Bus: "rs485", Address: unit, Subject: subject, Mode: entry.ModeCommitted, Period: time.Second,
		}},
		PackMaxAge: time.Second, FlushAfter: 10 * time.Millisecond, Transport: nowhere{},
	}
}

// signFor runs a gateway until it has signed n statements, and returns them.
func signFor(t *testing.T, cfg gateway.Config, n int) []gateway.Signed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all []gateway.Signed
	cfg.OnSigned = func(s gateway.Signed) {
		if all = append(all, s); len(all) == n {
			cancel()
		}
	}
	g, _, err := gateway.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(all) < n {
		t.Fatalf("signed %d statements in a minute, want %d", len(all), n)
	}
	return all
}

// opened reads a statement: its signature must verify under key.
func opened(t *testing.T, key signer.Signer, s gateway.Signed) (*signer.Message, entry.Claims, *entry.Pack) {
	t.Helper()
	m, err := signer.Parse(s.Statement)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Verify(m, key.Public()); err != nil {
		t.Fatal(err)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		t.Fatal(err)
	}
	payload := m.Payload
	if m.Hidden() {
		pre, err := entry.ParseCommitted(s.Pack, m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		payload = pre.Pack
	}
	p, err := entry.ParsePack(payload)
	if err != nil {
		t.Fatal(err)
	}
	return m, c, p
}

func find(p *entry.Pack, channel string) *entry.Record {
	i := slices.IndexFunc(p.Records, func(r entry.Record) bool { return r.Name == p.Base+channel })
	if i < 0 {
		return nil
	}
	return &p.Records[i]
}

func TestFromRegisterToOutbox(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	dir := t.TempDir()
	key := newKey(t, signer.ES256)
	all := signFor(t, config(t, dir, port, key), 3)

	var previous []byte
	for i, s := range all {
		m, c, p := opened(t, key, s)
		if want := (entry.Sequence{Boot: 1, Count: uint64(i + 1)}); c.Sequence != want || s.Number != (outbox.Number{Boot: 1, Seq: want.Count}) {
			t.Errorf("statement %d has sequence %v and number %v, want %v", i, c.Sequence, s.Number, want)
		}
		if !slices.Equal(c.Previous, previous) {
			t.Errorf("statement %v names %x before it, want %x", c.Sequence, c.Previous, previous)
		}
		hash := m.Hash()
		previous = hash[:]
		if m.Type != entry.TypeReading || !m.Hidden() || m.PreimageType != entry.ContentSalted {
			t.Errorf("statement %v is of type %q, hidden %v, preimage %q", c.Sequence, m.Type, m.Hidden(), m.PreimageType)
		}
		if c.Issuer != "urn:wattmark:gateway:"+name || c.Subject != subject || c.Audience != ledgertest.Origin || c.Skipped != nil {
			t.Errorf("claims of statement %v: %+v", c.Sequence, c)
		}
		if c.Time == nil || c.Time.Monotonic == 0 || c.Uptime != c.Time.Monotonic/1e9 {
			t.Errorf("time of statement %v: uptime %d s, %+v", c.Sequence, c.Uptime, c.Time)
		}
		if r := find(p, "active_energy_import"); r == nil || r.Unit != "Wh" || r.Value.Cmp(entry.Int(512_345)) != 0 {
			t.Errorf("statement %v: register %+v, want 512345 Wh", c.Sequence, r)
		}
		if r := find(p, "active_power"); r == nil || r.Unit != "W" || r.Value.Cmp(entry.Int(1200)) != 0 {
			t.Errorf("statement %v: power %+v, want 1200 W", c.Sequence, r)
		}
	}

	// What was signed is on disk, to the byte, for whoever sends it.
	o, report, err := outbox.Open(outbox.Disk, filepath.Join(dir, "outbox"), outbox.Options{GatewayID: name})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if !report.Clean() {
		t.Errorf("an orderly end left %s", report)
	}
	list, err := o.Pending(outbox.Number{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(all) {
		t.Fatalf("the outbox holds %d statements, %d were signed", len(list), len(all))
	}
	for i, r := range list {
		if r.Number() != all[i].Number || string(r.Statement) != string(all[i].Statement) || string(r.Pack) != string(all[i].Pack) {
			t.Errorf("the outbox holds another statement %v than was signed", r.Number())
		}
	}
}

func TestStartedAgain(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	first := signFor(t, cfg, 2)
	// Away until something was due meanwhile, by the clock that both lives share.
	due := sampler.NewMachineClock().Every(t.Context(), time.Second, 0)
	for range 3 {
		<-due
	}
	second := signFor(t, cfg, 1)

	_, c, p := opened(t, key, second[0])
	if c.Sequence != (entry.Sequence{Boot: 2, Count: 1}) {
		t.Errorf("the first statement after another boot has sequence %v, want 2-1", c.Sequence)
	}
	last, _, _ := opened(t, key, first[len(first)-1])
	if hash := last.Hash(); !slices.Equal(c.Previous, hash[:]) {
		t.Error("the link to the statement before does not span boots")
	}
	gap := find(p, "active_power.gap")
	if gap == nil || !strings.HasSuffix(gap.Text, " power_off") {
		t.Errorf("the time without power is not told: %+v", gap)
	}
}

func TestSameBoot(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	cfg.BootID = "b0071d00-0000-4000-8000-000000000001"
	signFor(t, cfg, 1)
	_, c, _ := opened(t, key, signFor(t, cfg, 1)[0])
	if c.Sequence.Boot != 1 || c.Sequence.Count != 2 {
		t.Errorf("a process that was restarted in an orderly way goes on with %v, want 1-2", c.Sequence)
	}
}

// moody is a key that fails for a while.
type moody struct {
	signer.Signer
	failing atomic.Bool
	failed  chan struct{}
}

func (m *moody) Sign(b []byte) ([]byte, error) {
	if m.failing.Load() {
		select {
		case m.failed <- struct{}{}:
		default:
		}
		return nil, errors.New("the token was pulled")
	}
	return m.Signer.Sign(b)
}

func TestKeyFails(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := &moody{Signer: newKey(t, signer.EdDSA), failed: make(chan struct{}, 1)}
	key.failing.Store(true)
	cfg := config(t, t.TempDir(), port, key)
	go func() {
		<-key.failed
		key.failing.Store(false)
	}()
	all := signFor(t, cfg, 2)
	_, c, p := opened(t, key, all[0])
	// The number that was handed out for the signature that failed is skipped, and
	// that is said; the readings waited.
	if c.Sequence.Count < 2 || c.Skipped == nil || c.Skipped.First != 1 || c.Skipped.Last != c.Sequence.Count-1 {
		t.Errorf("after failures the first statement is %v and skips %+v", c.Sequence, c.Skipped)
	}
	if find(p, "active_power") == nil {
		t.Error("the pack that could not be signed at first has no readings")
	}
}

func TestKeyFailsAtTheEnd(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := &moody{Signer: newKey(t, signer.EdDSA), failed: make(chan struct{}, 1)}
	key.failing.Store(true)
	g, _, err := gateway.Open(config(t, t.TempDir(), port, key))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-key.failed
		cancel()
	}()
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := g.Stats().Sign; s.Signed != 0 || s.Failures == 0 || !strings.Contains(s.Failure, "token was pulled") {
		t.Errorf("stats after a key that always failed: %+v", s)
	}
}

func TestDeviceSilent(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	cfg.Devices[0].Address = unit + 1 // nobody there
	_, _, p := opened(t, key, signFor(t, cfg, 1)[0])
	if r := find(p, "active_power"); r != nil {
		t.Errorf("a device that is silent gave %+v", r)
	}
	if r := find(p, "active_power.gap"); r == nil || !strings.HasSuffix(r.Text, " absent") {
		t.Errorf("the gap of a device that is silent: %+v", r)
	}
}

func TestConfigRefused(t *testing.T) {
	key := newKey(t, signer.EdDSA)
	for want, change := range map[string]func(*gateway.Config){
		"state directory":         func(c *gateway.Config) { c.Dir = "" },
		"needs a clock and a key": func(c *gateway.Config) { c.Key = nil },
		"gateway's name":          func(c *gateway.Config) { c.Name = "Home 1" },
		"neither":                 func(c *gateway.Config) { c.Devices[0].Mode = "secret" },
		`unknown model "sdm999"`:  func(c *gateway.Config) { c.Devices[0].Model = "sdm999" },
		`bus "spi"`:               func(c *gateway.Config) { c.Devices[0].Bus = "spi" },
		"not within 1 to 247":     func(c *gateway.Config) { c.Devices[0].Address = 300 },
		"does not divide":         func(c *gateway.Config) { c.Devices[0].Period = 7 * time.Second },
		"two buses":               func(c *gateway.Config) { c.Buses = append(c.Buses, c.Buses[0]) },
		"neither can be negative": func(c *gateway.Config) { c.FlushAfter = -1 },
		"the policy is for":       func(c *gateway.Config) { c.Origin = "example.org/other" },
		"is both committed and op": func(c *gateway.Config) {
			d := c.Devices[0]
			d.Name, d.Mode = "sun", entry.ModeOpen
			c.Devices = append(c.Devices, d)
		},
	} {
		cfg := config(t, t.TempDir(), "/dev/null", key)
		change(&cfg)
		g, _, err := gateway.Open(cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got the error %v, want one with %q", err, want)
		}
		if g != nil {
			t.Errorf("%v came with a gateway", err)
		}
	}
}

func TestModels(t *testing.T) {
	// As in the table of parts of the first version.
	want := []string{"atm90e32", "bme280", "dsmr", "iec62056", "ina219", "ina226", "ina228", "mhz19b", "modbus", "pms5003", "pms7003", "pzem004t", "s0",
		"s8", "scd30", "scd40", "scd41", "sdm120", "sdm230", "sdm630", "sdm72", "sml", "sps30", "sunspec"}
	if got := gateway.Models(); !slices.Equal(got, want) {
		t.Errorf("models are %q, want %q", got, want)
	}
	for _, name := range want {
		m, err := gateway.LookupModel(name)
		if err != nil {
			t.Fatal(err)
		}
		var settings []gateway.Setting
		if name == "modbus" {
			settings = []gateway.Setting{{Key: "channel", Value: "voltage_l1:V:gauge:input:0:f32"}}
		}
		d, err := m.Decoder(settings)
		if name == "s0" {
			if err == nil || !strings.Contains(err.Error(), "no frames") {
				t.Errorf("a decoder of pulses: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if about := d.Describe(); about.Model != name || about.Part == "" || about.Part != m.Part {
			t.Errorf("%s calls itself %q, %q; the catalogue has %q", name, about.Model, about.Part, m.Part)
		}
	}
}
