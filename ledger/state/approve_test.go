package state_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// drawnReasons draws one block more and returns its reasons behind the clocks.
func drawnReasons(c *ledgertest.Chain, line string) []entry.Reason {
	return c.Draw(line).Last().Result.Reasons[len(c.Oracles):]
}

// TestOneOracleCannotTakeOver has one oracle of four try to put its own key into the
// place of a home's: all it does is recorded, and changes nothing.
func TestOneOracleCannotTakeOver(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1 +home2")
	liars := ledgertest.Key(t, signer.EdDSA, "the liar's own")
	enrol := func(gateway, subject string) ledgertest.Message {
		e := entry.Enrolment{Algorithm: int(signer.EdDSA), Key: liars.Public().Bytes(), Gateway: gateway,
			Points: []entry.Point{{Subject: subject, Mode: entry.ModeOpen, Channels: ledgertest.Channels()}}}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return c.Open(c.Stated(3, entry.TypeEnrolment, b))
	}
	tries := []ledgertest.Message{c.Word("end4:home1"), c.Word("end4:home1"),
		enrol("home1", "p-home1"), enrol("home9", "p-home1"), enrol("home1", "p-home9")}
	known := entry.ReasonAlreadyKnown
	if diff := cmp.Diff([]entry.Reason{"", known, known, known, known}, c.Append(tries...).Result.Reasons); diff != "" {
		t.Errorf("while the key lives (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]entry.Reason{""}, drawnReasons(c, "home1=1000")); diff != "" {
		t.Errorf("the home's own key (-want +got)\n%s", diff)
	}

	// Not even where the home has ended its key itself.
	c.Draw("-home1")
	b := c.Append(enrol("home1", "p-home1"), enrol("home1", "p-home1"), enrol("home9", "p-home1"), enrol("home1", "p-home9"))
	if diff := cmp.Diff([]entry.Reason{"", known, "", ""}, b.Result.Reasons); diff != "" {
		t.Errorf("when it has ended (-want +got)\n%s", diff)
	}
	if got := outcomes(t, b); got != nil {
		t.Errorf("adopted by one: %q", got)
	}
	if _, ok := c.State.Key(liars.Public().ID()); ok {
		t.Error("the liar's key is enrolled")
	}
	s := c.Reading("home1", energy("home1", c, 99))
	s.Key = liars
	if diff := cmp.Diff([]entry.Reason{entry.ReasonUnknownKey}, c.Append(c.Open(s)).Result.Reasons); diff != "" {
		t.Errorf("a reading under the liar's key (-want +got)\n%s", diff)
	}
}

// TestOraclesChangeKeys shows the way of a meter that was exchanged: three of four
// oracles end its gateway's key and admit a new one, in blocks of their own.
func TestOraclesChangeKeys(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=1000")
	first := c.GatewayKey("home1").Public().ID()
	payload := func(w string) [32]byte {
		m, err := signer.Parse(c.Word(w).Statement)
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(m.Payload)
	}
	hash := payload("end1:home1")
	c.Draw("end3:home1")
	if diff := cmp.Diff([]entry.Reason{"", "", entry.ReasonAlreadyKnown, "", entry.ReasonRevokedKey, entry.ReasonAlreadyKnown},
		drawnReasons(c, "home1=1010 end1:home1 end1:home1 end4:home1 home1=1020 end2:home1")); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	b := c.Last()
	want := entry.Outcome{Kind: entry.OutcomeAdopted, Hash: hash, Code: entry.AdoptedRevocation, Detail: "home1"}
	if diff := cmp.Diff([][]byte{want.Encode()}, b.Result.Leaves[len(b.Result.Accepted):]); diff != "" {
		t.Errorf("outcome (-want +got)\n%s", diff)
	}
	if k, _ := c.State.Key(first); k.Revoked != b.Header.First+6 { // the statement that completed it
		t.Errorf("the key was revoked by leaf %d, want %d", k.Revoked, b.Header.First+6)
	}

	c.Draw("+home1:es256\nalso4:+home1:es256")
	second := c.GatewayKey("home1").Public().ID()
	if _, ok := c.State.Key(second); ok {
		t.Fatal("two of four enrolled a key")
	}
	c.Draw("also2:+home1:es256")
	if diff := cmp.Diff([]string{"adopted enrolment home1 -1"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("outcome (-want +got)\n%s", diff)
	}
	if k, ok := c.State.Key(second); !ok || k.Enrolled != c.Last().Header.First+4 {
		t.Errorf("the new key: %+v %v", k, ok)
	}
	if diff := cmp.Diff([]entry.Reason{entry.ReasonAlreadyKnown, ""}, drawnReasons(c, "also3:+home1:es256 home1=1030")); diff != "" {
		t.Errorf("afterwards (-want +got)\n%s", diff)
	}
}

// TestOtherBytesCountApart has oracles agree on what ends and not on why.
func TestOtherBytesCountApart(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1")
	id := c.GatewayKey("home1").Public().ID()
	for i := range c.Oracles {
		r := entry.Revocation{KeyID: id[:], Reason: fmt.Sprintf("stolen %d", i/2)}
		if got := c.Append(c.Open(c.Stated(i, entry.TypeRevocation, r.Encode()))).Result.Reasons[0]; got != "" {
			t.Errorf("oracle %d: %q", i+1, got)
		}
	}
	if k, _ := c.State.Key(id); k.Revoked != 0 {
		t.Error("two and two ended a key")
	}
}

// TestOneOracleCannotFillTheApprovals has one oracle begin all it may, which are
// recorded; others go on.
func TestOneOracleCannotFillTheApprovals(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1")
	id := c.GatewayKey("home1").Public().ID()
	for i := range 17 {
		r := entry.Revocation{KeyID: id[:], Reason: fmt.Sprint("reason ", i)}
		want := entry.Reason("")
		if i == 16 {
			want = entry.ReasonAlreadyKnown
		}
		if got := c.Append(c.Open(c.Stated(3, entry.TypeRevocation, r.Encode()))).Result.Reasons[0]; got != want {
			t.Errorf("approval %d: %q, want %q", i, got, want)
		}
	}
	c.Draw("end1:home1 end2:home1 end4:home1") // the last joins, it begins nothing
	if k, _ := c.State.Key(id); k.Revoked == 0 {
		t.Error("the others could not end a key")
	}
}

func TestApprovalsLapse(t *testing.T) {
	const days = 24 * 3600
	for _, tt := range []struct {
		after int64 // seconds until two more join
		ended bool
	}{{29 * days, true}, {31 * days, false}} {
		c := ledgertest.New(t, 4).Draw("+home1\nend1:home1")
		id := c.GatewayKey("home1").Public().ID()
		c.Append(c.Clocks(1000 * tt.after)...)
		c.Draw("end2:home1 end3:home1")
		if k, _ := c.State.Key(id); k.Revoked != 0 != tt.ended {
			t.Errorf("after %d days: revoked by leaf %d, ended should be %v", tt.after/days, k.Revoked, tt.ended)
		}
		c.Draw("end1:home1")
		if k, _ := c.State.Key(id); k.Revoked == 0 {
			t.Errorf("after %d days: it does not begin anew", tt.after/days)
		}
	}
}

// TestModeStays shows that readings which were promised to be hidden stay so,
// however many oracles say otherwise.
func TestModeStays(t *testing.T) {
	mode := entry.ReasonWrongMode
	for _, tt := range []struct{ first, second string }{{"+home1:committed", "+home1"}, {"+home1", "+home1:committed"}} {
		c := ledgertest.New(t, 4).Draw(tt.first + "\n-home1")
		want := []entry.Reason{mode, mode, mode, mode}
		if diff := cmp.Diff(want, drawnReasons(c, fmt.Sprintf("%[1]s also2:%[1]s also3:%[1]s also4:%[1]s", tt.second))); diff != "" {
			t.Errorf("%s after %s (-want +got)\n%s", tt.second, tt.first, diff)
		}
	}
}

// TestKeysChangeByAgreement draws ledgers and looks at their leaves alone: every
// key that ended was ended by itself or by as many oracles as change a rule, and
// every key that followed another one was admitted by as many, or by the other one.
func TestKeysChangeByAgreement(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := scribbled(t, rt)
		agreed := func(leaf uint64) (own signer.KeyID, signers int) {
			all := c.All()
			m, err := signer.Parse(all[leaf])
			if err != nil {
				rt.Fatal(err)
			}
			by := map[signer.KeyID]bool{}
			for _, l := range all[:leaf+1] {
				if o, err := signer.Parse(l); err == nil && o.Type == m.Type && string(o.Payload) == string(m.Payload) {
					by[o.KeyID] = true
				}
			}
			return m.KeyID, len(by)
		}
		names := map[string]bool{}
		for _, k := range c.State.Keys() {
			if consented(rt, c, k.Enrolled, k.Gateway) {
				continue
			}
			if _, n := agreed(k.Enrolled); names[k.Gateway] && n < int(c.Charter.Governance) {
				rt.Fatalf("gateway %s has a second key from %d oracles", k.Gateway, n)
			}
			names[k.Gateway] = true
			if k.Revoked == 0 || consented(rt, c, k.Revoked, k.Gateway) {
				continue
			}
			if by, n := agreed(k.Revoked); by != k.Public.ID() && n < int(c.Charter.Governance) {
				rt.Fatalf("a key of %s was ended by %d oracles", k.Gateway, n)
			}
		}
	})
}

// consented reports whether a leaf is a rotation of a gateway's key in which both keys
// have signed, the one that ends before the rotation and the one that begins in it.
func consented(rt *rapid.T, c *ledgertest.Chain, leaf uint64, gateway string) bool {
	m, err := signer.Parse(c.All()[leaf])
	if err != nil {
		rt.Fatal(err)
	}
	e, err := entry.ParseProvenEnrolment(m.Payload)
	if m.Type != entry.TypeProvenEnrolment || err != nil {
		return false
	}
	outer, err := signer.Parse(e.Request)
	if err != nil || outer.Type != entry.TypeRotation {
		return false
	}
	rotation, err := entry.ParseRotation(outer.Payload)
	if err != nil {
		rt.Fatal(err)
	}
	inner, err := signer.Parse(rotation.Request)
	if err != nil {
		rt.Fatal(err)
	}
	for _, half := range []*signer.Message{outer, inner} {
		k, ok := c.State.Key(half.KeyID)
		if !ok || k.Gateway != gateway {
			rt.Fatalf("leaf %d: key %v has signed for %s, and is no key of it", leaf, half.KeyID, gateway)
		}
		if _, err := signer.Verify(half, k.Public); err != nil {
			rt.Fatalf("leaf %d: %v", leaf, err)
		}
		if half == outer && k.Revoked != leaf || half == inner && k.Enrolled != leaf {
			rt.Fatalf("leaf %d: key %v is enrolled by leaf %d and ended by %d", leaf, half.KeyID, k.Enrolled, k.Revoked)
		}
	}
	return true
}
