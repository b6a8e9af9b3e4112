package main_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/veraison/go-cose"

	"wattmark/oracle/oracletest"
)

// patience is how long a test waits for what has to happen.
const patience = 60 * time.Second

// street is a demonstration's directory and the binary that it is run with.
type street struct{ binary, dir string }

// outcome is how a run of the binary ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// process is a run of the binary that has not been waited for.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

// buildBinary builds the command as it ships.
func buildBinary(t *testing.T) string {
	t.Helper()
	name, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// built builds the command once, without the race detector: tests of a whole process look at
// what people run.
var built = sync.OnceValues(func() (string, error) {
	name := filepath.Join(os.Getenv("WATTMARK_TEST_BUILT"), "wattmark")
	c := exec.Command("go", "build", "-o", name, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return name, nil
})

func (s *street) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), s.binary, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait returns how the process ended, and ends it where patience is over.
func (p *process) wait(t *testing.T) outcome {
	t.Helper()
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

func (s *street) run(t *testing.T, args ...string) outcome {
	t.Helper()
	return s.start(t, args...).wait(t)
}

// demo runs a demonstration to its end and returns what it says.
func (s *street) demo(t *testing.T, args ...string) counted {
	t.Helper()
	return parseCounted(t, s.run(t, append([]string{"demo", "--json", "--dir", s.dir}, args...)...))
}

// counted is the line that the demonstration prints with --json.
type counted struct {
	Signed, Acknowledged *uint64
	Refused              map[string]uint64
	Blocks, Leaves       *uint64
	Lost                 *uint64
	FirstFinalMS         *int64 `json:"first_final_ms"`
}

func parseCounted(t *testing.T, o outcome) counted {
	t.Helper()
	if o.code != 0 || o.stderr != "" {
		t.Fatalf("the demonstration ended with status %d and said %q", o.code, o.stderr)
	}
	var c counted
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || strings.Count(o.stdout, "\n") != 1 || !strings.HasSuffix(o.stdout, "}\n") {
		t.Fatalf("got %q (%v), want one line of JSON", o.stdout, err)
	}
	if c.Signed == nil || c.Acknowledged == nil || c.Refused == nil || c.Blocks == nil || c.Leaves == nil || c.Lost == nil || c.FirstFinalMS == nil {
		t.Fatalf("a field is missing of %s", o.stdout)
	}
	if *c.Lost != 0 {
		t.Errorf("%d statements were lost, want 0", *c.Lost)
	}
	return c
}

// await polls until done says so.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		looked := time.Now()
		if done() {
			return
		}
		// What is waited for needs the processor more than who looks, and a look may run
		// the program over a whole ledger.
		pause := max(20*time.Millisecond, min(3*time.Since(looked), 3*time.Second))
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		select {
		case <-time.After(pause):
		case <-t.Context().Done():
			t.Fatalf("the test ended while it waited for %s", what)
		}
	}
}

// TestStableInterface runs the demonstration as a person does and holds what it
// leaves against what other programs were promised, with their means.
func TestStableInterface(t *testing.T) {
	t.Parallel() // a demonstration waits more than it computes
	binary := buildBinary(t)
	t.Run("street", func(t *testing.T) {
		t.Parallel()
		testStreet(t, &street{binary, filepath.Join(t.TempDir(), "street")})
	})
	t.Run("smallest", func(t *testing.T) {
		t.Parallel()
		testSmallest(t, &street{binary, filepath.Join(t.TempDir(), "street")})
	})
}

// watchMemory looks at a process's memory until it has ended, and then tells the most that was
// resident, in kB, where the system says so. What wait4 tells is no good: a child begins with
// the greatest size of the process that has started it.
func (p *process) watchMemory() (most func() (kB int64, ok bool)) {
	var high atomic.Int64
	go func() {
		status := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
		for ; ; time.Sleep(50 * time.Millisecond) {
			b, err := os.ReadFile(status)
			_, rest, ok := strings.Cut(string(b), "VmHWM:")
			if err != nil || !ok { // it has ended, or there is no /proc
				return
			}
			if fields := strings.Fields(rest); len(fields) > 0 {
				if kB, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
					high.Store(max(high.Load(), kB))
				}
			}
		}
	}()
	return func() (int64, bool) { return high.Load(), high.Load() > 0 }
}

func testStreet(t *testing.T, s *street) {
	address := fmt.Sprintf("127.0.0.1:%d", oracletest.FreePort(t))
	// Half an hour a second, so that gateways sign more statements than they have to keep.
	p := s.start(t, "demo", "--json", "--dir", s.dir, "--duration", "20s", "--speed", "1800", "--http", address)
	page := s.watchPage(t, "http://"+address+"/")
	s.watchReplaced(t)
	most := p.watchMemory()
	first := parseCounted(t, p.wait(t))
	if kB, ok := most(); ok {
		t.Logf("the demonstration took %d MB of memory at most", kB>>10)
		if kB>>10 > 300 {
			t.Error("that is more than 300 MB")
		}
	}
	if got := first.Refused["bad_signature"]; got != 1 {
		t.Errorf("refused %v, want one bad_signature", first.Refused)
	}
	if *first.Acknowledged > *first.Signed || *first.Acknowledged == 0 || *first.FirstFinalMS <= 0 {
		t.Errorf("%d acknowledged of %d signed, first final block after %d ms", *first.Acknowledged, *first.Signed, *first.FirstFinalMS)
	}

	o := s.outsider(t)
	if len(o.policy.logs) != 4 || len(o.policy.witness) != 4 || o.policy.need != 3 {
		t.Errorf("the policy has %d logs and a quorum of %d of %d witnesses, want 4 and 3 of 4", len(o.policy.logs), o.policy.need, len(o.policy.witness))
	}
	_, leaves, err := o.tiles(filepath.Join(s.dir, "tiles"))
	if err != nil {
		t.Fatalf("tiles: %v", err)
	}
	s.checkKeys(t, o)
	all := s.checkLog(t, o, leaves)
	s.checkReceipts(t, o, leaves, all)
	s.checkNames(t)
	s.checkPage(t, page, first)
	s.checkCommands(t, first)
	s.checkTerminal(t)

	second := s.goOn(t)
	if *second.Blocks <= *first.Blocks || *second.Leaves <= *first.Leaves {
		t.Errorf("the second run ended with %d blocks and %d leaves, the first with %d and %d", *second.Blocks, *second.Leaves, *first.Blocks, *first.Leaves)
	}
	s.checkWentOn(t, o, leaves)
}

// outsider reads policy and keys.
func (s *street) outsider(t *testing.T) *outsider {
	t.Helper()
	policy, err := parseTLogPolicy(s.read(t, "policy"))
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	keys, err := parseJWKS([]byte(s.read(t, "keys.jwks")))
	if err != nil {
		t.Fatalf("keys.jwks: %v", err)
	}
	return &outsider{policy, keys}
}

func (s *street) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// gateways returns the names of the gateways with receipts.
func (s *street) gateways(t *testing.T) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(s.dir, "receipts"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// checkKeys looks for the keys of everybody: gateways, and each oracle's three.
func (s *street) checkKeys(t *testing.T, o *outsider) {
	t.Helper()
	roles := map[string]int{}
	named := map[string]bool{}
	for _, k := range o.keys {
		roles[k.Role]++
		if k.Role == "gateway" {
			named[k.Name] = true
		}
	}
	gateways := s.gateways(t)
	if len(gateways) != 14 || roles["gateway"] != 14 || roles["oracle"] != 4 || roles["log"] != 4 || roles["cosigner"] != 4 {
		t.Errorf("keys.jwks has %v for %d gateways, want 14 of gateways, and 4 of each of an oracle's roles", roles, len(gateways))
	}
	for _, g := range gateways {
		if !named[g] {
			t.Errorf("keys.jwks has no key of %s", g)
		}
	}
	for kid := range o.policy.cosign {
		if _, ok := o.keys[kid]; !ok {
			t.Errorf("keys.jwks has no key %s, which cosigns", kid)
		}
	}
}

// number is the boot count and sequence number of a statement.
type number struct{ boot, seq uint64 }

func (n number) String() string { return fmt.Sprintf("%d-%d", n.boot, n.seq) }

// compare orders numbers as a gateway counts.
func (n number) compare(m number) int {
	return cmp.Or(cmp.Compare(n.boot, m.boot), cmp.Compare(n.seq, m.seq))
}

// checkLog verifies every statement of the log and returns the numbers of each
// gateway's readings in order.
func (s *street) checkLog(t *testing.T, o *outsider, leaves [][]byte) map[string][]number {
	t.Helper()
	readings := map[string]map[number]*statement{}
	open := map[cose.Algorithm]int{}
	for i, leaf := range leaves {
		if leaf[0] != 0xd2 {
			continue // a header, an outcome, or the charter
		}
		st, err := o.openStatement(leaf)
		if err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
		if len(st.receipts) > 0 || !bytes.Equal(st.leaf, leaf) {
			t.Errorf("leaf %d: the unprotected header of a logged statement is not empty", i)
		}
		if o.keys[st.kid].Role != "gateway" {
			continue
		}
		gateway := o.keys[st.kid].Name
		if readings[gateway] == nil {
			readings[gateway] = map[number]*statement{}
		}
		n := number{st.boot, st.seq}
		if readings[gateway][n] != nil || n.boot == 0 || n.seq == 0 {
			t.Errorf("leaf %d: the number %s of %s", i, n, gateway)
		}
		if st.quality != "simulated" || st.iss != "urn:wattmark:gateway:"+gateway {
			t.Errorf("leaf %d: issuer %q, time quality %v", i, st.iss, st.quality)
		}
		readings[gateway][n] = st
		if st.content == nil {
			if len(st.payload) != 32 {
				t.Errorf("leaf %d: a committed pack with a payload of %d bytes", i, len(st.payload))
			}
			continue
		}
		base, names, err := senML(st.payload)
		if st.content != "application/senml+cbor" || err != nil || base != st.sub+"/" {
			t.Errorf("leaf %d: content type %v, metering point %q, base name %q, records %q: %v", i, st.content, st.sub, base, names, err)
		}
		open[st.alg]++
	}
	if open[cose.AlgorithmEdDSA] == 0 || open[cose.AlgorithmES256] == 0 {
		t.Errorf("open packs by algorithm: %v, want both EdDSA and ES256", open)
	}
	all := map[string][]number{}
	for gateway, list := range readings {
		all[gateway] = slices.SortedFunc(maps.Keys(list), number.compare)
		var previous *statement
		for _, n := range all[gateway] {
			if err := follows(list[n], previous); err != nil {
				t.Errorf("%s %s: %v", gateway, n, err)
			}
			previous = list[n]
		}
	}
	return all
}

// follows checks claim -65538 of a statement, which names the identity of the one
// before.
func follows(st, previous *statement) error {
	if previous == nil {
		if st.previous != nil {
			return fmt.Errorf("the first statement names %x as the one before", st.previous)
		}
		return nil
	}
	if !bytes.Equal(st.previous, previous.identity) {
		return fmt.Errorf("it names %x as the statement before, which is %x", st.previous, previous.identity)
	}
	return nil
}

// checkReceipts verifies every file in receipts/, and that those of the 20 newest
// statements of each gateway are there.
func (s *street) checkReceipts(t *testing.T, o *outsider, leaves [][]byte, all map[string][]number) {
	t.Helper()
	most := 0
	for _, gateway := range s.gateways(t) {
		numbers := all[gateway]
		most = max(most, len(numbers))
		for _, n := range numbers[max(0, len(numbers)-20):] {
			if _, err := os.Stat(filepath.Join(s.dir, "receipts", gateway, n.String()+".cose")); err != nil {
				t.Errorf("of the newest statements of %s: %v", gateway, err)
			}
		}
		files, err := filepath.Glob(filepath.Join(s.dir, "receipts", gateway, "*.cose"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if err := checkReceipt(o, gateway, name, leaves); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if most <= 20 {
		t.Errorf("no gateway signed more than %d statements: too few to see whether 20 are kept", most)
	}
}

// checkReceipt verifies a transparent statement and the proof beside it.
func checkReceipt(o *outsider, gateway, name string, leaves [][]byte) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	st, index, err := o.transparent(b)
	if err != nil {
		return err
	}
	if o.keys[st.kid].Name != gateway || (number{st.boot, st.seq}).String()+".cose" != filepath.Base(name) {
		return fmt.Errorf("it is statement %d-%d of %s", st.boot, st.seq, o.keys[st.kid].Name)
	}
	if index >= uint64(len(leaves)) || !bytes.Equal(leaves[index], st.leaf) {
		return fmt.Errorf("leaf %d of the tiles is something else", index)
	}
	if b, err = os.ReadFile(strings.TrimSuffix(name, ".cose") + ".tlog-proof"); err != nil {
		return err
	}
	leaf, at, err := o.logProof(b)
	if err != nil {
		return fmt.Errorf("the proof beside it: %w", err)
	}
	if at != index || !bytes.Equal(leaf, st.leaf) {
		return fmt.Errorf("the proof beside it is of leaf %d, which is %x", at, leaf)
	}
	return nil
}

// published are the names that other programs may find.
var published = regexp.MustCompile(`^(policy|keys\.jwks|receipts/[a-z0-9-]+/\d+-\d+\.(cose|tlog-proof)|` +
	`tiles/checkpoint|tiles/tile/(\d|entries)/(x\d{3}/)*\d{3}(\.p/\d+)?)$`)

// checkNames looks for files that do not belong there, such as temporary ones.
func (s *street) checkNames(t *testing.T) {
	t.Helper()
	for _, name := range []string{"policy", "keys.jwks", "receipts", "tiles"} {
		err := filepath.WalkDir(filepath.Join(s.dir, name), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			rel, err := filepath.Rel(s.dir, path)
			if !published.MatchString(filepath.ToSlash(rel)) {
				t.Errorf("%s is no name that was promised", rel)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// watchReplaced watches a file that changes all the time: each version is whole and
// verifies, and is another file than the one before.
func (s *street) watchReplaced(t *testing.T) {
	t.Helper()
	name := filepath.Join(s.dir, "tiles", "checkpoint")
	await(t, "a checkpoint in tiles", func() bool { _, err := os.Stat(name); return err == nil })
	o := s.outsider(t)
	var before *os.File // held open, so that its place on the disk cannot be given away
	var text []byte
	size := uint64(0)
	for seen := 0; seen < 4; seen++ {
		var f *os.File
		var now []byte
		await(t, "a newer checkpoint in tiles", func() bool {
			var err error
			if f, err = os.Open(name); err != nil {
				t.Fatal(err)
			}
			if now, err = io.ReadAll(f); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(now, text) {
				f.Close()
				return false
			}
			return true
		})
		c, err := o.policy.checkpoint(now)
		if err != nil || c.Size < size {
			t.Errorf("after a checkpoint of %d leaves: %q: %v", size, now, err)
			return
		}
		if before != nil {
			old, err1 := before.Stat()
			new, err2 := f.Stat()
			if err := errors.Join(err1, err2, before.Close()); err != nil {
				t.Fatal(err)
			}
			if os.SameFile(old, new) {
				t.Errorf("%s was written in place", name)
			}
		}
		before, text, size = f, now, c.Size
	}
	before.Close()
}

// watchPage gets the page until it shows receipts, and then until it has changed.
func (s *street) watchPage(t *testing.T, url string) string {
	t.Helper()
	get := func() string {
		r, err := http.Get(url)
		if err != nil {
			return ""
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %v", url, r.Status, err)
		}
		if got := r.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
			t.Fatalf("%s has the content type %q", url, got)
		}
		return plain(string(b))
	}
	var page string
	await(t, "a page with receipts", func() bool { page = get(); return receiptOnPage.MatchString(page) })
	await(t, "the page to change", func() bool { return get() != page })
	return page
}

var (
	tags          = regexp.MustCompile(`(?s)<(script|style|svg).*?</(script|style|svg)>|<[^>]*>`)
	blockOnPage   = regexp.MustCompile(`Block (\d+) is final`)
	receiptOnPage = regexp.MustCompile(`((?:home|feeder|stack)-\d+) (\d+-\d+) (\d+) \d+ \d+ ms`) // gateway, statement, leaf, bytes, delay
)

// plain is what is left of a page without its tags.
func plain(html string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(html, " ")), " ")
}

// checkPage holds what the page showed against the ledger.
func (s *street) checkPage(t *testing.T, page string, c counted) {
	t.Helper()
	m := blockOnPage.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the page names no block: %s", page)
	}
	if height, err := strconv.ParseUint(m[1], 10, 64); err != nil || height >= *c.Blocks {
		t.Errorf("the page shows block %s of %d", m[1], *c.Blocks)
	}
	for _, m := range receiptOnPage.FindAllStringSubmatch(page, -1) {
		o := s.run(t, "ledger", "show", s.dir, "--leaf", m[3])
		if o.code != 0 || !strings.Contains(o.stdout, m[1]) || !strings.Contains(o.stdout, "sequence number: "+m[2]) {
			t.Errorf("the page shows a receipt of %s %s for leaf %s, which is\n%s%s", m[1], m[2], m[3], o.stdout, o.stderr)
		}
	}
}

// checkCommands runs the commands that the interface names on what was left.
func (s *street) checkCommands(t *testing.T, c counted) {
	t.Helper()
	blocks, leaves := uint64(0), uint64(0)
	for n := 1; n <= 4; n++ {
		o := s.run(t, "ledger", "audit", "--json", filepath.Join(s.dir, "oracles", strconv.Itoa(n)))
		var a struct{ Blocks, Leaves uint64 }
		if err := json.Unmarshal([]byte(o.stdout), &a); err != nil || o.code != 0 {
			t.Errorf("auditing oracle %d: status %d, %q, %q: %v", n, o.code, o.stdout, o.stderr, err)
		}
		blocks, leaves = max(blocks, a.Blocks), max(leaves, a.Leaves)
	}
	if blocks != *c.Blocks || leaves != *c.Leaves {
		t.Errorf("the ledger has %d blocks and %d leaves, the demonstration said %d and %d", blocks, leaves, *c.Blocks, *c.Leaves)
	}
	if o := s.run(t, "ledger", "audit", s.dir); o.code != 0 || !strings.Contains(o.stdout, "4 ledgers agree") {
		t.Errorf("auditing all: status %d, %q, %q", o.code, o.stdout, o.stderr)
	}
	if o := s.run(t, "ledger", "check", s.dir); o.code != 0 {
		t.Errorf("checking all: status %d, %q, %q", o.code, o.stdout, o.stderr)
	}
	var files []string
	for _, suffix := range []string{"*.cose", "*.tlog-proof"} {
		list, err := filepath.Glob(filepath.Join(s.dir, "receipts", "*", suffix))
		if err != nil || len(list) == 0 {
			t.Fatalf("%d files %s: %v", len(list), suffix, err)
		}
		files = append(files, list...)
	}
	o := s.run(t, append([]string{"verify", "--json", "--policy", filepath.Join(s.dir, "policy")}, files...)...)
	if o.code != 0 || strings.Count(o.stdout, "\n") != len(files) {
		t.Errorf("verifying %d files: status %d, %d lines, %q", len(files), o.code, strings.Count(o.stdout, "\n"), o.stderr)
	}
}

// checkTerminal runs what people read in a terminal of 80 columns: every line fits.
func (s *street) checkTerminal(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"verify", "--policy", filepath.Join(s.dir, "policy"), s.someFile(t, "feeder-01"), s.someFile(t, "home-01")},
		{"verify", s.someFile(t, "home-02")},
		{"ledger", "audit", s.dir}, {"ledger", "check", s.dir}, {"ledger", "show", s.dir}, {"ledger", "show", s.dir, "--block", "2"},
		{"ledger", "audit", filepath.Join(s.dir, "receipts")}, // holds no ledger
	} {
		screen, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), s.binary, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(s.dir), tty, tty
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tty.Close()
		shown, _ := io.ReadAll(screen) // ends with an error as the terminal does
		screen.Close()
		err = cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || len(shown) == 0 {
			t.Fatalf("wattmark %q: %v, %q", args, err, shown)
		}
		for line := range strings.Lines(string(shown)) {
			line = strings.TrimRight(line[strings.LastIndex(line, "\x1b[K")+1:], "\r\n")
			if len([]rune(line)) >= 80 && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("wattmark %q: a line of %d columns: %q", args, len([]rune(line)), line)
			}
		}
	}
}

// someFile returns the path of a transparent statement of a gateway.
func (s *street) someFile(t *testing.T, gateway string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "receipts", gateway, "*.cose"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no receipts: %v", gateway, err)
	}
	return files[len(files)-1]
}

// goOn starts the same street again, tries what is refused meanwhile, and
// interrupts it.
func (s *street) goOn(t *testing.T) counted {
	t.Helper()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.refused(t, "leave --seed out", "demo", "--json", "--dir", s.dir, "--http", "off", "--seed", "77")
	s.refused(t, "give another --http", "demo", "--json", "--dir", s.dir, "--http", taken.Addr().String())
	p := s.start(t, "demo", "--json", "--dir", s.dir, "--http", "off")
	await(t, "a receipt of each gateway in a later boot", func() bool {
		return !slices.ContainsFunc(s.gateways(t), func(g string) bool { return s.newestBoot(t, g) < 2 })
	})
	for _, verb := range []string{"audit", "check"} { // nobody has to stop an oracle to look at it
		if o := s.run(t, "ledger", verb, s.dir); o.code != 0 {
			t.Errorf("ledger %s of a running street: status %d, %s%s", verb, o.code, o.stdout, o.stderr)
		}
	}
	s.refused(t, "another --dir", "demo", "--json", "--dir", s.dir, "--http", "off")
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	o := p.wait(t)
	if took := time.Since(asked); took > 10*time.Second {
		t.Errorf("an interrupted demonstration ended after %v, want 10 s at most", took)
	}
	return parseCounted(t, o)
}

// refused runs the command and wants it to fail with a hint.
func (s *street) refused(t *testing.T, hint string, args ...string) {
	t.Helper()
	if o := s.run(t, args...); o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, hint) {
		t.Errorf("wattmark %s: got status %d, %q and %q, want 1 and the hint %q", strings.Join(args, " "), o.code, o.stdout, o.stderr, hint)
	}
}

// newestBoot returns the boot count of a gateway's newest receipt.
func (s *street) newestBoot(t *testing.T, gateway string) (boot int) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(s.dir, "receipts", gateway))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		b, _, _ := strings.Cut(e.Name(), "-")
		if n, err := strconv.Atoi(b); err == nil {
			boot = max(boot, n)
		}
	}
	return boot
}

// checkWentOn compares what the second run left with the first one's log.
func (s *street) checkWentOn(t *testing.T, first *outsider, before [][]byte) {
	t.Helper()
	o := s.outsider(t)
	if o.policy.origin != first.policy.origin || !maps.EqualFunc(o.keys, first.keys, func(a, b jsonKey) bool { return a.Name == b.Name && a.Role == b.Role }) {
		t.Error("the second run has another policy or other keys")
	}
	_, leaves, err := o.tiles(filepath.Join(s.dir, "tiles"))
	if err != nil {
		t.Fatalf("tiles: %v", err)
	}
	if len(leaves) <= len(before) || !slices.EqualFunc(leaves[:len(before)], before, bytes.Equal) {
		t.Fatalf("a log of %d leaves does not begin with the %d of the first run", len(leaves), len(before))
	}
	s.checkReceipts(t, o, leaves, s.checkLog(t, o, leaves))
	s.checkNames(t)
	if o := s.run(t, "ledger", "audit", s.dir); o.code != 0 {
		t.Errorf("auditing all: status %d, %q, %q", o.code, o.stdout, o.stderr)
	}
}

// testSmallest runs one home with one oracle.
func testSmallest(t *testing.T, s *street) {
	c := s.demo(t, "--oracles", "1", "--gateways", "1", "--duration", "4s", "--http", "off")
	if *c.Blocks < 2 || *c.Acknowledged == 0 {
		t.Errorf("got %d blocks and %d receipts", *c.Blocks, *c.Acknowledged)
	}
	o := s.outsider(t)
	if len(o.policy.witness) != 1 || o.policy.need != 1 {
		t.Errorf("a quorum of %d of %d", o.policy.need, len(o.policy.witness))
	}
	if got := s.gateways(t); !slices.Equal(got, []string{"feeder-01", "home-01", "stack-01"}) {
		t.Errorf("gateways %q", got)
	}
	if _, _, err := o.tiles(filepath.Join(s.dir, "tiles")); err != nil {
		t.Errorf("tiles: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "receipts", "*", "*.cose"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d receipts: %v", len(files), err)
	}
	for _, args := range [][]string{
		append([]string{"verify", "--policy", filepath.Join(s.dir, "policy")}, files...),
		{"ledger", "audit", s.dir},
		{"ledger", "check", s.dir},
	} {
		if o := s.run(t, args...); o.code != 0 {
			t.Errorf("wattmark %q: status %d\n%s%s", args, o.code, o.stdout, o.stderr)
		}
	}
	s.refused(t, "give --oracles 1", "demo", "--json", "--dir", s.dir, "--http", "off", "--oracles", "4")
	s.refused(t, "leave --gateways out", "demo", "--json", "--dir", s.dir, "--http", "off", "--gateways", "2")
}
