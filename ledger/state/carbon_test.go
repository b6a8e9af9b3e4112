package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/audit"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// plant is a drawn neighbourhood whose state can be replayed.
type plant struct{ *ledgertest.Plant }

func newPlant(tb testing.TB) *plant { return &plant{ledgertest.NewPlant(tb)} }

// detail is that of the newest block's refusal.
func detail(tb testing.TB, b *ledgertest.Block) string {
	tb.Helper()
	if len(b.Result.Refusals) != 1 {
		tb.Fatalf("%d refusals, want one", len(b.Result.Refusals))
	}
	o, err := entry.ParseOutcome(b.Result.Refusals[0])
	if err != nil {
		tb.Fatal(err)
	}
	return o.Detail
}

// TestCarbonStory goes from registers to a retired unit: certificates for a roof, claimed
// for a neighbour's load; a period that is closed, verified and restated; units issued,
// retired; and each of them tried twice.
func TestCarbonStory(t *testing.T) {
	p := newPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	rates, grid := p.State.Rates(), state.GridInfo{}
	if len(rates) != 1 || rates[0].Source != "stack" || rates[0].Gas != "CO2" || rates[0].At != p.From+2700 || rates[0].Mass != 100_000_000 || rates[0].HalfWidth <= 0 || rates[0].HalfWidth > 100_000_000 {
		t.Errorf("rates: %+v", rates)
	}
	if grid, _ = p.State.Grid(); grid.Gas != "CO2e" || grid.PerKWh != 400_000 || grid.Pack != "grid" { // 480 g for 1200 Wh, below
		t.Errorf("the grid: %+v", grid)
	}
	issue := &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}

	p.Expect(t, p.Say("home1", issue), "", entry.ReasonNotAuthorised)
	b := p.Say("home2", issue)
	p.Expect(t, b, "", "")
	certified := bodies[*entry.Certified](t, b)
	if len(certified) != 1 || certified[0].Wh != 500 || certified[0].First != 1 || certified[0].Owner != "home2" || len(certified[0].Readings) != 2 {
		t.Fatalf("certified: %+v", certified)
	}
	gc := certified[0].ID
	b = p.Say("home2", issue)
	p.Expect(t, b, "", entry.ReasonCountedTwice)
	if d := detail(t, b); !strings.HasPrefix(d, "D1 "+gc+" ") || !strings.HasSuffix(d, " p-home2/") {
		t.Errorf("the refusal says %q", d)
	}
	p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From + 7200, To: p.From + 8100}), "", entry.ReasonNotMeasured)

	// 300 Wh of it stand for what home1 used.
	b = p.Say("home2", &entry.GCSplit{Bundle: gc, Sizes: []int64{300, 200}})
	p.Expect(t, b, "", "")
	split := bodies[*entry.Moved](t, b)[0].Moves
	if len(split) != 3 || split[0].Status != "Split" || split[1].Last != 300 || split[2].First != 301 {
		t.Fatalf("split: %+v", split)
	}
	part, rest := split[1].ID, split[2].ID
	p.Expect(t, p.Say("home2", &entry.GCTransfer{Bundle: part, To: "home1"}), "", "")
	p.Expect(t, p.Say("home2", &entry.GCTransfer{Bundle: part, To: "home3"}), "", entry.ReasonNotAuthorised)
	claim := &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{part}}
	p.Expect(t, p.Say("home1", claim), "", entry.ReasonWrongStatus) // not cancelled
	p.Expect(t, p.Say("home1", &entry.GCCancel{Bundle: part, Beneficiary: "home1"}), "", "")
	p.Expect(t, p.Say("home2", &entry.GCCancel{Bundle: rest, Beneficiary: "home1"}), "", "")
	p.Expect(t, p.Say("home1", &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{part, rest}}), "", entry.ReasonTooMuch)
	p.Expect(t, p.Say("home1", claim), "", "")
	b = p.Say("home1", &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{rest}})
	p.Expect(t, b, "", entry.ReasonCountedTwice)
	if d := detail(t, b); !strings.HasPrefix(d, "D1 claim-") {
		t.Errorf("the refusal says %q", d)
	}

	// The period: 400 kg, of what 1200 Wh were used 300 were matched.
	b = p.Say("home1", &entry.PeriodClose{Period: "hour"})
	p.Expect(t, b, "", "")
	stated := bodies[*entry.Stated](t, b)[0]
	wantLines := []entry.StatedLine{
		{Source: "load", Kind: entry.SourceLoad, Class: entry.ClassMeasured, Gases: []entry.GasMass{}, Measured: 4, Wh: 1200, Gas: "CO2e", Location: 480_000, Market: 720_000, Hourly: 720_000, HourlyMatched: 300},
		{Source: "stack", Kind: entry.SourceMass, Class: entry.ClassMeasured, Gases: []entry.GasMass{{Gas: "CO2", Mass: 400_000_000}}, CO2e: 400_000_000, Measured: 4},
	}
	if diff := cmp.Diff(wantLines, stated.Lines); diff != "" || stated.CO2e != 400_000_000 || len(stated.Ranges) != 2 {
		t.Fatalf("stated: %+v\n%s", stated, diff)
	}
	unitIssue := &entry.UnitIssue{Project: "oven", Period: "hour", Version: 1, Vintage: yearOf(p.From)}
	p.Expect(t, p.Say("the-registry", unitIssue), "", entry.ReasonWrongStatus)
	verify := &entry.Verification{Period: "hour", Version: 1, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceReasonable}
	p.Expect(t, p.Say("the-registry", verify), "", entry.ReasonNotAuthorised)
	p.Expect(t, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 1, Digest: make([]byte, 32), Level: entry.AssuranceReasonable}), "", entry.ReasonWrongStatus)
	p.Expect(t, p.Say("the-verifier", verify), "", "")

	// 20 t less 0.4 t, and a little for the doubt: 19 units, 2 of them in the buffer.
	b = p.Say("the-registry", unitIssue)
	p.Expect(t, b, "", "")
	issued := bodies[*entry.Issued](t, b)[0]
	if issued.Units != 19 || issued.Reduced != 19_600_000_000 || issued.HalfWidth <= 0 || len(issued.Blocks) != 2 || issued.Blocks[0].Last != 17 || issued.Blocks[1].Status != "Buffer" {
		t.Fatalf("issued: %+v", issued)
	}
	b = p.Say("the-registry", unitIssue)
	p.Expect(t, b, "", entry.ReasonCountedTwice)
	if d := detail(t, b); !strings.HasPrefix(d, "D1 "+issued.ID+" ") {
		t.Errorf("the refusal says %q", d)
	}
	mine := issued.Blocks[0].ID
	b = p.Say("home1", &entry.UnitSplit{Block: mine, Sizes: []int64{10, 7}})
	p.Expect(t, b, "", "")
	ten, seven := bodies[*entry.Moved](t, b)[0].Moves[1].ID, bodies[*entry.Moved](t, b)[0].Moves[2].ID
	retire := &entry.UnitRetire{Block: ten, Beneficiary: "The Bakery", Reason: "bread of the year", From: p.From, To: p.From + 3600}
	p.Expect(t, p.Say("home1", retire), "", "")
	p.Expect(t, p.Say("home1", retire), "", entry.ReasonCountedTwice)
	p.Expect(t, p.Say("home1", &entry.UnitTransfer{Block: ten, To: "home2"}), "", entry.ReasonWrongStatus)
	held := account.ID{Asset: account.Asset{Class: account.Unit, Name: ten}, Kind: account.Retired, Owner: market.MemberOwner("home1")}
	if got := p.State.Balance(held); got != 10 {
		t.Errorf("%d units are retired, want 10", got)
	}

	// A reversal takes the buffer's two, and the project owes one; home1 pays it.
	b = p.Say("the-registry", &entry.Reversal{Project: "oven", Tonnes: 3, Reason: "an old oven was lit"})
	p.Expect(t, b, "", "")
	if m := bodies[*entry.Moved](t, b)[0]; m.Owed != 1 || m.Debtor != "oven" || len(m.Moves) != 1 || m.Moves[0].Status != "Cancelled" {
		t.Fatalf("reversal: %+v", m)
	}
	b = p.Say("home1", &entry.UnitSplit{Block: seven, Sizes: []int64{1, 6}})
	one := bodies[*entry.Moved](t, b)[0].Moves[1].ID
	p.Expect(t, p.Say("home1", &entry.UnitCancel{Block: one, Reason: "paid", Settles: "oven"}), "", "")
	if got := p.State.Owed("oven"); got != 0 {
		t.Errorf("%d tonnes are owed still", got)
	}
	p.checkReplay(t)
	leaves := p.All()
	a := audit.NewAuditor(p.Packs)
	if _, err := a.Run(func() (leaf []byte, err error) {
		if len(leaves) > 0 {
			leaf, leaves = leaves[0], leaves[1:]
		}
		return leaf, nil
	}); err != nil {
		t.Errorf("the audit: %v", err)
	}
	if diff := cmp.Diff(p.State.Export(), a.State().Export()); diff != "" {
		t.Errorf("an auditor has another state:\n%s", diff)
	}
}

func yearOf(seconds int64) int64 {
	var year int64
	fmt.Sscanf(unit.Interval(seconds).String(), "%d-", &year)
	return year
}

// checkReplay replays the whole chain from its leaves, and a second time from the records
// that the state was stored as, and wants the same bytes.
func (p *plant) checkReplay(tb testing.TB) {
	tb.Helper()
	charter, err := entry.ParseCharter(p.All()[0])
	if err != nil {
		tb.Fatal(err)
	}
	s, err := state.New(charter)
	if err != nil {
		tb.Fatal(err)
	}
	var stored []state.Change
	for i, b := range p.Blocks {
		inputs, _ := b.Inputs()
		if i == len(p.Blocks)/2 {
			if s, err = state.Load(charter, func(fn func(k, v []byte) error) error {
				for _, c := range s.Export() {
					if err := fn(c.Key, c.Value); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				tb.Fatalf("loading before block %d: %v", b.Header.Height, err)
			}
		}
		r, err := s.Execute(b.Header.First, b.Header.Prev, inputs)
		if err != nil {
			tb.Fatal(err)
		}
		if diff := cmp.Diff(b.Result.Leaves, r.Leaves); diff != "" {
			tb.Fatalf("block %d: leaves\n%s", b.Header.Height, diff)
		}
	}
	stored = s.Export()
	if diff := cmp.Diff(p.State.Export(), stored); diff != "" {
		tb.Fatalf("the state is another one after a replay:\n%s", diff)
	}
}

// TestFlaggedBacksNoClaim wants readings that are doubted to back nothing.
func TestFlaggedBacksNoClaim(t *testing.T) {
	for _, c := range []struct {
		what string
		make func(p *plant, at int64) *ledgertest.Statement
	}{
		{"out of range", func(p *plant, at int64) *ledgertest.Statement {
			return p.Registers("home2", at, [2]int64{0, 2_000_000_000})
		}},
		{"a register that fell", func(p *plant, at int64) *ledgertest.Statement {
			p.Read("home2", at, 0, 1000)
			return p.Registers("home2", at, [2]int64{0, 0})
		}},
		{"a part that was replaced", func(p *plant, at int64) *ledgertest.Statement {
			return p.Registers("home2", at, [2]int64{0, 800}, entry.Record{Name: ledgertest.Subject("home2") + "/export.quality", Time: at, Text: "late,replaced"})
		}},
		{"no clock", func(p *plant, at int64) *ledgertest.Statement {
			s := p.Registers("home2", at, [2]int64{0, 800})
			s.Claims.Time = &entry.TimeQuality{Quality: entry.ClockUnsynced, Monotonic: 1}
			return s
		}},
		{"nothing", func(p *plant, at int64) *ledgertest.Statement { return p.Registers("home2", at, [2]int64{0, 800}) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newPlant(t)
			at := p.From * 1000
			p.At(at/1000 + 901 - p.Now/1000)
			p.At(0, p.Deliver(p.Registers("home2", at+100, [2]int64{0, 500}).Sign(t)))
			p.At(0, p.Deliver(c.make(p, at+450_000).Sign(t)))
			p.At(0, p.Deliver(p.Registers("home2", at+900_100, [2]int64{0, 1000}).Sign(t)))
			want := entry.ReasonNotMeasured
			if c.what == "nothing" {
				want = ""
			}
			p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}), "", want)
		})
	}
}

// TestGapKeepsPeriodOpen wants a missing statement to be sent, or explained.
func TestGapKeepsPeriodOpen(t *testing.T) {
	for _, explained := range []bool{false, true} {
		p := newPlant(t)
		p.Measure(t, 4, 100, 300, 500)
		lost := p.Reading("stack", entry.Record{Name: ledgertest.StackPoint + "/" + ledgertest.StackChannel, Unit: "kg", Time: p.Now, Value: entry.Int(0)})
		next := p.Reading("stack", entry.Record{Name: ledgertest.StackPoint + "/" + ledgertest.StackChannel, Unit: "kg", Time: p.Now, Value: entry.Decimal{Mantissa: p.Mass, Exponent: -6}})
		want := entry.ReasonSequenceGap
		if explained {
			n := lost.Claims.Sequence.Count
			next.Claims.Skipped, want = &entry.Range{First: n, Last: n}, ""
		}
		p.Expect(t, p.At(0, p.Deliver(next.Sign(t))), "", "")
		p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", want)
	}
}

// TestRestatementIsReplay wants a period that is closed by one pack and restated by
// another to say what it would have said had it been closed by the other.
func TestRestatementIsReplay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		grid := rapid.Int64Range(1, 1000).Draw(rt, "grid")
		kg := rapid.Int64Range(0, 500).Draw(rt, "kg")
		used := rapid.Int64Range(0, 900).Draw(rt, "used")
		n := rapid.IntRange(0, 4).Draw(rt, "measured intervals")
		set := rapid.SampledFrom([]string{"AR4", "AR5", "AR6"}).Draw(rt, "set")
		var got []*entry.Stated
		for _, restated := range []bool{false, true} {
			p := newPlant(t)
			pack := ledgertest.Factors("2027", grid)
			pack.Set = set
			p.Expect(t, p.At(0, p.Deliver(p.Stated(0, entry.TypeFactorPack, encoded(t)(entry.EncodeCarbon(pack))).Sign(t))), "", "")
			p.Measure(t, n, kg, used, 0)
			p.At(3601)
			packs := []entry.Edition{{Pack: "grid", Edition: "2027"}}
			if restated {
				p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
				p.Expect(t, p.Say("home1", &entry.Restatement{Period: "hour", Version: 2, Reason: "a new edition", Set: set, Packs: packs}), "", "")
			} else {
				p.Expect(t, p.Say("home1", &entry.PeriodOpen{ID: "again", Site: "bakery", From: p.From, To: p.From + 3600, Set: set, Packs: packs, Zone: "UTC"}), "", entry.ReasonAlreadyKnown)
				p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
				p.Expect(t, p.Say("home1", &entry.Restatement{Period: "hour", Version: 2, Reason: "first another", Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "2026"}}}), "", "")
				p.Expect(t, p.Say("home1", &entry.Restatement{Period: "hour", Version: 3, Reason: "then this", Set: set, Packs: packs}), "", "")
			}
			got = append(got, p.State.Periods()[0].Stated)
			p.checkReplay(t)
		}
		if diff := cmp.Diff(got[0].Lines, got[1].Lines); diff != "" || got[0].CO2e != got[1].CO2e {
			rt.Fatalf("lines differ:\n%s", diff)
		}
		if got[1].Lines[0].Missing != int64(4-n) {
			rt.Fatalf("%d intervals are missing, want %d", got[1].Lines[0].Missing, 4-n)
		}
	})
}

// TestRestatementLowersIssuance has the buffer cover what a restatement takes away, and
// the registry owe the rest.
func TestRestatementLowersIssuance(t *testing.T) {
	p := newPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
	p.Expect(t, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 1, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceLimited}), "", "")
	p.Expect(t, p.Say("the-registry", &entry.UnitIssue{Project: "oven", Period: "hour", Version: 1, Vintage: yearOf(p.From)}), "", "")
	// A reading of the past comes that is doubted: two of four intervals count no more.
	s := p.Reading("stack", entry.Record{Name: ledgertest.StackPoint + "/" + ledgertest.StackChannel, Unit: "kg", Time: (p.From + 900) * 1000, Value: entry.Decimal{Mantissa: -1}})
	p.Expect(t, p.At(0, p.Deliver(s.Sign(t))), "", "")
	b := p.Say("home1", &entry.Restatement{Period: "hour", Version: 2, Reason: "a doubtful reading", Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "2026"}}})
	p.Expect(t, b, "", "")
	m := bodies[*entry.Moved](t, b)
	if len(m) != 1 || m[0].Debtor != "the-registry" || m[0].Owed != 8 { // 19 issued, 9 borne, 2 in the buffer
		t.Fatalf("moved: %+v", m)
	}
	if got := p.State.Owed("the-registry"); got != 8 {
		t.Errorf("the registry owes %d", got)
	}
	p.Expect(t, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 2, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceLimited}), "", "")
	p.Expect(t, p.Say("the-registry", &entry.UnitIssue{Project: "oven", Period: "hour", Version: 2, Vintage: yearOf(p.From)}), "", entry.ReasonOwing)
	p.checkReplay(t)
}

// TestNoIntervalTwice draws claims in any order and any blocks, and wants what stands to
// be disjoint, units and certificates to be conserved, and a replay to give the same.
func TestNoIntervalTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlant(t)
		p.Measure(t, 4, 50, 200, 400)
		p.At(60)
		var ids []string
		for range rapid.IntRange(1, 12).Draw(rt, "blocks") {
			var m []ledgertest.Message
			for range rapid.IntRange(0, 3).Draw(rt, "entries") {
				at := p.From + 900*rapid.Int64Range(0, 4).Draw(rt, "interval")
				to := at + 900*rapid.Int64Range(1, 4).Draw(rt, "length")
				some := "gc-0"
				if len(ids) > 0 {
					some = rapid.SampledFrom(ids).Draw(rt, "bundle")
				}
				who := rapid.SampledFrom([]string{"home1", "home2"}).Draw(rt, "who")
				m = append(m, p.Message(who, rapid.SampledFrom([]entry.Carbon{
					&entry.GCIssue{Source: "roof", From: at, To: to},
					&entry.GCSplit{Bundle: some, Sizes: []int64{100, 300}},
					&entry.GCSplit{Bundle: some, Sizes: []int64{1, 99}},
					&entry.GCTransfer{Bundle: some, To: "home1"},
					&entry.GCCancel{Bundle: some, Beneficiary: "home1"},
					&entry.GCClaim{Load: "load", From: at, To: to, Bundles: []string{some}},
				}).Draw(rt, "entry")))
			}
			p.At(0, m...)
			ids = ids[:0]
			for _, b := range p.State.Bundles() {
				ids = append(ids, b.ID)
			}
		}
		type span struct{ from, to int64 }
		var issues, claims []span
		standing := make(map[string]unit.Amount)
		seen := make(map[span]bool)
		for _, b := range p.State.Bundles() {
			if b.Status != carbon.CertificateSplit {
				standing[b.Issue] += b.Count()
			}
			if b.ID == b.Issue {
				issues = append(issues, span{b.EnergyFrom, b.EnergyTo})
			}
			if k := (span{b.ClaimFrom, b.ClaimTo}); b.Load != "" && !seen[k] {
				seen[k] = true
				claims = append(claims, k)
			}
		}
		for _, spans := range [][]span{issues, claims} {
			slices.SortFunc(spans, func(a, b span) int { return int(a.from - b.from) })
			for i := 1; i < len(spans); i++ {
				if spans[i].from < spans[i-1].to {
					rt.Fatalf("%v and %v overlap", spans[i-1], spans[i])
				}
			}
		}
		for _, k := range issues {
			wh := unit.Amount((k.to - k.from) / 900 * 400)
			for id, n := range standing {
				for _, b := range p.State.Bundles() {
					if b.ID == id && b.EnergyFrom == k.from && n != wh {
						rt.Fatalf("%d certificates of %s stand, %d Wh were measured", n, id, wh)
					}
				}
			}
		}
		sums := make(map[account.Asset]unit.Amount)
		p.State.Accounts(func(id account.ID, n unit.Amount) { sums[id.Asset] += n })
		for asset, n := range sums {
			if n != 0 {
				rt.Fatalf("%v is off by %d", asset, n)
			}
		}
		p.checkReplay(t)
	})
}

// TestForgottenStands replays a ledger without its packs: what was issued stands, to the
// byte.
func TestForgottenStands(t *testing.T) {
	p := newPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	b := p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900})
	p.Expect(t, b, "", "")
	p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
	charter, err := entry.ParseCharter(p.All()[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := state.New(charter)
	if err != nil {
		t.Fatal(err)
	}
	opaque := 0
	for _, b := range p.Blocks {
		inputs, _ := b.Inputs()
		var accepted []state.Input
		for _, i := range b.Result.Accepted {
			in := inputs[i]
			accepted = append(accepted, state.Input{Opened: in.Opened})
		}
		leaves := append(append([][]byte{}, b.Result.Leaves...), b.Result.Refusals...)
		r, err := s.ReplayInputs(b.Header, leaves, accepted)
		if err != nil {
			t.Fatal(err)
		}
		opaque += r.Opaque
	}
	if opaque == 0 {
		t.Fatal("every pack was at hand")
	}
	if diff := cmp.Diff(p.State.Bundles(), s.Bundles()); diff != "" {
		t.Errorf("bundles:\n%s", diff)
	}
	if diff := cmp.Diff(p.State.Periods(), s.Periods()); diff != "" {
		t.Errorf("periods:\n%s", diff)
	}
}

// TestCarbonRefusals spoils one thing of an entry that would be taken, and wants nothing
// to change.
func TestCarbonRefusals(t *testing.T) {
	p := newPlant(t)
	for _, c := range []struct {
		what string
		who  string
		say  entry.Carbon
		want entry.Reason
	}{
		{"a source of a point that is not enrolled", "the-registry", &entry.CarbonSource{ID: "x", Site: "x", Owner: "home1", Kind: entry.SourceMass, Point: "p-none", Channels: []string{"m"}, Gas: "CO2"}, entry.ReasonUnknownPoint},
		{"a mass in Wh", "the-registry", &entry.CarbonSource{ID: "x", Site: "x", Owner: "home1", Kind: entry.SourceMass, Point: ledgertest.Subject("home3"), Channels: []string{"import"}, Gas: "CO2"}, entry.ReasonUnknownChannel},
		{"a source of nobody", "the-registry", &entry.CarbonSource{ID: "x", Site: "x", Owner: "nobody", Kind: entry.SourceLoad, Point: ledgertest.Subject("home3"), Channels: []string{"import"}, Boundary: "b"}, entry.ReasonUnknownID},
		{"a register that is a source already", "the-registry", &entry.CarbonSource{ID: "x", Site: "x", Owner: "home1", Kind: entry.SourceLoad, Point: ledgertest.Subject("home1"), Channels: []string{"import"}, Boundary: "b"}, entry.ReasonAlreadyKnown},
		{"a site of somebody else", "the-registry", &entry.CarbonSource{ID: "x", Site: "bakery", Owner: "home3", Kind: entry.SourceLoad, Point: ledgertest.Subject("home3"), Channels: []string{"import"}, Boundary: "b"}, entry.ReasonNotAuthorised},
		{"a member registers", "home1", &entry.CarbonSource{ID: "x", Site: "x", Owner: "home1", Kind: entry.SourceLoad, Point: ledgertest.Subject("home3"), Channels: []string{"import"}, Boundary: "b"}, entry.ReasonNotAuthorised},
		{"a project of an electricity meter", "the-registry", &entry.CarbonProject{ID: "x", Owner: "home1", Program: "p", Methodology: "m", Direction: entry.DirectionRemoval, Sources: []string{"load"}, Prefix: "X", Country: "DE"}, entry.ReasonNotClaimable},
		{"a period by factors that are not there", "home1", &entry.PeriodOpen{ID: "x", Site: "bakery", From: p.From + 3600, To: p.From + 7200, Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "1999"}}, Zone: "UTC"}, entry.ReasonUnknownFactor},
		{"a period of somebody else's site", "home2", &entry.PeriodOpen{ID: "x", Site: "bakery", From: p.From + 3600, To: p.From + 7200, Set: "AR5", Zone: "UTC"}, entry.ReasonNotAuthorised},
		{"a period that is not over", "home1", &entry.PeriodClose{Period: "hour"}, entry.ReasonWrongStatus},
		{"a period that is not there", "home1", &entry.PeriodClose{Period: "x"}, entry.ReasonUnknownID},
		{"a restatement of what is open", "home1", &entry.Restatement{Period: "hour", Version: 2, Reason: "r", Set: "AR5"}, entry.ReasonWrongStatus},
		{"a bundle that is not there", "home2", &entry.GCCancel{Bundle: "gc-1", Beneficiary: "home1"}, entry.ReasonUnknownID},
		{"a block that is not there", "home2", &entry.UnitTransfer{Block: "u-1-1", To: "home1"}, entry.ReasonUnknownID},
		{"a block that is not there, abroad", "home1", &entry.FirstTransfer{Block: "u-1-1", To: "home2", Acquirer: "CH"}, entry.ReasonUnknownID},
		{"a storage that is not there", "home2", &entry.StorageDischarge{Storage: "cell", From: p.From, To: p.From + 900}, entry.ReasonUnknownID},
		{"a storage on registers of another source", "the-registry", &entry.CarbonSource{ID: "x", Site: "x", Owner: "home2", Kind: entry.SourceStorage, Point: ledgertest.Subject("home2"), Channels: []string{"import", "export"}, CapacityW: 1, Boundary: "b", EfficiencyBP: 9000}, entry.ReasonAlreadyKnown},
	} {
		m := p.Message(c.who, c.say)
		in := m.Input()
		before := p.State.Export()
		if got := p.State.Judge(&in, p.Now); got != c.want {
			t.Errorf("%s: judged %q, want %q", c.what, got, c.want)
		}
		if diff := cmp.Diff(before, p.State.Export()); diff != "" {
			t.Errorf("%s: judging changed the state:\n%s", c.what, diff)
		}
		p.Expect(t, p.At(0, m), "", c.want)
	}
	// A member or a registry alone puts no factors in force.
	p.Expect(t, p.Say("the-registry", ledgertest.Factors("2028", 1)), "", entry.ReasonNotAuthorised)
	p.Expect(t, p.At(0, p.Deliver(p.Stated(0, entry.TypeFactorPack, encoded(t)(entry.EncodeCarbon(ledgertest.Factors("2026", 1)))).Sign(t))), "", entry.ReasonAlreadyKnown)
	p.checkReplay(t)
}
