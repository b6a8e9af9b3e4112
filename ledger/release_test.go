package ledger_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// logged puts a release onto a drawn ledger.
func logged(t *testing.T, c *ledgertest.Chain, version uint64, root [32]byte) {
	t.Helper()
	r := entry.Release{Origin: "wattmark.example/firmware", Board: "rpi", Version: version, Commit: strings.Repeat("0a", 20), Root: root, Size: 4096, Kernel: "6.12.47-v8"}
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	l := entry.LoggedRelease{Manifest: []byte(text + "\n— " + r.Origin + " AAAA\n")}
	payload, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, c, c.Stated(0, entry.TypeRelease, payload))
}

// accepted appends a block of one statement and returns the statement's leaf.
func accepted(t *testing.T, c *ledgertest.Chain, s *ledgertest.Statement) uint64 {
	t.Helper()
	b := c.Append(c.Deliver(s.Sign(t)))
	if b.Result.Reasons[0] != "" {
		t.Fatalf("refused: %s", b.Result.Reasons[0])
	}
	return b.Header.First
}

func TestEvidenceNamesTheRelease(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1")
	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	reading := func(firmware []byte) uint64 {
		t.Helper()
		s := c.Reading("home1", ledgertest.Record("home1", "energy", 1000, c.State.Time()))
		s.Claims.Firmware = firmware
		return accepted(t, c, s)
	}
	plain := reading(nil)
	logged(t, c, 1, one)
	named := reading(one[:])
	early := reading(two[:])
	logged(t, c, 2, two)
	unknown := reading(make([]byte, 32))
	note, cp := c.Note(), c.Last().Checkpoint
	for _, s := range []struct {
		leaf   uint64
		want   audit.Answer // empty for none
		detail string
	}{
		{plain, "", ""},
		{named, audit.Holds, "release 1 for rpi of wattmark.example/firmware, commit 0a0a0a0a0a0a, logged by leaf"},
		{early, audit.False, "after it was used"},
		{unknown, audit.Unchecked, fmt.Sprintf("firmware %064d", 0)},
	} {
		e, err := ledger.Evidence(c, note, cp, s.leaf, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := audit.Verify("x.evidence", e.Encode(), audit.Trust{Policy: c.Policy})
		var got audit.Verdict
		for _, v := range r.Verdicts {
			if v.Check == audit.CheckRelease {
				got = v
			} else if v.Verdict == audit.False || v.Verdict == audit.Unchecked {
				t.Errorf("leaf %d: %+v", s.leaf, v)
			}
		}
		if got.Verdict != s.want || !strings.Contains(got.Detail, s.detail) {
			t.Errorf("leaf %d: %+v, want %q with %q", s.leaf, got, s.want, s.detail)
		}
		if r := audit.Verify("x.cose", c.Transparent(s.leaf), audit.Trust{Policy: c.Policy}); s.want != "" && !strings.Contains(fmt.Sprint(r.Verdicts), "give the evidence") {
			t.Errorf("leaf %d as a statement: %+v", s.leaf, r.Verdicts)
		}
	}
	var versions []uint64
	if err := ledger.Releases(c, cp.Size, func(r ledger.Released) bool { versions = append(versions, r.Release.Version); return true }); err != nil || fmt.Sprint(versions) != "[1 2]" {
		t.Errorf("releases %v, %v", versions, err)
	}
}
