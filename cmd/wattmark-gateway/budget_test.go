package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// The budgets of a gateway, all upper bounds, at ten channels a second.
const (
	mostMemory  = 40 << 20         // resident, with 10,000 statements waiting
	mostCPU     = 0.02             // of one core of a Pi Zero 2
	mostWritten = 60 << 20         // to the SD card in a day, packs of 60 s
	mostProgram = 14 << 20         // stripped
	mostStart   = 3 * time.Second  // to the first signed pack
	mostDrain   = 5 * time.Minute  // for a backlog of seven days
	mostDelay   = time.Second      // of a live statement meanwhile
	slower      = 12               // a Pi Zero 2's core is so much slower than the bench's
	week        = 7 * 24 * 60      // packs of a minute
	waitingMost = 10_000           // statements, where memory is measured
	cpuFor      = 10 * time.Minute // unless BENCH_FOR says otherwise
)

// tenChannels are what the meter is asked for each second.
const tenChannels = `channels = ["active_energy_import", "active_energy_export", "active_power", "voltage_l1", "current_l1", "frequency", "power_factor", "apparent_power", "reactive_power", "active_energy_absolute"]`

// TestBudgets measures what a gateway may cost, and prints figures and
// ratios: make bench-gateway. It takes a quarter of an hour, so it is asked for.
func TestBudgets(t *testing.T) {
	if os.Getenv("WATTMARK_BENCH_GATEWAY") != "1" {
		t.Skip("WATTMARK_BENCH_GATEWAY=1 measures the budgets; it takes a quarter of an hour")
	}
	table := new(strings.Builder)
	w := tabwriter.NewWriter(table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\tat most\tratio")
	over := 0
	line := func(what, measured, most string, ratio float64) {
		if ratio > 1 {
			over++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\n", what, measured, most, ratio)
	}
	megabytes := func(n float64) string { return fmt.Sprintf("%.1f MB", n/(1<<20)) }

	program := stripped(t)
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	line("program, stripped", megabytes(float64(info.Size())), megabytes(mostProgram), float64(info.Size())/mostProgram)

	start := measureStart(t, program)
	line("start to first signed pack", start.Round(time.Millisecond).String(), mostStart.String(), start.Seconds()/mostStart.Seconds())

	memory, cpu := measureIdle(t, program)
	line("resident memory, 10,000 waiting", megabytes(float64(memory)), megabytes(mostMemory), float64(memory)/mostMemory)
	line(fmt.Sprintf("CPU, scaled by %d", slower), fmt.Sprintf("%.2f %%", 100*cpu*slower), "2 %", cpu*slower/mostCPU)

	calls := measureDay(t)
	line("written in a day, bytes + 4 kB a fsync", megabytes(calls), megabytes(mostWritten), calls/mostWritten)

	drain, delay := measureDrain(t)
	line("backlog of 7 days drained", drain.Round(time.Second).String(), mostDrain.String(), drain.Seconds()/mostDrain.Seconds())
	line("live statement meanwhile, receipt after", delay.Round(time.Millisecond).String(), mostDelay.String(), delay.Seconds()/mostDelay.Seconds())
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Print(table)
	if over > 0 {
		t.Errorf("%d budgets are exceeded", over)
	}
}

// stripped builds the program as it ships.
func stripped(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wattmark-gateway")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", program, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// benchSite is a site whose meter gives ten channels a second.
func benchSite(t *testing.T, packs string) *site {
	t.Helper()
	s := newSite(t, meter(t))
	text := strings.Replace(s.text(t), `model = "sdm120"`, `model = "sdm120"`+"\n"+tenChannels, 1)
	s.write(t, strings.Replace(text, `pack_max_age = "1s"`, `pack_max_age = "`+packs+`"`, 1))
	return s
}

// measureStart is how long it takes from exec to the first signed pack.
func measureStart(t *testing.T, program string) time.Duration {
	s := benchSite(t, "1s")
	begin := time.Now()
	d := s.start(t, program)
	d.status("a signed pack", func(s *console.Status) bool { return s.Key.Signed > 0 })
	took := time.Since(begin)
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	return took
}

// measureIdle is what a gateway takes whose broker is gone: memory at its most, and CPU
// as a share of a core here.
func measureIdle(t *testing.T, program string) (memory int64, cpu float64) {
	t.Setenv("GOMEMLIMIT", "32MiB")
	s := benchSite(t, "60s")
	s.write(t, brokerGone(s.text(t)))
	fill(t, s, waitingMost)
	d := s.startAlone(t, program)
	d.status("running", func(s *console.Status) bool { return s.Outbox.Pending >= waitingMost })
	pid := d.cmd.Process.Pid
	lasts := cpuFor
	if f, err := time.ParseDuration(os.Getenv("BENCH_FOR")); err == nil {
		lasts = f
	}
	before, begin := cpuOf(t, pid), time.Now()
	<-time.After(lasts)
	used, took := cpuOf(t, pid)-before, time.Since(begin)
	memory = highWater(t, pid)
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	return memory, used.Seconds() / took.Seconds()
}

// startAlone starts the program without a service manager: a watchdog that is fed five
// times a second, as the other tests have it, is not what is measured.
func (s *site) startAlone(t *testing.T, program string) *daemonProcess {
	t.Helper()
	d := &daemonProcess{t: t, cmd: exec.Command(program, "run", "--config", s.config), log: new(logBuffer)}
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.console = console.NewClient(filepath.Join(s.dir, "console.sock"))
	t.Cleanup(func() {
		d.console.Close()
		_ = d.cmd.Process.Kill() // unless it has ended
		_, _ = d.cmd.Process.Wait()
	})
	return d
}

// brokerGone points a configuration at a port where nobody listens.
func brokerGone(text string) string {
	var out []string
	for l := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(l, "broker = ") {
			l = `broker = "mqtts://127.0.0.1:1"`
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

// cpuOf is what the threads of a process have used: the first field of each schedstat,
// in nanoseconds (Documentation/scheduler/sched-stats.rst of the kernel). The ticks of
// /proc/PID/stat are too coarse for what sleeps nearly always.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		t.Skip("what the process uses is not told here")
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(b), &ns); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// highWater is the most memory that a process had resident (proc(5): VmHWM).
func highWater(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		var kb int64
		if n, _ := fmt.Sscanf(l, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmHWM in the process's status")
	return 0
}

// fill puts statements of ten channels into the outbox, a minute apart up to now.
func fill(t *testing.T, s *site, n int) {
	t.Helper()
	o := openBox(t, s.dir)
	for i := range n {
		appendReading(t, s, o, time.Now().Add(time.Duration(i-n)*time.Minute))
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

func openBox(t *testing.T, dir string) *outbox.Outbox {
	t.Helper()
	o, _, err := outbox.Open(outbox.Disk, filepath.Join(dir, "outbox"), outbox.Options{GatewayID: name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.RaiseBoot("a boot before"); err != nil {
		t.Fatal(err)
	}
	return o
}

// appendReading signs a committed pack as ten channels a second make it in a minute.
func appendReading(t *testing.T, s *site, o *outbox.Outbox, at time.Time) outbox.Number {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ms := at.UnixMilli()
	p := entry.Pack{Base: subject + "/"}
	for i, c := range strings.Split("active_energy_import active_energy_export active_energy_absolute active_power voltage_l1 current_l1 frequency power_factor apparent_power reactive_power", " ") {
		r := entry.Record{Name: p.Base + c, Unit: "Wh", Time: ms, Value: entry.Int(ms / 60_000)}
		p.Records = append(p.Records, r)
		for _, suffix := range []string{".min", ".max", ".count"} {
			if i >= 3 {
				r.Name, r.Value = p.Base+c+suffix, entry.Decimal{Mantissa: 2301, Exponent: -1}
				p.Records = append(p.Records, r)
			}
		}
	}
	payload, err := p.Encode()
	must(err)
	pre, err := (&entry.Committed{Salt: make([]byte, 32), Pack: payload}).Encode()
	must(err)
	boot, seq, skipped, err := o.NextSeq()
	must(err)
	c := entry.Claims{
		Issuer: "urn:wattmark:gateway:" + name, Subject: subject, Audience: origin, IssuedAt: at.Unix(),
		Sequence: entry.Sequence{Boot: boot, Count: seq}, Time: &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 10_000_000, Monotonic: seq},
	}
	if _, hash, ok := o.Last(); ok {
		c.Previous = hash[:]
	}
	if skipped != nil {
		c.Skipped = &entry.Range{First: skipped.First, Last: skipped.Last}
	}
	claims, err := c.Encode()
	must(err)
	digest := sha256.Sum256(pre)
	statement, err := signer.Sign(s.key, signer.Header{Type: entry.TypeReading, PreimageType: entry.ContentSalted, Claims: claims}, digest[:])
	must(err)
	must(o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: statement, Pack: pre}))
	return outbox.Number{Boot: boot, Seq: seq}
}

// measureDay writes what a day writes: a pack a minute, each made durable by itself,
// and receipts that are kept with the next.
func measureDay(t *testing.T) (bytes float64) {
	s := &site{dir: t.TempDir()}
	var err error
	if s.key, err = signer.Generate(signer.EdDSA); err != nil {
		t.Fatal(err)
	}
	o := openBox(t, s.dir)
	defer o.Close()
	receipt := make([]byte, 1200) // a quorum's signatures and a path
	day := func() {
		for i := range 24 * 60 {
			n := appendReading(t, s, o, time.Unix(1.7e9, 0).Add(time.Duration(i)*time.Minute))
			if err := o.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := o.Receipted(n.Boot, n.Seq, receipt); err != nil {
				t.Fatal(err)
			}
		}
	}
	day()
	before := o.Stats()
	day()
	after := o.Stats()
	return float64(after.BytesWritten-before.BytesWritten) + 4096*float64(after.Fsyncs-before.Fsyncs)
}

// measureDrain is how long a week's backlog takes to the oracle, and how long a live
// statement waits for its receipt meanwhile, at most.
func measureDrain(t *testing.T) (drain, delay time.Duration) {
	s := benchSite(t, "1s")
	fill(t, s, week)
	_, cfg, err := load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*mostDrain)
	defer cancel()
	var mu sync.Mutex // guards the variables below
	signed := make(map[outbox.Number]time.Time)
	left := week
	cfg.OnSigned = func(s gateway.Signed) {
		mu.Lock()
		defer mu.Unlock()
		signed[s.Number] = time.Now()
	}
	begin := time.Now()
	cfg.OnReceipt = func(r uplink.Receipt) {
		mu.Lock()
		defer mu.Unlock()
		if at, live := signed[r.Number]; live {
			if left > 0 {
				delay = max(delay, time.Since(at))
			}
			return
		}
		if left--; left == 0 {
			drain = time.Since(begin)
			cancel()
		}
	}
	g, _, err := gateway.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if left > 0 {
		t.Fatalf("%d of %d statements have no receipt after %s", left, week, 2*mostDrain)
	}
	return drain, delay
}
