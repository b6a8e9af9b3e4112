package dashboard_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/dashboard"
	"wattmark/signer"
)

// earlier is a ledger whose newest final block is not its last.
type earlier struct {
	dashboard.Ledger
	note   []byte
	height uint64
	none   bool
}

func (e earlier) Final() ([]byte, uint64, bool) { return e.note, e.height, !e.none }

// TestLedgerPages pages through a ledger of sixty blocks both ways.
func TestLedgerPages(t *testing.T) {
	c := ledgertest.New(t, 1)
	c.KeepExports(false)
	c.Draw(strings.Repeat(".", 1) + strings.Repeat("\n.", 59))
	l := saved(t, c)
	d := dashboard.New(lively(), dashboard.Options{Ledger: earlier{Ledger: l, note: []byte("x"), height: 58}, Log: logged(t)})
	newest := uint64(len(c.Blocks) - 1)
	a := get(d, "/ledger")
	a.has(t, fmt.Sprintf("%d leaves in blocks 0 to %d, final up to block 58.", c.Size(), newest), "○", "pending")
	if got := strings.Count(a.body, "pending"); got != int(newest-58) {
		t.Errorf("%d blocks are pending", got)
	}
	var seen []string
	for path := "/ledger"; path != ""; {
		a := get(d, path)
		checkHTML(t, path, a.body)
		for part := range strings.SplitSeq(a.body, `"><th scope="row"><a href="/ledger/block/`) {
			if h, _, ok := strings.Cut(part, `">`); ok && !strings.Contains(h, "<") {
				seen = append(seen, h)
			}
		}
		path = link(a.body, "Older")
	}
	var want []string
	for h := int(newest); h >= 0; h-- {
		want = append(want, fmt.Sprint(h))
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("blocks on the way down (-want +got)\n%s", diff)
	}
	up := 0
	for path := "/ledger?from=0"; path != ""; path = link(get(d, path).body, "Newer") {
		up++
	}
	if up != 4 { // from 0, 25, 50 and the newest
		t.Errorf("%d pages on the way up", up)
	}
	if got := link(get(d, "/ledger?from=999999").body, "Newer"); got != "" {
		t.Errorf("there is something newer than the newest: %s", got)
	}
	a = get(d, "/ledger?q=+1,0+")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/ledger/block/10" {
		t.Errorf("a search for 10 leads to %d %s", a.status, a.header.Get("Location"))
	}
	get(dashboard.New(lively(), dashboard.Options{Ledger: earlier{Ledger: l, none: true}}), "/ledger").has(t, "no block is final yet")
}

func hexOf(h block.Hash) string { return hex.EncodeToString(h[:]) }

// link returns where the link with a text leads.
func link(page, text string) string {
	before, _, ok := strings.Cut(page, `">`+text+`</a>`)
	if !ok {
		return ""
	}
	return before[strings.LastIndex(before, `"`)+1:]
}

func TestBlockPage(t *testing.T) {
	c, l := drawn(t)
	last := uint64(len(c.Blocks) - 1)
	d := dashboard.New(lively(), dashboard.Options{Ledger: l, Log: logged(t)})
	for i, b := range c.Blocks {
		path := fmt.Sprintf("/ledger/block/%d", i)
		a := get(d, path)
		checkHTML(t, path, a.body)
		h := b.Header
		a.has(t, fmt.Sprintf("<h1>Block %d</h1>", i), "final", fmt.Sprintf("%d to %d, the last being this header", h.First, h.Size), fmt.Sprintf("with %d leaves", h.Size+1-h.First),
			hexOf(block.LeafHash(h.Encode())), hexOf(h.Prev), hexOf(h.Root), ledgertest.Origin, "header: 1")
		for leaf := h.First; leaf <= h.Size; leaf++ {
			a.has(t, fmt.Sprintf(`<a href="/ledger/leaf/%d">%d</a>`, leaf, leaf))
		}
		for _, other := range []struct {
			height int
			there  bool
		}{{i - 1, i > 0}, {i + 1, uint64(i) < last}} {
			if got := strings.Contains(a.body, fmt.Sprintf(`<a href="/ledger/block/%d">`, other.height)); got != other.there {
				t.Errorf("%s leads to block %d: %v", path, other.height, got)
			}
		}
		if got := strings.Contains(a.body, "Names on the newest final checkpoint"); got != (uint64(i) == last) {
			t.Errorf("%s has cosigners: %v", path, got)
		}
	}
	a := get(d, fmt.Sprintf("/ledger/block/%d", last))
	for i, o := range c.Oracles {
		if got := strings.Contains(a.body, o.Name); got != (i < 3) { // three make the quorum
			t.Errorf("%s is among the cosigners: %v", o.Name, got)
		}
	}
	pending := dashboard.New(lively(), dashboard.Options{Ledger: earlier{Ledger: l, height: 2}, Log: logged(t)})
	get(pending, "/ledger/block/2").has(t, "final")
	a = get(pending, "/ledger/block/3")
	a.has(t, "pending")
	if strings.Contains(a.body, "final:") {
		t.Error("block 3 is said to be final, and block 2 is the newest that is")
	}
	get(pending, fmt.Sprintf("/ledger/leaf/%d", c.Blocks[3].Header.First)).has(t, "pending", "When the block is final, this writes")
}

// TestLongBlock lists some of a block's leaves, says how many it does not, and
// leads to them.
func TestLongBlock(t *testing.T) {
	c := ledgertest.New(t, 1)
	c.KeepExports(false)
	words := []string{"clock1@+60"}
	for i := range 250 {
		words = append(words, fmt.Sprintf("home1=%d", 1_000+i))
	}
	c.Draw("+home1\n" + strings.Join(words, " "))
	l := saved(t, c)
	d := dashboard.New(lively(), dashboard.Options{Ledger: l, Log: logged(t)})
	h := c.Last().Header
	a := get(d, "/ledger/block/2")
	a.has(t, fmt.Sprintf("%d more leaves of this block are not listed", h.Size+1-h.First-200), "header: 1", "among those listed", hexOf(block.LeafHash(h.Encode())))
	if n := strings.Count(a.body, `<a href="/ledger/leaf/`); n != 200 {
		t.Errorf("%d leaves are listed", n)
	}
	get(d, fmt.Sprintf("/ledger/leaf/%d", h.Size)).has(t, "header of block 2", `<a href="/ledger/block/2">`)
}

// TestLeafPage opens every leaf of a ledger with every kind of leaf.
func TestLeafPage(t *testing.T) {
	c, l := drawn(t)
	d := dashboard.New(lively(), dashboard.Options{Ledger: l, Dir: "demo data/oracle-1", Log: logged(t)})
	height := 0
	summaries := make(map[string]int)
	for i, leaf := range c.All() {
		for uint64(i) > c.Blocks[height].Header.Size {
			height++
		}
		path := fmt.Sprintf("/ledger/leaf/%d", i)
		a := get(d, path)
		if a.status != 200 || strings.Contains(a.body, "does not read") {
			t.Errorf("%s: %d", path, a.status)
		}
		checkHTML(t, path, a.body)
		a.has(t, fmt.Sprintf("<h1>Leaf %d</h1>", i), hexOf(block.LeafHash(leaf)), fmt.Sprintf(`in <a href="/ledger/block/%d">`, height), "final",
			fmt.Sprintf("a %s of %d bytes", entry.KindOf(leaf), len(leaf)),
			fmt.Sprintf("wattmark ledger prove &#39;demo data/oracle-1&#39; \\\n  --leaf %d --out leaf-%d.evidence", i, i))
		summary, facts, records := dashboard.Describe(uint64(i), leaf)
		for name, value := range facts {
			a.has(t, name, strings.NewReplacer("'", "&#39;", "+", "&#43;").Replace(value))
		}
		what, _, _ := strings.Cut(summary, " ")
		summaries[what]++
		if got := strings.Contains(a.body, "<th scope=\"col\">Channel</th>"); got != (len(records) > 0) {
			t.Errorf("%s has a table of records: %v", path, got)
		}
	}
	var kinds []string
	for what := range summaries {
		kinds = append(kinds, what)
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{"adopted:", "charter", "clock", "enrolment", "flagged:", "header", "reading", "refused:", "revocation", "vote"}, kinds); diff != "" {
		t.Errorf("kinds of leaves (-want +got)\n%s", diff)
	}
}

// TestDescribe says of each kind of leaf what it says.
func TestDescribe(t *testing.T) {
	c, _ := drawn(t)
	facts := make(map[string]map[string]string) // of the first leaf of each kind
	for i, leaf := range c.All() {
		summary, f, _ := dashboard.Describe(uint64(i), leaf)
		if facts[summary] == nil {
			facts[summary] = f
		}
	}
	tests := []struct {
		summary string
		want    map[string]string
	}{
		{"header of block 3", map[string]string{"ledger": ledgertest.Origin, "height": "3", "time of the block": "2026-01-01T00:03:00.003Z"}},
		{"charter of " + ledgertest.Origin, map[string]string{"oracles that make a block final": "3 of 4", "oracles that make a change": "3 of 4"}},
		{"enrolment by urn:wattmark:oracle:1", map[string]string{"enrols gateway": "home1", "metering point": ledgertest.Subject("home1") + ", open, 2 channels"}},
		{"reading by urn:wattmark:gateway:home1", map[string]string{"metering point": ledgertest.Subject("home1"), "sequence number": "1-1", "algorithm": "EdDSA"}},
		{"reading by urn:wattmark:gateway:stack", map[string]string{"algorithm": "ES256"}},
		{"clock by urn:wattmark:oracle:2", map[string]string{"wishes to close block": "1", "statement": "clock"}},
		{"vote by urn:wattmark:oracle:3", map[string]string{"votes for": "cut_leaves = 900 from block 9"}},
		{"flagged: register_fell energy", map[string]string{"outcome": "flagged", "code": "register_fell", "concerns": "energy"}},
		{"refused: sequence_used", map[string]string{"code": "sequence_used", "remedy": entry.ReasonSequenceUsed.Remedy()}},
	}
	for _, tt := range tests {
		got, ok := facts[tt.summary]
		if !ok {
			t.Errorf("no leaf is a %q", tt.summary)
			continue
		}
		for name, want := range tt.want {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", tt.summary, name, got[name], want)
			}
		}
	}
	for summary := range facts {
		if strings.HasPrefix(summary, "revocation") && facts[summary]["ends key"] == "" {
			t.Errorf("%s: the key is not said", summary)
		}
	}
	// Each record of an open pack is read out; of a committed one only its digest is
	// there.
	open, hidden := 0, 0
	for i, leaf := range c.All() {
		summary, _, records := dashboard.Describe(uint64(i), leaf)
		switch {
		case summary == "reading by urn:wattmark:gateway:home1":
			open += len(records)
		case summary == "reading by urn:wattmark:gateway:home2":
			hidden++
			if len(records) > 0 {
				t.Errorf("leaf %d tells what was committed", i)
			}
		}
	}
	if open != 3 || hidden != 2 {
		t.Errorf("%d records of home1 and %d packs of home2", open, hidden)
	}
}

// FuzzDescribe: whatever is a leaf, the page says something, and never more of
// facts than can be read.
func FuzzDescribe(f *testing.F) {
	c := ledgertest.New(f, 4).Draw("+home1 +home2:committed\nhome1=5 home2=6 junk vote1:cut_leaves=9@9\nhome1=4 -home1")
	for _, leaf := range c.All() {
		f.Add(leaf)
		f.Add(leaf[:len(leaf)/2])
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		summary, facts, _ := dashboard.Describe(1, leaf)
		if summary == "" {
			t.Errorf("%x is not described", leaf)
		}
		if entry.KindOf(leaf) == entry.LeafUnknown && (!strings.HasPrefix(summary, "does not read") || len(facts) > 0) {
			t.Errorf("%x is no leaf, and is said to be %q: %v", leaf, summary, facts)
		}
		var bytes []string
		for _, line := range dashboard.HexDump(leaf) {
			bytes = append(bytes, line.Bytes...)
		}
		if got := strings.Join(bytes, " "); got != fmt.Sprintf("% x", leaf) {
			t.Errorf("%x is dumped as %s", leaf, got)
		}
		at := 0
		for _, p := range dashboard.PartsOf(leaf) {
			if p.From < at || p.To <= p.From || p.To > len(leaf) {
				t.Errorf("%x has the part %+v behind byte %d", leaf, p, at)
			}
			at = p.To
		}
		if got := dashboard.Marked(leaf); got != fmt.Sprintf("% x", leaf) {
			t.Errorf("%x with its parts marked is %s", leaf, got)
		}
	})
}

// TestWay: at every size and place the steps of a leaf's page hash to the root, and name the
// leaves that they cover.
func TestWay(t *testing.T) {
	c, l := drawn(t)
	d := dashboard.New(nil, dashboard.Options{Ledger: l, Log: logged(t)})
	size := c.Last().Checkpoint.Size
	step := regexp.MustCompile(`(?s)<tr><th scope="row">(← one on the left|one on the right →)<span class="fold hash">([0-9a-f]{64})</span></th><td>([0-9,]+) to ([0-9,]+)</td></tr>`)
	for i := range size {
		page := get(d, fmt.Sprintf("/ledger/leaf/%d", i))
		leaf, _ := c.Leaf(i)
		at := block.LeafHash(leaf)
		first, end := i, i
		for _, m := range step.FindAllStringSubmatch(page.body, -1) {
			other, err := hex.DecodeString(m[2])
			if err != nil {
				t.Fatal(err)
			}
			pair := append([]byte{1}, at[:]...)
			if strings.HasPrefix(m[1], "←") {
				pair = append(append([]byte{1}, other...), at[:]...)
			} else {
				pair = append(pair, other...)
			}
			at = sha256.Sum256(pair)
			from, _ := strconv.ParseUint(m[3], 10, 64)
			to, _ := strconv.ParseUint(m[4], 10, 64)
			if from > first || to < end || to-from <= end-first {
				t.Errorf("leaf %d: %s to %s after %d to %d", i, m[3], m[4], first, end)
			}
			first, end = from, to
		}
		if root := c.Last().Checkpoint.Root; at != root || first != 0 || end != size-1 {
			t.Errorf("leaf %d leads to %x over %d to %d, want %x over all %d", i, at, first, end, root, size)
		}
	}
}

// TestParts: each fact of a statement is found in its bytes, which are those that were signed.
func TestParts(t *testing.T) {
	c, _ := drawn(t)
	_, d := asked(t, c)
	var readings []uint64
	for i, leaf := range c.All() {
		parts := make(map[string]string)
		for _, p := range dashboard.PartsOf(leaf) {
			parts[p.Name] += string(leaf[p.From:p.To])
		}
		page := get(d, fmt.Sprintf("/ledger/leaf/%d", i))
		switch entry.KindOf(leaf) {
		case entry.LeafStatement:
			m, err := signer.Parse(leaf)
			if err != nil {
				t.Fatal(err)
			}
			claims, err := entry.ParseClaims(m.Claims)
			if err != nil {
				t.Fatal(err)
			}
			id := m.KeyID
			for name, holds := range map[string]string{"signed by": claims.Issuer, "ledger": claims.Audience, "key": string(id[:]), "payload": string(m.Payload), "signature": string(leaf[len(leaf)-64:]), "statement": m.Type} {
				if !strings.Contains(parts[name], holds) {
					t.Errorf("leaf %d: %q is not in the part %q, %x", i, holds, name, parts[name])
				}
				if n := strings.Count(page.body, ">"+name+"</dt>"); n < 1 || n > 2 {
					t.Errorf("leaf %d: %d facts are called %q", i, n, name)
				}
			}
			if strings.HasPrefix(claims.Issuer, "urn:wattmark:gateway:home1") {
				readings = append(readings, uint64(i))
			}
		case entry.LeafHeader:
			if h := c.Blocks[0].Header; i == 1 && !strings.Contains(parts["root before it"], string(h.Root[:])) {
				t.Errorf("leaf %d: %x", i, parts)
			}
		}
	}
	// A reading's page leads to the next of the same signer, and back.
	get(d, fmt.Sprintf("/ledger/leaf/%d", readings[0])).has(t, "next statement, which has its hash", fmt.Sprintf("/ledger/leaf/%d\"", readings[1]))
	get(d, fmt.Sprintf("/ledger/leaf/%d", readings[1])).has(t, "statement before it", fmt.Sprintf("/ledger/leaf/%d\"", readings[0]))
}
