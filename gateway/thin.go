package gateway

import (
	"fmt"
	"slices"
	"strings"

	"wattmark/gateway/outbox"
	"wattmark/gateway/sampler"
	"wattmark/hardware"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

const (
	// thinAtOnce bounds the statements that are made in one go while others wait.
	thinAtOnce = 16
	// thinLook is how many statements are looked at for one.
	thinLook = 128
	// thinBytes bounds what goes into one statement.
	thinBytes = 40_000
)

// old is a statement of the outbox, opened.
type old struct {
	outbox.Number
	subject  string
	mode     string // as it was signed
	interval int64  // Unix milliseconds of its begin
	clock    entry.TimeQuality
	bytes    int
	kept     []entry.Record
	keptSize int
}

// thin makes room in an outbox that is nearly full: readings of one metering point,
// interval, boot and clock are replaced by one statement with their registers alone.
// Where nothing is gained a statement stays, and so does one whose time is still to be
// mapped: its own claims are needed for that.
func (g *Gateway) thin() error {
	for range thinAtOnce {
		if !g.outbox.Crowded() {
			return nil
		}
		list, err := g.outbox.Thinnable(g.thinned, thinLook)
		if err != nil {
			return fmt.Errorf("reading what may be thinned: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		first := openOld(&list[0])
		g.thinned = list[0].Number()
		if first == nil || first.clock.Quality == entry.ClockUnsynced || first.interval == g.interval() {
			continue
		}
		group, size, before := []*old{first}, first.keptSize, first.bytes
		for i := range list[1:] {
			o := openOld(&list[1+i])
			if o == nil || !o.goesWith(first) {
				continue
			}
			if size += o.keptSize; size > thinBytes || len(group) == maxThinned {
				break
			}
			group, before = append(group, o), before+o.bytes
		}
		if size+500 > before/4*3 {
			continue
		}
		if err := g.signThinned(group); err != nil {
			return err
		}
	}
	return nil
}

// maxThinned bounds the statements that one replaces, and with maxRecords its records.
const maxThinned = 64

func (g *Gateway) interval() int64 {
	return g.cfg.Clock.Now().Truncate(sampler.Interval).UnixMilli()
}

func (o *old) goesWith(first *old) bool {
	return o.subject == first.subject && o.mode == first.mode && o.interval == first.interval && o.Boot == first.Boot && o.clock.Quality == first.clock.Quality
}

// openOld opens a reading with its pack, nil for what is none.
func openOld(r *outbox.Record) *old {
	m, err := signer.Parse(r.Statement)
	if err != nil || m.Type != entry.TypeReading {
		return nil
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil || c.Time == nil {
		return nil
	}
	payload, mode := m.Payload, entry.ModeOpen
	if m.Hidden() {
		mode = entry.ModeCommitted
		pre, err := entry.ParseCommitted(r.Pack, m.Payload)
		if err != nil {
			return nil
		}
		payload = pre.Pack
	}
	p, err := entry.ParsePack(payload)
	if err != nil {
		return nil
	}
	o := &old{
		Number: r.Number(), subject: c.Subject, mode: mode, clock: *c.Time, bytes: len(r.Statement) + len(r.Pack),
		interval: p.Records[0].Time - p.Records[0].Time%sampler.Interval.Milliseconds(),
	}
	for _, rec := range p.Records {
		if keeps(strings.TrimPrefix(rec.Name, p.Base)) {
			o.kept = append(o.kept, rec)
			o.keptSize += 40 + len(rec.Name) - len(p.Base) + len(rec.Unit) + len(rec.Text)
		}
	}
	return o
}

// keeps reports whether a record stays: those of registers, and of the clock. What the
// outbox said in it is said again by the next reading, as its statement is gone.
func keeps(name string) bool {
	if name == gapRecord {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if _, kind, ok := hardware.Lookup(part); ok {
			return kind == hardware.Counter
		}
	}
	return true
}

// signThinned signs one statement in place of a group.
func (g *Gateway) signThinned(group []*old) error {
	first := group[0]
	base := first.subject + "/"
	pack := entry.Pack{Base: base}
	var replaces []outbox.Number
	worst := first.clock
	for _, o := range group {
		if len(pack.Records)+len(o.kept) > entry.MaxRecords-2 {
			break
		}
		pack.Records = append(pack.Records, o.kept...)
		replaces = append(replaces, o.Number)
		worst.Uncertainty = max(worst.Uncertainty, o.clock.Uncertainty)
	}
	gap := outbox.Gap{
		Range: outbox.Range{Boot: first.Boot, First: first.Seq, Last: replaces[len(replaces)-1].Seq},
		Count: uint64(len(replaces)), Reason: outbox.Thinned,
	}
	// This statement's claims tell of the clock now, and the readings are of another time.
	now := g.cfg.Clock.Now().UnixMilli()
	pack.Records = append(slices.Clip(pack.Records), tellGap(base, now, gap),
		entry.Record{Name: base + "clock.quality", Time: first.interval, Text: fmt.Sprintf("%s %d", worst.Quality, worst.Uncertainty)})
	payload, err := pack.Encode()
	if err != nil {
		return fmt.Errorf("thinning statements %v: %w", gap, err)
	}
	d := draft{typ: entry.TypeReading, subject: first.subject, content: entry.ContentSenML, payload: payload, replaces: replaces}
	if err := d.commit(first.mode); err != nil {
		return err
	}
	_, err = g.signDraft(&d)
	return err
}
