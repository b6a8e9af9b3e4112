package jetstream_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/orderer"
	"wattmark/oracle/orderer/jetstream"
)

func streamConfig(t *testing.T, s *service, name string) natsjs.StreamConfig {
	t.Helper()
	nc, _ := s.connect(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config
}

func TestOrderStream(t *testing.T) {
	s := newService(t)
	s.open(t)
	got := streamConfig(t, s, "ORDER-"+ledger)
	want := natsjs.StreamConfig{
		Name: "ORDER-" + ledger, Description: got.Description, Subjects: []string{"order." + ledger},
		Storage: natsjs.FileStorage, Retention: natsjs.LimitsPolicy, Discard: natsjs.DiscardOld, Replicas: 1,
		MaxAge: 30 * 24 * time.Hour, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1, MaxMsgSize: 1 << 20,
		Duplicates: 2 * time.Minute, DenyDelete: true, DenyPurge: true, Metadata: got.Metadata,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order's stream (-want +got):\n%s", diff)
	}
}

// Nobody, oracles included, can take a message out of the order.
func TestOrderCannotBeCut(t *testing.T) {
	s := newService(t)
	o := s.open(t)
	if err := o.Submit(within(t), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	nc, _ := s.connect(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), "ORDER-"+ledger)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(within(t), 1); err == nil {
		t.Error("a message was deleted")
	}
	if err := stream.Purge(within(t)); err == nil {
		t.Error("the order was purged")
	}
	weaker := stream.CachedInfo().Config
	weaker.DenyDelete, weaker.DenyPurge = false, false
	if _, err := js.UpdateStream(within(t), weaker); err == nil {
		t.Error("the order was made deletable")
	}
	rollup := &nats.Msg{Subject: "order." + ledger, Data: []byte("x"), Header: nats.Header{natsjs.MsgRollup: {natsjs.MsgRollupAll}}}
	if _, err := js.PublishMsg(within(t), rollup); err == nil {
		t.Error("the order was rolled up")
	}
	if got, err := o.At(within(t), 1); err != nil || string(got) != "kept" {
		t.Errorf("message 1: got %q and error %v", got, err)
	}
}

// An id is only what its publisher says: bytes under another message's id must not swallow that message.
func TestSubmitIsNotSwallowedByATakenID(t *testing.T) {
	s := newService(t)
	o := s.open(t)
	nc, _ := s.connect(t)
	sum := sha256.Sum256([]byte("honest"))
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	liar := &nats.Msg{Subject: "order." + ledger, Data: []byte("junk"), Header: nats.Header{natsjs.MsgIDHeader: {hex.EncodeToString(sum[:])}}}
	if _, err := js.PublishMsg(within(t), liar); err != nil {
		t.Fatal(err)
	}
	if err := o.Submit(within(t), []byte("honest")); err != nil {
		t.Fatal(err)
	}
	var got []string
	enough := errors.New("enough")
	err = o.Deliver(within(t), 1, func(_ uint64, msgs [][]byte) error {
		for _, m := range msgs {
			got = append(got, string(m))
		}
		if len(got) == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"junk", "honest"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestOpenRefusesAStreamThatPromisesLess(t *testing.T) {
	s := newService(t)
	nc, _ := s.connect(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(within(t), natsjs.StreamConfig{Name: "ORDER-" + ledger, Subjects: []string{"order." + ledger}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jetstream.Open(within(t), nc, config()); !errors.Is(err, jetstream.ErrSettings) || !strings.Contains(err.Error(), "deny_delete") {
		t.Errorf("got error %v, want ErrSettings that names deny_delete", err)
	}
}

// An order whose beginning was trimmed by age looks like one that begins late.
func TestTrimmedOrder(t *testing.T) {
	s := newService(t)
	s.open(t)
	late := streamConfig(t, s, "ORDER-"+ledger)
	s.replace(t)
	nc, _ := s.connect(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	late.FirstSeq = 10
	if _, err := js.CreateStream(within(t), late); err != nil {
		t.Fatal(err)
	}
	o := s.open(t)
	if first, last, err := o.Bounds(within(t)); first != 10 || last != 9 || err != nil {
		t.Errorf("bounds: got %d and %d and error %v, want 10 and 9", first, last, err)
	}
	if err := o.Submit(within(t), []byte("tenth")); err != nil {
		t.Fatal(err)
	}
	if first, last, err := o.Bounds(within(t)); first != 10 || last != 10 || err != nil {
		t.Errorf("bounds: got %d and %d and error %v, want 10 and 10", first, last, err)
	}
	if _, err := o.At(within(t), 9); !errors.Is(err, orderer.ErrTrimmed) {
		t.Errorf("sequence 9: got error %v, want ErrTrimmed", err)
	}
	err = o.Deliver(within(t), 9, func(uint64, [][]byte) error { return nil })
	if !errors.Is(err, orderer.ErrTrimmed) {
		t.Errorf("delivering from 9: got error %v, want ErrTrimmed", err)
	}
}

// Whoever has every right on the broker can delete the order. Those who follow it say
// so, and do not wait for it for ever.
func TestOrderDeleted(t *testing.T) {
	s := newService(t)
	o := s.open(t)
	if err := o.Submit(within(t), []byte("one")); err != nil {
		t.Fatal(err)
	}
	js, err := natsjs.New(s.conns[o])
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t)
	err = o.Deliver(ctx, 1, func(uint64, [][]byte) error { return js.DeleteStream(ctx, "ORDER-"+ledger) })
	if !errors.Is(err, orderer.ErrDiverged) {
		t.Errorf("delivering an order that was deleted ended with %v, want %v", err, orderer.ErrDiverged)
	}
}

func TestOpenRefusesBadConfiguration(t *testing.T) {
	s := newService(t)
	nc, _ := s.connect(t)
	for _, c := range []jetstream.Config{
		{},
		{Ledger: "a.b"},
		{Ledger: "a b"},
		{Ledger: strings.Repeat("x", 65)},
		{Ledger: "a", Replicas: 2},
		{Ledger: "a", Replicas: -1},
		{Ledger: "a", MaxAge: time.Second},
		{Ledger: "a", AckWait: -1},
		{Ledger: "a", AckWait: time.Hour},
	} {
		if _, err := jetstream.Open(within(t), nc, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// The order within the process, as the daemon uses it by default.
func TestOrderWithinTheProcess(t *testing.T) {
	s := newService(t)
	nc, err := s.broker.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	o, err := jetstream.Open(within(t), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Submit(within(t), []byte("m")); err != nil {
		t.Fatal(err)
	}
	if got, err := o.At(within(t), 1); err != nil || string(got) != "m" {
		t.Errorf("message 1: got %q and error %v", got, err)
	}
}
