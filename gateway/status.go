package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/gateway/console"
	"wattmark/gateway/outbox"
	"wattmark/hardware/bus"
	"wattmark/ledger/entry"
	"wattmark/signer"
	"wattmark/signer/words"
)

var _ console.Source = (*Gateway)(nil)

// issued is when a statement of the outbox was signed.
type issued struct {
	outbox.Number
	at time.Time
}

// Thresholds of warnings.
const (
	fewDays   = 20 * 24 * time.Hour // before the client certificate ends, when a new one should have come
	longWait  = 15 * time.Minute    // of a statement for its receipt
	nearLimit = 8                   // tenths of the outbox
)

// Status tells how the gateway fares.
func (g *Gateway) Status() console.Status {
	now := time.Now().UTC()
	stats, keyID := g.Stats(), g.cfg.Key.Public().ID()
	s := console.Status{
		Version: console.Version, Time: now,
		Gateway: console.Gateway{
			Name: g.cfg.Name, Version: Version(), Config: g.cfg.Digest, Boot: stats.Outbox.Boot, Started: g.started.UTC(), ResidentBytes: resident(),
		},
		Ledger: console.Ledger{Origin: g.cfg.Origin, Points: slices.Sorted(maps.Keys(g.modes)), Policy: g.policyStatus()},
		Key: console.Key{
			Backend: g.cfg.KeyBackend, Algorithm: g.cfg.Key.Public().Algorithm().String(), ID: keyID.String(),
			Signed: stats.Sign.Signed, Failures: stats.Sign.Failures, Failure: stats.Sign.Failure,
			Words: words.Of(keyID[:]), SignS: stats.Sign.Took.Seconds(),
		},
		Clock: console.Clock{
			Quality: g.cfg.Clock.Quality(), UncertaintyMS: g.cfg.Clock.Uncertainty().Milliseconds(),
			UptimeS: int64(g.cfg.Clock.Monotonic() / time.Second), Steps: stats.Sampler.Steps,
		},
		Buses: g.busStatus(now), Devices: g.deviceStatus(stats),
		Outbox: g.outboxStatus(stats.Outbox), Uplink: g.uplinkStatus(stats),
	}
	s.Display = g.panelStatus()
	s.Warnings = append([]console.Warning{}, g.warnings(&s)...)
	s.Ready, s.Line = g.ready(&s)
	return s
}

// Live tells the newest values.
func (g *Gateway) Live() console.Live {
	out := console.Live{Version: console.Version, Time: time.Now().UTC(), Devices: []console.DeviceValue{}}
	now := g.cfg.Clock.Now()
	for _, d := range g.Stats().Sampler.Devices {
		r := g.live.of(deviceKey{d.Subject, d.Name})
		v := console.DeviceValue{Name: d.Name, Model: d.Model, Part: d.Part, Point: d.Subject, Values: append([]console.Value{}, r.values...)}
		v.At, v.AgeS = age(r.at, now)
		if r.err != nil {
			v.Error, v.Remedy = r.err.Error(), remedy(r.err)
		}
		v.Prefix = g.sampler.Prefix(d.Subject, d.Name)
		v.Serial, v.Corrections, v.Adjusts = d.Serial, g.corrections(d.Subject, d.Name), g.adjusts(d.Subject, d.Name)
		out.Devices = append(out.Devices, v)
	}
	return out
}

// Exchanges tells what went over the buses last.
func (g *Gateway) Exchanges() console.Exchanges {
	out := console.Exchanges{Version: console.Version, Devices: []console.DeviceExchange{}}
	for _, d := range g.Stats().Sampler.Devices {
		r := g.live.of(deviceKey{d.Subject, d.Name})
		if r.evidence.Len() == 0 {
			continue
		}
		e := console.DeviceExchange{Name: d.Name, Model: d.Model, Point: d.Subject, At: r.tried.UTC(), Serial: d.Serial, Transcript: r.evidence.String()}
		if r.err != nil {
			e.Error = r.err.Error()
		}
		out.Devices = append(out.Devices, e)
	}
	return out
}

// age is a time, if there is one, and how long ago it was, in seconds.
func age(at, now time.Time) (*time.Time, float64) {
	if at.IsZero() {
		return nil, 0
	}
	at = at.UTC()
	return &at, max(0, now.Sub(at).Round(time.Millisecond).Seconds())
}

func (g *Gateway) busStatus(now time.Time) []console.Bus {
	all := []console.Bus{}
	for _, b := range g.buses {
		s := b.Stats()
		all = append(all, console.Bus{
			Name: b.String(), BusyRatio: ratio(s, now.Sub(g.started)), Jobs: s.Jobs, Failures: s.Failures, Stale: s.Stale, Hung: s.Hung, Opened: s.Opened, Freed: s.Freed,
		})
	}
	return all
}

func ratio(s bus.Stats, of time.Duration) float64 {
	return min(1, float64(s.Busy)/float64(max(of, 1)))
}

// rank puts the worst state first.
var rank = map[string]int{
	console.StateSilent: 0, console.StateFailing: 1, console.StateWaiting: 2, console.StateGood: 3, console.StateDisabled: 4,
}

// silentAfter is how many attempts in a row make a device silent, as package bus has it.
const silentAfter = 3

func (g *Gateway) deviceStatus(stats Stats) []console.Device {
	all := []console.Device{}
	now := g.cfg.Clock.Now()
	for _, d := range stats.Sampler.Devices {
		r := g.live.of(deviceKey{d.Subject, d.Name})
		out := console.Device{
			Name: d.Name, Model: d.Model, Part: d.Part, Point: d.Subject, State: console.StateGood,
			Last: r.headline(), Unchanged: r.unchanged, Samples: d.Samples, Failed: d.Failed, Failures: r.failures,
		}
		period := defaultPeriod
		for i := range g.cfg.Devices {
			if c := &g.cfg.Devices[i]; c.Name == d.Name && c.Subject == d.Subject {
				out.Bus, out.Address, period = c.Bus, c.Address, c.Period
			}
		}
		out.PeriodS = period.Seconds()
		out.LastAt, out.AgeS = age(r.at, now)
		switch {
		case r.err != nil:
			since := r.since.UTC()
			out.State, out.Since, out.Error, out.Remedy = console.StateFailing, &since, r.err.Error(), remedy(r.err)
			if now.Sub(since) >= (silentAfter-1)*period {
				out.State = console.StateSilent
			}
		case r.at.IsZero() && d.Samples+d.Failed == 0:
			out.State = console.StateWaiting
		}
		all = append(all, out)
	}
	slices.SortStableFunc(all, func(a, b console.Device) int { return cmp.Compare(rank[a.State], rank[b.State]) })
	return all
}

func (g *Gateway) outboxStatus(s outbox.Stats) console.Outbox {
	out := console.Outbox{
		State: s.State.String(), Cause: s.Cause, Pending: s.Pending, Bytes: s.PendingBytes, DiskBytes: s.DiskBytes, MaxBytes: s.MaxBytes,
		Refused: s.Refused, OpenGaps: s.OpenGaps, Dropped: s.Dropped, LossStatements: s.LossWindow, LossWindowS: g.cfg.FlushAfter.Seconds(),
		Fsyncs: s.Fsyncs, BytesWritten: s.BytesWritten,
	}
	if g.cfg.FsyncEach {
		out.LossWindowS = 0
	}
	if s.Pending > 0 {
		out.OldestAt, out.OldestAgeS = age(g.issuedAt(s.Oldest), g.cfg.Clock.Now())
	}
	return out
}

// policyStatus is whom the gateway trusts.
func (g *Gateway) policyStatus() console.Policy {
	o := g.uplink.Oracles()
	trusts := o.Trusts()
	out := console.Policy{SHA256: trusts.Policy, Height: o.Height, Oracles: append([]string{}, o.Names...), Followed: o.Followed, Failure: o.Failure, Unkept: o.Unkept}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	out.FollowedAt, out.Behind = at(o.Last), at(o.Behind)
	return out
}

// issuedAt is when a statement that waits was signed, zero where that cannot be told.
func (g *Gateway) issuedAt(n outbox.Number) time.Time {
	g.mu.Lock()
	known := g.oldest
	g.mu.Unlock()
	if known.Number == n {
		return known.at
	}
	rec, _, err := g.outbox.Statement(n)
	if err != nil {
		return time.Time{} // it has its receipt by now, or cannot be read
	}
	m, err := signer.Parse(rec.Statement)
	if err != nil {
		return time.Time{}
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.oldest = issued{n, time.Unix(c.IssuedAt, 0).UTC()}
	return g.oldest.at
}

func (g *Gateway) uplinkStatus(stats Stats) console.Uplink {
	u := stats.Uplink
	out := console.Uplink{
		Broker: u.Broker, Connected: u.Connected, Since: u.Since.UTC(), Published: u.Published, Resent: u.Resent, InFlight: u.InFlight,
		Receipts: u.Receipts, Unverified: u.Unverified, Superseded: u.Superseded, Refusals: make(map[string]uint64, len(u.Refusals)),
	}
	if !u.Connected {
		out.Failure = u.Failure
	}
	for reason, n := range u.Refusals {
		out.Refusals[string(reason)] = n
	}
	if !u.LastReceipt.IsZero() {
		at := u.LastReceipt.UTC()
		out.LastReceipt = &at
	}
	if c := g.cfg.Certificate; c != nil {
		ends := c.Leaf().NotAfter.UTC()
		out.CertificateEnds = &ends
	}
	return out
}

// warnings are what somebody should do something about.
func (g *Gateway) warnings(s *console.Status) []console.Warning {
	var all []console.Warning
	warn := func(when bool, code, text, remedy string) {
		if when {
			all = append(all, console.Warning{Code: code, Text: text, Remedy: remedy})
		}
	}
	for _, d := range s.Devices {
		warn(d.State == console.StateSilent, "device_silent", fmt.Sprintf("%s gives no values: %s", d.Name, d.Error), cmp.Or(d.Remedy, "check supply, wires and address"))
	}
	warn(s.Key.Failure != "", "key_fails", "nothing can be signed: "+s.Key.Failure, "check that the key's store is there; readings wait in memory and are then told as gaps")
	switch s.Clock.Quality {
	case entry.ClockUnsynced:
		warn(true, "clock_unsynced", "the clock was never set", "give the machine a time server; readings are dated later by a signed clock map")
	case entry.ClockHoldover:
		warn(true, "clock_holdover", "the time server is gone", "check the network and the time server")
	}
	limit := g.cfg.ClockWarn
	warn(limit > 0 && g.cfg.Clock.Uncertainty() > limit, "clock_uncertain", fmt.Sprintf("the time may be off by %d ms", s.Clock.UncertaintyMS), "give the machine a time server, or raise time.warn_above")
	o := &s.Outbox
	warn(o.State != "disk", "outbox_memory", "the outbox is in memory: "+o.Cause, "check the disk: space, mounting and health; it is tried again each minute")
	warn(o.MaxBytes > 0 && o.DiskBytes*10 > o.MaxBytes*nearLimit, "outbox_full", "the outbox is nearly full", "restore the connection, or raise outbox.max_bytes")
	warn(o.OldestAgeS > longWait.Seconds(), "receipts_late", fmt.Sprintf("a statement waits for its receipt since %s", duration(o.OldestAgeS)), "check the connection and whether the gateway is enrolled")
	warn(o.Refused > 0, "refused", fmt.Sprintf("%d statements were refused by the oracles", o.Refused), "see the reasons and their remedies in the log")
	warn(o.Dropped > 0, "dropped", fmt.Sprintf("%d statements were dropped at the outbox's limit", o.Dropped), "raise outbox.max_bytes")
	if d := s.Display; d != nil {
		warn(d.ScreenFailure != "", "screen", "the screen shows nothing: "+d.ScreenFailure, "check its supply, SDA, SCL and display.address")
		warn(d.LampFailure != "", "lamp", "the lamp shows nothing: "+d.LampFailure, "check display.lamp, and that nothing else has the pin")
	}
	u := &s.Uplink
	warn(!u.Connected && u.Failure != "", "no_connection", "no connection to the broker: "+u.Failure, "check network, name, certificate and broker")
	p := &s.Ledger.Policy
	if p.Behind != nil {
		text := fmt.Sprintf("receipts come from oracles that are not trusted here, since %s UTC", p.Behind.Format(time.DateTime))
		if p.Failure != "" {
			text += ": " + p.Failure
		}
		warn(true, "oracles_unknown", text, "leave it running and connected: readings are kept, and it asks the oracles how they changed; after an hour, have an operator publish the handovers, or put the ledger's present policy at uplink.policy")
	}
	warn(p.Unkept != "", "oracles_unkept", "how the oracles changed is not on disk: "+p.Unkept, "check the disk: space, mounting and health; it is tried again each minute")
	left := u.Unverified - u.Superseded
	warn(left > 0 && p.Behind == nil, "receipts_unverified", fmt.Sprintf("%d receipts did not verify", left), "check that the policy is the ledger's own")
	if u.CertificateEnds != nil {
		left := u.CertificateEnds.Sub(s.Time)
		day := u.CertificateEnds.Format(time.DateOnly)
		warn(left <= 0, "certificate_ended", "the client certificate ended on "+day, "ask the consortium for another: copy it to uplink.certificate, with its key")
		warn(left > 0 && left < fewDays, "certificate_ends", "the client certificate ends on "+day, "leave it connected, as an oracle sends it another a month before the end; where none comes, ask the consortium for one")
	}
	return all
}

// ready says whether one may leave.
func (g *Gateway) ready(s *console.Status) (bool, string) {
	var not []string
	count := func(state, one, more string) {
		n := 0
		for _, d := range s.Devices {
			if d.State == state {
				n++
			}
		}
		switch {
		case n == 1:
			not = append(not, one)
		case n > 1:
			not = append(not, fmt.Sprintf(more, n))
		}
	}
	count(console.StateSilent, "1 device is silent", "%d devices are silent")
	count(console.StateFailing, "1 device fails", "%d devices fail")
	count(console.StateWaiting, "1 device was not read yet", "%d devices were not read yet")
	window := max(g.cfg.PackMaxAge, time.Minute)
	switch {
	case s.Key.Failure != "":
		not = append(not, "nothing can be signed")
	case s.Key.Signed == 0:
		not = append(not, "nothing is signed yet")
	case !s.Uplink.Connected:
		not = append(not, "there is no connection")
	case s.Outbox.State != outbox.OnDisk.String():
		not = append(not, "the outbox is in memory")
	case s.Uplink.Receipts == 0:
		not = append(not, "there is no receipt yet")
	case s.Outbox.OldestAgeS > (2 * window).Seconds():
		not = append(not, fmt.Sprintf("receipts are outstanding since %s", duration(s.Outbox.OldestAgeS)))
	}
	if s.Outbox.Refused > 0 {
		not = append(not, "statements are refused")
	}
	if len(not) > 0 {
		return false, "Not ready: " + strings.Join(not, "; ") + "."
	}
	return true, "Ready: readings signed, sent and receipted."
}

// duration is a span for people: "42 s", "17 min", "3.5 h".
func duration(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%.0f min", seconds/60)
	}
	return fmt.Sprintf("%.1f h", seconds/3600)
}

// resident is the memory that the process holds, 0 where the system does not say
// (proc(5), statm).
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
