package jetstream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"wattmark/oracle/broker"
	"wattmark/oracle/orderer/jetstream"
)

// BenchmarkSubmit measures durable submits over the in-process connection, synced on every message. One operation is one statement of
// 1 KB; latency_us is what one submit of a bundle takes when nothing else is under way.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name             string
		bundle, inFlight int
	}{
		{"Single/InFlight1", 1, 1},
		{"Single/InFlight64", 1, 64},
		{"Bundle64/InFlight1", 64, 1},
		{"Bundle64/InFlight16", 64, 16},
		{"Bundle512/InFlight4", 512, 4},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkSubmit(b, c.bundle, c.inFlight) })
	}
}

func benchmarkSubmit(b *testing.B, bundle, inFlight int) {
	o := inProcess(b)
	ctx := context.Background()
	bundles := (b.N + bundle - 1) / bundle
	work := make(chan uint64, bundles)
	for i := range bundles {
		work <- uint64(i)
	}
	close(work)
	b.SetBytes(1024)
	b.ResetTimer()
	start := time.Now()
	errs := make(chan error, inFlight)
	for range inFlight {
		go func() {
			msg := make([]byte, bundle*1024)
			for i := range work {
				binary.BigEndian.PutUint64(msg, i)
				if err := o.Submit(ctx, msg); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range inFlight {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start)
	b.ReportMetric(float64(bundles*bundle)/took.Seconds(), "statements/s")
	if inFlight == 1 {
		b.ReportMetric(float64(took.Microseconds())/float64(bundles), "latency_us")
	}
}

// BenchmarkDeliver measures reading the order back, in bundles of 64 statements of 1 KB; one operation is one bundle.
func BenchmarkDeliver(b *testing.B) {
	o := inProcess(b)
	msg := make([]byte, 64*1024)
	for i := range b.N {
		binary.BigEndian.PutUint64(msg, uint64(i))
		if err := o.Submit(context.Background(), msg); err != nil {
			b.Fatal(err)
		}
	}
	enough := errors.New("enough")
	b.SetBytes(int64(len(msg)))
	b.ResetTimer()
	n := 0
	err := o.Deliver(context.Background(), 1, func(_ uint64, msgs [][]byte) error {
		if n += len(msgs); n >= b.N {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		b.Fatal(err)
	}
}

func inProcess(b *testing.B) *jetstream.Orderer {
	b.Helper()
	br, err := broker.Start(broker.Config{StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { br.Close() })
	nc, err := br.Conn()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	o, err := jetstream.Open(context.Background(), nc, jetstream.Config{Ledger: ledger})
	if err != nil {
		b.Fatal(err)
	}
	return o
}
