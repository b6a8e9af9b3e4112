package ledgertest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// Plant is a drawn neighbourhood with a stack, a verifier and a registry. home1 owns the
// stack and a load, home2 a roof; a period of an hour is open.
type Plant struct {
	*Hood
	From int64 // of the period, in Unix seconds
	Mass int64 // register of the stack in mg
	// Remarks stand beside the register in each reading of the stack.
	Remarks []entry.Record
}

// StackPoint is the metering point of a plant's stack, and StackChannel its register.
const (
	StackPoint   = "p-stack"
	StackChannel = "flue.co2_mass"
)

// NewPlant founds the ledger, appoints the parties and registers the sources.
func NewPlant(tb testing.TB) *Plant {
	tb.Helper()
	p := &Plant{Hood: NewHood(tb, 3)}
	s := p.Enrolment("stack", signer.EdDSA, entry.ModeOpen)
	e, err := entry.ParseEnrolment(s.Payload)
	if err != nil {
		tb.Fatal(err)
	}
	e.Points[0].Channels = []entry.Channel{{Name: StackChannel, Unit: "kg", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000)}}
	s.Payload = p.encoded(e.Encode())
	messages := []Message{p.Deliver(s.Sign(tb))}
	for _, role := range []string{entry.RoleVerifier, entry.RoleRegistry} {
		name := "the-" + role
		p.Keys[name] = Key(tb, signer.EdDSA, name)
		r := entry.PartyRequest{Name: name, Role: role, Title: "The " + role}
		a := &entry.Appointment{Request: p.encoded(request.SignParty(p.Keys[name], r, Origin, p.Now/1000))}
		messages = append(messages, p.Deliver(p.Stated(0, a.Type(), p.encoded(entry.EncodeCarbon(a))).Sign(tb)))
	}
	messages = append(messages, p.Deliver(p.Stated(0, entry.TypeFactorPack, p.encoded(entry.EncodeCarbon(Factors("2026", 400)))).Sign(tb)))
	p.Expect(tb, p.At(0, messages...), "", "", "", "", "")
	for _, c := range []entry.Carbon{
		&entry.CarbonSource{ID: "stack", Site: "bakery", Owner: "home1", Kind: entry.SourceMass, Point: StackPoint, Channels: []string{StackChannel}, Gas: "CO2", Random: entry.Int(5), Bias: entry.Int(2)},
		&entry.CarbonSource{ID: "load", Site: "bakery", Owner: "home1", Kind: entry.SourceLoad, Point: Subject("home1"), Channels: []string{"import"}, Boundary: "street"},
		&entry.CarbonSource{ID: "roof", Site: "home2", Owner: "home2", Kind: entry.SourceExport, Point: Subject("home2"), Channels: []string{"export"}, CapacityW: 10_000, Boundary: "street"},
		&entry.CarbonProject{ID: "oven", Owner: "home1", Program: "street", Methodology: "baseline less stack", Direction: entry.DirectionReduction, Sources: []string{"stack"}, Baseline: entry.Int(20_000), BufferBP: 1000, Prefix: "W-OVEN", Country: "DE"},
	} {
		p.Expect(tb, p.Say("the-registry", c), "", "")
	}
	p.From = (p.Now/1000/900 + 1) * 900
	p.Expect(tb, p.Say("home1", &entry.PeriodOpen{ID: "hour", Site: "bakery", From: p.From, To: p.From + 3600, Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "2026"}}, Zone: "UTC"}), "", "")
	return p
}

// Factors is an edition of the grid's factors, in g of CO2e for a kWh.
func Factors(edition string, grid int64) *entry.FactorPack {
	return &entry.FactorPack{ID: "grid", Edition: edition, Source: "https://example.org/grid", Digest: make([]byte, 32), To: 1 << 40, Region: "street", Set: "AR5",
		Rows: []entry.FactorRow{
			{Key: entry.FactorGrid, Gas: "CO2e", Value: entry.Int(grid), Unit: "g/kWh"},
			{Key: entry.FactorResidual, Gas: "CO2e", Value: entry.Int(2 * grid), Unit: "g/kWh"},
		}}
}

// Say appends a block with one entry of a party.
func (p *Plant) Say(who string, c entry.Carbon) *Block {
	p.TB().Helper()
	return p.At(0, p.Message(who, c))
}

// Message is an entry of a party.
func (p *Plant) Message(who string, c entry.Carbon) Message {
	p.TB().Helper()
	return p.Signed(who, c.Type(), p.encoded(entry.EncodeCarbon(c)))
}

// Expect checks the reasons of a block, its clock's first.
func (p *Plant) Expect(tb testing.TB, b *Block, want ...entry.Reason) {
	tb.Helper()
	if diff := cmp.Diff(want, b.Result.Reasons); diff != "" {
		tb.Fatalf("block %d: reasons (-want +got):\n%s", b.Header.Height, diff)
	}
}

// Measure reads all registers at both ends of each of n intervals, from the nth one on.
// The stack gives kg in each, home1 uses and home2 gives Wh.
func (p *Plant) Measure(tb testing.TB, n int, kg, used, made int64) {
	tb.Helper()
	for i := range n + 1 {
		at := (p.From + int64(i)*900) * 1000
		m := []Message{p.Stack(at+300, kg*min(int64(i), 1)), p.Deliver(p.Read("home1", at+200, used, 0).Sign(tb)), p.Deliver(p.Read("home2", at+200, 0, made).Sign(tb))}
		if wait := at/1000 + 1 - p.Now/1000; wait > 0 {
			p.At(wait)
		}
		p.Expect(tb, p.At(0, m...), "", "", "", "")
	}
}

// Stack is a reading of the stack some kg on, at a time in Unix milliseconds.
func (p *Plant) Stack(at, kg int64) Message {
	p.Mass += kg * 1_000_000
	records := []entry.Record{{Name: StackPoint + "/" + StackChannel, Unit: "kg", Time: at, Value: entry.Decimal{Mantissa: p.Mass, Exponent: -6}}}
	for _, r := range p.Remarks {
		r.Time = at
		records = append(records, r)
	}
	s := p.Reading("stack", records...)
	return p.Deliver(s.Sign(p.TB()))
}
