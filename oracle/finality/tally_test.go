package finality_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

const now = ledgertest.Start / 1000 // Unix seconds

// checkpoint is one of several that might be at a height.
func checkpoint(height uint64, variant int) block.Checkpoint {
	return block.Checkpoint{Origin: ledgertest.Origin, Size: 10 * (height + 1), Root: sha256.Sum256(fmt.Append(nil, height, variant))}
}

// vote is a vote by the keys of oracle i, whatever that oracle promised.
func vote(t testing.TB, c *ledgertest.Consortium, i int, height uint64, cp block.Checkpoint) *finality.Vote {
	t.Helper()
	o := &c.Oracles[i]
	log, err := block.SignLog(o.Log, cp)
	if err != nil {
		t.Fatal(err)
	}
	cosigned, err := block.Cosign(o.Cosigner, o.Name, cp, now)
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := block.SignReceipts(o.Cosigner, cp)
	if err != nil {
		t.Fatal(err)
	}
	return &finality.Vote{Height: height, Checkpoint: cp, Log: log, Cosigned: cosigned, KeyID: o.Cosigner.Public().ID(), Receipts: receipts}
}

func tally(c *ledgertest.Consortium, i int) *finality.Tally {
	o := &c.Oracles[i]
	return finality.NewTally(finality.Always(c.Policy), finality.Keys{Name: o.Name, Log: o.Log, Cosigner: o.Cosigner})
}

func cast(t testing.TB, y *finality.Tally, height uint64, cp block.Checkpoint) (*finality.Vote, *finality.Final) {
	t.Helper()
	v, f, err := y.Cast(height, cp, now)
	if err != nil {
		t.Fatal(err)
	}
	return v, f
}

func receive(t testing.TB, y *finality.Tally, v *finality.Vote) (*finality.Final, *finality.Vote) {
	t.Helper()
	f, again, err := y.Receive(v)
	if err != nil {
		t.Fatal(err)
	}
	return f, again
}

// checkFinal checks a final checkpoint as a verifier would.
func checkFinal(t testing.TB, c *ledgertest.Consortium, f *finality.Final) {
	t.Helper()
	s, err := c.Policy.Verify(f.Note)
	if err != nil {
		t.Fatalf("final checkpoint of height %d: %v", f.Height, err)
	}
	if s.Checkpoint != f.Checkpoint {
		t.Fatalf("final checkpoint of height %d: the note is for %v, not %v", f.Height, s.Checkpoint, f.Checkpoint)
	}
	signed := make(map[signer.KeyID]bool)
	for _, r := range f.Receipts {
		k, ok := c.Policy.Witness(r.KeyID)
		if !ok || !signer.VerifyRaw(k.Key, block.ReceiptMessage(r.KeyID, f.Checkpoint), r.Signature) {
			t.Fatalf("final checkpoint of height %d: receipt signature of %v does not verify", f.Height, r.KeyID)
		}
		signed[r.KeyID] = true
	}
	if err := c.Policy.Quorum(signed); err != nil {
		t.Fatalf("final checkpoint of height %d: receipts: %v", f.Height, err)
	}
}

// One oracle is its own quorum; four need three.
func TestQuorum(t *testing.T) {
	alone := ledgertest.NewConsortium(t, 1)
	if _, f := cast(t, tally(alone, 0), 0, checkpoint(0, 0)); f == nil {
		t.Error("the only oracle's vote made nothing final")
	} else {
		checkFinal(t, alone, f)
	}

	c := ledgertest.NewConsortium(t, 4)
	y, cp := tally(c, 0), checkpoint(0, 0)
	if _, f := cast(t, y, 0, cp); f != nil {
		t.Error("final by one vote of four")
	}
	for range 3 {
		if f, _ := receive(t, y, vote(t, c, 1, 0, cp)); f != nil {
			t.Error("final by two oracles of four")
		}
	}
	f, _ := receive(t, y, vote(t, c, 2, 0, cp))
	if f == nil {
		t.Fatal("not final by three oracles of four")
	}
	checkFinal(t, c, f)
	if y.Final() != f {
		t.Error("Final gives another one")
	}
	if f, _ := receive(t, y, vote(t, c, 3, 0, cp)); f != nil {
		t.Error("final twice")
	}
}

// Votes that came before this oracle's own block count when it is there.
func TestVotesAhead(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	y := tally(c, 0)
	cast(t, y, 0, checkpoint(0, 0))
	for i := 1; i < 4; i++ {
		receive(t, y, vote(t, c, i, 5, checkpoint(5, 0)))
	}
	for h := uint64(1); h < 5; h++ {
		if _, f := cast(t, y, h, checkpoint(h, 0)); f != nil {
			t.Fatalf("height %d is final by one vote", h)
		}
	}
	_, f := cast(t, y, 5, checkpoint(5, 0))
	if f == nil || f.Height != 5 {
		t.Fatalf("got %+v, want height 5 final by votes from before", f)
	}
	checkFinal(t, c, f)
}

// An oracle votes once at a height, and never below.
func TestOneVoteAHeight(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	y := tally(c, 0)
	first, _ := cast(t, y, 7, checkpoint(7, 0))
	if v, _ := cast(t, y, 7, checkpoint(7, 0)); v != first {
		t.Error("casting again gave another vote")
	}
	for _, k := range []struct {
		height  uint64
		variant int
	}{{7, 1}, {6, 0}, {0, 0}} {
		if v, _, err := y.Cast(k.height, checkpoint(k.height, k.variant), now); !errors.Is(err, finality.ErrVote) {
			t.Errorf("height %d, variant %d: got %v and error %v, want ErrVote", k.height, k.variant, v, err)
		}
	}
}

// Each signature must be right, and only what it is taken for: one bad vote must
// neither count nor spoil what is final.
func TestWrongVotesCountForNothing(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	cp, other := checkpoint(0, 0), checkpoint(0, 1)
	junk := fmt.Sprintf("\u2014 somebody.example %s\n", base64.StdEncoding.EncodeToString(make([]byte, 68)))
	spoil := func(line string) string { // another last byte of the signature
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line[strings.LastIndexByte(line, ' ')+1:], "\n"))
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		return line[:strings.LastIndexByte(line, ' ')+1] + base64.StdEncoding.EncodeToString(b) + "\n"
	}
	for _, k := range []struct {
		name   string
		change func(v *finality.Vote)
	}{
		{"log signature of another root", func(v *finality.Vote) { v.Log = vote(t, c, 2, 0, other).Log }},
		{"cosignature of another root", func(v *finality.Vote) { v.Cosigned = vote(t, c, 2, 0, other).Cosigned }},
		{"receipts of another root", func(v *finality.Vote) { v.Receipts = vote(t, c, 2, 0, other).Receipts }},
		{"changed log signature", func(v *finality.Vote) { v.Log = spoil(v.Log) }},
		{"changed cosignature", func(v *finality.Vote) { v.Cosigned = spoil(v.Cosigned) }},
		{"changed receipts", func(v *finality.Vote) { v.Receipts[3] ^= 1 }},
		{"no receipts", func(v *finality.Vote) { v.Receipts = nil }},
		{"no log signature", func(v *finality.Vote) { v.Log = "" }},
		{"no cosignature", func(v *finality.Vote) { v.Cosigned = "" }},
		{"lines exchanged", func(v *finality.Vote) { v.Log, v.Cosigned = v.Cosigned, v.Log }},
		{"both lines in one", func(v *finality.Vote) { v.Cosigned = v.Log + v.Cosigned }},
		{"junk below the cosignature", func(v *finality.Vote) { v.Cosigned += strings.Repeat(junk, 20) }},
		{"junk above it", func(v *finality.Vote) { v.Cosigned = junk + v.Cosigned }},
		{"junk alone", func(v *finality.Vote) { v.Log = junk }},
		{"a line without its end", func(v *finality.Vote) { v.Cosigned = strings.TrimSuffix(v.Cosigned, "\n") }},
		{"an empty line", func(v *finality.Vote) { v.Cosigned = "\n" }},
		{"a cosignature of another oracle", func(v *finality.Vote) { v.Cosigned = vote(t, c, 3, 0, cp).Cosigned }},
		{"the name of another oracle", func(v *finality.Vote) { v.KeyID = c.Oracles[3].Cosigner.Public().ID() }},
		{"a stranger's key", func(v *finality.Vote) { v.KeyID = signer.KeyID{1} }},
		{"a statement key", func(v *finality.Vote) { v.KeyID = c.Oracles[2].Statement.Public().ID() }},
		{"another ledger's", func(v *finality.Vote) { v.Checkpoint.Origin = "elsewhere.example" }},
	} {
		y := tally(c, 0)
		cast(t, y, 0, cp)
		receive(t, y, vote(t, c, 1, 0, cp))
		v := vote(t, c, 2, 0, cp)
		k.change(v)
		if f, again, err := y.Receive(v); !errors.Is(err, finality.ErrVote) || f != nil || again != nil {
			t.Errorf("%s: got final %v and error %v, want ErrVote", k.name, f, err)
		}
		if _, votes := y.Kept(); votes != 2 {
			t.Errorf("%s: %d votes are kept, want 2", k.name, votes)
		}
		f, _ := receive(t, y, vote(t, c, 2, 0, cp))
		if f == nil {
			t.Errorf("%s: it kept the oracle's right vote from counting", k.name)
			continue
		}
		checkFinal(t, c, f)
	}
}

// Whoever contradicts another's vote, or its own, leaves evidence that anybody
// with the policy can check, no matter who was there first.
func TestConflictsLeaveEvidence(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	ours, theirs, third := checkpoint(1, 0), checkpoint(1, 1), checkpoint(1, 2)
	kinds := func(y *finality.Tally) (differ, lie int) {
		for _, k := range y.Conflicts() {
			if k.Height != 1 || k.Name != c.Oracles[1].Name || k.Vote.Checkpoint == k.Against.Checkpoint {
				t.Errorf("conflict: got %v", k)
			}
			for _, v := range []*finality.Vote{k.Vote, k.Against} {
				s, err := c.Policy.Open(v.Note())
				if err != nil || len(s.Logs) != 1 || len(s.Witnesses) != 1 || s.Witnesses[0].Key.ID() != v.KeyID || s.Checkpoint != v.Checkpoint {
					t.Errorf("evidence of %v: got %+v and error %v", k, s, err)
				}
			}
			if k.Equivocation() {
				lie++
			} else {
				differ++
			}
		}
		return differ, lie
	}
	for _, k := range []struct {
		name        string
		late        bool // this oracle's own vote comes last
		votes       []block.Checkpoint
		differ, lie int
	}{
		{"agreement", false, []block.Checkpoint{ours, ours}, 0, 0},
		{"another opinion", false, []block.Checkpoint{theirs, theirs}, 1, 0},
		{"both opinions", false, []block.Checkpoint{ours, theirs}, 1, 1},
		{"two others", false, []block.Checkpoint{theirs, third}, 2, 1},
		{"agreement, early", true, []block.Checkpoint{ours, ours}, 0, 0},
		{"another opinion, early", true, []block.Checkpoint{theirs, theirs}, 1, 0},
		{"both opinions, early", true, []block.Checkpoint{ours, theirs}, 1, 1},
		{"two others, early", true, []block.Checkpoint{theirs, third}, 2, 1},
	} {
		y := tally(c, 0)
		cast(t, y, 0, checkpoint(0, 0))
		if !k.late {
			cast(t, y, 1, ours)
		}
		for _, cp := range k.votes {
			receive(t, y, vote(t, c, 1, 1, cp))
		}
		if k.late {
			cast(t, y, 1, ours)
		}
		if differ, lie := kinds(y); differ != k.differ || lie != k.lie {
			t.Errorf("%s: got %d conflicts with this oracle and %d lies, want %d and %d", k.name, differ, lie, k.differ, k.lie)
		}
		for _, cp := range k.votes { // heard again
			receive(t, y, vote(t, c, 1, 1, cp))
		}
		if n := len(y.Conflicts()); n > 0 {
			t.Errorf("%s: %d conflicts told twice", k.name, n)
		}
	}
}

// What liars and strangers make an oracle keep is bounded.
func TestLiarsCannotFill(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	y := tally(c, 0)
	const own = 200
	for h := uint64(0); h <= own; h++ {
		cast(t, y, h, checkpoint(h, 0))
	}
	for h := uint64(0); h < 2*own; h += 3 {
		for variant := range 4 {
			v := vote(t, c, 1, h, checkpoint(h, variant))
			if _, _, err := y.Receive(v); err != nil && !errors.Is(err, finality.ErrVote) {
				t.Fatal(err)
			}
			bad := *v
			bad.Height, bad.KeyID = h+1, c.Oracles[2].Cosigner.Public().ID()
			if _, _, err := y.Receive(&bad); h > own-finality.Keep+3 && h < own+finality.Keep-3 && !errors.Is(err, finality.ErrVote) {
				t.Fatalf("a forged vote at height %d: got error %v", h+1, err)
			}
		}
	}
	for _, h := range []uint64{1 << 40, 1<<64 - 1} {
		if _, _, err := y.Receive(vote(t, c, 1, h, checkpoint(3, 0))); err != nil {
			t.Fatal(err)
		}
	}
	heights, votes := y.Kept()
	if most := 2 * finality.Keep; heights > most {
		t.Errorf("%d heights are kept, want at most %d", heights, most)
	}
	if most := finality.Keep + 2*(2*finality.Keep/3+1); votes > most {
		t.Errorf("%d votes are kept, want at most %d", votes, most)
	}
	if len(y.Conflicts()) == 0 {
		t.Error("no conflict was noted")
	}
}

// A lost vote is asked for and given, once, while its height is remembered.
func TestAsking(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	a, b := tally(c, 0), tally(c, 1)
	var votes []*finality.Vote
	for h := uint64(0); h < 80; h++ {
		v, _ := cast(t, a, h, checkpoint(h, 0))
		votes = append(votes, v)
		if h > 15 && h < 70 {
			continue
		}
		cast(t, b, h, checkpoint(h, 0))
		pending := b.Pending()
		if len(pending) != 1 || !pending[0].Asking || pending[0].Height != h {
			t.Fatalf("height %d: pending is %+v", h, pending)
		}
		asking := pending[0]
		_, again := receive(t, a, asking)
		if again != v || again.Asking {
			t.Fatalf("height %d: the answer is %+v, want the vote, not asking", h, again)
		}
		if _, again := receive(t, b, again); again != nil {
			t.Fatalf("height %d: an answer was answered", h)
		}
	}
	old := *votes[79-finality.Keep]
	old.KeyID = c.Oracles[1].Cosigner.Public().ID()
	old.Asking = true
	if _, again := receive(t, a, &old); again != nil {
		t.Error("an answer for a height that is forgotten")
	}
	f, _ := receive(t, a, vote(t, c, 2, 79, checkpoint(79, 0)))
	if f == nil || a.Pending() != nil {
		t.Errorf("final %v, and still pending: %v", f, a.Pending())
	}
	if diff := cmp.Diff(uint64(79), f.Height); diff != "" {
		t.Errorf("final height (-want +got):\n%s", diff)
	}
}
