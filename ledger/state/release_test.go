package state_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
)

// released is the payload of a release for a board.
func released(t testing.TB, origin, board string, version uint64, root string) []byte {
	t.Helper()
	r := entry.Release{
		Origin: origin, Board: board, Version: version, Commit: strings.Repeat("0a", 20), Root: sha256.Sum256([]byte(root)), Size: 4096, Kernel: "6.12.47-v8",
	}
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	l := entry.LoggedRelease{Manifest: []byte(text + "\n— " + origin + " AAAA\n")}
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func release(t testing.TB, c *ledgertest.Chain, payload []byte) ledgertest.Message {
	t.Helper()
	return c.Deliver(c.Stated(0, entry.TypeRelease, payload).Sign(t))
}

func TestReleases(t *testing.T) {
	c := ledgertest.New(t, 4)
	for _, s := range []struct {
		origin, board string
		version       uint64
		want          entry.Reason
	}{
		{"a.example", "rpi", 3, ""},
		{"a.example", "rpi", 3, entry.ReasonAlreadyKnown},
		{"a.example", "rpi", 2, entry.ReasonAlreadyKnown},
		{"a.example", "lab", 2, ""},
		{"b.example", "rpi", 1, ""},
		{"a.example", "rpi", 4, ""},
	} {
		b := c.Append(release(t, c, released(t, s.origin, s.board, s.version, "root")))
		if diff := cmp.Diff([]entry.Reason{s.want}, b.Result.Reasons); diff != "" {
			t.Errorf("%s %s %d:\n%s", s.origin, s.board, s.version, diff)
		}
		loaded, err := state.Load(c.Charter, records(c.State.Export()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.State.Export(), loaded.Export()); diff != "" {
			t.Fatalf("loaded it is another:\n%s", diff)
		}
	}
	for name, b := range map[string][]byte{"nothing": nil, "no manifest": {0xa1, 0x01, 0x40}} {
		if got := c.Append(release(t, c, b)).Result.Reasons[0]; got != entry.ReasonBadPayload {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Of one version there is one image, whatever is stated in whatever order, and one
// block after the other comes to the same as a replay.
func TestReleasesOnlyRise(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := ledgertest.New(t, 4)
		highest := make(map[string]uint64)
		for range rapid.IntRange(1, 4).Draw(rt, "blocks") {
			var messages []ledgertest.Message
			var want []entry.Reason
			for range rapid.IntRange(1, 4).Draw(rt, "releases") {
				board := rapid.SampledFrom([]string{"rpi", "lab"}).Draw(rt, "board")
				version := rapid.Uint64Range(1, 6).Draw(rt, "version")
				// Each is another image, and another statement.
				messages = append(messages, release(t, c, released(t, "a.example", board, version, fmt.Sprint(len(messages), c.Size()))))
				if version > highest[board] {
					highest[board] = version
					want = append(want, "")
				} else {
					want = append(want, entry.ReasonAlreadyKnown)
				}
			}
			b := c.Append(messages...)
			if diff := cmp.Diff(want, b.Result.Reasons); diff != "" {
				rt.Fatal(diff)
			}
		}
		var again *state.State
		replay(rt, c, c.Packs, func(_ *ledgertest.Block, s *state.State, _ *state.Result) { again = s })
		if diff := cmp.Diff(c.State.Export(), again.Export()); diff != "" {
			rt.Fatalf("replayed it is another:\n%s", diff)
		}
	})
}
