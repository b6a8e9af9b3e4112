package gateway_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway"
	"wattmark/gateway/outbox"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// backlog fills an outbox of 1 MB to its brim with readings of two points, of minutes
// long ago, and returns the register's values by name and time.
func backlog(t *testing.T, dir string, key signer.Signer, quality string) (registers map[string]string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o, _, err := outbox.Open(outbox.Disk, filepath.Join(dir, "outbox"), outbox.Options{GatewayID: name, MaxBytes: 1 << 20})
	must(err)
	_, err = o.RaiseBoot("a boot long ago")
	must(err)
	registers = make(map[string]string)
	begin := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := 0; !o.Crowded(); i++ {
		point, mode := subject, entry.ModeCommitted
		if i%2 == 1 {
			point, mode = "mp-fedcba9876543210", entry.ModeOpen
		}
		at := begin.Add(time.Duration(i/2) * time.Minute).UnixMilli()
		p := entry.Pack{Base: point + "/"}
		for _, c := range []string{"active_energy_import", "active_power", "voltage_l1", "current_l1", "frequency"} {
			r := entry.Record{Name: p.Base + c, Unit: "x", Time: at, Value: entry.Int(int64(1000 + i))}
			p.Records = append(p.Records, r)
			if c == "active_energy_import" {
				registers[fmt.Sprint(r.Name, at)] = r.Value.String()
				continue
			}
			for _, suffix := range []string{".min", ".max", ".count"} {
				r.Name = p.Base + c + suffix
				p.Records = append(p.Records, r)
			}
		}
		payload, err := p.Encode()
		must(err)
		h := signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML}
		var preimage []byte
		if mode == entry.ModeCommitted {
			c := entry.Committed{Salt: make([]byte, 32), Pack: payload}
			preimage, err = c.Encode()
			must(err)
			sum := sha256.Sum256(preimage)
			h.ContentType, h.PreimageType, payload = "", entry.ContentSalted, sum[:]
		}
		boot, seq, _, err := o.NextSeq()
		must(err)
		claims := entry.Claims{
			Issuer: "urn:wattmark:gateway:" + name, Subject: point, Audience: ledgertest.Origin, IssuedAt: at / 1000,
			Sequence: entry.Sequence{Boot: boot, Count: seq}, Time: &entry.TimeQuality{Quality: quality, Uncertainty: 20_000_000, Monotonic: uint64(i + 1)},
		}
		h.Claims, err = claims.Encode()
		must(err)
		statement, err := signer.Sign(key, h, payload)
		must(err)
		must(o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: statement, Pack: preimage}))
		if i%64 == 0 {
			must(o.Flush())
		}
	}
	must(o.Close())
	return registers
}

// waiting opens the outbox of a gateway that has ended and returns what waits in it.
func waiting(t *testing.T, dir string) []gateway.Signed {
	t.Helper()
	o, _, err := outbox.Open(outbox.Disk, filepath.Join(dir, "outbox"), outbox.Options{GatewayID: name, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var all []gateway.Signed
	for after := (outbox.Number{}); ; {
		list, err := o.Pending(after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return all
		}
		for _, r := range list {
			all = append(all, gateway.Signed{Number: r.Number(), Statement: r.Statement, Pack: r.Pack})
			after = r.Number()
		}
	}
}

// TestThinning opens a gateway on an outbox that is nearly full: old readings make
// room, and no register is lost, nor a number unaccounted for.
func TestThinning(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	cfg.OutboxBytes = 1 << 20
	registers := backlog(t, cfg.Dir, key, entry.ClockNTP)
	before := waiting(t, cfg.Dir)
	signFor(t, cfg, 20)
	after := waiting(t, cfg.Dir)

	here := make(map[outbox.Number]bool)
	var gaps []string
	thinned := 0
	for _, s := range after {
		here[s.Number] = true
		_, c, p := opened(t, key, s)
		old := s.Boot == 1
		gap := find(p, "outbox.gap")
		if gap != nil && strings.HasSuffix(gap.Text, " thinned") {
			thinned++
			gaps = append(gaps, gap.Text)
			if r := find(p, "clock.quality"); r == nil || r.Text != "ntp 20000000" {
				t.Errorf("statement %v does not tell the clock of its readings: %+v", s.Number, r)
			}
			for _, r := range p.Records {
				if r.Text == "" && r.Name != p.Base+"active_energy_import" {
					t.Errorf("a thinned statement has %q", r.Name)
				}
			}
			old = true
		}
		if !old {
			continue
		}
		for _, r := range p.Records {
			key := fmt.Sprint(r.Name, r.Time)
			if v, ok := registers[key]; ok {
				if v != r.Value.String() || !strings.HasPrefix(r.Name, c.Subject) {
					t.Errorf("%s of %q is %s, was %s", r.Name, c.Subject, r.Value, v)
				}
				delete(registers, key)
			}
		}
	}
	if thinned == 0 || len(registers) > 0 {
		t.Fatalf("%d statements replace others, %d registers are lost", thinned, len(registers))
	}
	for _, s := range before {
		told := here[s.Number]
		for _, text := range gaps {
			var boot, first, last, count uint64
			if _, err := fmt.Sscanf(text, "%d %d %d %d thinned", &boot, &first, &last, &count); err != nil {
				t.Fatal(err)
			}
			told = told || boot == s.Boot && first <= s.Seq && s.Seq <= last
		}
		if !told {
			t.Errorf("%v is gone and nothing says so", s.Number)
		}
	}
	t.Logf("%d statements waited, %d after %d replaced others", len(before), len(after), thinned)
}

// What was signed before there was a time is not thinned: its claims are needed to
// map it.
func TestUnsyncedIsNotThinned(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	cfg.OutboxBytes = 1 << 20
	backlog(t, cfg.Dir, key, entry.ClockUnsynced)
	before := waiting(t, cfg.Dir)
	signed := signFor(t, cfg, 2)
	if diff := cmp.Diff(len(before)+len(signed), len(waiting(t, cfg.Dir))); diff != "" {
		t.Errorf("statements that wait (-want +got):\n%s", diff)
	}
}
