package audit_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// street has an open Ed25519 gateway, a committed one, an ES256 one whose key is
// revoked, a flag and refusals.
const street = `
	+home1 +home2:committed +stack:es256
	home1=1000 home2=500 stack=7
	home1=900 home2=510 stack=8 junk forged:home2=520 again:home1=1000 again:home2=500
	-stack home1=1020
	home1=1030 home2=530
`

// Positions in the blocks of street, behind the clocks of four oracles.
type places struct{ open, committed, es256, flag, refusal, header, clock uint64 }

func drawStreet(tb testing.TB) (*ledgertest.Chain, places) {
	c := ledgertest.New(tb, 4).Draw(street)
	b := c.Blocks[3].Header
	return c, places{
		open: c.Blocks[2].Header.First + 4, committed: c.Blocks[2].Header.First + 5, es256: c.Blocks[2].Header.First + 6,
		flag: b.First + 7, refusal: b.First + 9, header: b.Size, clock: b.First,
	}
}

// keySet is that of everybody on the street.
func keySet(tb testing.TB, c *ledgertest.Chain) *audit.KeySet {
	tb.Helper()
	list := c.KnownKeys()
	for _, k := range c.State.Keys() {
		list = append(list, audit.KnownKey{Public: k.Public, Name: k.Gateway, Role: audit.RoleGateway, Enrolled: k.Enrolled, Revoked: k.Revoked})
	}
	b, err := audit.EncodeKeys(list)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := audit.ParseKeys(b)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func evidence(tb testing.TB, c *ledgertest.Chain, index uint64, packs func([]byte) []byte, oracles ...int) []byte {
	tb.Helper()
	e, err := ledger.Evidence(c, c.Note(oracles...), c.Last().Checkpoint, index, packs)
	if err != nil {
		tb.Fatal(err)
	}
	return e.Encode()
}

// answers puts a report into one line: the checks that apply.
func answers(r *audit.Report) string {
	var out []string
	for _, v := range r.Verdicts {
		if v.Verdict != audit.NotApplicable {
			out = append(out, fmt.Sprintf("%s:%s", v.Check, v.Verdict))
		}
	}
	return strings.Join(out, " ")
}

const (
	stated = "signature:holds key:holds time:holds inclusion:holds quorum:holds"
	proved = "inclusion:holds quorum:holds"
)

// TestVerify has each kind of file, with keys from a set and from the evidence.
func TestVerify(t *testing.T) {
	c, at := drawStreet(t)
	keys := keySet(t, c)
	for _, tt := range []struct {
		name  string
		file  string
		bytes []byte
		keys  *audit.KeySet
		want  string
		exit  int
	}{
		{"an open statement", "a.cose", c.Transparent(at.open), keys, stated + " disclosure:holds", 0},
		{"an ES256 statement", "a.cose", c.Transparent(at.es256), keys, stated + " disclosure:holds", 0},
		{"a committed statement", "a.cose", c.Transparent(at.committed), keys, stated, 0},
		{"receipts of all", "a.cose", c.Transparent(at.open, 0, 1, 2, 3), keys, stated + " disclosure:holds", 0},
		{"a clock", "a.cose", c.Transparent(at.clock), keys, "signature:holds key:holds inclusion:holds quorum:holds", 0},
		{"without an ending", "a", c.Transparent(at.open), keys, stated + " disclosure:holds", 0},
		{"proof of an open statement", "a.tlog-proof", c.LogProof(at.open), keys, stated + " disclosure:holds", 0},
		{"proof of an ES256 statement", "a.tlog-proof", c.LogProof(at.es256), keys, stated + " disclosure:holds", 0},
		{"proof of a committed statement", "a.tlog-proof", c.LogProof(at.committed), keys, stated, 0},
		{"proof of a header", "a.tlog-proof", c.LogProof(at.header), nil, proved + " chain:holds", 0},
		{"proof of the charter", "a.tlog-proof", c.LogProof(0), nil, proved + " chain:holds", 0},
		{"proof of a flag", "a.tlog-proof", c.LogProof(at.flag), nil, proved + " rerun:unchecked", 1},
		{"proof of a refusal", "a.tlog-proof", c.LogProof(at.refusal), nil, proved + " rerun:unchecked", 1},
		{"proof without an ending", "a", c.LogProof(0), nil, proved + " chain:holds", 0},
		{"evidence of an open statement", "a.evidence", evidence(t, c, at.open, c.Packs), nil, stated + " chain:holds disclosure:holds", 0},
		{"evidence of an ES256 statement", "a.evidence", evidence(t, c, at.es256, c.Packs), nil, stated + " chain:holds disclosure:holds", 0},
		{"evidence with disclosure", "a.evidence", evidence(t, c, at.committed, c.Packs), nil, stated + " chain:holds disclosure:holds", 0},
		{"evidence without", "a.evidence", evidence(t, c, at.committed, nil), nil, stated + " chain:holds", 0},
		{"evidence and a key set", "a.evidence", evidence(t, c, at.open, nil), keys, stated + " chain:holds disclosure:holds", 0},
		{"evidence of a header", "a.evidence", evidence(t, c, at.header, nil), nil, proved + " chain:holds", 0},
		{"evidence of a flag", "a.evidence", evidence(t, c, at.flag, c.Packs), nil, stated + " chain:holds disclosure:holds rerun:unchecked", 1},
		{"evidence of a refusal", "a.evidence", evidence(t, c, at.refusal, nil), nil, proved + " chain:holds rerun:unchecked", 1},
		{"evidence without an ending", "a", evidence(t, c, at.header, nil), nil, proved + " chain:holds", 0},
		{"something else", "a", []byte("hello"), nil, "", 1},
		{"nothing", "a", nil, nil, "", 1},
	} {
		r := audit.Verify(tt.file, tt.bytes, audit.Trust{Policy: c.Policy, Keys: tt.keys})
		if got := answers(r); (tt.want != "" && got != tt.want) || r.Exit() != tt.exit {
			t.Errorf("%s: exit status %d, want %d\n got %s\nwant %s\n%v", tt.name, r.Exit(), tt.exit, got, tt.want, r.Verdicts)
		}
	}
}

// TestVerifyWithout has less than what is needed: nothing is then called true.
func TestVerifyWithout(t *testing.T) {
	c, at := drawStreet(t)
	keys := keySet(t, c)
	other := ledgertest.NewConsortium(t, 1)
	for i := range other.Oracles { // the same origin, other people
		other.Oracles[i].Log = ledgertest.Key(t, signer.EdDSA, "other log")
		other.Oracles[i].Cosigner = ledgertest.Key(t, signer.EdDSA, "other cosigner")
	}
	wrong, err := block.NewPolicy(
		[]block.VerifierKey{{Name: ledgertest.Origin, Key: other.Oracles[0].Log.Public()}},
		[]block.VerifierKey{{Name: "other", Cosigner: true, Key: other.Oracles[0].Cosigner.Public()}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	away, err := block.NewPolicy(
		[]block.VerifierKey{{Name: "other.example/ledger", Key: c.Oracles[0].Log.Public()}},
		[]block.VerifierKey{{Name: c.Oracles[0].Name, Cosigner: true, Key: c.Oracles[0].Cosigner.Public()}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	policy := c.Policy
	for _, tt := range []struct {
		name  string
		file  string
		bytes []byte
		trust audit.Trust
		want  map[audit.Check]audit.Answer
		exit  int
	}{
		{"no policy", "a.cose", c.Transparent(at.open), audit.Trust{Keys: keys},
			verdicts("signature:holds inclusion:unchecked quorum:unchecked"), 1},
		{"no policy", "a.tlog-proof", c.LogProof(at.open), audit.Trust{Keys: keys},
			verdicts("signature:holds inclusion:unchecked quorum:unchecked"), 1},
		{"no policy", "a.evidence", evidence(t, c, at.open, nil), audit.Trust{Keys: keys},
			verdicts("signature:holds inclusion:unchecked quorum:unchecked"), 1},
		{"no keys", "a.cose", c.Transparent(at.open), audit.Trust{Policy: policy},
			verdicts("signature:unchecked key:unchecked inclusion:holds quorum:holds"), 1},
		{"no keys", "a.tlog-proof", c.LogProof(at.open), audit.Trust{Policy: policy},
			verdicts("signature:unchecked key:unchecked inclusion:holds quorum:holds"), 1},
		{"nothing at all", "a.evidence", evidence(t, c, at.open, nil), audit.Trust{},
			verdicts("signature:unchecked key:unchecked inclusion:unchecked quorum:unchecked"), 1},
		{"another's policy", "a.cose", c.Transparent(at.open), audit.Trust{Policy: wrong, Keys: keys},
			verdicts("inclusion:false quorum:false"), 3},
		{"another's policy", "a.tlog-proof", c.LogProof(at.open), audit.Trust{Policy: wrong, Keys: keys}, verdicts("quorum:false"), 3},
		{"another's policy", "a.evidence", evidence(t, c, at.open, nil), audit.Trust{Policy: wrong, Keys: keys}, verdicts("quorum:false"), 3},
		{"another ledger's policy", "a.cose", c.Transparent(at.open), audit.Trust{Policy: away, Keys: keys}, verdicts("signature:false"), 3},
		{"another ledger's policy", "a.tlog-proof", c.LogProof(at.header), audit.Trust{Policy: away}, verdicts("quorum:false"), 3},
		{"two receipts of four", "a.cose", c.Transparent(at.open, 0, 1), audit.Trust{Policy: policy, Keys: keys},
			verdicts("signature:holds inclusion:holds quorum:false"), 3},
		{"one receipt three times", "a.cose", c.Transparent(at.open, 2, 2, 2), audit.Trust{Policy: policy, Keys: keys},
			verdicts("inclusion:holds quorum:false"), 3},
		{"two cosignatures of four", "a.tlog-proof", c.LogProof(at.open, 1, 3), audit.Trust{Policy: policy, Keys: keys},
			verdicts("signature:holds quorum:false"), 3},
		{"two cosignatures of four", "a.evidence", evidence(t, c, at.open, nil, 1, 3), audit.Trust{Policy: policy, Keys: keys},
			verdicts("quorum:false"), 3},
		{"a statement without receipts", "a.cose", leaf(t, c, at.open), audit.Trust{Policy: policy, Keys: keys}, verdicts("inclusion:false"), 3},
	} {
		r := audit.Verify(tt.file, tt.bytes, tt.trust)
		for check, want := range tt.want {
			if got := verdict(r, check); got.Verdict != want {
				t.Errorf("%s, %s: %s is %s (%s), want %s", tt.name, tt.file, check, got.Verdict, got.Detail, want)
			}
		}
		if r.Exit() != tt.exit {
			t.Errorf("%s, %s: exit status %d, want %d: %v", tt.name, tt.file, r.Exit(), tt.exit, r.Verdicts)
		}
	}
}

func leaf(tb testing.TB, c *ledgertest.Chain, index uint64) []byte {
	tb.Helper()
	b, err := c.Leaf(index)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// verdicts reads what answers writes.
func verdicts(s string) map[audit.Check]audit.Answer {
	out := make(map[audit.Check]audit.Answer)
	for _, f := range strings.Fields(s) {
		check, answer, _ := strings.Cut(f, ":")
		out[audit.Check(check)] = audit.Answer(answer)
	}
	return out
}

func verdict(r *audit.Report, c audit.Check) audit.Verdict {
	for _, v := range r.Verdicts {
		if v.Check == c {
			return v
		}
	}
	return audit.Verdict{}
}

// TestKeyLife has one statement and keys that are known in different ways.
func TestKeyLife(t *testing.T) {
	c, at := drawStreet(t)
	public := c.GatewayKey("home1").Public()
	other := ledgertest.Key(t, signer.EdDSA, "other").Public()
	for _, tt := range []struct {
		name string
		key  audit.KnownKey
		want string
	}{
		{"listed", audit.KnownKey{Public: public}, "signature:holds key:holds"},
		{"enrolled before", audit.KnownKey{Public: public, Role: audit.RoleGateway, Enrolled: at.open - 1}, "key:holds"},
		{"enrolled by this very leaf", audit.KnownKey{Public: public, Enrolled: at.open}, "signature:holds key:false"},
		{"enrolled after", audit.KnownKey{Public: public, Enrolled: at.open + 1}, "key:false"},
		{"revoked after", audit.KnownKey{Public: public, Revoked: at.open + 1}, "key:holds"},
		{"revoked before", audit.KnownKey{Public: public, Revoked: at.open - 1}, "signature:holds key:false"},
		{"a cosigner's", audit.KnownKey{Public: public, Role: audit.RoleCosigner}, "key:false"},
		{"a log's", audit.KnownKey{Public: public, Role: audit.RoleLog}, "key:false"},
		{"an oracle's, which reads no meters", audit.KnownKey{Public: public, Role: audit.RoleOracle}, "key:false"},
		{"another's", audit.KnownKey{Public: other}, "signature:unchecked key:unchecked"},
	} {
		keys := &audit.KeySet{}
		keys.Add(tt.key)
		r := audit.Verify("a.cose", c.Transparent(at.open), audit.Trust{Policy: c.Policy, Keys: keys})
		for check, want := range verdicts(tt.want) {
			if got := verdict(r, check); got.Verdict != want {
				t.Errorf("%s: %s is %s (%s), want %s", tt.name, check, got.Verdict, got.Detail, want)
			}
		}
	}
}

// TestRevokedInTheEvidence has a gateway's key end between two of its readings.
// The rules refuse the second; here it is in the log all the same.
func TestRevokedInTheEvidence(t *testing.T) {
	c, _ := drawStreet(t)
	k, _ := c.State.Key(c.GatewayKey("stack").Public().ID())
	revocation := k.Revoked
	s := c.Reading("stack", ledgertest.Record("stack", "energy", 9, c.State.Time()))
	late, _ := s.Sign(t)
	leaves := ledgertest.Rechain(ledgertest.Insert(c.All(), c.Last().Header.First, late))
	claim := c.Last().Header.First
	forged := ledgertest.Of(leaves)
	cp := forged.Checkpoint()
	e, err := ledger.Evidence(forged, c.Sign(t, cp), cp, claim, nil)
	if err != nil {
		t.Fatal(err)
	}
	trust := audit.Trust{Policy: c.Policy}
	r := audit.Verify("a.evidence", e.Encode(), trust)
	if got := verdict(r, audit.CheckKey); got.Verdict != audit.False || !strings.Contains(got.Detail, fmt.Sprint("revoked by leaf ", revocation)) {
		t.Errorf("key is %s (%s)", got.Verdict, got.Detail)
	}
	// Whoever leaves the revocation out of the file is found out by a key set.
	var kept []audit.EvidenceLeaf
	for _, l := range e.Leaves {
		if l.Index != revocation {
			kept = append(kept, l)
		}
	}
	e.Leaves = kept
	r = audit.Verify("a.evidence", e.Encode(), trust)
	if got := verdict(r, audit.CheckKey); got.Verdict != audit.Holds || !strings.Contains(got.Detail, "by any leaf in the file") {
		t.Errorf("without the revocation key is %s (%s)", got.Verdict, got.Detail)
	}
	r = audit.Verify("a.evidence", e.Encode(), audit.Trust{Policy: c.Policy, Keys: keySet(t, c)})
	if got := verdict(r, audit.CheckKey); got.Verdict != audit.False {
		t.Errorf("with a key set it is %s (%s)", got.Verdict, got.Detail)
	}
}

// TestEndedByOracles has a gateway's key end between two of its readings, by as many
// oracles as must state it, and by one alone, which ends nothing.
func TestEndedByOracles(t *testing.T) {
	for _, tt := range []struct {
		name, ending string
		ended        bool
	}{
		{"three of four", "end4:home1 end1:home1 end2:home1", true},
		{"two of four", "end4:home1 end1:home1", false},
		{"itself", "-home1", true},
	} {
		c := ledgertest.New(t, 4).Draw("+home1\nhome1=1000\n" + tt.ending + "\n.")
		at := c.Blocks[3].Header.First + uint64(len(c.Blocks[3].Result.Accepted)) - 1 // what ends it, where it does
		late, _ := c.Reading("home1", ledgertest.Record("home1", "energy", 1001, c.State.Time())).Sign(t)
		claim := c.Last().Header.First
		forged := ledgertest.Of(ledgertest.Rechain(ledgertest.Insert(c.All(), claim, late)))
		cp := forged.Checkpoint()
		e, err := ledger.Evidence(forged, c.Sign(t, cp), cp, claim, nil)
		if err != nil {
			t.Fatal(err)
		}
		listed := &audit.KeySet{} // who knows the key and nothing of its life
		listed.Add(audit.KnownKey{Public: c.GatewayKey("home1").Public(), Role: audit.RoleGateway})
		want, detail := audit.Holds, ""
		if tt.ended {
			want, detail = audit.False, fmt.Sprint("revoked by leaf ", at)
		}
		ask := func(name string, keys *audit.KeySet) {
			t.Helper()
			r := audit.Verify("a.evidence", e.Encode(), audit.Trust{Policy: c.Policy, Keys: keys})
			if got := verdict(r, audit.CheckKey); got.Verdict != want || !strings.Contains(got.Detail, detail) {
				t.Errorf("%s, %s: key is %s (%s), want %s %s", tt.name, name, got.Verdict, got.Detail, want, detail)
			}
			if got := verdict(r, audit.CheckInclusion); got.Verdict != audit.Holds {
				t.Errorf("%s, %s: inclusion is %s (%s)", tt.name, name, got.Verdict, got.Detail)
			}
		}
		ask("by the file alone", nil)
		ask("with the key listed", listed)
		e.Leaves = slices.DeleteFunc(e.Leaves, func(l audit.EvidenceLeaf) bool { return l.Index == c.Blocks[1].Header.First+4 })
		ask("with the key listed and no enrolment in the file", listed)

		// An outcome about something else belongs into no file.
		adopted := entry.Outcome{Kind: entry.OutcomeAdopted, Code: entry.AdoptedRevocation, Detail: "home1"}
		stuffed := ledgertest.Of(ledgertest.Rechain(ledgertest.Insert(c.All(), claim, adopted.Encode())))
		cp = stuffed.Checkpoint()
		if e, err = ledger.Evidence(stuffed, c.Sign(t, cp), cp, c.Blocks[2].Header.First+4, nil); err != nil {
			t.Fatal(err)
		}
		p, err := block.NewProver(stuffed, cp.Size).Prove(claim)
		if err != nil {
			t.Fatal(err)
		}
		e.Leaves = append(e.Leaves, audit.EvidenceLeaf{Index: claim, Leaf: adopted.Encode(), Path: p.Path})
		slices.SortFunc(e.Leaves, func(a, b audit.EvidenceLeaf) int { return int(a.Index) - int(b.Index) })
		r := audit.Verify("a.evidence", e.Encode(), audit.Trust{Policy: c.Policy})
		if got := verdict(r, audit.CheckInclusion); got.Verdict != audit.False {
			t.Errorf("%s: a file with an outcome of something else: inclusion is %s (%s)", tt.name, got.Verdict, got.Detail)
		}
	}
}

// TestReceiptKeySignsNoStatements has a reading in the log that an oracle's
// cosigner key signed, with that key passed off as a gateway's.
func TestReceiptKeySignsNoStatements(t *testing.T) {
	c, _ := drawStreet(t)
	for name, key := range map[string]*signer.PrivateKey{"cosigner": c.Oracles[2].Cosigner, "log": c.Oracles[2].Log} {
		s := c.Reading("home1", ledgertest.Record("home1", "energy", 1040, c.State.Time()))
		s.Key = key
		b, _ := s.Sign(t)
		at := c.Last().Header.First
		forged := ledgertest.Of(ledgertest.Rechain(ledgertest.Insert(c.All(), at, b)))
		p, err := ledger.LogProof(forged, c.Sign(t, forged.Checkpoint()), forged.Checkpoint(), at)
		if err != nil {
			t.Fatal(err)
		}
		keys := &audit.KeySet{}
		keys.Add(audit.KnownKey{Public: key.Public(), Role: audit.RoleGateway})
		for _, k := range []*audit.KeySet{nil, keys} {
			r := audit.Verify("a.tlog-proof", p.Encode(), audit.Trust{Policy: c.Policy, Keys: k})
			if got := verdict(r, audit.CheckKey); got.Verdict != audit.False || r.Exit() != audit.ExitFalse {
				t.Errorf("%s: key is %s (%s), exit status %d", name, got.Verdict, got.Detail, r.Exit())
			}
		}
	}
}

// TestEveryByte changes each byte of files of every kind in two ways. None may
// pass, with exactly a quorum of signatures and with more.
func TestEveryByte(t *testing.T) {
	c, at := drawStreet(t)
	trust := audit.Trust{Policy: c.Policy, Keys: keySet(t, c)}
	for _, tt := range []struct {
		name  string
		file  string
		bytes []byte
	}{
		{"open statement", "a.cose", c.Transparent(at.open)},
		{"open statement, all receipts", "a.cose", c.Transparent(at.open, 0, 1, 2, 3)},
		{"ES256 statement", "a.cose", c.Transparent(at.es256)},
		{"committed statement", "a.cose", c.Transparent(at.committed)},
		{"proof of a statement", "a.tlog-proof", c.LogProof(at.open)},
		{"proof of a statement, all signatures", "a.tlog-proof", c.LogProof(at.open, 0, 1, 2, 3)},
		{"proof of a header", "a.tlog-proof", c.LogProof(at.header)},
		{"proof of the charter", "a.tlog-proof", c.LogProof(0)},
		{"evidence of a header", "a.evidence", evidence(t, c, at.header, nil)},
		{"evidence with disclosure", "a.evidence", evidence(t, c, at.committed, c.Packs, 0, 1, 2, 3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if r := audit.Verify(tt.file, tt.bytes, trust); r.Exit() != audit.ExitHolds {
				t.Fatalf("untouched: exit status %d: %v", r.Exit(), r.Verdicts)
			}
			b := bytes.Clone(tt.bytes)
			for i := range b {
				for _, mask := range []byte{0x01, byte(2 + i%254)} {
					b[i] ^= mask
					if r := audit.Verify(tt.file, b, trust); r.Exit() != audit.ExitFalse {
						t.Errorf("byte %d of %d changed by %#02x: exit status %d, want 3: %s", i, len(b), mask, r.Exit(), answers(r))
					}
					b[i] ^= mask
				}
			}
			for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
				if r := audit.Verify(tt.file, b[:n], trust); r.Exit() != audit.ExitFalse {
					t.Errorf("cut to %d bytes: exit status %d, want 3", n, r.Exit())
				}
			}
			if r := audit.Verify(tt.file, append(b, '\n'), trust); r.Exit() != audit.ExitFalse {
				t.Errorf("a byte more: exit status %d, want 3", r.Exit())
			}
		})
	}
}

// TestEvidenceHoldsNothingElse adds leaves, moves the claim, and exchanges packs.
func TestEvidenceHoldsNothingElse(t *testing.T) {
	c, at := drawStreet(t)
	trust := audit.Trust{Policy: c.Policy, Keys: keySet(t, c)}
	parse := func(index uint64) *audit.Evidence {
		t.Helper()
		e, err := audit.ParseEvidence(evidence(t, c, index, c.Packs))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	check := func(name string, e *audit.Evidence, want audit.Check) {
		t.Helper()
		r := audit.Verify("a.evidence", e.Encode(), trust)
		if got := verdict(r, want); got.Verdict != audit.False || r.Exit() != audit.ExitFalse {
			t.Errorf("%s: %s is %s (%s), exit status %d", name, want, got.Verdict, got.Detail, r.Exit())
		}
	}
	for _, l := range parse(at.committed).Leaves {
		if l.Index == at.committed {
			continue
		}
		e := parse(at.committed)
		e.Claim = l.Index
		check(fmt.Sprint("claim moved to leaf ", l.Index), e, audit.CheckInclusion)
	}
	e := parse(at.open)
	for _, l := range parse(at.es256).Leaves {
		if l.Index == at.es256 {
			e.Leaves = append(e.Leaves[:3:3], append([]audit.EvidenceLeaf{l}, e.Leaves[3:]...)...)
		}
	}
	check("another statement", e, audit.CheckInclusion)
	e = parse(at.committed)
	e.Disclosures[0][20] ^= 1
	check("a changed pack", e, audit.CheckDisclosure)
	e = parse(at.open)
	e.Disclosures = parse(at.committed).Disclosures
	check("a pack of another statement", e, audit.CheckDisclosure)
	e = parse(at.open)
	e.Leaves[1].Path[0][0] ^= 1
	check("a changed path", e, audit.CheckInclusion)

	e = parse(at.open)
	e.Leaves = e.Leaves[:len(e.Leaves)-1] // the header
	r := audit.Verify("a.evidence", e.Encode(), trust)
	if got := verdict(r, audit.CheckChain); got.Verdict != audit.Unchecked {
		t.Errorf("without the header the chain is %s", got.Verdict)
	}
}

// TestReceiptsOfOneTree puts receipts under two checkpoints beside each other:
// three oracles spoke, and no three of one tree.
func TestReceiptsOfOneTree(t *testing.T) {
	c, at := drawStreet(t)
	_, early, err := block.DetachReceipts(c.Transparent(at.open, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	c.Draw("home1=1040")
	statement, late, err := block.DetachReceipts(c.Transparent(at.open, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := block.AttachReceipts(statement, append(early, late...))
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Verify("a.cose", mixed, audit.Trust{Policy: c.Policy, Keys: keySet(t, c)})
	if got := verdict(r, audit.CheckInclusion); got.Verdict != audit.False || !strings.Contains(got.Detail, "different trees") {
		t.Errorf("inclusion is %s (%s)", got.Verdict, got.Detail)
	}
}

// TestTime shows what is said of a signer's clock.
func TestTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		time *entry.TimeQuality
		want audit.Answer
		word string
	}{
		{"none", nil, audit.Unchecked, "no clock source"},
		{"unsynced", &entry.TimeQuality{Quality: entry.ClockUnsynced}, audit.Unchecked, "no clock source"},
		{"simulated", &entry.TimeQuality{Quality: entry.ClockSimulated, Uncertainty: 5}, audit.Holds, "simulated"},
		{"ntp", &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 1_500_000}, audit.Holds, "within 2 ms"},
		{"rtc", &entry.TimeQuality{Quality: entry.ClockRTC}, audit.Holds, "no bound"},
	} {
		c := ledgertest.New(t, 4).Draw("+home1")
		s := c.Reading("home1", ledgertest.Record("home1", "energy", 1, c.State.Time()))
		s.Claims.Time = tt.time
		b := c.Append(c.Open(s))
		r := audit.Verify("a.cose", c.Transparent(b.Header.First), audit.Trust{Policy: c.Policy, Keys: keySet(t, c)})
		if got := verdict(r, audit.CheckTime); got.Verdict != tt.want || !strings.Contains(got.Detail, tt.word) {
			t.Errorf("%s: %s (%s), want %s with %q", tt.name, got.Verdict, got.Detail, tt.want, tt.word)
		}
	}
}

func TestReports(t *testing.T) {
	c, at := drawStreet(t)
	r := audit.Verify("a.cose", c.Transparent(at.open), audit.Trust{Policy: c.Policy, Keys: keySet(t, c)})
	var checks []audit.Check
	for _, v := range r.Verdicts {
		checks = append(checks, v.Check)
	}
	want := []audit.Check{"signature", "key", "calibration", "time", "inclusion", "quorum", "chain", "disclosure", "rerun"}
	if diff := cmp.Diff(want, checks); diff != "" {
		t.Errorf("checks (-want +got)\n%s", diff)
	}
	if r.File != "a.cose" || r.Kind != "transparent statement" || r.Subject != "reading, urn:wattmark:gateway:home1, sequence 1-1" {
		t.Errorf("report of %q, a %s: %s", r.File, r.Kind, r.Subject)
	}
	if n := r.Count(audit.Holds) + r.Count(audit.NotApplicable); n != len(want) {
		t.Errorf("%d verdicts hold or do not apply, want %d", n, len(want))
	}
	if got := verdict(r, audit.CheckSignature).String(); !strings.HasPrefix(got, "signature    holds ") {
		t.Errorf("a verdict reads %q", got)
	}
	if r := audit.Unreadable("x", fmt.Errorf("no such file")); r.Exit() != audit.ExitUnchecked || r.Count(audit.Unchecked) != len(want) {
		t.Errorf("an unreadable file: exit status %d", r.Exit())
	}
}
