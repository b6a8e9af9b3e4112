package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
)

// Ledger is what the ledger's pages read. An oracle's *store.Store is one; it is
// safe for concurrent use.
type Ledger interface {
	Last() (store.Commit, bool)
	BlockAt(height uint64) (store.Block, error)
	Leaf(index uint64) ([]byte, error)
	Final() (note []byte, height uint64, ok bool)
}

const (
	listedBlocks = 25  // on a page of /ledger
	listedLeaves = 200 // on a page of a block
)

// listedBlock is a line of /ledger.
type listedBlock struct {
	*block.Header
	Leaves uint64 // with the header
	State  stateWord
}

type stateWord struct{ Sign, Word, Tone string }

func (l language) finality(final bool) stateWord {
	if final {
		return stateWord{"✓", l.Say("final"), "good"}
	}
	return stateWord{"○", l.Say("pending"), "muted"}
}

// untilFinal is the topic of a page that changes no more when its block is final.
func untilFinal(final bool) string {
	if final {
		return ""
	}
	return topicLedger
}

type ledgerPage struct {
	Newest, From uint64
	Leaves       uint64
	FinalTo      string
	Blocks       []listedBlock
	Older, Newer string // links, empty where there is nothing
	Query        string // what was looked for
	Found        []api.FoundItem
	Miss         string // why nothing is there
	Search       bool   // for more than heights
}

func (d *Dashboard) serveLedger(w http.ResponseWriter, r *http.Request) {
	written, ok := d.ledger(w)
	if !ok {
		return
	}
	last, ok := written.Last()
	if !ok {
		d.empty(w)
		return
	}
	l := spoken(w)
	p := ledgerPage{Newest: last.Height, From: last.Height, Leaves: last.Size, FinalTo: l.Say("no block is final yet")}
	p.Query, p.Search = shorten(strings.TrimSpace(r.URL.Query().Get("q")), 200), d.options.API != nil
	switch {
	case p.Query == "":
	case p.Search:
		if !d.search(w, r, &p) {
			return
		}
	default:
		h, err := strconv.ParseUint(strings.ReplaceAll(l.digits(p.Query), ",", ""), 10, 64)
		if err == nil && h <= last.Height {
			http.Redirect(w, r, "/ledger/block/"+strconv.FormatUint(h, 10), http.StatusSeeOther)
			return
		}
		p.Miss = l.Say("There is no block %q: heights go from 0 to %s. Only heights were tried.", shorten(p.Query, 40), l.Number(last.Height))
	}
	if s := r.URL.Query().Get("from"); s != "" {
		h, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			d.missing(w, http.StatusNotFound, l.Say("The list starts at a height, and %q is none.", shorten(s, 40)), l.Say("Start again from the newest block."))
			return
		}
		p.From = min(h, last.Height)
	}
	_, final, any := written.Final()
	if any {
		p.FinalTo = l.Say("final up to block %s", l.Number(final))
	}
	for h := p.From; len(p.Blocks) < listedBlocks; h-- {
		b, header, err := d.blockAt(written, h)
		if err != nil {
			d.unreadable(w, err)
			return
		}
		p.Blocks = append(p.Blocks, listedBlock{header, b.Size - b.First, l.finality(any && h <= final)})
		if h == 0 {
			break
		}
	}
	if low := p.Blocks[len(p.Blocks)-1].Height; low > 0 {
		p.Older = "/ledger?from=" + strconv.FormatUint(low-1, 10)
	}
	if p.From < last.Height {
		p.Newer = "/ledger?from=" + strconv.FormatUint(min(p.From+listedBlocks, last.Height), 10)
	}
	topic := ""
	if p.Query == "" && p.Newer == "" { // an older stretch does not change
		topic = topicLedger
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Ledger"), Page: "ledger", Topic: topic, Data: p})
}

// digits writes a whole number that was typed as the language writes it in plain digits. Another
// text it leaves as it is.
func (l language) digits(text string) string {
	plain := strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, text)
	if n, err := strconv.ParseUint(plain, 10, 64); err == nil && l.Number(n) == text {
		return plain
	}
	return text
}

// search looks for what a person asks for. What is one block or leaf alone is shown at once,
// and then search has answered.
func (d *Dashboard) search(w http.ResponseWriter, r *http.Request, p *ledgerPage) (goOn bool) {
	f, err := d.options.API.Search(r.Context(), spoken(w).digits(p.Query))
	if err != nil {
		d.problem(w, err)
		return false
	}
	for _, i := range f.Items {
		// Pages have other paths than what is for programs.
		for from, to := range map[string]string{"/api/v1/blocks/": "/ledger/block/", "/api/v1/leaves/": "/ledger/leaf/"} {
			if rest, ok := strings.CutPrefix(i.Path, from); ok {
				i.Path = to + rest
			}
		}
		if i.Is == "gateway" && d.options.Fleet != nil {
			i.Path = "/gateways/" + url.PathEscape(i.Name)
		}
		p.Found = append(p.Found, i)
	}
	if len(p.Found) == 1 && p.Found[0].Path != "" {
		http.Redirect(w, r, p.Found[0].Path, http.StatusSeeOther)
		return false
	}
	if len(p.Found) == 0 {
		l := spoken(w)
		for i, kind := range f.Tried {
			f.Tried[i] = l.Say(kind)
		}
		p.Miss = l.Say("%q is nothing that this ledger has. Tried as %s.", shorten(p.Query, 70), strings.Join(f.Tried, ", "))
	}
	return true
}

type blockPage struct {
	*block.Header
	Hash, PrevHash, Root string
	Leaves               uint64
	State                stateWord
	Newest               uint64
	Kinds                []kindCount
	Lines                []*audit.Description
	More                 uint64 // leaves that are not listed
	Cosigners            []string
}

type kindCount struct {
	Kind  string
	Count uint64
}

func (d *Dashboard) serveBlock(w http.ResponseWriter, r *http.Request) {
	written, ok := d.ledger(w)
	if !ok {
		return
	}
	last, ok := written.Last()
	if !ok {
		d.empty(w)
		return
	}
	l := spoken(w)
	height, err := strconv.ParseUint(r.PathValue("height"), 10, 64)
	if err != nil || height > last.Height {
		d.missing(w, http.StatusNotFound, l.Say("There is no block %q.", shorten(r.PathValue("height"), 40)),
			l.Say("Blocks have heights from 0 to %s; higher ones may come.", l.Number(last.Height)))
		return
	}
	b, header, err := d.blockAt(written, height)
	if err != nil {
		d.unreadable(w, err)
		return
	}
	p := blockPage{
		Header: header, PrevHash: hexOf(header.Prev), Root: hexOf(header.Root), Leaves: b.Size - b.First, Newest: last.Height,
	}
	note, final, any := written.Final()
	p.State = l.finality(any && height <= final)
	if any && height == final {
		p.Cosigners = signers(note)
	}
	kinds := make(map[string]uint64)
	to := min(b.Size, b.First+listedLeaves)
	p.More = b.Size - to
	for i := b.First; i < b.Size; i++ {
		if i >= to && i < b.Size-1 {
			continue
		}
		leaf, err := written.Leaf(i)
		if err != nil {
			d.unreadable(w, err)
			return
		}
		line := audit.Describe(i, leaf)
		kinds[l.Say(line.Kind.String())]++
		if i < to {
			p.Lines = append(p.Lines, line)
		}
		if i == b.Size-1 {
			p.Hash = hexOf(line.Hash)
		}
	}
	for k, n := range kinds {
		p.Kinds = append(p.Kinds, kindCount{k, n})
	}
	sort.Slice(p.Kinds, func(i, k int) bool { return p.Kinds[i].Kind < p.Kinds[k].Kind })
	d.write(w, http.StatusOK, frame{Title: l.Say("Block %s", l.Number(height)), Page: "ledger-block", Topic: untilFinal(any && height <= final), Data: p})
}

type leafPage struct {
	*audit.Description
	Height uint64
	Final  bool
	State  stateWord
	Raw    []rawLine
	Facts  []fact
	Cited  []citation // what on the ledger is about it
	Last   uint64
	Prove  string // the command
	Files  bool   // that the leaf's evidence can be had here
	Way    *way   // to the newest final checkpoint, nil where there is none
}

func (d *Dashboard) serveLeaf(w http.ResponseWriter, r *http.Request) {
	written, ok := d.ledger(w)
	if !ok {
		return
	}
	last, ok := written.Last()
	if !ok {
		d.empty(w)
		return
	}
	l := spoken(w)
	index, err := strconv.ParseUint(r.PathValue("index"), 10, 64)
	if err != nil || index >= last.Size {
		d.missing(w, http.StatusNotFound, l.Say("There is no leaf %q.", shorten(r.PathValue("index"), 40)),
			l.Say("Leaves have indices from 0 to %s; higher ones may come.", l.Number(last.Size-1)))
		return
	}
	leaf, err := written.Leaf(index)
	if err != nil {
		d.unreadable(w, err)
		return
	}
	height, err := heightOf(written, index, last.Height)
	if err != nil {
		d.unreadable(w, err)
		return
	}
	about, cited, err := cites(l, written, index, leaf, height)
	if err != nil {
		d.unreadable(w, err)
		return
	}
	note, final, any := written.Final()
	facts, raw := taken(l, about, leaf)
	d.write(w, http.StatusOK, frame{Title: l.Say("Leaf %s", l.Number(index)), Page: "ledger-leaf", Topic: untilFinal(any && height <= final), Data: leafPage{
		Description: about, Height: height, Final: any && height <= final, State: l.finality(any && height <= final), Facts: facts, Cited: cited,
		Raw: raw, Last: last.Size - 1, Files: d.options.API != nil && any && height <= final, Way: wayOf(l, written, note, index, leaf),
		Prove: fmt.Sprintf("wattmark ledger prove %s \\\n  --leaf %d --out leaf-%d.evidence", quoted(d.options.Dir), index, index),
	}})
}

// way is how a leaf's hash comes to the root that a quorum has signed (RFC 9162, 2.1.3).
type way struct {
	Size  uint64 // leaves of the checkpoint
	Steps []step
	Root  string
}

// step joins what there is by then with a hash that stands left or right of it.
type step struct {
	Left   bool
	Hash   string // of the other side
	Leaves string // that are under both together
}

// wayOf is nil where the ledger has no such checkpoint, or its nodes are not at hand.
func wayOf(l language, written Ledger, note []byte, index uint64, leaf []byte) *way {
	nodes, ok := written.(block.Nodes)
	c, err := block.CheckpointOf(note)
	if !ok || err != nil || index >= c.Size {
		return nil
	}
	p, err := block.NewProver(nodes, c.Size).Prove(index)
	if err != nil {
		return nil
	}
	root, err := p.Root(block.LeafHash(leaf))
	if err != nil || root != c.Root {
		return nil
	}
	out := &way{Size: c.Size, Root: hexOf(root)}
	node, last, level := index, c.Size-1, 0
	for _, h := range p.Path {
		// Where a node is the last of its level and has no sibling it rises as it is.
		for node%2 == 0 && node == last {
			node, last, level = node/2, last/2, level+1
		}
		left := node%2 == 1
		node, last, level = node/2, last/2, level+1
		first, end := node<<level, min((node+1)<<level, c.Size)-1
		out.Steps = append(out.Steps, step{left, hexOf(h), l.Say("%s to %s", l.Number(first), l.Number(end))})
	}
	return out
}

// ledger returns what the ledger's pages read, or answers that there is nothing.
func (d *Dashboard) ledger(w http.ResponseWriter) (Ledger, bool) {
	if d.options.Ledger == nil {
		l := spoken(w)
		d.missing(w, http.StatusNotFound, l.Say("This page server has no ledger to read."), l.Say("Ask an oracle's, or run: %s", "wattmark ledger show "+quoted(d.options.Dir)))
		return nil, false
	}
	return d.options.Ledger, true
}

// empty answers for a ledger before its first block.
func (d *Dashboard) empty(w http.ResponseWriter) {
	l := spoken(w)
	d.missing(w, http.StatusNotFound, l.Say("The ledger holds no block yet."), l.Say("The first one comes when the ledger is founded; reload this page then."))
}

func (d *Dashboard) blockAt(l Ledger, height uint64) (store.Block, *block.Header, error) {
	b, err := l.BlockAt(height)
	if err != nil {
		return b, nil, err
	}
	leaf, err := l.Leaf(b.Size - 1)
	if err != nil {
		return b, nil, err
	}
	h, err := block.ParseHeader(leaf)
	return b, h, err
}

// unreadable answers for a store that does not give what it has.
func (d *Dashboard) unreadable(w http.ResponseWriter, err error) {
	l := spoken(w)
	if errors.Is(err, store.ErrClosed) {
		d.missing(w, http.StatusServiceUnavailable, l.Say("The ledger is closed: the oracle is stopping."), l.Say("Start it again, or run: %s", "wattmark ledger show "+quoted(d.options.Dir)))
		return
	}
	d.options.Log.Error("did not read the ledger for a page", "error", err)
	d.missing(w, http.StatusInternalServerError, l.Say("The ledger could not be read: %s.", shorten(err.Error(), 300)), l.Say("Run: %s", "wattmark ledger check "+quoted(d.options.Dir)))
}

// heightOf finds the block that holds a leaf.
func heightOf(l Ledger, index, newest uint64) (uint64, error) {
	low, high := uint64(0), newest
	for low < high {
		mid := low + (high-low)/2
		b, err := l.BlockAt(mid)
		if err != nil {
			return 0, err
		}
		if index < b.Size {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low, nil
}

// signers lists the names on a signed note's lines (C2SP signed-note): for
// display, never for trust.
func signers(note []byte) []string {
	_, lines, _ := strings.Cut(string(note), "\n\n")
	var out []string
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "\u2014" && len(out) < maxLines {
			out = append(out, shorten(f[1], 120))
		}
	}
	return out
}

// quoted writes a path as a shell takes it.
func quoted(path string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-+:@", c)
	}
	if path != "" && strings.IndexFunc(path, func(c rune) bool { return !plain(c) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// Before returns the height of the block before.
func (p blockPage) Before() uint64 { return p.Height - 1 }

// After returns the height of the next block.
func (p blockPage) After() uint64 { return p.Height + 1 }

// Before returns the index of the leaf before.
func (p leafPage) Before() uint64 { return p.Index - 1 }

// After returns the index of the next leaf.
func (p leafPage) After() uint64 { return p.Index + 1 }
