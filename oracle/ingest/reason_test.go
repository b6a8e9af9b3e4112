package ingest_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// wrong is a frame that must be refused, and how.
type wrong struct {
	name    string
	gateway string
	frame   []byte
	want    wire.Refusal
}

// wrongs lists one frame for each thing that can be wrong with one.
func (in *intake) wrongs() (out []wrong) {
	in.t.Helper()
	// bytes that are no frame are answered by their own hash
	frame := func(name string, b []byte, reason entry.Reason) {
		out = append(out, wrong{name, "home-1", b, wire.Refusal{Leaf: block.LeafHash(b), Reason: reason}})
	}
	// others by their statement's
	raw := func(name string, statement []byte, reason entry.Reason) {
		out = append(out, wrong{name, "home-1", wire.Frame{Statement: statement}.Encode(), wire.Refusal{Leaf: block.LeafHash(statement), Reason: reason}})
	}
	// and where that can be read, with its number
	from := func(name, gateway string, reason entry.Reason, s *ledgertest.Statement, pack func([]byte) []byte) {
		statement, p := s.Sign(in.t)
		if pack != nil {
			p = pack(p)
		}
		out = append(out, wrong{name, gateway, wire.Frame{Statement: statement, Pack: p}.Encode(), wire.Refusal{
			Leaf: block.LeafHash(statement), Boot: s.Claims.Sequence.Boot, Count: s.Claims.Sequence.Count, Reason: reason,
		}})
	}
	signed := func(name string, reason entry.Reason, change func(*ledgertest.Statement)) {
		s := in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, ledgertest.Start))
		change(s)
		from(name, "home-1", reason, s, nil)
	}
	hidden := func() *ledgertest.Statement {
		return in.Reading("home-2", ledgertest.Record("home-2", "energy", 5, ledgertest.Start))
	}
	good, _ := in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, ledgertest.Start)).Sign(in.t)
	goodFrame := wire.Frame{Statement: good}.Encode()

	frame("nothing", []byte{}, entry.ReasonMalformed)
	frame("truncated frame", goodFrame[:len(goodFrame)-9], entry.ReasonMalformed)
	frame("frame of another version", append([]byte{9}, goodFrame[1:]...), entry.ReasonMalformed)
	frame("oversized frame", make([]byte, wire.MaxFrame+1), entry.ReasonTooLarge)
	frame("oversized statement", wire.Frame{Statement: make([]byte, signer.MaxMessage+1)}.Encode(), entry.ReasonTooLarge)
	frame("oversized pack", wire.Frame{Statement: good, Pack: make([]byte, wire.MaxPack+1)}.Encode(), entry.ReasonTooLarge)
	raw("no statement", nil, entry.ReasonMalformed)
	raw("truncated statement", good[:len(good)-1], entry.ReasonMalformed)
	raw("a byte too many", append(bytes.Clone(good), 0), entry.ReasonMalformed)
	raw("tagged COSE_Mac0", append([]byte{0xd1}, good[1:]...), entry.ReasonMalformed)
	raw("untagged", good[1:], entry.ReasonMalformed)
	receipt := block.Receipt{KeyID: in.Oracles[0].Cosigner.Public().ID(), Proof: block.Proof{Size: 1}, Signature: make([]byte, 64)}
	transparent, err := block.AttachReceipts(good, []block.Receipt{receipt})
	if err != nil {
		in.t.Fatal(err)
	}
	raw("unprotected header not empty", transparent, entry.ReasonMalformed)

	signed("unknown key", entry.ReasonUnknownKey, func(s *ledgertest.Statement) { s.Key = ledgertest.Key(in.t, signer.EdDSA, "unknown") })
	signed("an oracle's key", entry.ReasonUnknownKey, func(s *ledgertest.Statement) { s.Key = in.Oracles[0].Statement })
	from("revoked key", "old-1", entry.ReasonRevokedKey, in.Reading("old-1", ledgertest.Record("old-1", "energy", 5, ledgertest.Start)), nil)
	from("another gateway's connection", "home-2", entry.ReasonWrongGateway, in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, ledgertest.Start)), nil)
	s := in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, ledgertest.Start))
	statement, _ := s.Sign(in.t)
	statement[len(statement)-1] ^= 1
	out = append(out, wrong{"bad signature", "home-1", wire.Frame{Statement: statement}.Encode(), wire.Refusal{
		Leaf: block.LeafHash(statement), Boot: 1, Count: s.Claims.Sequence.Count, Reason: entry.ReasonBadSignature,
	}})

	signed("for another ledger", entry.ReasonWrongLedger, func(s *ledgertest.Statement) { s.Claims.Audience = "elsewhere.example/street" })
	signed("a type nobody knows", entry.ReasonWrongType, func(s *ledgertest.Statement) { s.Type = "application/vnd.example+cose" })
	signed("a refusal", entry.ReasonWrongType, func(s *ledgertest.Statement) { s.Type = entry.TypeRefusal })
	clock := entry.Clock{Height: in.State.Height(), Time: in.State.Time() + 1}
	signed("a gateway's clock", entry.ReasonNotAuthorised, func(s *ledgertest.Statement) {
		s.Type, s.Content, s.Payload = entry.TypeClock, entry.ContentCBOR, clock.Encode()
	})
	signed("no sequence number", entry.ReasonMalformed, func(s *ledgertest.Statement) { s.Claims.Sequence = entry.Sequence{} })
	signed("a number used for something else", entry.ReasonSequenceUsed, func(s *ledgertest.Statement) { s.Claims.Sequence = entry.Sequence{Boot: 1, Count: 1} })
	signed("future", entry.ReasonFuture, func(s *ledgertest.Statement) { s.Claims.IssuedAt = in.State.Time()/1000 + 121 })
	signed("a point that is not its own", entry.ReasonUnknownPoint, func(s *ledgertest.Statement) { s.Claims.Subject = ledgertest.Subject("home-2") })
	signed("hidden for an open point", entry.ReasonWrongMode, func(s *ledgertest.Statement) {
		in.SetPack(s, true, &entry.Pack{Base: s.Claims.Subject + "/", Records: []entry.Record{ledgertest.Record("home-1", "energy", 5, ledgertest.Start)}})
	})
	signed("no SenML", entry.ReasonBadPayload, func(s *ledgertest.Statement) { s.Payload = []byte("12.3 kWh") })
	signed("text instead of SenML", entry.ReasonBadPayload, func(s *ledgertest.Statement) { s.Content = "text/plain" })
	from("pack missing", "home-2", entry.ReasonPackMissing, hidden(), func([]byte) []byte { return nil })
	from("pack of another", "home-2", entry.ReasonPackMismatch, hidden(), func(p []byte) []byte { return append(bytes.Clone(p), 0) })
	return out
}

// Each reason by itself: a stated answer, a count, and nothing else.
func TestRefusals(t *testing.T) {
	in := open(t)
	_, used := in.reading("home-1") // sequence number 1-1
	in.log(used)
	wrongs := in.wrongs()
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		before := in.State.Export()
		counts := make(map[entry.Reason]uint64)
		for _, w := range wrongs {
			in.refusals = nil
			counts[w.want.Reason]++
			in.offer(w.gateway, w.frame)
			if diff := cmp.Diff([]refused{{w.gateway, w.want}}, in.refusals, cmp.AllowUnexported(refused{})); diff != "" {
				t.Errorf("%s: refusals (-want +got):\n%s", w.name, diff)
			}
			if diff := cmp.Diff(counts, in.Stats().Refused); diff != "" {
				t.Errorf("%s: counts of refusals (-want +got):\n%s", w.name, diff)
			}
		}
		if got := in.submitted(); len(got) > 0 || len(in.packs) > 0 || len(in.agains) > 0 {
			t.Errorf("%d statements were submitted, %d packs kept, %d answers given to what was refused", len(got), len(in.packs), len(in.agains))
		}
		if s := in.Stats(); s.Accepted+s.Duplicates+s.Dropped > 0 || s.InFlight > 0 || in.Held() > 0 {
			t.Errorf("got %+v, and %d bytes held, after refusals alone", s, in.Held())
		}
		if diff := cmp.Diff(before, in.State.Export()); diff != "" {
			t.Errorf("refusals changed the state (-before +after):\n%s", diff)
		}
		frame, statement := in.reading("home-1")
		in.offer("home-1", frame)
		if diff := cmp.Diff([][]byte{statement}, in.submitted()); diff != "" {
			t.Errorf("submitted after all that (-want +got):\n%s", diff)
		}
	})
}

// A reading that is late, even by years, is taken: the rules flag it. So is one
// whose clock is ahead by what is allowed.
func TestLateIsTaken(t *testing.T) {
	in := open(t)
	var frames, want [][]byte
	for _, seconds := range []int64{-25 * 3600, -20 * 365 * 86400, 120} {
		s := in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, in.State.Time()+1000*seconds))
		s.Claims.IssuedAt = in.State.Time()/1000 + seconds
		frame, statement := in.frame(s)
		frames, want = append(frames, frame), append(want, statement)
	}
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", frames...)
		if diff := cmp.Diff(want, in.submitted()); diff != "" {
			t.Errorf("submitted (-want +got):\n%s", diff)
		}
		if len(in.refusals) > 0 {
			t.Errorf("refused: %+v", in.refusals)
		}
	})
}

// A key may leave 4095 holes in one boot. Then only what touches a range goes.
func TestTooManyHoles(t *testing.T) {
	in := open(t)
	messages := in.Clocks(60_000)
	sign := func(count uint64) []byte {
		s := in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, ledgertest.Start))
		s.Claims.Sequence.Count = count
		b, _ := s.Sign(t)
		return b
	}
	for i := range uint64(4096) {
		messages = append(messages, in.Deliver(sign(1+2*i), nil))
	}
	in.KeepExports(false)
	in.Append(messages...)
	hole, next := sign(9000), sign(8192)
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", wire.Frame{Statement: hole}.Encode(), wire.Frame{Statement: next}.Encode())
		want := []refused{{"home-1", wire.Refusal{Leaf: block.LeafHash(hole), Boot: 1, Count: 9000, Reason: entry.ReasonTooManyHoles}}}
		if diff := cmp.Diff(want, in.refusals, cmp.AllowUnexported(refused{})); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([][]byte{next}, in.submitted()); diff != "" {
			t.Errorf("submitted (-want +got):\n%s", diff)
		}
	})
}

// Wrong signatures in a batch cost their senders a refusal, and nobody else
// anything.
func TestBadSignaturesAreIsolated(t *testing.T) {
	in := open(t)
	var frames, want [][]byte
	var refusals []refused
	for i := range 300 {
		gateway := []string{"home-1", "home-2"}[i%2]
		frame, statement := in.reading(gateway)
		if i%71 == 5 {
			statement[len(statement)-40] ^= 4
			refusals = append(refusals, refused{gateway, wire.Refusal{Leaf: block.LeafHash(statement), Boot: 1, Count: uint64(i/2 + 1), Reason: entry.ReasonBadSignature}})
			f, err := wire.ParseFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			frame = wire.Frame{Statement: statement, Pack: f.Pack}.Encode()
		} else {
			want = append(want, statement)
		}
		frames = append(frames, frame)
	}
	synctest.Test(t, func(t *testing.T) {
		in.prepare()
		for i, f := range frames { // before it runs: they make one batch
			if !in.Offer([]string{"home-1", "home-2"}[i%2], f) {
				t.Fatal("the queue is full")
			}
		}
		defer in.run()()
		synctest.Wait()
		if diff := cmp.Diff(want, in.submitted()); diff != "" {
			t.Errorf("submitted (-want +got):\n%s", diff)
		}
		if len(refusals) != 5 {
			t.Fatalf("%d wrong signatures in the batch, want 5", len(refusals))
		}
		if diff := cmp.Diff(refusals, in.refusals, cmp.AllowUnexported(refused{})); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	})
}
