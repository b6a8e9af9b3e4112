package dashboard_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wattmark/oracle/dashboard"
)

// streamsOf says to this binary, run again by BenchmarkStreams, which server to read from.
const streamsOf = "WATTMARK_TEST_STREAMS_OF"

// heldStreams is how many clients one page server is to hold.
const heldStreams = 1000

// BenchmarkStreams holds a thousand browsers' streams while the street's figures move each
// second, and reports what part of one core that takes. The readers are another process.
func BenchmarkStreams(b *testing.B) {
	if url := os.Getenv(streamsOf); url != "" {
		readStreams(b, url)
		return
	}
	s := lively()
	d := dashboard.New(s, dashboard.Options{})
	server := newPageServer(b, d)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	readers := exec.Command(self, "-test.run=^$", "-test.bench=^BenchmarkStreams$", "-test.benchtime=1x")
	readers.Env = append(os.Environ(), streamsOf+"="+server)
	in, err := readers.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := readers.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	readers.Stderr = os.Stderr
	if err := readers.Start(); err != nil {
		b.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); d.Stats().Clients < heldStreams; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			b.Fatalf("%d streams after 30 s", d.Stats().Clients)
		}
	}
	tick := d.Ticks()
	seconds := 0
	for b.Loop() {
		before, began := processorTime(b), time.Now()
		for range 5 {
			s.set(func(v *dashboard.View) { v.At = v.At.Add(time.Minute); v.Homes[0].GridW += 100 })
			d.Block(dashboard.Block{Height: uint64(1000 + seconds), Time: time.Now(), Size: 1})
			tick(true)
			time.Sleep(500 * time.Millisecond)
			tick(false)
			time.Sleep(500 * time.Millisecond)
			seconds++
		}
		b.ReportMetric(100*(processorTime(b)-before).Seconds()/time.Since(began).Seconds(), "%core")
	}
	if n := d.Stats(); n.Clients < heldStreams || n.Dropped > 0 {
		b.Errorf("%d streams are left, %d were dropped", n.Clients, n.Dropped)
	}
	in.Close()
	said, err := io.ReadAll(out)
	if err != nil {
		b.Fatal(err)
	}
	if err := readers.Wait(); err != nil {
		b.Fatalf("%v: %s", err, said)
	}
	var events, clients int
	for line := range strings.Lines(string(said)) {
		fmt.Sscanf(line, "read %d events on %d streams", &events, &clients)
	}
	if clients != heldStreams || events < heldStreams*seconds {
		b.Errorf("%d events came on %d streams in %d s", events, clients, seconds)
	}
	b.ReportMetric(float64(events)/float64(seconds), "events/s")
}

// readStreams is the other process: browsers that read until its input ends, every other one in
// German.
func readStreams(b *testing.B, address string) {
	var events atomic.Int64
	var all sync.WaitGroup
	var conns []net.Conn
	for n := range heldStreams {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "GET /events?topics=power,block HTTP/1.1\r\nHost: %s\r\nAccept-Language: %s\r\n\r\n", address, []string{"en", "de"}[n%2])
		all.Go(func() {
			r := bufio.NewReaderSize(c, 4096)
			for {
				line, err := r.ReadSlice('\n')
				if err != nil && err != bufio.ErrBufferFull {
					return
				}
				if strings.HasPrefix(string(line), "event: ") {
					events.Add(1)
				}
			}
		})
	}
	io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		c.Close()
	}
	all.Wait()
	fmt.Printf("read %d events on %d streams\n", events.Load(), len(conns))
	for b.Loop() {
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// newPageServer serves a dashboard on the loopback, and returns its address.
func newPageServer(b *testing.B, d *dashboard.Dashboard) string {
	server := httptest.NewServer(d.Handler())
	b.Cleanup(func() { d.Hub().Close(); server.Close() })
	return server.Listener.Addr().String()
}
