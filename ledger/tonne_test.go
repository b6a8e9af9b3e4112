package ledger_test

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// retired draws a plant whose bakery has retired ten units, with certificates for its load,
// and returns what shows the retirement. method makes the stack's mass, and its readings
// name a calibration.
func retired(t testing.TB, method string) (*ledgertest.Plant, string, *audit.Evidence) {
	t.Helper()
	p := ledgertest.NewPlant(t)
	k := p.Calibrated(1000)
	k.Corrections[0].Channel = ledgertest.StackChannel
	calibration := p.Calibration("stack", k)
	calibration.Claims.Subject = ledgertest.StackPoint
	statement, _ := calibration.Sign(t)
	m, err := signer.Parse(statement)
	if err != nil {
		t.Fatal(err)
	}
	p.Expect(t, p.At(0, p.Deliver(statement, nil)), "", "")
	p.Remarks = []entry.Record{
		{Name: ledgertest.StackPoint + "/" + ledgertest.StackChannel + ".method", Text: method},
		{Name: entry.CalibrationName(ledgertest.StackPoint + "/" + ledgertest.StackChannel), Text: entry.CalibrationText(m.Hash())},
	}
	p.Measure(t, 4, 100, 300, 500)
	p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}), "", "")
	gc := p.State.Bundles()[0].ID
	p.Expect(t, p.Say("home2", &entry.GCSplit{Bundle: gc, Sizes: []int64{300, 200}}), "", "")
	part := p.State.Bundles()[1].ID
	p.Expect(t, p.Say("home2", &entry.GCTransfer{Bundle: part, To: "home1"}), "", "")
	p.Expect(t, p.Say("home1", &entry.GCCancel{Bundle: part, Beneficiary: "home1"}), "", "")
	p.Expect(t, p.Say("home1", &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{part}}), "", "")
	p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour", Declared: []entry.Declared{{Label: "a leak", Gas: "CH4", Mass: 1_000_000}}}), "", "")
	p.Expect(t, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 1, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceReasonable}), "", "")
	p.Expect(t, p.Say("the-registry", &entry.UnitIssue{Project: "oven", Period: "hour", Version: 1, Vintage: 2026}), "", "")
	mine := p.State.Blocks()[0].ID
	p.Expect(t, p.Say("home1", &entry.UnitSplit{Block: mine, Sizes: []int64{10, 7}}), "", "")
	ten := ""
	for _, b := range p.State.Blocks() {
		if b.Count() == 10 {
			ten = b.ID
		}
	}
	p.Expect(t, p.Say("home1", &entry.UnitTransfer{Block: ten, To: "home3"}), "", "")
	p.Expect(t, p.Say("home3", &entry.UnitRetire{Block: ten, Beneficiary: "The Bakery", Reason: "bread", From: p.From, To: p.From + 3600}), "", "")
	return p, ten, shown(t, p, ten, ledger.CarbonUnits)
}

func shown(t testing.TB, p *ledgertest.Plant, id, kind string) *audit.Evidence {
	t.Helper()
	found, err := ledger.CarbonOutcomes(p.Chain, p.Size(), id)
	if err != nil {
		t.Fatal(err)
	}
	claim, ok := found[kind]
	if !ok {
		t.Fatalf("%s is %v", id, found)
	}
	e, err := ledger.CarbonEvidence(p.Chain, p.Note(), p.Last().Checkpoint, claim, p.Packs)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func verified(p *ledgertest.Plant, e *audit.Evidence) *audit.Report {
	return audit.Verify("tonne.evidence", e.Encode(), audit.Trust{Policy: p.Policy})
}

// TestTonneEvidence goes from retired units, a period, an issuance and certificates down to
// the sensors' signatures, with the policy alone.
func TestTonneEvidence(t *testing.T) {
	p, ten, e := retired(t, "mass-flow/1")
	r := verified(p, e)
	want := map[audit.Check]audit.Answer{
		audit.CheckSignature: audit.Holds, audit.CheckKey: audit.Holds, audit.CheckCalibration: audit.Holds, audit.CheckTime: audit.Holds, audit.CheckInclusion: audit.Holds,
		audit.CheckQuorum: audit.Holds, audit.CheckChain: audit.Holds, audit.CheckDisclosure: audit.Holds, audit.CheckRerun: audit.Holds,
	}
	for _, v := range r.Verdicts {
		if v.Verdict != want[v.Check] {
			t.Errorf("%s is %s: %s", v.Check, v.Verdict, v.Detail)
		}
	}
	// Five edges of the stack and of the load each, and two of the roof, which is home2's.
	if d := verdict(r, audit.CheckRerun).Detail; !strings.HasPrefix(d, "12 readings, ") || !strings.Contains(r.Subject, ten) {
		t.Errorf("%s: %s", r.Subject, d)
	}
	for _, words := range []string{"retired for The Bakery", "transfer to home3", "split of", "issuance iss-", "reasonable assurance", "period hour", "grid: 400 g/kWh", "line a leak", "source roof", "register 400000000 mg"} {
		if !mentions(r.Tree, words) {
			t.Errorf("the tree says nothing of %q", words)
		}
	}
	again, err := audit.ParseEvidence(e.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.Encode(), again.Encode()); diff != "" {
		t.Error(diff)
	}

	bundle := p.State.Bundles()[1].ID
	for id, kind := range map[string]string{"hour": ledger.CarbonPeriod, bundle: ledger.CarbonCertificate, p.State.Issuances()[0].ID: ledger.CarbonUnits} {
		if r := verified(p, shown(t, p, id, kind)); r.Exit() != audit.ExitHolds || r.Tree == nil {
			t.Errorf("%s %s: %v", kind, id, r.Verdicts)
		}
	}
	if found, err := ledger.CarbonOutcomes(p.Chain, p.Size(), "nothing"); err != nil || len(found) > 0 {
		t.Errorf("nothing is %v, %v", found, err)
	}
	_, err = ledger.CarbonEvidence(p.Chain, p.Note(), p.Last().Checkpoint, e.Claim, nil)
	if !errors.Is(err, ledger.ErrNotShown) || !strings.Contains(err.Error(), "in no vault here") {
		t.Errorf("without the vault: %v", err)
	}
}

// TestRestatedEvidence shows a version that replaced another one, of which an interval was
// barred after all.
func TestRestatedEvidence(t *testing.T) {
	p, _, _ := retired(t, "mass-flow/1")
	s := p.Reading("stack", entry.Record{Name: ledgertest.StackPoint + "/" + ledgertest.StackChannel, Unit: "kg", Time: (p.From + 900) * 1000, Value: entry.Decimal{Mantissa: -1}})
	p.Expect(t, p.At(0, p.Deliver(s.Sign(t))), "", "")
	p.Expect(t, p.Say("home1", &entry.Restatement{Period: "hour", Version: 2, Reason: "a doubtful reading", Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "2026"}}}), "", "")
	r := verified(p, shown(t, p, "hour", ledger.CarbonPeriod))
	if r.Exit() != audit.ExitHolds || !mentions(r.Tree, "restated: a doubtful reading") || !mentions(r.Tree, "2 intervals measured, 2 missing") {
		t.Errorf("%s: %v", r.Subject, r.Verdicts)
	}
}

// TestReversedEvidence shows blocks that were cancelled for a reversal: one whole, and what
// was left of one that was cut.
func TestReversedEvidence(t *testing.T) {
	p, _, _ := retired(t, "mass-flow/1")
	p.Expect(t, p.Say("the-registry", &entry.Reversal{Project: "oven", Tonnes: 1, Reason: "an old oven was lit"}), "", "")
	p.Expect(t, p.Say("the-registry", &entry.Reversal{Project: "oven", Tonnes: 3, Reason: "and another"}), "", "")
	seven := ""
	for _, b := range p.State.Blocks() {
		if b.Count() == 7 {
			seven = b.ID
		}
	}
	p.Expect(t, p.Say("home1", &entry.UnitSplit{Block: seven, Sizes: []int64{2, 5}}), "", "")
	for _, b := range p.State.Blocks() {
		if b.Count() == 2 && b.Status == carbon.Held {
			p.Expect(t, p.Say("home1", &entry.UnitCancel{Block: b.ID, Reason: "paid", Settles: "oven"}), "", "")
		}
	}
	cancelled := 0
	for _, b := range p.State.Blocks() {
		if b.Status == carbon.Cancelled {
			cancelled++
		}
		if r := verified(p, shown(t, p, b.ID, ledger.CarbonUnits)); r.Exit() != audit.ExitHolds {
			t.Errorf("%s, %s: %v", b.ID, b.Status, r.Verdicts)
		}
	}
	if cancelled != 3 {
		t.Errorf("%d blocks are cancelled, want 3", cancelled)
	}
}

func mentions(n *audit.Node, words string) bool {
	return strings.Contains(n.What, words) || slices.ContainsFunc(n.Rests, func(k *audit.Node) bool { return mentions(k, words) })
}

// forged makes the file again as a quorum would have signed it that had these leaves
// instead: what then is wrong is for the other questions to say.
func forged(t *testing.T, p *ledgertest.Plant, e *audit.Evidence, change func(leaf []byte) []byte) *audit.Evidence {
	t.Helper()
	all := p.All()
	changed := 0
	for i := range e.Leaves {
		at := e.Leaves[i].Index
		if was := slices.Clone(all[at]); entry.KindOf(was) != entry.LeafHeader {
			if now := change(was); now != nil && !bytes.Equal(now, all[at]) {
				all = ledgertest.Replace(all, at, now)
				changed++
			}
		}
	}
	if changed == 0 {
		t.Fatal("nothing was changed")
	}
	all = ledgertest.Rechain(all)
	f := ledgertest.Of(all)
	out := &audit.Evidence{Claim: e.Claim, Checkpoint: p.Sign(t, f.Checkpoint()), Disclosures: e.Disclosures}
	prover := block.NewProver(f, f.Checkpoint().Size)
	for _, l := range e.Leaves {
		proof, err := prover.Prove(l.Index)
		if err != nil {
			t.Fatal(err)
		}
		out.Leaves = append(out.Leaves, audit.EvidenceLeaf{Index: l.Index, Leaf: all[l.Index], Path: proof.Path})
	}
	return out
}

// TestTonneTampered has a dishonest quorum sign a ledger in which one thing on the trail is
// another one: each is found by a question of its own.
func TestTonneTampered(t *testing.T) {
	p, ten, e := retired(t, "mass-flow/1")
	// texts changes a text in statements of a type, which the signature covers.
	texts := func(typ, old, new string) func([]byte) []byte {
		return func(leaf []byte) []byte {
			if entry.KindOf(leaf) != entry.LeafStatement || !bytes.Contains(leaf, []byte(typ)) {
				return nil
			}
			return bytes.Replace(leaf, []byte(old), []byte(new), 1)
		}
	}
	outcome := func(change func(entry.Body) bool) func([]byte) []byte {
		return func(leaf []byte) []byte {
			if entry.KindOf(leaf) != entry.LeafOutcome {
				return nil
			}
			o, err := entry.ParseOutcome(leaf)
			if err != nil || o.Body == nil {
				return nil
			}
			b, err := o.ParseBody()
			if err != nil || !change(b) {
				return nil
			}
			if o, err = entry.Bodied(b); err != nil {
				t.Fatal(err)
			}
			return o.Encode()
		}
	}
	moved := func(status string, change func(*entry.Move)) func([]byte) []byte {
		return outcome(func(b entry.Body) bool {
			m, ok := b.(*entry.Moved)
			if !ok || m.Moves[len(m.Moves)-1].Status != status {
				return false
			}
			change(&m.Moves[len(m.Moves)-1])
			return true
		})
	}
	stack := "\xc4\x82\x25\x1a\x17\xd7\x84\x00" // 400.000000 kg, at the end
	for _, c := range []struct {
		what   string
		false  []audit.Check
		change func(leaf []byte) []byte
	}{
		{"a factor", []audit.Check{audit.CheckSignature, audit.CheckRerun}, texts(entry.TypeFactorPack, "\x19\x01\x90", "\x19\x01\x91")},
		{"a calibration", []audit.Check{audit.CheckSignature, audit.CheckInclusion}, texts(entry.TypeCalibration, "flue.co2_mass", "flux.co2_mass")},
		{"a reading", []audit.Check{audit.CheckSignature, audit.CheckRerun}, texts(entry.TypeReading, stack, stack[:7]+"\x01")},
		{"the formula's version", []audit.Check{audit.CheckSignature}, texts(entry.TypeReading, "mass-flow/1", "mass-flow/2")},
		{"whom it was retired for", []audit.Check{audit.CheckSignature}, texts(entry.TypeUnitRetire, "The Bakery", "The Eatery")},
		{"the baseline", []audit.Check{audit.CheckSignature, audit.CheckRerun}, texts(entry.TypeCarbonProject, "\x19\x4e\x20", "\x19\x5e\x20")},
		{"who verifies", []audit.Check{audit.CheckKey}, func(leaf []byte) []byte { // its appointment was never agreed on
			if o, err := entry.ParseOutcome(leaf); err == nil && o.Kind == entry.OutcomeAdopted && o.Code == entry.AdoptedAppointment {
				o.Hash[0]++
				return o.Encode()
			}
			return nil
		}},
		{"how many were retired", []audit.Check{audit.CheckRerun}, moved("Retired", func(m *entry.Move) { m.Last++ })},
		{"another unit's serials", []audit.Check{audit.CheckRerun}, moved("Retired", func(m *entry.Move) { m.First, m.Last = 18, 19 })},
		{"another's units", []audit.Check{audit.CheckRerun}, moved("Retired", func(m *entry.Move) { m.Owner = "home2" })},
		{"another block", []audit.Check{audit.CheckRerun}, moved("Retired", func(m *entry.Move) { m.ID = ten[:len(ten)-1] + "2" })},
		{"a retirement that is none", []audit.Check{audit.CheckRerun}, moved("Retired", func(m *entry.Move) { m.Status = "Held" })},
		{"how many were issued", []audit.Check{audit.CheckRerun}, outcome(func(b entry.Body) bool {
			u, ok := b.(*entry.Issued)
			if ok {
				u.Units++
				u.Blocks[0].Last++
				u.Blocks[1].First++
				u.Blocks[1].Last++
			}
			return ok
		})},
		{"the doubt", []audit.Check{audit.CheckRerun}, outcome(func(b entry.Body) bool {
			u, ok := b.(*entry.Issued)
			if ok {
				u.HalfWidth--
			}
			return ok
		})},
		{"a line of the inventory", []audit.Check{audit.CheckRerun}, outcome(func(b entry.Body) bool {
			s, ok := b.(*entry.Stated)
			if ok {
				s.Lines[len(s.Lines)-2].Gases[0].Mass--
			}
			return ok
		})},
		{"the certified energy", []audit.Check{audit.CheckRerun}, outcome(func(b entry.Body) bool {
			g, ok := b.(*entry.Certified)
			if ok {
				g.Wh++
			}
			return ok
		})},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := verified(p, forged(t, p, e, c.change))
			for _, check := range c.false {
				if v := verdict(r, check); v.Verdict != audit.False && (c.what != "who verifies" || v.Verdict == audit.Holds) {
					t.Errorf("%s is %s: %s", check, v.Verdict, v.Detail)
				}
			}
			if verdict(r, audit.CheckQuorum).Verdict != audit.Holds || r.Exit() == audit.ExitHolds {
				t.Errorf("%v", r.Verdicts)
			}
		})
	}
}

// TestTonneIncomplete leaves something out of the file, or adds to it, or turns a byte over.
func TestTonneIncomplete(t *testing.T) {
	p, _, good := retired(t, "mass-flow/1")
	is := func(typ string) func([]byte) bool {
		return func(leaf []byte) bool {
			return entry.KindOf(leaf) == entry.LeafStatement && strings.Contains(string(leaf), typ)
		}
	}
	body := func(kind string) func([]byte) bool {
		return func(leaf []byte) bool {
			o, err := entry.ParseOutcome(leaf)
			return entry.KindOf(leaf) == entry.LeafOutcome && err == nil && o.Kind == kind
		}
	}
	for what, which := range map[string]func([]byte) bool{
		"a reading": is(entry.TypeReading), "the factors": is(entry.TypeFactorPack), "the sources": is(entry.TypeCarbonSource), "the project": is(entry.TypeCarbonProject),
		"the verification": is(entry.TypeVerification), "the opening": is(entry.TypePeriodOpen), "the closing": is(entry.TypePeriodClose),
		"the issuance": body(entry.OutcomeIssued), "the period": body(entry.OutcomeStated), "the certificates": body(entry.OutcomeCertified),
	} {
		e := *good
		e.Leaves = slices.DeleteFunc(slices.Clone(good.Leaves), func(l audit.EvidenceLeaf) bool { return which(l.Leaf) })
		if len(e.Leaves) == len(good.Leaves) {
			t.Errorf("%s is not in the file", what)
		}
		if r := verified(p, &e); verdict(r, audit.CheckRerun).Verdict != audit.False || r.Exit() != audit.ExitFalse {
			t.Errorf("without %s: %v", what, r.Verdicts)
		}
	}
	e := *good
	e.Leaves = slices.DeleteFunc(slices.Clone(good.Leaves), func(l audit.EvidenceLeaf) bool { return is(entry.TypeAppointment)(l.Leaf) })
	if r := verified(p, &e); verdict(r, audit.CheckKey).Verdict != audit.Unchecked {
		t.Errorf("without appointments: %v", r.Verdicts)
	}
	e = *good
	e.Disclosures = good.Disclosures[1:]
	if r := verified(p, &e); verdict(r, audit.CheckRerun).Verdict != audit.Unchecked || r.Exit() != audit.ExitUnchecked {
		t.Errorf("without a home's pack: %v", r.Verdicts)
	}
	e = *good
	e.Leaves = slices.Clone(good.Leaves)
	whole, err := ledger.Evidence(p.Chain, p.Note(), p.Last().Checkpoint, p.Blocks[len(p.Blocks)-1].Header.First, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range whole.Leaves {
		if i, found := slices.BinarySearchFunc(e.Leaves, l.Index, func(l audit.EvidenceLeaf, at uint64) int { return int(int64(l.Index) - int64(at)) }); !found {
			e.Leaves = slices.Insert(e.Leaves, i, l)
		}
	}
	if r := verified(p, &e); verdict(r, audit.CheckInclusion).Verdict != audit.False {
		t.Errorf("with a clock too many: %v", r.Verdicts)
	}
	b := good.Encode()
	for at := 5; at < len(b); at += 3001 {
		b[at] ^= 1
		if r := audit.Verify("tonne.evidence", b, audit.Trust{Policy: p.Policy}); r.Exit() == audit.ExitHolds {
			t.Fatalf("byte %d is another one, and all holds", at)
		}
		b[at] ^= 1
	}
}

// TestUnknownFormula has the stack's mass made by a formula that nobody knows: the figures
// agree, and what made them cannot be checked.
func TestUnknownFormula(t *testing.T) {
	p, _, e := retired(t, "mass-flow/9")
	r := verified(p, e)
	if v := verdict(r, audit.CheckRerun); v.Verdict != audit.Unchecked || !strings.Contains(v.Detail, `"mass-flow/9"`) || r.Exit() != audit.ExitUnchecked {
		t.Errorf("%v", r.Verdicts)
	}
}

// TestShownAsStated draws what a site's meters say, doubts some of it, and wants evidence of
// whatever the ledger states to hold.
func TestShownAsStated(t *testing.T) {
	drawAtMost(t, 15)
	rapid.Check(t, func(rt *rapid.T) {
		p := ledgertest.NewPlant(t)
		p.Measure(t, rapid.IntRange(0, 4).Draw(rt, "measured intervals"), rapid.Int64Range(0, 900).Draw(rt, "kg"), rapid.Int64Range(0, 900).Draw(rt, "used"), rapid.Int64Range(0, 900).Draw(rt, "made"))
		p.At(3601)
		for _, at := range rapid.SliceOfN(rapid.Int64Range(0, 3700), 0, 3).Draw(rt, "doubted") {
			s := p.Reading("stack", entry.Record{Name: ledgertest.StackPoint + "/" + ledgertest.StackChannel, Unit: "kg", Time: (p.From + at) * 1000, Value: entry.Decimal{Mantissa: -1}})
			p.Expect(t, p.At(0, p.Deliver(s.Sign(t))), "", "")
		}
		if b := p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}); b.Result.Reasons[1] == "" {
			bundle := p.State.Bundles()[0].ID
			p.Expect(t, p.Say("home2", &entry.GCCancel{Bundle: bundle, Beneficiary: "home1"}), "", "")
			p.Say("home1", &entry.GCClaim{Load: "load", From: p.From, To: p.From + 900, Bundles: []string{bundle}}) // or it is too much
		}
		p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
		r := verified(p, shown(t, p, "hour", ledger.CarbonPeriod))
		if v := verdict(r, audit.CheckRerun); v.Verdict != audit.Holds || r.Exit() != audit.ExitHolds {
			rt.Fatalf("%v", r.Verdicts)
		}
	})
}

// drawAtMost bounds how many cases rapid draws in a test whose cases are whole ledgers.
func drawAtMost(t *testing.T, n int) {
	f := flag.Lookup("rapid.checks")
	was := f.Value.String()
	if have, err := strconv.Atoi(was); err != nil || have <= n {
		return
	}
	if err := f.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Value.Set(was) })
}

// FuzzTonne puts anything into the place of a leaf: what is read on the trail is read
// without harm, and does not hold.
func FuzzTonne(f *testing.F) {
	p, _, good := retired(f, "mass-flow/1")
	for i, l := range good.Leaves {
		if i%4 == 0 {
			f.Add(uint(i+1), l.Leaf)
		}
	}
	f.Fuzz(func(t *testing.T, i uint, leaf []byte) {
		e := *good
		e.Leaves = slices.Clone(good.Leaves)
		l := &e.Leaves[i%uint(len(e.Leaves))]
		same := bytes.Equal(l.Leaf, leaf)
		l.Leaf = leaf
		if r := verified(p, &e); (r.Exit() == audit.ExitHolds) != same {
			t.Errorf("%v", r.Verdicts)
		}
	})
}
