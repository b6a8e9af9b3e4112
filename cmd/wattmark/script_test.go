package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// TestScripts runs the command as a person types it: testdata/*.txt. Each script
// begins in a directory of its own with a copy of what holds makes, and $ORACLE answers with
// the ledger of its street.
func TestScripts(t *testing.T) {
	ours := t.TempDir()
	holds(t, ours)
	oracle := answering(t, ledgertest.New(t, 4).Draw(drawn))
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ORACLE", oracle)
			return os.CopyFS(e.WorkDir, os.DirFS(ours))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "flip": flip, "replace": replace, "size": size, "edges": edges,
		},
		RequireExplicitExec: true,
	})
}

// The leaves of the drawn ledger that scripts name.
//
//	0  charter          1  header
//	2  four clocks      6  +home1, +home2 (committed), +stack (ES256)    9  header
//	10 four clocks      14 home1=1000  15 home2=500  16 stack=7  17 home1/power
//	                    18 flagged: 17 is out of range  19 refused: home1 ahead of time  20 header
//	21 four clocks      25 -home1  26 home2=510  27 header
const drawn = `
	+home1 +home2:committed +stack:es256
	home1=1000 home2=500 stack=7 home1/power=99999999999 home1@300=1001
	-home1 home2=510
`

// holds writes what a verifier holds, and what an operator has:
//
//	street/  laid out as a demonstration's directory: policy, keys.jwks,
//	         oracles/1…4, and receipts/<gateway>/
//	fork/    oracles/1 and 2 with two histories, each signed by a quorum
//	torn/    a store whose last write was cut off by a crash
//	changed/ a store whose leaves somebody wrote again with a reading changed
//	few.*    a statement, a proof and evidence with two of the three signatures wanted
//	bare.cose  a statement as it was logged; none.cose  the same with an empty
//	           list of receipts in label 394
//	others   the policy of other oracles under the ledger's origin; elsewhere the
//	         one of another ledger
//	keys/    a copy of keys.jwks and no policy
func holds(t *testing.T, dir string) {
	c := ledgertest.New(t, 4).Draw(drawn)
	street := filepath.Join(dir, "street")
	for i := range c.Oracles {
		c.Save(filepath.Join(street, "oracles", strconv.Itoa(i+1)))
	}
	write(t, filepath.Join(street, "policy"), []byte(c.Policy.String()))
	keys := c.KnownKeys()
	for _, g := range []string{"home1", "home2", "stack"} {
		keys = append(keys, audit.KnownKey{Public: c.GatewayKey(g).Public(), Name: g, Role: audit.RoleGateway})
	}
	set, err := audit.EncodeKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(street, "keys.jwks"), set)
	write(t, filepath.Join(dir, "keys", "keys.jwks"), set)
	for leaf, name := range map[uint64]string{14: "home1/1-1", 15: "home2/1-1", 16: "stack/1-1"} {
		write(t, filepath.Join(street, "receipts", name+".cose"), c.Transparent(leaf))
		write(t, filepath.Join(street, "receipts", name+".tlog-proof"), c.LogProof(leaf))
	}
	write(t, filepath.Join(dir, "few.cose"), c.Transparent(14, 0, 1))
	write(t, filepath.Join(dir, "few.tlog-proof"), c.LogProof(14, 0, 1))
	bare, err := c.Leaf(14)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "bare.cose"), bare)
	write(t, filepath.Join(dir, "none.cose"), withoutReceipts(t, bare))
	evidence, err := ledger.Evidence(c, c.Note(0, 1), c.Last().Checkpoint, 14, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "few.evidence"), evidence.Encode())
	write(t, filepath.Join(dir, "others"), othersPolicy(t, ledgertest.Origin))
	write(t, filepath.Join(dir, "elsewhere"), othersPolicy(t, "elsewhere.example/street"))

	c.Save(filepath.Join(dir, "fork", "oracles", "1"))
	write(t, filepath.Join(dir, "fork", "policy"), []byte(c.Policy.String()))
	ledgertest.New(t, 4).Draw(strings.Replace(drawn, "home1=1000", "home1=2000", 1)).Save(filepath.Join(dir, "fork", "oracles", "2"))

	changed := filepath.Join(dir, "changed")
	ledgertest.SaveLeaves(c, changed, ledgertest.Rechain(ledgertest.FlipByte(c.All(), 14, -70)))
	write(t, filepath.Join(changed, "checkpoint"), c.Note())

	c.Save(filepath.Join(dir, "torn"))
	seg := filepath.Join(dir, "torn", "leaves", "00000000000000000000.seg")
	b, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	write(t, seg, append(b, "unfinish"...))
}

// withoutReceipts puts an empty list into label 394 of a logged statement.
func withoutReceipts(t *testing.T, bare []byte) []byte {
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(bare[1:], &parts); err != nil || len(parts) != 4 || !bytes.Equal(parts[1], []byte{0xa0}) {
		t.Fatalf("%x: %v", bare, err)
	}
	parts[1] = []byte{0xa1, 0x19, 0x01, 0x8a, 0x80}
	b, err := cbor.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0xd2}, b...)
}

// othersPolicy is a policy of oracles that are none of the drawn ledger's.
func othersPolicy(t *testing.T, origin string) []byte {
	log := block.VerifierKey{Name: origin, Key: ledgertest.Key(t, signer.EdDSA, "other log").Public()}
	cosigner := block.VerifierKey{Name: "other.example/oracle", Key: ledgertest.Key(t, signer.EdDSA, "other cosigner").Public(), Cosigner: true}
	p, err := block.NewPolicy([]block.VerifierKey{log}, []block.VerifierKey{cosigner}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(p.String())
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDrawnLeaves holds the drawing against the list of its leaves.
func TestDrawnLeaves(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(drawn)
	var got strings.Builder
	for _, leaf := range c.All() {
		got.WriteString(entry.KindOf(leaf).String()[:1])
	}
	if want := "ch" + "sssssss" + "h" + "ssssssss" + "oo" + "h" + "ssssss" + "h"; got.String() != want {
		t.Errorf("the leaves are %s, want %s: change the list and the scripts", &got, want)
	}
}

// TestInterruptedAudit audits for somebody who has lost patience.
func TestInterruptedAudit(t *testing.T) {
	dir := t.TempDir()
	ledgertest.New(t, 4).Draw(drawn).Save(dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"ledger", "audit", dir}, &stdout, &stderr); code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("got status %d, %q and %q, want %d and that it was interrupted", code, &stdout, &stderr, exitFailed)
	}
}

// TestMakeDemo looks at what make demo passes on.
func TestMakeDemo(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip("make is not installed: make demo is not looked at")
	}
	cmd := exec.CommandContext(t.Context(), "make", "-n", "-C", "../..", "demo", "WATTMARK_DEMO_ARGS=--duration 30s")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "run ./cmd/wattmark demo --duration 30s\n") {
		t.Errorf("make demo would run %q: %v", out, err)
	}
}

// exits runs a program and wants a status: exits 3 wattmark verify x.cose
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

// flip changes one bit of one byte of a file: flip FILE HEX N changes the Nth byte
// behind the first place where the bytes HEX stand; flip FILE N the byte at N, from
// the end where N is negative.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: flip FILE [HEX] N")
	}
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	at, err := strconv.Atoi(args[len(args)-1])
	ts.Check(err)
	if len(args) == 3 {
		mark, err := hex.DecodeString(args[1])
		ts.Check(err)
		begin := bytes.Index(b, mark)
		if begin < 0 {
			ts.Fatalf("%s holds no %x", args[0], mark)
		}
		at += begin + len(mark)
	} else if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(name, b, 0o644))
}

// replace changes a text in a file that has it: replace FILE OLD NEW, with \n for the
// end of a line.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	lines := strings.NewReplacer(`\n`, "\n")
	old, new := lines.Replace(args[1]), lines.Replace(args[2])
	if !strings.Contains(text, old) {
		ts.Fatalf("%s holds no %q", args[0], old)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, old, new, 1)), 0o644))
}

// size makes a file N bytes long, or -N shorter: size FILE N
func size(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: size FILE N")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	defer f.Close()
	if n < 0 {
		info, err := f.Stat()
		ts.Check(err)
		n += info.Size()
	}
	ts.Check(f.Truncate(n))
}

// edges wants every line that was printed last to fit a terminal of N columns:
// edges N
func edges(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: edges N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for _, out := range []string{"stdout", "stderr"} {
		for line := range strings.Lines(ts.ReadFile(out)) {
			if k := len([]rune(strings.TrimSuffix(line, "\n"))); k >= n {
				ts.Fatalf("a line of %d columns: %s", k, fmt.Sprintf("%q", line))
			}
		}
	}
}
