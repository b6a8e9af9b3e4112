package state_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/unit"
)

// cellar is a plant with a storage at home3's metering point, of home2, that keeps nine
// tenths of what it takes.
func cellar(tb testing.TB) *plant {
	tb.Helper()
	p := newPlant(tb)
	p.Expect(tb, p.Say("the-registry", &entry.CarbonSource{ID: "cell", Site: "home2", Owner: "home2", Kind: entry.SourceStorage,
		Point: ledgertest.Subject("home3"), Channels: []string{"export", "import"}, CapacityW: 5000, Boundary: "street", EfficiencyBP: 9000}), "", "")
	return p
}

// quarter is what happens in an interval: the roof makes, the cell takes and gives, home1
// uses, in Wh.
type quarter struct{ made, took, gave, used int64 }

// live reads the registers at the edges of intervals.
func (p *plant) live(tb testing.TB, quarters ...quarter) {
	tb.Helper()
	all := append([]quarter{{}}, quarters...)
	for i, q := range all {
		at := (p.From + int64(i)*900) * 1000
		m := []ledgertest.Message{
			p.Deliver(p.Read("home1", at+200, q.used, 0).Sign(tb)), p.Deliver(p.Read("home2", at+200, 0, q.made).Sign(tb)),
			p.Deliver(p.Read("home3", at+200, q.took, q.gave).Sign(tb)),
		}
		if wait := at/1000 + 1 - p.Now/1000; wait > 0 {
			p.At(wait)
		}
		p.Expect(tb, p.At(0, m...), "", "", "", "")
	}
}

// at is the interval n, from its beginning to its end.
func (p *plant) at(n int64) (from, to int64) { return p.From + 900*n, p.From + 900*(n+1) }

// charged issues what the roof made in an interval, and has a part of it cancelled for the
// storage's owner. It returns the part's bundle, and the issue.
func (p *plant) charged(tb testing.TB, n, wh int64) (bundle, issue string) {
	tb.Helper()
	from, to := p.at(n)
	b := p.Say("home2", &entry.GCIssue{Source: "roof", From: from, To: to})
	p.Expect(tb, b, "", "")
	c := bodies[*entry.Certified](tb, b)[0]
	bundle = c.ID
	if wh < c.Wh {
		b = p.Say("home2", &entry.GCSplit{Bundle: c.ID, Sizes: []int64{wh, c.Wh - wh}})
		p.Expect(tb, b, "", "")
		bundle = bodies[*entry.Moved](tb, b)[0].Moves[1].ID
	}
	p.Expect(tb, p.Say("home2", &entry.GCCancel{Bundle: bundle, Beneficiary: "home2"}), "", "")
	return bundle, c.ID
}

// TestStorageStory puts a roof's certificates into a cell and takes them out again: less
// than went in, oldest first, each with where its energy came from, and none twice.
func TestStorageStory(t *testing.T) {
	p := cellar(t)
	p.live(t, quarter{made: 500, took: 300}, quarter{made: 500, took: 400}, quarter{gave: 250}, quarter{gave: 400, used: 200}, quarter{gave: 10})
	charge := func(n int64, bundles ...string) *entry.StorageCharge {
		from, to := p.at(n)
		return &entry.StorageCharge{Storage: "cell", From: from, To: to, Bundles: bundles}
	}
	discharge := func(n int64) *entry.StorageDischarge {
		from, to := p.at(n)
		return &entry.StorageDischarge{Storage: "cell", From: from, To: to}
	}
	p.Expect(t, p.Say("home2", discharge(2)), "", entry.ReasonTooMuch) // nothing is in it
	first, one := p.charged(t, 0, 300)
	second, two := p.charged(t, 1, 400)
	p.Expect(t, p.Say("home1", charge(0, first)), "", entry.ReasonNotAuthorised)
	p.Expect(t, p.Say("home2", charge(0, first, second)), "", entry.ReasonTooMuch) // 700 Wh, it took 300
	p.Expect(t, p.Say("home2", charge(2, first)), "", entry.ReasonTooMuch)         // it took nothing
	p.Expect(t, p.Say("home2", charge(7, first)), "", entry.ReasonNotMeasured)
	p.Expect(t, p.Say("home2", &entry.StorageCharge{Storage: "roof", From: p.From, To: p.From + 900, Bundles: []string{first}}), "", entry.ReasonNotClaimable)
	b := p.Say("home2", charge(0, first))
	p.Expect(t, b, "", "")
	if m := bodies[*entry.Moved](t, b)[0].Moves; len(m) != 1 || m[0].Status != "Claimed" {
		t.Fatalf("charged: %+v", m)
	}
	b = p.Say("home2", charge(0, second))
	p.Expect(t, b, "", entry.ReasonCountedTwice)
	if d := detail(t, b); !strings.HasPrefix(d, "D1 charge-") {
		t.Errorf("the refusal says %q", d)
	}
	p.Expect(t, p.Say("home2", charge(1, first)), "", entry.ReasonCountedTwice)
	p.Expect(t, p.Say("home2", &entry.StorageDischarge{Storage: "cell", From: p.From - 900, To: p.From}), "", entry.ReasonNotMeasured)
	p.Expect(t, p.Say("home2", charge(1, second)), "", "")

	// 250 Wh out of 300 that keep nine tenths: 278 of them are gone.
	b = p.Say("home2", discharge(2))
	p.Expect(t, b, "", "")
	c := bodies[*entry.Certified](t, b)
	if len(c) != 1 || c[0].Wh != 250 || c[0].Consumed != 278 || c[0].Origin != one || c[0].Owner != "home2" || c[0].First != 1 || len(c[0].Readings) != 2 {
		t.Fatalf("discharged: %+v", c)
	}
	p.Expect(t, p.Say("home2", discharge(2)), "", entry.ReasonCountedTwice)
	// 400 Wh came out: 19 for the 22 that are left of the first, 360 for all of the second.
	b = p.Say("home2", discharge(3))
	p.Expect(t, b, "", "")
	c = bodies[*entry.Certified](t, b)
	if len(c) != 2 || c[0].Wh != 19 || c[0].Consumed != 22 || c[0].Origin != one || c[1].Wh != 360 || c[1].Consumed != 400 || c[1].Origin != two || c[1].First != 270 {
		t.Fatalf("discharged: %+v", c)
	}
	p.Expect(t, p.Say("home2", discharge(4)), "", entry.ReasonTooMuch) // it is empty

	// What came out stands for a neighbour's use as any other certificate, and says whose
	// energy it was.
	part := c[1].ID
	for _, info := range p.State.Bundles() {
		if info.ID == part && (info.Origin == nil || info.Origin.Issue != two || info.Origin.Source != "roof" || info.Origin.From != p.From+900) {
			t.Errorf("where %s is from: %+v", part, info.Origin)
		}
	}
	b = p.Say("home2", &entry.GCSplit{Bundle: part, Sizes: []int64{200, 160}})
	p.Expect(t, b, "", "")
	part = bodies[*entry.Moved](t, b)[0].Moves[1].ID
	p.Expect(t, p.Say("home2", &entry.GCCancel{Bundle: part, Beneficiary: "home1"}), "", "")
	from, to := p.at(3)
	p.Expect(t, p.Say("home1", &entry.GCClaim{Load: "load", From: from, To: to, Bundles: []string{part}}), "", "")
	p.checkReplay(t)
}

// TestStorageGivesNoMore draws what is charged and discharged, in any order and any
// blocks: certificates that come out are never more than what went in after its losses,
// nor than what the register says, and a replay gives the same.
func TestStorageGivesNoMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := cellar(t)
		var quarters []quarter
		for range 6 {
			quarters = append(quarters, quarter{made: 300, took: rapid.Int64Range(0, 300).Draw(rt, "took"), gave: rapid.Int64Range(0, 300).Draw(rt, "gave")})
		}
		p.live(t, quarters...)
		var in, out, metered int64
		for _, i := range rapid.Permutation([]int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).Draw(rt, "order") {
			n := i % 6
			from, to := p.at(n)
			if i < 6 {
				wh := rapid.Int64Range(1, 300).Draw(rt, "cancelled")
				bundle, _ := p.charged(t, n, wh)
				b := p.Say("home2", &entry.StorageCharge{Storage: "cell", From: from, To: to, Bundles: []string{bundle}})
				if (b.Result.Reasons[1] == "") != (wh <= quarters[n].took) {
					rt.Fatalf("%d Wh, of %d that it took: %q", wh, quarters[n].took, b.Result.Reasons[1])
				}
				if b.Result.Reasons[1] == "" {
					in += wh
				}
				continue
			}
			b := p.Say("home2", &entry.StorageDischarge{Storage: "cell", From: from, To: to})
			var got int64
			for _, c := range bodies[*entry.Certified](t, b) {
				got += c.Wh
				if c.Consumed*9 < c.Wh*10 || c.Consumed*9 >= c.Wh*10+10 {
					rt.Fatalf("%d Wh consumed %d", c.Wh, c.Consumed)
				}
			}
			if got > quarters[n].gave {
				rt.Fatalf("%d certificates for %d Wh", got, quarters[n].gave)
			}
			out, metered = out+got, metered+quarters[n].gave
		}
		if out*10 > in*9 || out > metered {
			rt.Fatalf("%d Wh came out of %d, and %d were metered", out, in, metered)
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

// issued is a plant with units: a period is closed and verified, and 19 units stand, 17 of
// them home1's. It returns the issuance and home1's block.
func issued(tb testing.TB) (p *plant, issuance, block string) {
	tb.Helper()
	p = newPlant(tb)
	p.Measure(tb, 4, 100, 300, 500)
	p.Expect(tb, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
	p.Expect(tb, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 1, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceReasonable}), "", "")
	b := p.Say("the-registry", &entry.UnitIssue{Project: "oven", Period: "hour", Version: 1, Vintage: yearOf(p.From)})
	p.Expect(tb, b, "", "")
	k := bodies[*entry.Issued](tb, b)[0]
	return p, k.ID, k.Blocks[0].ID
}

// TestFirstTransfer sends units abroad: with the host's letter, once, and with both
// countries' adjustments.
func TestFirstTransfer(t *testing.T) {
	p, issuance, block := issued(t)
	letter := &entry.Authorization{Issuance: issuance, Host: "DE", Reference: "BMUV 7/2026", Digest: make([]byte, 32)}
	b := p.Say("home1", &entry.UnitSplit{Block: block, Sizes: []int64{10, 7}})
	p.Expect(t, b, "", "")
	ten, seven := bodies[*entry.Moved](t, b)[0].Moves[1].ID, bodies[*entry.Moved](t, b)[0].Moves[2].ID
	abroad := &entry.FirstTransfer{Block: ten, To: "home2", Acquirer: "CH"}
	p.Expect(t, p.Say("home1", abroad), "", entry.ReasonNotAuthorised) // no letter
	p.Expect(t, p.Say("home1", letter), "", entry.ReasonNotAuthorised)
	other := *letter
	other.Host = "FR"
	p.Expect(t, p.Say("the-registry", &other), "", entry.ReasonNotAuthorised)
	other = *letter
	other.Issuance = "iss-0"
	p.Expect(t, p.Say("the-registry", &other), "", entry.ReasonUnknownID)
	p.Expect(t, p.Say("the-registry", letter), "", "")
	p.Expect(t, p.Say("the-registry", letter), "", entry.ReasonAlreadyKnown)
	p.Expect(t, p.Say("home2", abroad), "", entry.ReasonNotAuthorised)
	p.Expect(t, p.Say("home1", &entry.FirstTransfer{Block: ten, To: "home2", Acquirer: "DE"}), "", entry.ReasonNotClaimable)
	p.Expect(t, p.Say("home1", &entry.FirstTransfer{Block: ten, To: "nobody", Acquirer: "CH"}), "", entry.ReasonUnknownID)
	b = p.Say("home1", abroad)
	p.Expect(t, b, "", "")
	if a := bodies[*entry.Adjusted](t, b); len(a) != 1 || a[0].Host != "DE" || a[0].Acquirer != "CH" || a[0].Units != 10 || a[0].Block != ten {
		t.Fatalf("adjusted: %+v", a)
	}
	if de, ch := p.State.Adjusted("DE"), p.State.Adjusted("CH"); de != 10 || ch != -10 {
		t.Errorf("DE %d t, CH %d t", de, ch)
	}
	p.Expect(t, p.Say("home2", &entry.FirstTransfer{Block: ten, To: "home1", Acquirer: "SE"}), "", entry.ReasonCountedTwice)
	// Parts of it have left too, and move on without another adjustment.
	b = p.Say("home2", &entry.UnitSplit{Block: ten, Sizes: []int64{4, 6}})
	p.Expect(t, b, "", "")
	four := bodies[*entry.Moved](t, b)[0].Moves[1].ID
	p.Expect(t, p.Say("home2", &entry.FirstTransfer{Block: four, To: "home1", Acquirer: "SE"}), "", entry.ReasonCountedTwice)
	p.Expect(t, p.Say("home2", &entry.UnitTransfer{Block: four, To: "home1"}), "", "")
	p.Expect(t, p.Say("home1", &entry.UnitRetire{Block: four, Beneficiary: "Bern", Reason: "target of 2030", From: p.From, To: p.From + 3600}), "", "")
	p.Expect(t, p.Say("home1", &entry.FirstTransfer{Block: seven, To: "home2", Acquirer: "SE"}), "", "")
	if de := p.State.Adjusted("DE"); de != 17 || len(p.State.Adjustments()) != 3 {
		t.Errorf("DE %d t, in all %+v", de, p.State.Adjustments())
	}
	p.checkReplay(t)
}

// TestRecordsOfRegistries commits records of CAD Trust: each is its registry's, changes
// only as it was seen, refers to what is there, and no serial stands twice.
func TestRecordsOfRegistries(t *testing.T) {
	p, _, block := issued(t)
	const known = `"12345678-1234-1234-1234-123456789abc"` // to the receiver
	const verification = `{"fields":{"verificationId":"V1","verificationBody":"Body"},"refs":{"project":` + known + `}}`
	program := func(name string) *entry.CADTCommit {
		return &entry.CADTCommit{Table: "program", Key: "street", Record: []byte(`{"fields":{"programName":"` + name + `","programRegistry":"R","programRegistryId":"R-1"}}`), Author: "Dora"}
	}
	replaces := func(c *entry.CADTCommit) *entry.CADTCommit {
		for _, r := range p.State.Records() {
			if r.Table == c.Table && r.Key == c.Key {
				c.Before = r.Digest
			}
		}
		return c
	}
	p.Expect(t, p.Say("home1", program("Street")), "", entry.ReasonNotAuthorised)
	p.Expect(t, p.Say("the-registry", program("Street")), "", "")
	p.Expect(t, p.Say("the-registry", program("Street")), "", entry.ReasonAlreadyKnown)
	stale := replaces(program("Streets"))
	p.Expect(t, p.Say("the-registry", replaces(program("Road"))), "", "")
	p.Expect(t, p.Say("the-registry", stale), "", entry.ReasonWrongStatus)
	bad := program("x")
	bad.Key, bad.Record = "y", []byte(`{"fields":{"programName":"x"}}`)
	b := p.Say("the-registry", bad)
	p.Expect(t, b, "", entry.ReasonBadPayload)
	if d := detail(t, b); !strings.Contains(d, "required: programRegistry of program") {
		t.Errorf("the refusal says %q", d)
	}
	bad.Record = []byte(`{"fields": {"programName":"x"}}`)
	p.Expect(t, p.Say("the-registry", bad), "", entry.ReasonBadPayload)
	bad.Table = "programs"
	p.Expect(t, p.Say("the-registry", bad), "", entry.ReasonBadPayload)
	p.Expect(t, p.Say("the-registry", &entry.CADTCommit{Table: "verification", Key: "v", Record: []byte(verification), Author: "Dora"}), "", "")
	for i, want := range []entry.Reason{entry.ReasonBadPayload, ""} { // a reference to nothing, and to what is there
		issuance := []string{"none", "v"}[i]
		p.Expect(t, p.Say("the-registry", &entry.CADTCommit{Table: "issuance", Key: "is", Author: "Dora",
			Record: []byte(`{"refs":{"verification":"` + issuance + `","project_methodology":` + known + `,"location":` + known + `},"fields":{"issuanceId":"I1"}}`)}), "", want)
	}
	unitOf := func(key, registry, prefix, start, end, count, status string) *entry.CADTCommit {
		return &entry.CADTCommit{Table: "unit", Key: key, Author: "Dora", Record: []byte(`{"refs":{"issuance":"is"},"block":{"id":"` + key + `","registry":"` + registry + `","program":"P","issuance":"is","vintage":2025,"prefix":"` + prefix +
			`","start":"` + start + `","end":"` + end + `","count":` + count + `,"status":"` + status + `","type":"Reduction - technical","status_reason":"none","status_date":"2026-02-01","metric":"tCO2e"}}`)}
	}
	p.Expect(t, p.Say("the-registry", unitOf("b1", "R", "K-7", "1", "100", "100", "Held")), "", "")
	b = p.Say("the-registry", unitOf("b2", "R", "k 7", "100", "149", "50", "Held"))
	p.Expect(t, b, "", entry.ReasonCountedTwice)
	if d := detail(t, b); d != "I1 b1 b2" {
		t.Errorf("the refusal says %q", d)
	}
	p.Expect(t, p.Say("the-registry", unitOf("b2", "S", "K-7", "100", "149", "50", "Held")), "", entry.ReasonCountedTwice)
	p.Expect(t, p.Say("the-registry", unitOf("b2", "R", "K-7", "101", "149", "49", "Held")), "", "")
	// Units of this ledger cannot come in again as somebody's record.
	b = p.Say("the-registry", unitOf("b3", "S", "W-OVEN", "5", "5", "1", "Held"))
	p.Expect(t, b, "", entry.ReasonCountedTwice)
	if d := detail(t, b); d != "D2 "+block+" b3" {
		t.Errorf("the refusal says %q", d)
	}
	p.Expect(t, p.Say("the-registry", replaces(unitOf("b1", "R", "K-7", "1", "100", "100", "Retired"))), "", "")
	p.Expect(t, p.Say("the-registry", replaces(unitOf("b1", "R", "K-7", "1", "100", "100", "Held"))), "", entry.ReasonWrongStatus)
	p.Expect(t, p.Say("the-registry", replaces(unitOf("b2", "R", "K-7", "101", "150", "50", "Held"))), "", entry.ReasonWrongStatus)
	if n := len(p.State.Records()); n != 5 {
		t.Errorf("%d records, want 5: %+v", n, p.State.Records())
	}
	p.checkReplay(t)
}

// TestRecordsUnderAnyOrder commits drawn blocks of several registries: those that stand
// share no serial of a prefix.
func TestRecordsUnderAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, _, _ := issued(t)
		type span struct{ start, end int64 }
		var stand []span
		for i := range rapid.IntRange(1, 12).Draw(rt, "records") {
			start := rapid.Int64Range(1, 40).Draw(rt, "start")
			end := start + rapid.Int64Range(0, 9).Draw(rt, "more")
			c := &entry.CADTCommit{Table: "unit", Key: key(i), Author: "Dora", Record: []byte(unitRecord(key(i), rapid.SampledFrom([]string{"R", "S"}).Draw(rt, "registry"),
				rapid.SampledFrom([]string{"K-7", "k/7"}).Draw(rt, "prefix"), start, end))}
			want := entry.Reason("")
			for _, o := range stand {
				if start <= o.end && o.start <= end {
					want = entry.ReasonCountedTwice
				}
			}
			p.Expect(t, p.Say("the-registry", c), "", want)
			if want == "" {
				stand = append(stand, span{start, end})
			}
		}
		p.checkReplay(t)
	})
}

func key(n int) string { return "b" + string(rune('a'+n)) }

func unitRecord(id, registry, prefix string, start, end int64) string {
	n := carbon.Serials{Start: start, End: end}.Count()
	return fmt.Sprintf(`{"refs":{"issuance":"12345678-1234-1234-1234-123456789abc"},"block":{"id":%q,"registry":%q,"program":"P","issuance":"is","vintage":2025,"prefix":%q,"start":"%d","end":"%d","count":%d,`+
		`"status":"Held","type":"Reduction - technical","status_reason":"none","status_date":"2026-02-01","metric":"tCO2e"}}`, id, registry, prefix, start, end, int64(n))
}
