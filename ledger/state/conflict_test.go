package state_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// promise is an oracle's word for a checkpoint of a height, one of several variants.
func promise(c *ledgertest.Chain, oracle int, height uint64, variant byte) []byte {
	p := entry.Promise{Height: height, Size: 10*height + uint64(variant%2), Root: [32]byte{variant}}
	b, _ := c.Stated(oracle, entry.TypePromise, p.Encode()).Sign(c.TB())
	return b
}

// accuse has an oracle state that two statements contradict one another.
func accuse(c *ledgertest.Chain, by int, a, b []byte) ledgertest.Message {
	payload, err := entry.NewConflict(a, b).Encode()
	if err != nil {
		c.TB().Fatal(err)
	}
	return c.Open(c.Stated(by, entry.TypeConflict, payload))
}

// restore has an oracle put forward, or agree to, that a key signs again.
func restore(c *ledgertest.Chain, by int, id signer.KeyID, height uint64) ledgertest.Message {
	body, err := (&entry.Restoration{KeyID: id[:], Reason: "the machine was restored from a backup"}).Encode()
	if err != nil {
		c.TB().Fatal(err)
	}
	m := entry.Motion{Kind: entry.MotionRestore, Height: height, Body: body}
	b, err := m.Encode()
	if err != nil {
		c.TB().Fatal(err)
	}
	return c.Open(c.Stated(by, entry.TypeMotion, b))
}

// enrolling has an oracle enrol a gateway.
func enrolling(c *ledgertest.Chain, by int) *ledgertest.Statement {
	e := &entry.Enrolment{
		Algorithm: int(signer.EdDSA), Key: ledgertest.Key(c.TB(), signer.EdDSA, "new").Public().Bytes(), Gateway: "home9",
		Points: []entry.Point{{Subject: "p-home9", Mode: entry.ModeOpen}},
	}
	b, err := e.Encode()
	if err != nil {
		c.TB().Fatal(err)
	}
	return c.Stated(by, entry.TypeEnrolment, b)
}

// became appends a block of clocks and these, and returns what became of them.
func became(c *ledgertest.Chain, m ...ledgertest.Message) []entry.Reason {
	clocks := c.Clocks(60_000)
	return c.Append(append(clocks, m...)...).Result.Reasons[len(clocks):]
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// TestTwoPromises shows an oracle that signs two checkpoints of one height: its word
// counts no more from the next block on, until enough others restore it.
func TestTwoPromises(t *testing.T) {
	c := ledgertest.New(t, 4)
	id := c.Oracles[3].Statement.Public().ID()
	c.Draw("vote4:cut_leaves=100@9 vote1:cut_leaves=100@9\n.") // one more would adopt it
	one, other := promise(c, 3, 7, 0), promise(c, 3, 7, 1)
	late := c.Clock(3, c.State.Time()+1)
	same(t, "the conflict, said by two at once", became(c, accuse(c, 0, one, other), accuse(c, 1, other, one)),
		[]entry.Reason{"", entry.ReasonAlreadyKnown})
	b := c.Last()
	encoded, _ := entry.NewConflict(one, other).Encode()
	want := entry.Outcome{Kind: entry.OutcomeQuarantined, Hash: sha256.Sum256(encoded), Code: entry.QuarantinedPromises, Detail: c.Oracles[3].Name}
	same(t, "its outcome", b.Result.Leaves[len(b.Result.Accepted):], [][]byte{want.Encode()})
	if b.Result.Reasons[3] != "" {
		t.Errorf("in that block its clock is refused already: %q", b.Result.Reasons[3])
	}

	// From here on nothing of it counts: its clock, a vote, an enrolment, another accusation.
	q := entry.ReasonQuarantinedKey
	same(t, "what it states", became(c, c.Open(late), c.Word("vote4:cut_leaves=7@50"), c.Open(enrolling(c, 3)), accuse(c, 3, promise(c, 0, 1, 0), promise(c, 0, 1, 1))),
		[]entry.Reason{q, q, q, q})
	if got := c.Last().Result.Reasons[3]; got != q {
		t.Errorf("its clock: %q", got)
	}
	same(t, "a second proof", became(c, accuse(c, 1, promise(c, 3, 8, 0), promise(c, 3, 8, 2))), []entry.Reason{entry.ReasonAlreadyKnown})
	// Its vote from before is forgotten: two more are needed, and then enough.
	became(c, c.Word("vote2:cut_leaves=100@9"))
	for range 4 {
		became(c)
	}
	if got := c.State.Setting(entry.ParamCutLeaves); got != 4096 {
		t.Errorf("its vote counted: cut_leaves is %d", got)
	}

	// The three others restore it; two do not.
	at := c.State.Height() + 3
	same(t, "two ask for it", became(c, restore(c, 0, id, at), restore(c, 1, id, at)), []entry.Reason{"", ""})
	same(t, "a third", became(c, restore(c, 2, id, at)), []entry.Reason{""})
	same(t, "it is not back before the height", c.State.Quarantined(id), true)
	became(c)
	same(t, "it is back", c.State.Quarantined(id), false)
	same(t, "what it states then, and the old proof", became(c, c.Open(enrolling(c, 3)), accuse(c, 0, one, other)),
		[]entry.Reason{"", entry.ReasonAlreadyKnown})
	// Doing it again is another matter.
	h := c.State.Height()
	same(t, "a new proof", became(c, accuse(c, 0, promise(c, 3, h, 0), promise(c, 3, h, 1))), []entry.Reason{""})
	same(t, "it is out again", c.State.Quarantined(id), true)
}

// TestOneNumberTwice shows a gateway whose key is in use in two places.
func TestOneNumberTwice(t *testing.T) {
	c := ledgertest.New(t, 4)
	c.Draw("+home1 +home2\nhome1=1000 home2=1000")
	again := c.Reading("home1", energy("home1", c, 2000))
	again.Claims.Sequence.Count = 1
	other, _ := again.Sign(t)
	logged := c.Blocks[2].Messages[4].Statement
	id := c.GatewayKey("home1").Public().ID()
	same(t, "the conflict", became(c, accuse(c, 2, logged, other)), []entry.Reason{""})
	same(t, "its outcome", outcomes(t, c.Last()), []string{"quarantined sequence home1 -1"})
	same(t, "what it sends, and what others do", became(c, c.Word("home1=1100"), c.Word("home2=1100")), []entry.Reason{entry.ReasonQuarantinedKey, ""})
	at := c.State.Height() + 1
	same(t, "three oracles restore it", became(c, restore(c, 0, id, at), restore(c, 1, id, at), restore(c, 3, id, at)), []entry.Reason{"", "", ""})
	next := c.Reading("home1", energy("home1", c, 3000))
	next.Claims.Sequence.Count = 9
	same(t, "it sends again, and the old proof", became(c, c.Open(next), accuse(c, 0, logged, other)), []entry.Reason{"", entry.ReasonAlreadyKnown})
	next.Claims.IssuedAt++
	one, _ := next.Sign(t)
	same(t, "a newer number twice", became(c, accuse(c, 1, one, c.Last().Messages[4].Statement)), []entry.Reason{""})
	same(t, "out again", c.State.Quarantined(id), true)
	same(t, "a new key by its consent", became(c, c.Open(c.Rotation("home1", signer.EdDSA))), []entry.Reason{entry.ReasonQuarantinedKey})
}

// TestNotAConflict lists what proves nothing.
func TestNotAConflict(t *testing.T) {
	c := ledgertest.New(t, 4)
	c.Draw("+home1 +home2 +stack:es256\nhome1=1 home2=1 stack=1")
	own := func(name string, count uint64, wh int64) []byte {
		s := c.Reading(name, energy(name, c, wh))
		s.Claims.Sequence.Count = count
		b, _ := s.Sign(t)
		return b
	}
	forged := slices.Clone(promise(c, 3, 7, 1))
	forged[len(forged)-1] ^= 1
	foreign := c.Stated(3, entry.TypePromise, (&entry.Promise{Height: 7}).Encode())
	foreign.Claims.Audience = "elsewhere.example/street"
	elsewhere, _ := foreign.Sign(t)
	stranger := c.Stated(3, entry.TypePromise, (&entry.Promise{Height: 7}).Encode())
	stranger.Key = ledgertest.Key(t, signer.EdDSA, "nobody")
	unknown, _ := stranger.Sign(t)
	restated := c.Stated(3, entry.TypePromise, (&entry.Promise{Height: 7, Size: 70}).Encode())
	restated.Claims.IssuedAt++
	again, _ := restated.Sign(t)
	bad, wrong := entry.ReasonBadPayload, entry.ReasonWrongLedger
	for _, tt := range []struct {
		what string
		a, b []byte
		want entry.Reason
	}{
		{"promises of two oracles", promise(c, 2, 7, 0), promise(c, 3, 7, 1), bad},
		{"promises for two heights", promise(c, 3, 7, 0), promise(c, 3, 8, 1), bad},
		{"one promise, made twice", promise(c, 3, 7, 0), again, bad},
		{"a forged promise", promise(c, 3, 7, 0), forged, bad},
		{"a promise of another ledger", promise(c, 3, 7, 1), elsewhere, wrong},
		{"a promise of nobody's", promise(c, 3, 7, 1), unknown, entry.ReasonUnknownKey},
		{"no statements", []byte("a"), []byte("b"), bad},
		{"readings of two numbers", own("home1", 5, 1), own("home1", 6, 2), bad},
		{"readings of two gateways", own("home1", 5, 1), own("home2", 5, 2), bad},
		{"a reading and a promise", own("home1", 7, 1), promise(c, 3, 7, 0), bad},
	} {
		same(t, tt.what, became(c, accuse(c, 0, tt.a, tt.b)), []entry.Reason{tt.want})
	}
	// And who may say so is an oracle.
	payload, _ := entry.NewConflict(promise(c, 3, 7, 0), promise(c, 3, 7, 1)).Encode()
	by := c.Stated(0, entry.TypeConflict, payload)
	by.Key = c.GatewayKey("home1")
	same(t, "a gateway that accuses", became(c, c.Open(by)), []entry.Reason{entry.ReasonNotAuthorised})
	if len(c.State.Quarantines()) > 0 {
		t.Errorf("somebody is quarantined: %+v", c.State.Quarantines())
	}
}

// TestNoOneIsLeftAlone: of more oracles than a quorum can spare the proof is recorded,
// and nothing else.
func TestNoOneIsLeftAlone(t *testing.T) {
	for _, tt := range []struct{ oracles, out int }{{1, 0}, {2, 0}, {3, 0}, {4, 1}, {5, 1}, {7, 2}} {
		t.Run(fmt.Sprint(tt.oracles), func(t *testing.T) {
			c := ledgertest.New(t, tt.oracles)
			c.KeepExports(false)
			c.Draw(".")
			for i := range min(tt.out+1, tt.oracles-1) {
				by := tt.oracles - 1
				want := []string{"quarantined promises " + c.Oracles[i].Name + " -1"}
				if i == tt.out {
					want = []string{fmt.Sprintf("flagged spared %s %d", c.Oracles[i].Name, tt.oracles)}
				}
				became(c, accuse(c, by, promise(c, i, 3, 0), promise(c, i, 3, 1)))
				same(t, fmt.Sprint("oracle ", i+1), outcomes(t, c.Last()), want)
			}
			if tt.oracles == 1 {
				became(c, accuse(c, 0, promise(c, 0, 3, 0), promise(c, 0, 3, 1)))
				same(t, "the only oracle", outcomes(t, c.Last()), []string{"flagged spared " + c.Oracles[0].Name + " 1"})
			}
			n := 0
			for _, q := range c.State.Quarantines() {
				if !q.Spared {
					n++
				}
			}
			if n != min(tt.out, tt.oracles) {
				t.Errorf("%d of %d are quarantined, want %d", n, tt.oracles, tt.out)
			}
		})
	}
}

// TestNoSetOfTheQuarantined: oracles who are out do not come back by a set that has
// too few others, but by new keys they do.
func TestNoSetOfTheQuarantined(t *testing.T) {
	c := ledgertest.New(t, 4)
	c.Draw(".")
	became(c, accuse(c, 0, promise(c, 3, 3, 0), promise(c, 3, 3, 1)))
	propose := func(set *entry.OracleSet) entry.Reason {
		set.Replaces = c.State.Oracles().Hash()
		body, err := set.Encode()
		if err != nil {
			t.Fatal(err)
		}
		m := entry.Motion{Kind: entry.MotionOracles, Height: c.State.Height() + 9, Body: body}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return became(c, c.Open(c.Stated(0, entry.TypeMotion, b)))[0]
	}
	set := *c.State.Oracles()
	set.Quorum, set.Governance = 4, 4
	same(t, "all four have to sign", propose(&set), entry.ReasonTooFewLeft)
	set.Oracles = slices.Clone(set.Oracles)
	set.Oracles[3].Key = ledgertest.Key(t, signer.EdDSA, "new statement key").Public().Bytes()
	same(t, "with a new key of the fourth", propose(&set), entry.Reason(""))
}

// TestQuarantineIsJust: whatever liars state of whatever was ever signed,
//
//   - a key whose holder signs one promise a height and one statement a number is never
//     quarantined;
//   - enough oracles are left for a quorum and for governance;
//   - what a quarantined key states has no effect;
//   - an auditor who replays the ledger comes to the same, to the byte.
func TestQuarantineIsJust(t *testing.T) {
	proven, spared := 0, 0
	defer func() {
		if !t.Failed() && (proven == 0 || spared == 0) {
			t.Errorf("%d keys were quarantined and %d spared in all: nothing was tried", proven, spared)
		}
	}()
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.SampledFrom([]int{1, 4, 5, 7}).Draw(r, "oracles")
		liars := rapid.IntRange(0, n-1).Draw(r, "liars") // the last ones
		c := ledgertest.New(t, n)
		c.KeepExports(false)
		c.Draw("+home1 +home2\n.")
		honest := func(i int) bool { return i < n-liars }
		var said [][]byte   // all that was ever signed
		var lies [][][]byte // pairs of it
		guilty := make(map[signer.KeyID]bool)
		counts := map[string]uint64{}
		for h := range rapid.IntRange(1, 8).Draw(r, "blocks") {
			for i := range n { // promises of this height
				said = append(said, promise(c, i, uint64(h), 0))
				if !honest(i) && rapid.Bool().Draw(r, "equivocates") {
					said = append(said, promise(c, i, uint64(h), 1+rapid.Byte().Draw(r, "variant")%5))
					lies = append(lies, said[len(said)-2:])
				}
			}
			for _, g := range []string{"home1", "home2"} { // home2's key is in use twice
				s := c.Reading(g, energy(g, c, int64(1000+h)))
				if counts[g] == 0 || g == "home1" || rapid.Bool().Draw(r, "next") {
					counts[g]++
				}
				s.Claims.Sequence.Count = 100 + counts[g]
				b, _ := s.Sign(t)
				said = append(said, b)
			}
			var m []ledgertest.Message
			var by []int
			for range rapid.IntRange(0, 6).Draw(r, "accusations") {
				a, b := rapid.SampledFrom(said).Draw(r, "a"), rapid.SampledFrom(said).Draw(r, "b")
				if len(lies) > 0 && rapid.Bool().Draw(r, "rightly") {
					lie := rapid.SampledFrom(lies).Draw(r, "lie")
					a, b = lie[0], lie[1]
				}
				if string(a) == string(b) {
					continue
				}
				i := rapid.IntRange(0, n-1).Draw(r, "by")
				m, by = append(m, accuse(c, i, a, b)), append(by, i)
			}
			if len(guilty) > 0 && rapid.Bool().Draw(r, "restores") {
				for _, q := range c.State.Quarantines() {
					for i := range n {
						m, by = append(m, restore(c, i, q.KeyID, c.State.Height()+1)), append(by, i)
					}
				}
			}
			out := make([]bool, n)
			for i := range c.Oracles {
				out[i] = c.State.Quarantined(c.Oracles[i].Statement.Public().ID())
			}
			for k, reason := range became(c, m...) {
				if out[by[k]] && reason != entry.ReasonQuarantinedKey {
					r.Fatalf("block %d: a statement of quarantined oracle %d: %q", h, by[k]+1, reason)
				}
			}
			left := uint64(n)
			for _, q := range c.State.Quarantines() {
				guilty[q.KeyID] = true
				if q.Spared {
					spared++
				} else {
					proven++
				}
				if q.Oracle && c.State.Quarantined(q.KeyID) {
					left--
				}
			}
			if left < c.Charter.Quorum || left < c.Charter.Governance {
				r.Fatalf("%d of %d oracles are left", left, n)
			}
		}
		for i := range c.Oracles {
			if honest(i) && guilty[c.Oracles[i].Statement.Public().ID()] {
				r.Fatalf("honest oracle %d is quarantined", i+1)
			}
		}
		if guilty[c.GatewayKey("home1").Public().ID()] {
			r.Fatal("home1, which never used a number twice, is quarantined")
		}
		a := audit.NewAuditor(c.Packs)
		if _, err := a.Run(ledger.Leaves(c, 0, c.Size())); err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(c.State.Export(), a.State().Export()); diff != "" {
			r.Fatalf("an auditor's state is another one:\n%s", diff)
		}
		loaded, err := state.Load(c.Charter, func(fn func(key, value []byte) error) error {
			for _, x := range c.State.Export() {
				if err := fn(x.Key, x.Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(c.State.Quarantines(), loaded.Quarantines()); diff != "" {
			r.Fatalf("loaded again:\n%s", diff)
		}
	})
}
