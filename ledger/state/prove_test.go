package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// asking is a request about to be signed, which tests change; the oracle's statement
// around it is right.
type asking struct {
	entry.EnrolmentRequest
	by       signer.Signer // who signs it: the key that it names
	old      signer.Signer // who signs the rotation around it, nil for none
	typ      string
	content  string
	claims   entry.Claims // of both
	rotation entry.Claims // of the rotation, if it is another than claims
}

func ask(c *ledgertest.Chain) *asking {
	k := ledgertest.Key(c.TB(), signer.ES256, "asking")
	return &asking{
		EnrolmentRequest: entry.EnrolmentRequest{
			Algorithm: int(signer.ES256), Key: k.Public().Bytes(), Gateway: "home9",
			Points:  []entry.Point{{Subject: "p-home9", Mode: entry.ModeOpen, Channels: ledgertest.Channels()}},
			Devices: []entry.RequestDevice{{Model: "sdm120", Serial: "1"}},
		},
		by: k, typ: entry.TypeRequest, content: entry.ContentCBOR,
		claims: entry.Claims{Issuer: "urn:wattmark:gateway:home9", Audience: ledgertest.Origin, IssuedAt: c.State.Time() / 1000},
	}
}

// instead makes it a rotation of a gateway's newest key.
func (a *asking) instead(c *ledgertest.Chain, gateway string) {
	k := c.GatewayKey(gateway)
	id := k.Public().ID()
	a.Gateway, a.Points, a.Replaces, a.old = gateway, nil, id[:], k
}

func (a *asking) sign(t testing.TB) []byte {
	t.Helper()
	payload, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := ledgertest.Statement{Key: a.by, Type: a.typ, Claims: a.claims, Content: a.content, Payload: payload}
	b, _ := s.Sign(t)
	if a.old == nil {
		return b
	}
	rotation := entry.Rotation{Request: b}
	s.Key, s.Type, s.Content = a.old, entry.TypeRotation, entry.ContentCBOR
	if a.rotation.Issuer != "" {
		s.Claims = a.rotation
	}
	if s.Payload, err = rotation.Encode(); err != nil {
		t.Fatal(err)
	}
	b, _ = s.Sign(t)
	return b
}

// TestRequestsAreJudged has requests that an oracle states as they are: it is not for
// one oracle to say that a key is held by somebody.
func TestRequestsAreJudged(t *testing.T) {
	const bad = entry.ReasonBadPayload
	for _, tt := range []struct {
		name   string
		change func(a *asking, c *ledgertest.Chain)
		want   entry.Reason
	}{
		{"as it should be", func(*asking, *ledgertest.Chain) {}, ""},
		{"signed by another key", func(a *asking, _ *ledgertest.Chain) { a.by = strangers }, bad},
		{"of another type", func(a *asking, _ *ledgertest.Chain) { a.typ = entry.TypeVote }, bad},
		{"of another content", func(a *asking, _ *ledgertest.Chain) { a.content = entry.ContentSenML }, bad},
		{"for another ledger", func(a *asking, _ *ledgertest.Chain) { a.claims.Audience = "other.example/ledger" }, entry.ReasonWrongLedger},
		{"with a number", func(a *asking, _ *ledgertest.Chain) { a.claims.Sequence = entry.Sequence{Boot: 1, Count: 1} }, bad},
		{"about a metering point", func(a *asking, _ *ledgertest.Chain) { a.claims.Subject = "p-home9" }, bad},
		{"of a key that is none", func(a *asking, _ *ledgertest.Chain) { a.Key = a.Key[1:] }, bad},
		{"of a key that is known", func(a *asking, c *ledgertest.Chain) {
			a.by, a.Key, a.Algorithm = c.GatewayKey("home1"), c.GatewayKey("home1").Public().Bytes(), int(signer.EdDSA)
		}, entry.ReasonAlreadyKnown},
		{"of an oracle's receipt key", func(a *asking, c *ledgertest.Chain) {
			a.by, a.Key, a.Algorithm = c.Oracles[1].Cosigner, c.Oracles[1].Cosigner.Public().Bytes(), int(signer.EdDSA)
		}, entry.ReasonNotAuthorised},
		{"for a name that is taken", func(a *asking, _ *ledgertest.Chain) { a.Gateway = "home1" }, entry.ReasonAlreadyKnown},
		{"for a metering point that is taken", func(a *asking, _ *ledgertest.Chain) { a.Points[0].Subject = "p-home1" }, entry.ReasonAlreadyKnown},
		{"that counts the air's CO2", func(a *asking, _ *ledgertest.Chain) {
			a.Points[0].Channels = []entry.Channel{{Name: "co2", Unit: "ppm", Kind: entry.KindCounter}}
		}, entry.ReasonNotClaimable},
		{"that replaces nothing and is in a rotation", func(a *asking, c *ledgertest.Chain) { a.old = c.GatewayKey("home1") }, bad},
		{"that replaces a key and is in no rotation", func(a *asking, c *ledgertest.Chain) { a.instead(c, "home1"); a.old = nil }, bad},
		{"a rotation", func(a *asking, c *ledgertest.Chain) { a.instead(c, "home1") }, ""},
		{"a rotation signed by the new key", func(a *asking, c *ledgertest.Chain) { a.instead(c, "home1"); a.old = a.by }, bad},
		{"a rotation signed by a gateway of another name", func(a *asking, c *ledgertest.Chain) { a.instead(c, "home1"); a.old = c.GatewayKey("home2") }, bad},
		{"a rotation to another name", func(a *asking, c *ledgertest.Chain) { a.instead(c, "home1"); a.Gateway = "home2" }, entry.ReasonNotAuthorised},
		{"a rotation of a key that has ended", func(a *asking, c *ledgertest.Chain) { a.instead(c, "gone") }, entry.ReasonRevokedKey},
		{"a rotation of a key that is none", func(a *asking, c *ledgertest.Chain) {
			a.instead(c, "home1")
			id := strangers.Public().ID()
			a.Replaces, a.old = id[:], strangers
		}, entry.ReasonUnknownKey},
		{"a rotation with an old rotation's claims", func(a *asking, c *ledgertest.Chain) {
			a.instead(c, "home1")
			a.rotation = a.claims
			a.rotation.Audience = "other.example/ledger"
		}, entry.ReasonWrongLedger},
		{"a rotation with a number", func(a *asking, c *ledgertest.Chain) {
			a.instead(c, "home1")
			a.rotation = a.claims
			a.rotation.Sequence = entry.Sequence{Boot: 1, Count: 9}
		}, bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 4).Draw(street)
			a := ask(c)
			tt.change(a, c)
			before := c.State.Export()
			request := a.sign(t)
			m := c.Open(c.Admitting(request))
			in := m.Input()
			if got := c.State.Judge(&in, c.State.Time()); got != tt.want {
				t.Errorf("Judge says %q, want %q", got, tt.want)
			}
			if got := c.Append(m).Result.Reasons[0]; got != tt.want {
				t.Errorf("refused because %q, want %q", got, tt.want)
			}
			id := a.by.Public().ID()
			k, ok := c.State.Key(id)
			if tt.want == "" && (!ok || k.Gateway != a.Gateway || k.Enrolled != c.Last().Header.First) {
				t.Errorf("the key is %+v %v", k, ok)
			}
			if tt.want != "" { // nothing but the height has changed
				if diff := cmp.Diff(before[:len(before)-1], c.State.Export()[:len(before)-1], withoutHeight); diff != "" {
					t.Errorf("it changed the state:\n%s", diff)
				}
			}
		})
	}
}

// withoutHeight leaves the record of the block's height and time out of a comparison.
var withoutHeight = cmp.FilterValues(func(a, b state.Change) bool { return string(a.Key) == "m" && string(b.Key) == "m" }, cmp.Ignore())

// TestRotation shows a gateway that changes its key in the middle of its work: the
// register and the numbers go on, the old key signs no more.
func TestRotation(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1:committed:proven\nhome1=1000 cal:home1=1010")
	old := c.GatewayKey("home1")
	c.Draw("home1=1010 >home1:es256 home1=1020")
	if diff := cmp.Diff([]entry.Reason{"", "", entry.ReasonUnknownKey}, c.Last().Result.Reasons[4:]); diff != "" {
		t.Fatalf("in its block (-want +got)\n%s", diff)
	}
	rotated := c.Last().Header.First + 5
	second := c.GatewayKey("home1")
	late := c.Reading("home1", energy("home1", c, 1030))
	late.Key = old
	if diff := cmp.Diff([]entry.Reason{entry.ReasonRevokedKey}, c.Append(c.Open(late)).Result.Reasons); diff != "" {
		t.Errorf("the old key afterwards (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]entry.Reason{"", ""}, drawnReasons(c, "home1#1.9=1005 cal:home1=1000")); diff != "" {
		t.Errorf("the new key afterwards (-want +got)\n%s", diff)
	}
	want := []string{"flagged register_fell energy 4", "flagged calibration_gap energy 5"} // what was before is known
	if diff := cmp.Diff(want, outcomes(t, c.Last())); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
	keys := []state.KeyInfo{
		{Public: old.Public(), Gateway: "home1", Enrolled: c.Blocks[1].Header.First + 4, Revoked: rotated, Points: []string{"p-home1"}},
		{Public: second.Public(), Gateway: "home1", Enrolled: rotated, Points: []string{"p-home1"}},
	}
	if diff := cmp.Diff(keys, c.State.Keys(), cmp.Comparer(func(a, b signer.PublicKey) bool { return a == b })); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	again, err := state.Load(c.Charter, records(c.State.Export()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.State.Export(), again.Export()); diff != "" {
		t.Errorf("loaded (-want +got)\n%s", diff)
	}
}

// TestARotationDoesNotGiveAway has the old key consent to one key, and an oracle try to
// put in another one with that consent, or use it twice.
func TestARotationDoesNotGiveAway(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1 +home2")
	a := ask(c)
	a.instead(c, "home1")
	consent := a.sign(t)
	m, err := signer.Parse(consent)
	if err != nil {
		t.Fatal(err)
	}
	liars := ask(c)
	liars.instead(c, "home1")
	liars.by, liars.Key = strangers, strangers.Public().Bytes()
	liars.old = strangers
	forged := liars.sign(t)
	for _, request := range [][]byte{forged, m.Payload, append(consent, 0)} {
		if got := c.Append(c.Open(c.Admitting(request))).Result.Reasons[0]; got != entry.ReasonBadPayload {
			t.Errorf("%d bytes: %q", len(request), got)
		}
	}
	for _, want := range []entry.Reason{"", entry.ReasonRevokedKey} {
		if got := c.Append(c.Open(c.Admitting(consent))).Result.Reasons[0]; got != want {
			t.Errorf("the consent as it is: %q, want %q", got, want)
		}
	}
}

// TestProvenEnrolmentsTakeOverByAgreement has a gateway's second key, which nobody of
// the first agreed to: as many oracles state its request as for any enrolment.
func TestProvenEnrolmentsTakeOverByAgreement(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1:proven\n-home1 +home1:proven:es256")
	id := c.GatewayKey("home1").Public().ID()
	if _, ok := c.State.Key(id); ok {
		t.Fatal("one oracle enrolled a second key")
	}
	c.Draw("also2:+home1:proven:es256 also3:+home1:proven:es256")
	if _, ok := c.State.Key(id); !ok {
		t.Fatal("three of four did not enrol it")
	}
	if diff := cmp.Diff([]string{"adopted enrolment home1 -1"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("outcome (-want +got)\n%s", diff)
	}
}
