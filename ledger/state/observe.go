package state

import (
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"wattmark/ledger/entry"
)

// flag is why a reading is doubted, and for which channel.
type flag struct{ code, channel string }

// observe takes an accepted pack into the state. Readings that are not
// plausible are kept and flagged: the ledger records what was said, and says
// that it is doubtful. A flag is a leaf, so that a statement makes few of them,
// whatever is in it: each once, and the first entry.MaxFlags alone.
func (s *State) observe(p *plan, leaf uint64) [][]byte {
	var flags []flag
	doubt := func(code, channel string) {
		if f := (flag{code, channel}); len(flags) < entry.MaxFlags && !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	if p.claims.IssuedAt*1000 < s.meta.Time-s.Setting(entry.ParamLateAfter)*1000 {
		doubt(entry.FlagLate, "")
	}
	// A time that lies ahead does not become the newest: with one reading of the
	// year 3000 a gateway could be rid of every later comparison.
	ahead := s.meta.Time + s.Setting(entry.ParamFutureLimit)*1000
	near := 0
	var derivations derivations
	for i := range p.pack.Records {
		r := &p.pack.Records[i]
		channel := r.Name[len(p.pack.Base):]
		if r.Text != "" {
			if p.point.Proven {
				derivations.read(channel)
			}
			continue
		}
		sr, found := p.point.find(channel, near)
		near = found + 1
		if sr == nil {
			switch {
			case derived(channel):
			case p.point.Mode == entry.ModeCommitted: // its name stands in the hidden pack alone
				doubt(entry.FlagUnregistered, "")
			default:
				doubt(entry.FlagUnregistered, channel)
			}
			continue
		}
		if p.point.Proven && isMass(sr.Channel.Unit) {
			derivations.of(channel)
		}
		if code := sr.judge(r); code != "" {
			doubt(code, channel)
		}
		if r.Time > sr.Time && r.Time <= ahead {
			sr.Time, sr.Value = r.Time, r.Value
		}
	}
	for _, d := range derivations {
		switch {
		case d.whole():
		case p.point.registers(d.channel) || p.point.Mode == entry.ModeOpen:
			doubt(entry.FlagNotDerivable, d.channel)
		default:
			doubt(entry.FlagNotDerivable, "")
		}
	}
	s.touch(p.point)
	s.meter(p, leaf, flags)
	s.meterCarbon(p, leaf, flags)
	return flagged(leaf, flags)
}

func flagged(leaf uint64, flags []flag) [][]byte {
	out := make([][]byte, len(flags))
	for i, f := range flags {
		o := entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: leaf, Code: f.code, Detail: f.channel}
		out[i] = o.Encode()
	}
	return out
}

// registers reports whether a channel is in the point's registration.
func (p *point) registers(channel string) bool {
	sr, _ := p.find(channel, 0)
	return sr != nil
}

// derived reports whether a channel is a statistic of another: the least, most
// and number of a gauge's samples.
func derived(channel string) bool {
	return strings.HasSuffix(channel, ".min") || strings.HasSuffix(channel, ".max") || strings.HasSuffix(channel, ".count")
}

// find returns the series of a channel, nil if it is not registered. It looks at
// every record of every reading, which is why it searches by hand: without
// copying a series, and from where the record before was found.
func (p *point) find(channel string, near int) (*series, int) {
	if near < len(p.Series) && p.Series[near].Channel.Name == channel {
		return &p.Series[near], near
	}
	low, high := 0, len(p.Series)
	for low < high {
		mid := (low + high) / 2
		switch name := p.Series[mid].Channel.Name; {
		case name == channel:
			return &p.Series[mid], mid
		case name < channel:
			low = mid + 1
		default:
			high = mid
		}
	}
	return nil, near
}

// judge compares a reading with the channel's registration and its newest
// reading. Readings older than that, of a backlog, are judged by range alone.
func (s *series) judge(r *entry.Record) string {
	if r.Value.Cmp(s.Channel.Least) < 0 || r.Value.Cmp(s.Channel.Most) > 0 {
		return entry.FlagRange
	}
	if s.Time == 0 || r.Time <= s.Time {
		return ""
	}
	if s.Channel.Kind == entry.KindCounter && r.Value.Cmp(s.Value) < 0 {
		return entry.FlagRegisterFell
	}
	if s.Channel.PerHour.Mantissa > 0 && tooFast(s.Value, r.Value, s.Channel.PerHour, r.Time-s.Time) {
		return entry.FlagRate
	}
	return ""
}

const msPerHour = 3_600_000

// tooFast reports whether |to-from| / ms exceeds perHour / 3,600,000, exactly:
// in 128 bits where both fit an int64 at one exponent, as they nearly always do.
func tooFast(from, to, perHour entry.Decimal, ms int64) bool {
	if change, err := to.Sub(from); err == nil {
		// Bring both to one exponent: change = c x 10^e, perHour = h x 10^e.
		zero := entry.Decimal{Exponent: min(change.Exponent, perHour.Exponent)}
		c, err1 := change.Sub(zero)
		h, err2 := perHour.Sub(zero)
		if err1 == nil && err2 == nil {
			size := uint64(c.Mantissa)
			if c.Mantissa < 0 {
				size = -size
			}
			ch, cl := bits.Mul64(size, msPerHour)
			hh, hl := bits.Mul64(uint64(h.Mantissa), uint64(ms))
			return ch > hh || ch == hh && cl > hl
		}
	}
	least := min(from.Exponent, to.Exponent, perHour.Exponent)
	c := scaled(to, least)
	c.Abs(c.Sub(c, scaled(from, least)))
	h := scaled(perHour, least)
	return c.Mul(c, big.NewInt(msPerHour)).Cmp(h.Mul(h, big.NewInt(ms))) > 0
}

// scaled returns d / 10^exponent, a whole number.
func scaled(d entry.Decimal, exponent int8) *big.Int {
	ten := big.NewInt(10)
	ten.Exp(ten, big.NewInt(int64(d.Exponent)-int64(exponent)), nil)
	return ten.Mul(ten, big.NewInt(d.Mantissa))
}
