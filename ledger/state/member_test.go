package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// admission is the statement by which the oracle at a position admits a member with
// the registers of a gateway's metering point.
func admission(t testing.TB, c *ledgertest.Chain, oracle int, r entry.MemberRequest, key signer.Signer) ledgertest.Message {
	t.Helper()
	b, err := request.SignMember(key, r, ledgertest.Origin, ledgertest.Start/1000)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := (&entry.Member{Request: b}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return c.Deliver(c.Stated(oracle, entry.TypeMember, payload).Sign(t))
}

func anna() entry.MemberRequest {
	return entry.MemberRequest{Member: "anna", Zone: "street", Power: 20_000, Connections: []entry.Connection{{Subject: "p-home1", Import: "energy"}}}
}

func TestMemberIsAdmitted(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1")
	key := ledgertest.Key(t, signer.EdDSA, "anna")
	b := c.Append(admission(t, c, 0, anna(), key))
	if diff := cmp.Diff([]entry.Reason{""}, b.Result.Reasons); diff != "" {
		t.Fatal(diff)
	}
	got, ok := c.State.Member("anna")
	if !ok || got.Key != key.Public() || got.Zone != "street" || got.Admitted != b.Header.First {
		t.Errorf("got %+v, %v", got, ok)
	}
	if k, ok := c.State.PublicKey(key.Public().ID()); !ok || k != key.Public() {
		t.Errorf("the member's key is not known: %v", ok)
	}
	loaded, err := state.Load(c.Charter, records(c.State.Export()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.State.Export(), loaded.Export()); diff != "" {
		t.Errorf("loaded it is another:\n%s", diff)
	}
}

func TestMemberIsRefused(t *testing.T) {
	key := ledgertest.Key(t, signer.ES256, "ben")
	for _, tt := range []struct {
		name   string
		change func(*entry.MemberRequest)
		want   entry.Reason
	}{
		{"a point that is not enrolled", func(r *entry.MemberRequest) { r.Connections[0].Subject = "p-home9" }, entry.ReasonUnknownPoint},
		{"a channel that is not there", func(r *entry.MemberRequest) { r.Connections[0].Import = "import" }, entry.ReasonUnknownChannel},
		{"a gauge", func(r *entry.MemberRequest) { r.Connections[0].Import = "power" }, entry.ReasonUnknownChannel},
		{"an id that has a key", func(r *entry.MemberRequest) { r.Connections[0].Subject = "p-home2" }, entry.ReasonAlreadyKnown},
		{"another's metering point", func(r *entry.MemberRequest) { r.Member = "ben" }, entry.ReasonAlreadyKnown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 4).Draw("+home1 +home2")
			c.Append(admission(t, c, 0, anna(), ledgertest.Key(t, signer.EdDSA, "anna")))
			r := anna()
			tt.change(&r)
			b := c.Append(admission(t, c, 1, r, key))
			if diff := cmp.Diff([]entry.Reason{tt.want}, b.Result.Reasons); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a gateway admits nobody", func(t *testing.T) {
		c := ledgertest.New(t, 4).Draw("+home1")
		s := c.Stated(0, entry.TypeMember, []byte{0xa0})
		s.Key = c.GatewayKey("home1")
		b := c.Append(c.Deliver(s.Sign(t)))
		if diff := cmp.Diff([]entry.Reason{entry.ReasonNotAuthorised}, b.Result.Reasons); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a request for another ledger", func(t *testing.T) {
		c := ledgertest.New(t, 4).Draw("+home1")
		r, err := request.SignMember(key, anna(), "elsewhere", ledgertest.Start/1000)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := (&entry.Member{Request: r}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		b := c.Append(c.Deliver(c.Stated(0, entry.TypeMember, payload).Sign(t)))
		if diff := cmp.Diff([]entry.Reason{entry.ReasonWrongLedger}, b.Result.Reasons); diff != "" {
			t.Error(diff)
		}
	})
}

// TestMemberMovesIn has the key of a home's member end by itself, and another member
// take over its metering point, which takes as many oracles as change a rule.
func TestMemberMovesIn(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1")
	first, second := ledgertest.Key(t, signer.EdDSA, "anna"), ledgertest.Key(t, signer.ES256, "ben")
	c.Append(admission(t, c, 0, anna(), first))
	id := first.Public().ID()
	end := c.Ending(0, id)
	end.Key, end.Claims.Issuer = first, "urn:wattmark:member:anna"
	c.Append(c.Deliver(end.Sign(t)))
	if m, _ := c.State.Member("anna"); m.Revoked == 0 {
		t.Fatal("the key did not end")
	}
	r := anna()
	r.Member = "ben"
	for i := range 3 {
		b := c.Append(admission(t, c, i, r, second))
		if diff := cmp.Diff([]entry.Reason{""}, b.Result.Reasons); diff != "" {
			t.Fatal(diff)
		}
		if _, ok := c.State.Member("ben"); ok != (i == 2) {
			t.Errorf("after %d of 3 oracles: admitted %v", i+1, ok)
		}
	}
	if m, _ := c.State.Member("anna"); len(m.Connections) != 0 {
		t.Errorf("anna still has %v", m.Connections)
	}
	o, err := entry.ParseOutcome(c.Last().Result.Leaves[1])
	if err != nil || o.Code != entry.AdoptedMember || o.Detail != "ben" {
		t.Errorf("outcome %+v, %v", o, err)
	}
}
