package audit

import (
	"encoding/hex"
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// cleared tells what an auction came to.
func (d *Description) cleared(o *entry.Cleared) {
	d.Summary = fmt.Sprintf("cleared: %s of zone %s, %d Wh traded", o.Interval, o.Zone, int64(o.Open.Volume+o.Green.Volume))
	d.add("zone", o.Zone)
	d.add("interval", o.Interval)
	d.add("beacon", hex.EncodeToString(o.Beacon[:]))
	d.add("orders", o.Orders)
	d.add("buyer's fee", perKWh(o.Fee))
	for _, p := range [...]struct {
		name string
		pass *entry.Passed
	}{{"open", &o.Open}, {"green", &o.Green}} {
		if p.pass.Volume > 0 {
			d.add(p.name+" pass", fmt.Sprintf("%d Wh, %s to %s", int64(p.pass.Volume), perKWh(p.pass.Low), perKWh(p.pass.High)))
		}
	}
	d.add("root of the fills", hex.EncodeToString(o.Root[:]))
	if o.Void != "" {
		d.add("void", o.Void)
	}
}

// settled tells what an interval was settled to.
func (d *Description) settled(o *entry.Settled) {
	d.Summary = fmt.Sprintf("settled: %s of zone %s, %s, version %d", o.Interval, o.Zone, runName(o.Run), o.Version)
	d.add("zone", o.Zone)
	d.add("interval", o.Interval)
	d.add("run", runName(o.Run))
	d.add("version", o.Version)
	d.add("tariff", fmt.Sprintf("feed-in %s, retail %s, fee %s, in %s", perKWh(o.Terms.FeedIn), perKWh(o.Terms.Retail), perKWh(o.Terms.Fee), o.Terms.Currency))
	d.add("members", o.Members)
	if t := o.Totals; t != nil {
		d.add("shared among neighbours", fmt.Sprintf("%d Wh at %s", int64(t.Local), perKWh(t.LocalPrice)))
		d.add("with the grid", fmt.Sprintf("%d Wh from it, %d Wh to it", int64(t.GridImport), int64(t.GridExport)))
		d.add("readings", fmt.Sprintf("%d measured, %d estimated, %d missing", t.Measured, t.Estimated, t.Missing))
	} else {
		d.add("totals", "not published: fewer than five members have readings")
	}
	d.add("root of the lines", hex.EncodeToString(o.Root[:]))
	if o.Unaccounted != nil {
		d.add("unaccounted for at the feeder", fmt.Sprintf("%d Wh", int64(*o.Unaccounted)))
	}
	if o.Alarm {
		d.add("alarm", "that is more than the tariff tolerates: theft, a faulty meter or a stolen key")
	}
	if o.Void != "" {
		d.add("void", o.Void)
	}
}

// perKWh writes a price as the format has it.
func perKWh(p unit.Price) string { return fmt.Sprintf("%d millionths per kWh", int64(p)) }

var sideWords = [...]string{entry.SideBuy: "buy", entry.SideSell: "sell"}

// trade tells what a member states, or is stated of it. It is false for another type.
func (d *Description) trade(m *signer.Message) (bool, error) {
	switch m.Type {
	case entry.TypeSealedOrder:
		s, err := entry.ParseSealedOrder(m.Payload)
		if err != nil {
			return true, err
		}
		d.add("sealed order of", s.Member)
		d.add("to "+sideWords[s.Side]+" in", fmt.Sprintf("%s, zone %s", s.Interval, s.Zone))
		d.add("seal", hex.EncodeToString(s.Seal))
		d.add("nonce", s.Nonce)
	case entry.TypeOrder, entry.TypeOpenedOrder:
		o, err := entry.OrderIn(m.Type, m.Payload)
		if err != nil {
			return true, err
		}
		d.add("order of", o.Member)
		d.add("to "+sideWords[o.Side]+" in", fmt.Sprintf("%s, zone %s", o.Interval, o.Zone))
		for i, s := range o.Steps {
			d.add(fmt.Sprintf("step %d", i), fmt.Sprintf("%d Wh at %s", int64(s.Quantity), perKWh(s.Price)))
		}
		if len(o.Steps) == 0 {
			d.add("takes back", "the order before")
		}
		d.add("nonce", o.Nonce)
		if m.Type == entry.TypeOpenedOrder {
			d.add("opens", "a seal that was placed before the gate")
		}
	case entry.TypeStanding:
		s, err := entry.ParseStanding(m.Payload)
		if err != nil {
			return true, err
		}
		d.add("standing wish of", s.Member)
		d.add("from", s.From)
		if s.MinSell != nil {
			d.add("sells for at least", perKWh(*s.MinSell))
		}
		if s.MaxBuy != nil {
			d.add("buys for at most", perKWh(*s.MaxBuy))
		}
	case entry.TypeDispute:
		p, err := entry.ParseDispute(m.Payload)
		if err != nil {
			return true, err
		}
		d.add("dispute of", p.Member)
		d.add("interval", p.Interval)
		d.add("claims", fmt.Sprintf("%d Wh in, %d Wh out", int64(p.Import), int64(p.Export)))
		d.add("evidence", hex.EncodeToString(p.Evidence))
	case entry.TypeMember:
		return true, d.admission(m)
	default:
		return false, nil
	}
	return true, nil
}

func (d *Description) admission(m *signer.Message) error {
	r := admissionOf(m.Bytes())
	if r == nil {
		return errors.New("what it carries is no request of a member")
	}
	d.add("admits member", r.Member)
	d.add("to zone", r.Zone)
	d.add("new key", r.Public.ID())
	d.add("connection", fmt.Sprintf("%d W", r.Power))
	for i := range r.Connections {
		d.add("metered by", r.Connections[i].Subject)
	}
	return nil
}
