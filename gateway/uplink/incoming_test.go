//go:build unix

package uplink_test

import (
	"context"
	"syscall"
	"testing"

	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
)

// FuzzIncoming sends anything as a receipt and as a refusal to an uplink. What does
// not verify changes nothing; that each parser's result encodes to the same bytes is
// tested beside them, in oracle/wire.
func FuzzIncoming(f *testing.F) {
	l, b := newLedger(f), openBox(f, f.TempDir())
	s := b.add(f, 2)
	good := l.receipts(f, s[0]).Encode()
	f.Add(good[:len(good)-1])
	f.Add(l.refusal(f, 1, s[1], entry.Sequence{Boot: 1, Count: 2}, entry.ReasonWrongMode))
	f.Add(l.refusal(f, 1, s[0], entry.Sequence{Boot: 1, Count: 2}, entry.ReasonUnknownKey))
	f.Add([]byte{0xa0})
	air := &air{}
	heard := make(chan struct{})
	u, err := uplink.New(uplink.Config{
		Gateway: gatewayName, Origin: ledgertest.Origin, Policy: l.Policy, OracleKeys: l.keys(), Outbox: b.Outbox, Transport: air,
		OnReceipt: func(x uplink.Receipt) { heard <- struct{}{} },
	})
	if err != nil {
		f.Fatal(err)
	}
	runUplink(f, u)
	subjects := wire.For(ledgertest.Origin)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := wire.ParseReceipts(raw); err == nil {
			if _, err := r.Accept(l.Policy); err == nil {
				return // what an oracle signed
			}
		}
		air.answer(subjects.Receipt(gatewayName), raw)
		air.answer(subjects.Refusal(gatewayName), raw)
		// Answers are taken in order: what follows is taken after.
		next := b.add(t, 1)[0]
		air.answer(subjects.Receipt(gatewayName), l.receipts(t, next).Encode())
		<-heard
		if n := b.Stats().Pending; n != 2 {
			t.Fatalf("%d statements wait, want 2", n)
		}
		if n := len(b.Refusals()); n != 0 {
			t.Fatalf("%d statements are refused for good by one oracle", n)
		}
	})
}

// BenchmarkStatement carries statements through outbox and uplink, in batches of
// 64: appended, synced, published, answered, verified, marked. It reports the CPU
// that this costs a statement, without what gateway and oracles sign.
func BenchmarkStatement(b *testing.B) {
	const batch = 64
	l, box, air := newLedger(b), openBox(b, b.TempDir()), &air{took: make(chan struct{}, batch)}
	heard := make(chan struct{}, batch)
	u, err := uplink.New(uplink.Config{
		Gateway: gatewayName, Origin: ledgertest.Origin, Policy: l.Policy, OracleKeys: l.keys(), Outbox: box.Outbox, Transport: air,
		OnReceipt: func(uplink.Receipt) { heard <- struct{}{} },
	})
	if err != nil {
		b.Fatal(err)
	}
	runUplink(b, u)
	subject := wire.For(ledgertest.Origin).Receipt(gatewayName)
	var cpu int64
	round := func() {
		boot, seq, _, err := box.NextSeq()
		var statements [][]byte
		for i := range uint64(batch) {
			statements = append(statements, statement(b, box.key, boot, seq+i))
		}
		begin := cpuTime()
		for i, s := range statements {
			if i > 0 && err == nil {
				boot, seq, _, err = box.NextSeq()
			}
			if err == nil {
				err = box.Append(outbox.Record{Boot: boot, Seq: seq, Statement: s})
			}
		}
		if err == nil {
			err = box.Flush()
		}
		if err != nil {
			b.Fatal(err)
		}
		for range batch {
			<-air.took
		}
		cpu += cpuTime() - begin
		rs := l.receipts(b, statements...).Encode()
		begin = cpuTime()
		air.answer(subject, rs)
		for range batch {
			<-heard
		}
		cpu += cpuTime() - begin
	}
	n := 0
	for b.Loop() {
		if n++; n%batch == 1 {
			round()
		}
	}
	b.ReportMetric(float64(cpu)/float64((n+batch-1)/batch*batch), "cpu-ns/op")
}

// runUplink runs u until the test ends, and returns when it is connected.
func runUplink(t testing.TB, u *uplink.Uplink) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	until(t, "a connection", func() bool { return u.Stats().Connected })
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
