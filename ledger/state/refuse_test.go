package state_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// street is where the tables start from.
const street = `
	+home1 +home2:committed +gone
	home1=1000 home2=500 gone=10
	-gone
`

// refusals has a statement for each reason that the rules give: name, reason, and
// what is put into the block after street.
var refusals = []struct {
	name   string
	reason entry.Reason
	make   func(c *ledgertest.Chain) ledgertest.Message
}{
	{"a committed pack that nobody must keep", entry.ReasonTooLarge, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home2", energy("home2", c, 600))
		c.SetPreimage(s, "home2", entry.MaxPreimage+1)
		return c.Open(s)
	}},
	{"claims that do not read", entry.ReasonMalformed, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		b, err := signer.Sign(s.Key, signer.Header{Type: s.Type, ContentType: s.Content, Claims: []byte{0xa1, 0x01, 0x02}}, s.Payload)
		return signed(c, b, err)
	}},
	{"no claims", entry.ReasonMalformed, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		b, err := signer.Sign(s.Key, signer.Header{Type: s.Type, ContentType: s.Content}, s.Payload)
		return signed(c, b, err)
	}},
	{"a reading without sequence number", entry.ReasonMalformed, reading(func(s *ledgertest.Statement) { s.Claims.Sequence = entry.Sequence{} })},
	{"junk", entry.ReasonMalformed, drawn("junk")},
	{"a key nobody enrolled", entry.ReasonUnknownKey, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		s.Key = strangers
		return c.Open(s)
	}},
	{"a revoked key", entry.ReasonRevokedKey, drawn("gone=20")},
	{"a revoked key that revokes itself", entry.ReasonRevokedKey, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Revocation(c.GatewayKey("gone").Public().ID())
		s.Key = c.GatewayKey("gone")
		return c.Open(s)
	}},
	{"a broken signature", entry.ReasonBadSignature, drawn("forged:home1=1100")},
	{"another ledger", entry.ReasonWrongLedger, reading(func(s *ledgertest.Statement) { s.Claims.Audience = "other.example/ledger" })},
	{"another ledger's clock", entry.ReasonWrongLedger, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Clock(0, c.State.Time()+1)
		s.Claims.Audience = "other.example/ledger"
		return c.Open(s)
	}},
	{"a type nobody knows", entry.ReasonWrongType, reading(func(s *ledgertest.Statement) { s.Type = "application/vnd.wattmark.dance+cose" })},
	{"an answer to a gateway", entry.ReasonWrongType, reading(func(s *ledgertest.Statement) { s.Type = entry.TypeRefusal })},
	{"a reading of an oracle", entry.ReasonNotAuthorised, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		s.Key = c.Oracles[0].Statement
		return c.Open(s)
	}},
	{"a clock of a gateway", entry.ReasonNotAuthorised, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement { return c.Clock(0, c.State.Time()+1) })},
	{"an enrolment of a gateway", entry.ReasonNotAuthorised, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.Enrolment("home9", signer.EdDSA, entry.ModeOpen)
	})},
	{"a consent to nothing", entry.ReasonUnknownMotion, func(c *ledgertest.Chain) ledgertest.Message {
		return c.Open(c.Stated(0, entry.TypeConsent, (&entry.Consent{}).Encode()))
	}},
	{"an oracle set that replaces another", entry.ReasonOtherOracles, func(c *ledgertest.Chain) ledgertest.Message {
		set := c.NextSet(c.Oracles...)
		set.Replaces[0]++
		return c.Open(c.SetMotion(0, 99, set))
	}},
	{"an oracle set with a gateway's key", entry.ReasonOtherOracles, func(c *ledgertest.Chain) ledgertest.Message {
		set := c.NextSet(c.Oracles...)
		set.Oracles[2].Key = c.GatewayKey("home1").Public().Bytes()
		return c.Open(c.SetMotion(0, 99, set))
	}},
	{"a motion of a kind nobody knows", entry.ReasonUnknownSetting, func(c *ledgertest.Chain) ledgertest.Message {
		return c.Open(c.Motion(0, "dance", 99, []byte{0xa0}))
	}},
	{"a version of rules that nobody knows", entry.ReasonUnknownSetting, func(c *ledgertest.Chain) ledgertest.Message {
		return c.Open(c.Motion(0, entry.MotionRules, 99, (&entry.RuleVersion{Rules: "market", Version: 99}).Encode()))
	}},
	{"a motion for a block that is closed", entry.ReasonWrongHeight, func(c *ledgertest.Chain) ledgertest.Message {
		return c.Open(c.SetMotion(0, 2, c.NextSet(c.Oracles...)))
	}},
	{"a motion of a gateway", entry.ReasonNotAuthorised, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.SetMotion(0, 99, c.NextSet(c.Oracles...))
	})},
	{"a vote of a gateway", entry.ReasonNotAuthorised, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.Vote(0, entry.Proposal{Parameter: entry.ParamCutLeaves, Value: 1, Height: 99})
	})},
	{"a gateway that revokes another's key", entry.ReasonNotAuthorised, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.Revocation(c.GatewayKey("home2").Public().ID())
	})},
	{"an oracle's receipt key as a gateway's", entry.ReasonNotAuthorised, enrolment(func(e *entry.Enrolment, c *ledgertest.Chain) {
		e.Key = c.Oracles[1].Cosigner.Public().Bytes()
	})},
	{"a sequence number used", entry.ReasonSequenceUsed, drawn("home1#1=1100")},
	{"a statement sent twice", entry.ReasonSequenceUsed, drawn("again:home1=1000")},
	{"issued later than allowed", entry.ReasonFuture, reading(func(s *ledgertest.Statement) { s.Claims.IssuedAt += 60 + 121 })},
	{"a metering point nobody registered", entry.ReasonUnknownPoint, reading(func(s *ledgertest.Statement) { s.Claims.Subject = "p-nobody" })},
	{"a metering point of another key", entry.ReasonUnknownPoint, reading(func(s *ledgertest.Statement) { s.Claims.Subject = ledgertest.Subject("home2") })},
	{"a reading without subject", entry.ReasonUnknownPoint, reading(func(s *ledgertest.Statement) { s.Claims.Subject = "" })},
	{"committed where open was registered", entry.ReasonWrongMode, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		c.SetPack(s, true, pack("home1", energy("home1", c, 1100)))
		return c.Open(s)
	}},
	{"open where committed was registered", entry.ReasonWrongMode, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home2", energy("home2", c, 600))
		c.SetPack(s, false, pack("home2", energy("home2", c, 600)))
		return c.Open(s)
	}},
	{"a committed pack that did not come", entry.ReasonPackMissing, func(c *ledgertest.Chain) ledgertest.Message {
		m := c.Open(c.Reading("home2", energy("home2", c, 600)))
		m.Pack = nil
		return m
	}},
	{"another pack than was committed to", entry.ReasonPackMismatch, func(c *ledgertest.Chain) ledgertest.Message {
		m := c.Open(c.Reading("home2", energy("home2", c, 600)))
		m.Pack = append(slices.Clone(m.Pack), 0)
		return m
	}},
	{"a pack that does not read", entry.ReasonBadPayload, reading(func(s *ledgertest.Statement) { s.Payload = []byte{0x80} })},
	{"a pack of another metering point", entry.ReasonBadPayload, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		c.SetPack(s, false, pack("home2", energy("home2", c, 1100)))
		return c.Open(s)
	}},
	{"a pack of another content type", entry.ReasonBadPayload, reading(func(s *ledgertest.Statement) { s.Content = entry.ContentCBOR })},
	{"a clock that does not read", entry.ReasonBadPayload, stated(entry.TypeClock, []byte{0xa0})},
	{"a clock of another content type", entry.ReasonBadPayload, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Clock(0, c.State.Time()+1)
		s.Content = entry.ContentSenML
		return c.Open(s)
	}},
	{"an enrolment that does not read", entry.ReasonBadPayload, stated(entry.TypeEnrolment, []byte{0xa0})},
	{"an enrolment of a key that is none", entry.ReasonBadPayload, enrolment(func(e *entry.Enrolment, _ *ledgertest.Chain) { e.Key = e.Key[1:] })},
	{"an enrolment of a key for which anybody can sign", entry.ReasonBadPayload, enrolment(func(e *entry.Enrolment, _ *ledgertest.Chain) {
		e.Key = append([]byte{1}, make([]byte, 31)...)
	})},
	{"an enrolment that hides its payload", entry.ReasonBadPayload, func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Enrolment("home9", signer.EdDSA, entry.ModeOpen)
		s.Hidden = true
		return c.Open(s)
	}},
	{"a revocation that does not read", entry.ReasonBadPayload, stated(entry.TypeRevocation, []byte{0xa0})},
	{"a vote that does not read", entry.ReasonBadPayload, stated(entry.TypeVote, []byte{0xa0})},
	{"a key enrolled again", entry.ReasonAlreadyKnown, enrolment(func(e *entry.Enrolment, c *ledgertest.Chain) {
		e.Key = c.GatewayKey("home1").Public().Bytes()
	})},
	{"a revoked key enrolled again", entry.ReasonAlreadyKnown, enrolment(func(e *entry.Enrolment, c *ledgertest.Chain) {
		e.Key = c.GatewayKey("gone").Public().Bytes()
	})},
	{"an oracle's key as a gateway's", entry.ReasonAlreadyKnown, enrolment(func(e *entry.Enrolment, c *ledgertest.Chain) {
		e.Key = c.Oracles[1].Statement.Public().Bytes()
	})},
	{"a second key of a gateway", entry.ReasonAlreadyKnown, enrolment(func(e *entry.Enrolment, _ *ledgertest.Chain) { e.Gateway = "home1" })},
	{"a metering point that is another's", entry.ReasonAlreadyKnown, enrolment(func(e *entry.Enrolment, _ *ledgertest.Chain) {
		e.Points[0].Subject = ledgertest.Subject("home2")
	})},
	{"a key revoked twice", entry.ReasonAlreadyKnown, drawn("end1:gone")},
	{"a metering point that was committed, open", entry.ReasonWrongMode, enrolment(func(e *entry.Enrolment, _ *ledgertest.Chain) {
		e.Points[0] = entry.Point{Subject: ledgertest.Subject("gone"), Mode: entry.ModeCommitted}
	})},
	{"a revocation of nobody's key", entry.ReasonUnknownKey, func(c *ledgertest.Chain) ledgertest.Message {
		return c.Open(c.Revocation(strangers.Public().ID()))
	}},
	{"a clock of an earlier block that goes back", entry.ReasonAlreadyKnown, func(c *ledgertest.Chain) ledgertest.Message {
		k := entry.Clock{Height: c.State.Height() - 2, Time: c.State.Time() - 1}
		return c.Open(c.Stated(3, entry.TypeClock, k.Encode()))
	}},
	{"a clock of a later block", entry.ReasonWrongHeight, clockAt(+1)},
	{"a vote for this very height", entry.ReasonWrongHeight, drawn("vote1:cut_leaves=10@4")},
	{"a parameter nobody knows", entry.ReasonUnknownSetting, drawn("vote1:colour=10@9")},
	{"a calibration without sequence number", entry.ReasonMalformed, calibration(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Claims.Sequence = entry.Sequence{} })},
	{"a calibration of an oracle", entry.ReasonNotAuthorised, calibration(func(s *ledgertest.Statement, c *ledgertest.Chain) { s.Key = c.Oracles[0].Statement })},
	{"a calibration with a used number", entry.ReasonSequenceUsed, calibration(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Claims.Sequence.Count = 1 })},
	{"a calibration of another's metering point", entry.ReasonUnknownPoint, calibration(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Claims.Subject = "p-home2" })},
	{"a calibration that does not read", entry.ReasonBadPayload, calibration(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Payload = []byte{0xa0} })},
	{"a calibration that hides its payload", entry.ReasonBadPayload, calibration(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Hidden = true })},
	{"a calibration of tomorrow", entry.ReasonFuture, calibrated(func(k *entry.Calibration) { k.Time += 86_400_000 })},
	{"a calibration of a channel that is not registered", entry.ReasonUnknownChannel, calibrated(func(k *entry.Calibration) { k.Corrections[0].Channel = "other" })},
	{"an undoing of nothing", entry.ReasonUnknownCalibration, calibrated(func(k *entry.Calibration) { k.Undoes = make([]byte, 32) })},
	{"a clock map of an oracle", entry.ReasonNotAuthorised, clockMap(func(s *ledgertest.Statement, c *ledgertest.Chain) { s.Key = c.Oracles[0].Statement })},
	{"a clock map of a boot to come", entry.ReasonBadPayload, mapped(func(m *entry.ClockMap) { m.Boot = 2 })},
	{"a clock map of tomorrow", entry.ReasonFuture, mapped(func(m *entry.ClockMap) { m.Time += 86_400_000 })},
	{"a clock map of a metering point", entry.ReasonBadPayload, clockMap(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Claims.Subject = "p-home1" })},
	{"a clock map that does not read", entry.ReasonBadPayload, clockMap(func(s *ledgertest.Statement, _ *ledgertest.Chain) { s.Payload = []byte{0xa0} })},
	{"a request by itself", entry.ReasonWrongType, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.Stated(0, entry.TypeRequest, []byte{0xa0})
	})},
	{"a rotation without an oracle", entry.ReasonWrongType, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.Stated(0, entry.TypeRotation, []byte{0xa0})
	})},
	{"a proven enrolment of a gateway", entry.ReasonNotAuthorised, ofGateway(func(c *ledgertest.Chain) *ledgertest.Statement {
		return c.Proven("home9", signer.EdDSA, entry.ModeOpen)
	})},
	{"a proven enrolment that does not read", entry.ReasonBadPayload, stated(entry.TypeProvenEnrolment, []byte{0xa0})},
	{"a second key of a gateway that asks for itself", entry.ReasonAlreadyKnown, drawn("+home1:proven")},
	{"a rotation of a key that has ended", entry.ReasonRevokedKey, drawn(">gone")},
	{"a parameter out of range", entry.ReasonUnknownSetting, drawn("vote1:cut_leaves=0@9")},
}

var strangers = func() *signer.PrivateKey {
	k, err := signer.FromSeed(signer.ES256, [32]byte{7})
	if err != nil {
		panic(err)
	}
	return k
}()

func energy(gateway string, c *ledgertest.Chain, wh int64) entry.Record {
	return ledgertest.Record(gateway, "energy", wh, c.State.Time())
}

func pack(gateway string, r ...entry.Record) *entry.Pack {
	return &entry.Pack{Base: ledgertest.Subject(gateway) + "/", Records: r}
}

func signed(c *ledgertest.Chain, b []byte, err error) ledgertest.Message {
	if err != nil {
		panic(err)
	}
	return c.Deliver(b, nil)
}

func drawn(word string) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message { return c.Word(word) }
}

func reading(edit func(*ledgertest.Statement)) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Reading("home1", energy("home1", c, 1100))
		edit(s)
		return c.Open(s)
	}
}

func ofGateway(make func(*ledgertest.Chain) *ledgertest.Statement) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		s := make(c)
		s.Key = c.GatewayKey("home1")
		return c.Open(s)
	}
}

func stated(typ string, payload []byte) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message { return c.Open(c.Stated(0, typ, payload)) }
}

func clockAt(shift int) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		k := entry.Clock{Height: c.State.Height() + uint64(shift), Time: c.State.Time() + 120_000}
		return c.Open(c.Stated(3, entry.TypeClock, k.Encode()))
	}
}

func enrolment(edit func(*entry.Enrolment, *ledgertest.Chain)) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		e := &entry.Enrolment{
			Algorithm: int(signer.EdDSA), Key: ledgertest.Key(c.TB(), signer.EdDSA, "new").Public().Bytes(), Gateway: "home9",
			Points: []entry.Point{{Subject: "p-home9", Mode: entry.ModeOpen}},
		}
		edit(e, c)
		b, err := e.Encode()
		if err != nil {
			panic(err)
		}
		return c.Open(c.Stated(0, entry.TypeEnrolment, b))
	}
}

// calibration is one of home1 in which the test changes the statement, and calibrated
// one in which it changes what is said; clockMap and mapped are the same for clock maps.
func calibration(edit func(*ledgertest.Statement, *ledgertest.Chain)) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		s := c.Calibration("home1", c.Calibrated(1010))
		edit(s, c)
		return c.Open(s)
	}
}

func calibrated(edit func(*entry.Calibration)) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		k := c.Calibrated(1010)
		edit(k)
		return c.Open(c.Calibration("home1", k))
	}
}

func clockMap(edit func(*ledgertest.Statement, *ledgertest.Chain)) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		s := c.ClockMap("home1", &entry.ClockMap{Boot: 1, Time: c.State.Time(), Quality: entry.ClockRTC})
		edit(s, c)
		return c.Open(s)
	}
}

func mapped(edit func(*entry.ClockMap)) func(*ledgertest.Chain) ledgertest.Message {
	return func(c *ledgertest.Chain) ledgertest.Message {
		m := &entry.ClockMap{Boot: 1, Time: c.State.Time(), Quality: entry.ClockRTC}
		edit(m)
		return c.Open(c.ClockMap("home1", m))
	}
}

// TestRefusals puts each statement into a block with clocks and compares with the
// same block without it: a refusal has its own reason and outcome, and changes
// nothing.
func TestRefusals(t *testing.T) {
	seen := map[entry.Reason]bool{
		// Given by who reads and verifies, and only passed through here.
		entry.ReasonWrongGateway: true,
		entry.ReasonTooManyHoles: true, // TestTooManyHoles
		entry.ReasonNotClaimable: true, // TestRequestsAreJudged
		entry.ReasonForgotten:    true, // TestForget
		// TestMarketRefusals and TestSealRefusals have those of the market.
		entry.ReasonUnknownZone: true, entry.ReasonGateClosed: true, entry.ReasonWrongInterval: true, entry.ReasonBadOrder: true, entry.ReasonUnknownLine: true, entry.ReasonSealing: true,
		// The tests of carbon_test.go have those of carbon accounting.
		entry.ReasonUnknownID: true, entry.ReasonWrongStatus: true, entry.ReasonNotMeasured: true, entry.ReasonUnknownFactor: true,
		entry.ReasonSequenceGap: true, entry.ReasonTooMuch: true, entry.ReasonOwing: true, entry.ReasonCountedTwice: true,
		// TestTwoPromises and TestOneNumberTwice have that of a key.
		entry.ReasonQuarantinedKey: true, entry.ReasonTooFewLeft: true,
	}
	for _, tt := range refusals {
		seen[tt.reason] = true
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 4).Draw(street)
			m := tt.make(c)
			judged := m.Input()
			before := c.State.Export()
			if got := c.State.Judge(&judged, c.State.Time()+60_000); got != tt.reason {
				t.Errorf("Judge says %q, want %q", got, tt.reason)
			}
			if diff := cmp.Diff(before, c.State.Export()); diff != "" {
				t.Errorf("Judge changed the state:\n%s", diff)
			}
			b := c.Append(append(c.Clocks(60_000), m)...)

			with, without := b.Result, ledgertest.New(t, 4).Draw(street+"\n.\n").Last()
			if got := with.Reasons[4]; got != tt.reason {
				t.Fatalf("refused because %q, want %q", got, tt.reason)
			}
			if diff := cmp.Diff(without.Export, b.Export); diff != "" {
				t.Errorf("it changed the state:\n%s", diff)
			}
			if diff := cmp.Diff(without.Result.Leaves, with.Leaves); diff != "" {
				t.Errorf("it changed the outcomes:\n%s", diff)
			}
			if diff := cmp.Diff(refused(tt.reason, m.Identity()), with.Refusals); diff != "" {
				t.Errorf("its outcome:\n%s", diff)
			}
		})
	}
	for _, r := range entry.Reasons() {
		if !seen[r] {
			t.Errorf("no test refuses for %q", r)
		}
	}
}

// refused is the outcome of a refused message: none where nobody knows who wrote it.
func refused(reason entry.Reason, identity [32]byte) [][]byte {
	switch reason {
	case entry.ReasonMalformed, entry.ReasonUnknownKey, entry.ReasonBadSignature:
		return nil
	}
	o := entry.Outcome{Kind: entry.OutcomeRefused, Hash: identity, Code: string(reason)}
	return [][]byte{o.Encode()}
}

func TestRefusedBefore(t *testing.T) {
	c := ledgertest.New(t, 4)
	for _, reason := range entry.Reasons() {
		r, err := c.State.Execute(c.Size(), block.Hash{}, []state.Input{{Refused: reason, Hash: [32]byte{9}}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(refused(reason, [32]byte{9}), r.Refusals); diff != "" {
			t.Errorf("%s:\n%s", reason, diff)
		}
		if diff := cmp.Diff([]entry.Reason{reason}, r.Reasons); diff != "" {
			t.Errorf("%s:\n%s", reason, diff)
		}
	}
}

func TestTooManyHoles(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1")
	c.KeepExports(false)
	g := c.Reading("home1", energy("home1", c, 1))
	send := func(counts ...uint64) []entry.Reason {
		t.Helper()
		var ms []ledgertest.Message
		for _, n := range counts {
			g.Claims.Sequence.Count = n
			ms = append(ms, c.Open(g))
		}
		return c.Append(ms...).Result.Reasons
	}
	const most = 4096
	var even []uint64
	for i := range uint64(most) {
		even = append(even, 10+2*i)
	}
	if i := slices.IndexFunc(send(even...), func(r entry.Reason) bool { return r != "" }); i >= 0 {
		t.Fatalf("count %d is refused", even[i])
	}
	// Only what touches a range fits now. 11 and 13 close holes, so that there is
	// room for 7 and 5 in the end.
	hole := entry.ReasonTooManyHoles
	got := send(5, 10+2*most, 8, 9, 11, 13, 7, 5, 3)
	want := []entry.Reason{hole, hole, hole, "", "", "", "", "", hole}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
