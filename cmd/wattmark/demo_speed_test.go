package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wattmark/oracle/oracletest"
)

// TestDemoSpeed has a street go at other speeds while its readings flow: nothing is refused
// for it, blocks still become final, and a street that is killed then goes on.
func TestDemoSpeed(t *testing.T) {
	t.Parallel() // a demonstration waits more than it computes
	s := &street{buildBinary(t), filepath.Join(t.TempDir(), "street")}
	address := fmt.Sprintf("127.0.0.1:%d", oracletest.FreePort(t))
	base := "http://" + address + "/"
	asked := func(path string) string {
		a, err := http.Get(base + path)
		if err != nil {
			return "" // it is not up yet
		}
		defer a.Body.Close()
		b, _ := io.ReadAll(a.Body)
		return string(b)
	}
	start := func() *process {
		p := s.start(t, "demo", "--json", "--dir", s.dir, "--gateways", "2", "--http", address)
		await(t, "a form for the speed", func() bool { return strings.Contains(asked(""), `<option value="60" selected>×60 now</option>`) })
		await(t, "a reading", func() bool { return strings.Contains(asked(""), "home-02") })
		return p
	}
	goAt := func(speed int) {
		t.Helper()
		status, page := pressed(t, base, "speed", fmt.Sprint(speed))
		if status != http.StatusOK {
			t.Fatalf("going at %d: status %d\n%.2000s", speed, status, page)
		}
		if at := s.clock(t); at.Speed != speed {
			t.Errorf("street.json has the speed %d, want %d", at.Speed, speed)
		}
	}
	checkpoint := func() string { return asked("checkpoint") }

	p := start()
	goAt(1)   // no pack is full for a minute
	goAt(240) // the oracles vote, with no readings to make a block
	for _, speed := range []int{240, 15, 60} {
		goAt(speed)
		for range 3 {
			was := checkpoint()
			await(t, fmt.Sprintf("a block that becomes final at %d", speed), func() bool { is := checkpoint(); return is != "" && is != was })
		}
	}
	if status, _ := pressed(t, base, "speed", "61"); status != http.StatusUnprocessableEntity {
		t.Errorf("a speed that is not offered: status %d", status)
	}
	p.cmd.Process.Signal(os.Interrupt)
	checkKept(t, parseCounted(t, p.wait(t)))

	p = start()
	goAt(240)
	was := s.clock(t)
	await(t, "receipts at 240", func() bool { return s.newestBoot(t, "home-01") >= 2 })
	p.cmd.Process.Signal(syscall.SIGKILL)
	p.cmd.Wait()
	gone := time.Since(was.Wall)
	checkKept(t, s.demo(t, "--duration", "8s", "--http", "off"))
	if at, least := s.clock(t), was.Street.Add(240*gone); at.Speed != 60 || at.Street.Before(least) {
		t.Errorf("started again at speed %d it was %s, want no time before %s", at.Speed, at.Street, least)
	}
	if o := s.run(t, "ledger", "audit", s.dir); o.code != 0 {
		t.Errorf("ledger audit: %s%s", o.stdout, o.stderr)
	}
}

// checkKept wants nothing lost, and nothing refused but what the tour has forged.
func checkKept(t *testing.T, c counted) {
	t.Helper()
	reasons := slices.DeleteFunc(slices.Collect(maps.Keys(c.Refused)), func(r string) bool { return r == "bad_signature" })
	if *c.Lost != 0 || *c.Acknowledged == 0 || len(reasons) > 0 {
		t.Errorf("%d are lost, of %d signed %d have receipts, refused are %v", *c.Lost, *c.Signed, *c.Acknowledged, c.Refused)
	}
}

// clock is the base of the street's clock, as it is kept.
func (s *street) clock(t *testing.T) (c struct {
	Wall, Street time.Time
	Speed        int
}) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "street.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
