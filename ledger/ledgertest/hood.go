package ledgertest

import (
	"fmt"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// Hood is a drawn neighbourhood: homes with a gateway and a member each, in one zone.
type Hood struct {
	*Chain
	Homes []string                      // of gateways and members alike
	Keys  map[string]*signer.PrivateKey // of the members
	Count map[string]uint64             // of statements that each member has signed
	Now   int64                         // time of the last block in Unix milliseconds

	wh map[string][2]int64
}

// Zone is that of every drawn neighbourhood.
const Zone = "street"

// HoodParameters are those of a neighbourhood: they have an interval settled within hours: R0 half an hour behind its
// start, R1 an hour, RF two.
var HoodParameters = []entry.Parameter{
	{Name: entry.ParamMarketAhead, Value: 7200}, {Name: entry.ParamMarketNotice, Value: 7200},
	{Name: entry.ParamMarketR0, Value: 1800}, {Name: entry.ParamMarketR1, Value: 3600}, {Name: entry.ParamMarketRF, Value: 7200},
	{Name: entry.ParamMarketRolling, Value: 1},
}

// NewHood founds the ledger of one oracle, enrols the homes' gateways, admits their
// members and opens the market.
func NewHood(tb testing.TB, homes int) *Hood {
	tb.Helper()
	h := &Hood{
		Chain: New(tb, 1, HoodParameters...), Now: Start,
		Keys: make(map[string]*signer.PrivateKey), Count: make(map[string]uint64), wh: make(map[string][2]int64),
	}
	h.KeepExports(false)
	var enrol []Message
	for i := range homes {
		name := fmt.Sprintf("home%d", i+1)
		h.Homes = append(h.Homes, name)
		h.Keys[name] = Key(tb, signer.EdDSA, "member "+name)
		s := h.Enrolment(name, signer.EdDSA, entry.ModeCommitted)
		e, err := entry.ParseEnrolment(s.Payload)
		if err != nil {
			tb.Fatal(err)
		}
		register := entry.Channel{Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000)}
		in, out := register, register
		in.Name, out.Name = "import", "export"
		e.Points[0].Channels = []entry.Channel{out, in}
		s.Payload = h.encoded(e.Encode())
		enrol = append(enrol, h.Deliver(s.Sign(tb)))
	}
	h.At(0, enrol...)
	var admit []Message
	for i, name := range h.Homes {
		r := entry.MemberRequest{Member: name, Zone: Zone, Power: 20_000, Renewable: i%2 == 0,
			Connections: []entry.Connection{{Subject: Subject(name), Import: "import", Export: "export"}}}
		b := h.encoded(request.SignMember(h.Keys[name], r, Origin, h.Now/1000))
		admit = append(admit, h.Deliver(h.Stated(0, entry.TypeMember, h.encoded((&entry.Member{Request: b}).Encode())).Sign(tb)))
	}
	admit = append(admit, h.Tariff(HoodTariff(0)))
	h.At(0, admit...)
	return h
}

// HoodTariff returns the terms of a neighbourhood from an interval on.
func HoodTariff(from unit.Interval) *entry.Tariff {
	return &entry.Tariff{Zone: Zone, From: from, Currency: "EUR", FeedIn: 80_000, Retail: 300_000, Fee: 40_000, Loss: 20_000,
		Deviation: 100_000, Auction: entry.AuctionUniform, Pool: entry.PoolMid}
}

// Tariff is the motion for a tariff, good from the next block on.
func (h *Hood) Tariff(t *entry.Tariff) Message {
	h.tb.Helper()
	m := entry.Motion{Kind: entry.MotionTariff, Height: h.State.Height() + 1, Body: h.encoded(t.Encode())}
	return h.Deliver(h.Stated(0, entry.TypeMotion, h.encoded(m.Encode())).Sign(h.tb))
}

// At appends a block some seconds later.
func (h *Hood) At(seconds int64, messages ...Message) *Block {
	h.tb.Helper()
	h.Now += seconds * 1000
	clock := h.Deliver(h.Clock(0, h.Now).Sign(h.tb))
	return h.Append(append([]Message{clock}, messages...)...)
}

// Signed is an entry of a member.
func (h *Hood) Signed(name, typ string, payload []byte) Message {
	h.tb.Helper()
	h.Count[name]++
	s := &Statement{Key: h.Keys[name], Type: typ, Content: entry.ContentCBOR, Payload: payload, Claims: entry.Claims{
		Issuer: "urn:wattmark:member:" + name, Audience: Origin, IssuedAt: h.Now / 1000, Sequence: entry.Sequence{Boot: 1, Count: h.Count[name]},
	}}
	return h.Deliver(s.Sign(h.tb))
}

// Read advances a home's registers and reads them at a time; it returns nothing where
// the reading is lost.
func (h *Hood) Read(name string, at, imported, exported int64) *Statement {
	wh := h.wh[name]
	wh[0], wh[1] = wh[0]+imported, wh[1]+exported
	h.wh[name] = wh
	return h.Registers(name, at, wh)
}

// Registers returns a home's reading of registers at a time in Unix milliseconds.
func (h *Hood) Registers(name string, at int64, wh [2]int64, more ...entry.Record) *Statement {
	base := Subject(name) + "/"
	return h.Reading(name, append([]entry.Record{
		{Name: base + "import", Unit: "Wh", Time: at, Value: entry.Int(wh[0])},
		{Name: base + "export", Unit: "Wh", Time: at, Value: entry.Int(wh[1])},
	}, more...)...)
}

// Trade reads all homes at the ends of some quarter hours from the next one on: in each, every
// other home from the first on gives 300 Wh, and the others take 100.
func (h *Hood) Trade(quarters int) {
	h.tb.Helper()
	start := (h.Now/1000/900 + 1) * 900
	for i := range int64(quarters) {
		at := start + i*900
		var m []Message
		for n, name := range h.Homes {
			used, made := int64(100), int64(0)
			if n%2 == 0 {
				used, made = 0, 300
			}
			m = append(m, h.Deliver(h.Read(name, at*1000+200, used, made).Sign(h.tb)))
		}
		h.At(at+1-h.Now/1000, m...)
	}
}
