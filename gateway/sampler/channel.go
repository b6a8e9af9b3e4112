package sampler

import (
	"fmt"
	"math/big"
	"strings"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// channel collects what one channel of one device said in a window.
type channel struct {
	name string // as in the record, without the base name
	unit string
	kind hardware.Kind
	wrap hardware.Value // see hardware.Channel

	correction *Correction // nil for none

	counter counter
	gauge   gauge
	due     span // of the samples that have a value
	gaps    []run
}

// span is a range of due times in Unix milliseconds and how many lie in it.
type span struct{ first, last, count int64 }

func (s *span) add(t span) {
	if s.count == 0 {
		*s = t
		return
	}
	s.first, s.last, s.count = min(s.first, t.first), max(s.last, t.last), s.count+t.count
}

// run is a span without values, for one reason.
type run struct {
	span
	reason string
}

// maxRuns bounds the gaps of one channel in one window; further ones widen the last.
const maxRuns = 16

// gap notes samples without value. period, in milliseconds, tells what follows on.
func (c *channel) gap(r run, period int64) {
	if r.count <= 0 {
		return
	}
	if n := len(c.gaps); n > 0 {
		last := &c.gaps[n-1]
		if last.reason == r.reason && r.first-last.last <= period && last.first-r.last <= period || n == maxRuns {
			last.add(r.span)
			return
		}
	}
	c.gaps = append(c.gaps, r)
}

// take adds a value that was read at ms and due at due: the first after an interval's
// end that came late, or the first of another part than before. It is false for a
// number that no record can hold.
func (c *channel) take(v hardware.Value, ms, due int64, boundary, replaced bool) bool {
	d, ok := c.correct(v)
	if !ok {
		return false
	}
	c.due.add(span{due, due, 1})
	if c.kind == hardware.Counter {
		c.counter.take(snapshot{ms, d, v.Quality, v}, boundary, c.wrap, replaced)
	} else {
		c.gauge.take(d, ms, v.Quality)
	}
	return true
}

// records appends what the window said to out, and empties the window.
func (c *channel) records(base string, out []entry.Record) []entry.Record {
	name := base + c.name
	if c.correction != nil && c.due.count > 0 && c.correction.Record != [32]byte{} {
		out = append(out, entry.Record{Name: entry.CalibrationName(name), Time: c.due.first, Text: entry.CalibrationText(c.correction.Record)})
	}
	if c.kind == hardware.Counter {
		out = c.counter.records(name, c.unit, out)
	} else {
		out = c.gauge.records(name, c.unit, out)
	}
	for _, g := range c.gaps {
		out = append(out, entry.Record{Name: name + ".gap", Time: g.first, Text: fmt.Sprintf("%d %d %d %s", g.first, g.last, g.count, g.reason)})
	}
	return out
}

// clear empties the window.
func (c *channel) clear() {
	c.due, c.gaps = span{}, c.gaps[:0]
	c.gauge.clear()
	c.counter.clear()
}

// decimal turns a driver's number into a record's. What is finer than 10^-18 is
// rounded half away from zero; what does not fit is false.
func decimal(v hardware.Value) (entry.Decimal, bool) {
	d := entry.Decimal{Mantissa: v.Mantissa, Exponent: v.Exponent}
	if d.Exponent < -18 {
		return fit(big.NewInt(v.Mantissa), big.NewInt(1), int(v.Exponent))
	}
	if d.Exponent > 0 {
		return fit(big.NewInt(v.Mantissa), big.NewInt(1), int(v.Exponent))
	}
	return d, true
}

// fit returns n / d x 10^exponent, rounded half away from zero to the exponent, or
// to the next one up that a record can hold.
func fit(n, d *big.Int, exponent int) (entry.Decimal, bool) {
	n, d = new(big.Int).Set(n), new(big.Int).Set(d)
	for ; exponent > 0; exponent-- {
		n.Mul(n, ten)
	}
	for ; exponent < -18; exponent++ {
		d.Mul(d, ten)
	}
	for ; exponent <= 0; exponent++ {
		if q := roundDiv(n, d); q.IsInt64() {
			return entry.Decimal{Mantissa: q.Int64(), Exponent: int8(exponent)}, true
		}
		d.Mul(d, ten)
	}
	return entry.Decimal{}, false
}

var ten = big.NewInt(10)

// roundDiv returns n / d rounded half away from zero; d is positive.
func roundDiv(n, d *big.Int) *big.Int {
	q := new(big.Int).Abs(n)
	q.Lsh(q, 1).Add(q, d)
	q.Quo(q, new(big.Int).Lsh(d, 1))
	if n.Sign() < 0 {
		q.Neg(q)
	}
	return q
}

// gauge collects a state.
type gauge struct {
	sum      big.Int // x 10^exponent
	exponent int8
	count    int64
	min, max entry.Decimal
	last     int64 // Unix milliseconds
	quality  hardware.Quality
}

func (g *gauge) clear() { g.sum.SetInt64(0); g.count, g.exponent, g.quality = 0, 0, 0 }

func (g *gauge) take(d entry.Decimal, ms int64, q hardware.Quality) {
	if g.count == 0 {
		g.min, g.max, g.exponent = d, d, d.Exponent
	}
	term := big.NewInt(d.Mantissa)
	for ; g.exponent > d.Exponent; g.exponent-- {
		g.sum.Mul(&g.sum, ten)
	}
	for e := d.Exponent; e > g.exponent; e-- {
		term.Mul(term, ten)
	}
	g.sum.Add(&g.sum, term)
	if d.Cmp(g.min) < 0 {
		g.min = d
	}
	if d.Cmp(g.max) > 0 {
		g.max = d
	}
	g.count++
	g.last = max(g.last, ms)
	g.quality |= q
}

func (g *gauge) records(name, unit string, out []entry.Record) []entry.Record {
	if g.count == 0 {
		return out
	}
	// A mean lies between the least and the greatest, so it fits where they do.
	mean, _ := fit(&g.sum, big.NewInt(g.count), int(g.exponent))
	out = append(out, entry.Record{Name: name, Unit: unit, Time: g.last, Value: mean})
	if g.count > 1 {
		out = append(out,
			entry.Record{Name: name + ".min", Unit: unit, Time: g.last, Value: g.min},
			entry.Record{Name: name + ".max", Unit: unit, Time: g.last, Value: g.max},
			entry.Record{Name: name + ".count", Unit: string(hardware.Count), Time: g.last, Value: entry.Int(g.count)})
	}
	return remark(name, g.last, qualityText(g.quality, ""), out)
}

// snapshot is a register's value at a time.
type snapshot struct {
	ms      int64
	value   entry.Decimal
	quality hardware.Quality
	said    hardware.Value // by the part, before corrections
}

// fall is a register that did not go on between two samples: it went down, or it is
// another part's.
type fall struct {
	before, after snapshot
	why           string
}

// maxFalls bounds the falls that are told of one register in one window.
const maxFalls = 4

// counter collects a register.
type counter struct {
	first snapshot
	has   bool
	falls []fall
	fresh bool // first is another part's than whatever was before this process

	last    snapshot // over all windows
	known   bool     // whether there is a last one
	carried int64    // the time of the newest snapshot that stands in a pack
}

func (c *counter) clear() { c.has, c.fresh, c.falls = false, false, c.falls[:0] }

func (c *counter) take(s snapshot, boundary bool, wrap hardware.Value, replaced bool) {
	if !c.has {
		c.first, c.has = s, true
		if boundary {
			c.first.quality |= hardware.Late
		}
		c.fresh = replaced && !c.known
	}
	if c.known && (replaced || s.said.Compare(c.last.said) < 0) && len(c.falls) < maxFalls {
		why := "replaced"
		if !replaced {
			why = whyFallen(c.last.said, s.said, wrap)
		}
		c.falls = append(c.falls, fall{c.last, s, why})
	}
	c.last, c.known = s, true
}

func (c *counter) records(name, unit string, out []entry.Record) []entry.Record {
	if !c.has {
		return out
	}
	value := func(s snapshot) {
		if s.ms > c.carried {
			out = append(out, entry.Record{Name: name, Unit: unit, Time: s.ms, Value: s.value})
			c.carried = s.ms
		}
	}
	// A fall may lie between the window before and this one's first sample.
	falls := c.falls
	why := ""
	if c.fresh {
		why = "replaced"
	}
	if len(falls) > 0 && falls[0].after.ms == c.first.ms {
		value(falls[0].before)
		why, falls = falls[0].why, falls[1:]
	}
	value(c.first)
	out = remark(name, c.first.ms, qualityText(c.first.quality, why), out)
	for _, f := range falls {
		value(f.before)
		value(f.after)
		out = remark(name, f.after.ms, qualityText(f.after.quality, f.why), out)
	}
	return out
}

// nearZero is the share of a register's range, or of its last value, that it may have
// run on since it started again.
const nearZero = 100

// whyFallen says why a register fell: it ran over where its width makes it start
// again, from the last hundredth of its range into the first; it was reset, to less
// than a hundredth of what it was; or for no reason that could be seen. All three are
// in the part's own numbers.
func whyFallen(before, after, wrap hardware.Value) string {
	if after.Mantissa < 0 {
		return "implausible"
	}
	e := min(before.Exponent, after.Exponent, wrap.Exponent)
	old, now, full := whole(before, e), whole(after, e), whole(wrap, e)
	near := func(n, of *big.Int) bool { return new(big.Int).Mul(n, big.NewInt(nearZero)).Cmp(of) <= 0 }
	switch {
	case full.Sign() > 0 && old.Cmp(full) < 0 && near(new(big.Int).Sub(full, old), full) && near(now, full):
		return "rollover"
	case near(now, old):
		return "reset"
	}
	return "implausible"
}

// whole returns a number in units of 10^e, which is not above its exponent.
func whole(v hardware.Value, e int8) *big.Int {
	n := big.NewInt(v.Mantissa)
	for x := int(v.Exponent); x > int(e) && n.Sign() != 0; x-- {
		n.Mul(n, ten)
	}
	return n
}

func qualityText(q hardware.Quality, why string) string {
	switch {
	case q == 0:
		return why
	case why == "":
		return q.String()
	}
	return strings.Join([]string{q.String(), why}, ",")
}

// remark appends a quality record, if there is anything to say.
func remark(name string, ms int64, text string, out []entry.Record) []entry.Record {
	if text == "" {
		return out
	}
	return append(out, entry.Record{Name: name + ".quality", Time: ms, Text: text})
}
