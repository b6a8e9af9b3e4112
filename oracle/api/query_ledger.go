package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// Head is where a ledger stands.
type Head struct {
	About
	Size        uint64   `json:"size" doc:"Leaves of the newest block's tree"`
	Time        string   `json:"time" doc:"Of the newest block" format:"date-time"`
	FinalHeight *uint64  `json:"final_height,omitempty" doc:"The newest block that a quorum has signed; absent while there is none"`
	Simulated   bool     `json:"simulated" doc:"True where the clock of the readings is not the world's"`
	Oracles     []string `json:"oracles" doc:"The set in force"`
	Quorum      int      `json:"quorum" doc:"How many of them make a block final"`
}

// BlockItem is a block.
type BlockItem struct {
	Height    uint64   `json:"height"`
	Time      string   `json:"time" format:"date-time"`
	Final     bool     `json:"final"`
	FirstLeaf uint64   `json:"first_leaf" doc:"Its leaves are first_leaf to last_leaf, the header last"`
	LastLeaf  uint64   `json:"last_leaf"`
	Previous  string   `json:"previous_sha256" doc:"Hash of the header before"`
	Root      string   `json:"root_sha256" doc:"Root of the tree of all leaves before the header"`
	Cosigned  []string `json:"cosigned_by,omitempty" doc:"Who has signed the checkpoint; of the newest final block alone, as names only"`
}

// LeafItem is a leaf in words.
type LeafItem struct {
	Index   uint64      `json:"index"`
	Height  uint64      `json:"height" doc:"The block that holds it"`
	Final   bool        `json:"final"`
	Type    string      `json:"type" doc:"charter, statement, outcome or header"`
	Hash    string      `json:"leaf_sha256"`
	Bytes   int         `json:"bytes"`
	Summary string      `json:"summary" doc:"What it says, in one line for people"`
	Fields  []LeafField `json:"fields"`
	Hidden  string      `json:"hidden_sha256,omitempty" doc:"The digest that stands for a committed pack"`
	// Readings are left out of lists, which would pass what may be sent at once.
	Readings []LeafReading `json:"readings,omitempty" doc:"Of an open pack, where its leaf alone was asked for"`
	Evidence string        `json:"evidence,omitempty" doc:"Where a file that proves it is"`
}

// LeafField is one thing that a leaf says.
type LeafField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// LeafReading is a reading of an open pack.
type LeafReading struct {
	Name  string `json:"name" doc:"The channel"`
	Time  string `json:"time" format:"date-time"`
	Value string `json:"value" doc:"Plain digits, or a remark instead of a number"`
	Unit  string `json:"unit,omitempty"`
}

// Found is what a search has found.
type Found struct {
	About
	Query string      `json:"query"`
	Items []FoundItem `json:"items"`
	Tried []string    `json:"tried" doc:"The kinds of thing that were looked for: why nothing else is here"`
}

// FoundItem is one hit.
type FoundItem struct {
	Is    string `json:"is" doc:"block, leaf, key, gateway, member, interval"`
	Name  string `json:"name"`
	About string `json:"about"`
	Path  string `json:"path,omitempty" doc:"Where more of it is"`
}

func (a *API) queryLedger(h huma.API) {
	get(h, "ledger", "/api/v1/ledger", "Where the ledger stands", "", func(context.Context, *struct{}) (*output[Head], error) {
		last, cp, _ := a.cfg.Ledger.Last()
		out := Head{About: a.about("ledger"), Size: cp.Size, Time: instant(last.Time), Oracles: []string{}}
		if _, height, ok := a.newestFinal(); ok {
			out.FinalHeight = &height
		}
		a.cfg.Ledger.View(func(s *state.State) {
			out.Simulated = s.Charter().Simulated
			set := s.OraclesAt(last.Height)
			for _, o := range set.Oracles {
				out.Oracles = append(out.Oracles, o.Name)
			}
			out.Quorum = int(set.Quorum)
		})
		return &output[Head]{CacheControl: fresh, Body: out}, nil
	})
	get(h, "blocks", "/api/v1/blocks", "Blocks, the newest first", "A list that was begun stays as of the height that it began at, whatever comes.",
		func(_ context.Context, in *ListInput) (*output[Page[BlockItem]], error) { return a.blocks(in) })
	get(h, "block", "/api/v1/blocks/{height}", "One block", "", func(_ context.Context, in *struct {
		Height uint64 `path:"height"`
	}) (*output[BlockItem], error) {
		b, err := a.block(in.Height)
		if err != nil {
			return nil, err
		}
		return &output[BlockItem]{CacheControl: until(b.Final), Body: *b}, nil
	})
	get(h, "block-leaves", "/api/v1/blocks/{height}/leaves", "The leaves of a block, in words", "", func(_ context.Context, in *struct {
		ListInput
		Height uint64 `path:"height"`
	}) (*output[Page[LeafItem]], error) {
		return a.leavesOf(in.Height, &in.ListInput)
	})
	get(h, "leaf", "/api/v1/leaves/{index}", "One leaf, in words", "It says what the leaf says and verifies nothing: its evidence does.", func(_ context.Context, in *struct {
		Index uint64 `path:"index"`
	}) (*output[LeafItem], error) {
		l, err := a.leaf(in.Index)
		if err != nil {
			return nil, err
		}
		return &output[LeafItem]{CacheControl: until(l.Final), Body: *l}, nil
	})
	get(h, "search", "/api/v1/search", "Find by height, leaf, hash, key, gateway, member or time", "A miss says what was tried.", func(ctx context.Context, in *struct {
		Query string `query:"q" required:"true" minLength:"1" maxLength:"200"`
	}) (*output[Found], error) {
		f, err := a.Search(ctx, in.Query)
		if err != nil {
			return nil, err
		}
		return &output[Found]{CacheControl: fresh, Body: *f}, nil
	})
}

// newestFinal returns the newest final block's height and its checkpoint as signed: of this
// run, or as the store has it, which may be behind.
func (a *API) newestFinal() (note []byte, height uint64, ok bool) {
	note, height, ok = a.cfg.Ledger.Store().Final()
	if a.cfg.Final == nil {
		return note, height, ok
	}
	if f := a.cfg.Final(); f != nil && (!ok || f.Height > height) {
		return f.Note, f.Height, true
	}
	return note, height, ok
}

// until lets be kept what is final.
func until(final bool) string {
	if final {
		return lasting
	}
	return fresh
}

func (a *API) noBlock(height uint64) error {
	last, _, _ := a.cfg.Ledger.Last()
	return newProblem(problemLeaf, http.StatusNotFound, "No such block", fmt.Sprintf("There is no block %d.", height), fmt.Sprintf("Blocks have heights from 0 to %d; higher ones may come.", last.Height))
}

func (a *API) block(height uint64) (*BlockItem, error) {
	if last, _, _ := a.cfg.Ledger.Last(); height > last.Height {
		return nil, a.noBlock(height)
	}
	s := a.cfg.Ledger.Store()
	at, err := s.BlockAt(height)
	if err != nil {
		return nil, a.unreadable("a block", err)
	}
	h, err := a.header(height)
	if err != nil {
		return nil, err
	}
	note, final, ok := a.newestFinal()
	out := &BlockItem{Height: height, Time: instant(h.Time), Final: ok && height <= final, FirstLeaf: at.First, LastLeaf: at.Size - 1,
		Previous: hex.EncodeToString(h.Prev[:]), Root: hex.EncodeToString(h.Root[:])}
	if ok && height == final {
		_, lines, _ := strings.Cut(string(note), "\n\n")
		for line := range strings.Lines(lines) {
			if f := strings.Fields(line); len(f) == 3 && f[1] != a.origin { // the log itself signs under its origin
				out.Cosigned = append(out.Cosigned, f[1])
			}
		}
	}
	return out, nil
}

func (a *API) header(height uint64) (*block.Header, error) {
	s := a.cfg.Ledger.Store()
	at, err := s.BlockAt(height)
	if err != nil {
		return nil, a.unreadable("a block", err)
	}
	leaf, err := s.Leaf(at.Size - 1)
	if err != nil {
		return nil, a.unreadable("a block", err)
	}
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return nil, a.unreadable("a block", err)
	}
	return h, nil
}

func (a *API) blocks(in *ListInput) (*output[Page[BlockItem]], error) {
	const list = "blocks"
	c, given, err := parseCursor(list, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &output[Page[BlockItem]]{CacheControl: fresh, Body: Page[BlockItem]{About: a.about(list), Items: []BlockItem{}}}
	from := out.Body.Height
	if given {
		if from, err = strconv.ParseUint(c.After, 10, 64); err != nil || from > out.Body.Height {
			return nil, a.noBlock(from)
		}
		out.Body.Height = min(c.Height, out.Body.Height)
	}
	for height := from; ; height-- {
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = cursor{list, out.Body.Height, strconv.FormatUint(height, 10)}.String()
			out.Link = link("/api/v1/blocks", out.Body.Next, in.Limit)
			return out, nil
		}
		b, err := a.block(height)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, *b)
		if height == 0 {
			return out, nil
		}
	}
}

func (a *API) leavesOf(height uint64, in *ListInput) (*output[Page[LeafItem]], error) {
	const list = "block-leaves"
	b, err := a.block(height)
	if err != nil {
		return nil, err
	}
	c, given, err := parseCursor(list, in.Cursor)
	if err != nil {
		return nil, err
	}
	from := b.FirstLeaf
	if given {
		if from, err = strconv.ParseUint(c.After, 10, 64); err != nil || from < b.FirstLeaf || from > b.LastLeaf {
			return nil, newProblem(problemForm, http.StatusBadRequest, "No cursor of this block", "The cursor is of another block's leaves.", "Begin again without a cursor.")
		}
	}
	out := &output[Page[LeafItem]]{CacheControl: until(b.Final), Body: Page[LeafItem]{About: a.about(list), Items: []LeafItem{}}}
	if b.Final {
		out.Body.Height = height // what is final says the same for ever
	}
	for i := from; i <= b.LastLeaf; i++ {
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = cursor{list, height, strconv.FormatUint(i, 10)}.String()
			out.Link = link(fmt.Sprintf("/api/v1/blocks/%d/leaves", height), out.Body.Next, in.Limit)
			break
		}
		l, err := a.describe(i, height, b.Final)
		if err != nil {
			return nil, err
		}
		l.Readings = nil
		out.Body.Items = append(out.Body.Items, *l)
	}
	return out, nil
}

func (a *API) leaf(index uint64) (*LeafItem, error) {
	s := a.cfg.Ledger.Store()
	if size := s.Size(); index >= size {
		return nil, newProblem(problemLeaf, http.StatusNotFound, "No such leaf", fmt.Sprintf("There is no leaf %d.", index), fmt.Sprintf("Leaves have indices from 0 to %d; higher ones may come.", size-1))
	}
	last, _, _ := a.cfg.Ledger.Last()
	low, high := uint64(0), last.Height
	for low < high {
		mid := low + (high-low)/2
		b, err := s.BlockAt(mid)
		if err != nil {
			return nil, a.unreadable("a block", err)
		}
		if index < b.Size {
			high = mid
		} else {
			low = mid + 1
		}
	}
	_, final, ok := a.newestFinal()
	return a.describe(index, low, ok && low <= final)
}

func (a *API) describe(index, height uint64, final bool) (*LeafItem, error) {
	leaf, err := a.cfg.Ledger.Store().Leaf(index)
	if err != nil {
		return nil, a.unreadable("a leaf", err)
	}
	l := Describe(index, leaf)
	l.Height, l.Final = height, final
	if final {
		l.Evidence = fmt.Sprintf("/api/v1/leaf/%d.evidence", index)
	}
	return l, nil
}

// Describe puts a leaf into words as the API answers with it, but for the block that holds
// it, which the leaf does not say.
func Describe(index uint64, leaf []byte) *LeafItem {
	d := audit.Describe(index, leaf)
	l := &LeafItem{Index: index, Type: d.Kind.String(), Hash: hex.EncodeToString(d.Hash[:]), Bytes: d.Bytes, Summary: d.Summary,
		Fields: []LeafField{}, Hidden: hex.EncodeToString(d.Hidden)}
	for _, f := range d.Fields {
		l.Fields = append(l.Fields, LeafField{f.Name, f.Value})
	}
	for _, r := range d.Records {
		reading := LeafReading{Name: r.Name, Time: instant(r.Time), Value: r.Text}
		if r.Text == "" {
			reading.Value, reading.Unit = r.Value.String(), r.Unit
		}
		l.Readings = append(l.Readings, reading)
	}
	return l
}

// Search looks for everything that a text may name. Its errors are problems.
func (a *API) Search(ctx context.Context, q string) (*Found, error) {
	q = strings.TrimSpace(q)
	out := &Found{About: a.about("search"), Query: q, Items: []FoundItem{}, Tried: []string{}}
	add := func(is, name, about, path string) { out.Items = append(out.Items, FoundItem{is, name, about, path}) }
	if n, err := strconv.ParseUint(strings.ReplaceAll(q, ",", ""), 10, 64); err == nil {
		out.Tried = append(out.Tried, "block height", "leaf index")
		if b, err := a.block(n); err == nil {
			add("block", q, fmt.Sprintf("of %s, leaves %d to %d", b.Time, b.FirstLeaf, b.LastLeaf), fmt.Sprintf("/api/v1/blocks/%d", n))
		}
		if l, err := a.leaf(n); err == nil {
			add("leaf", q, l.Summary, fmt.Sprintf("/api/v1/leaves/%d", n))
		}
	}
	if hash, ok := parseHash(q); ok {
		out.Tried = append(out.Tried, "leaf hash")
		index, err := a.findInTurn(ctx, hash)
		switch {
		case err == nil:
			l, err := a.leaf(index)
			if err != nil {
				return nil, err
			}
			add("leaf", strconv.FormatUint(index, 10), l.Summary, fmt.Sprintf("/api/v1/leaves/%d", index))
		case errors.Is(err, errBusy):
			return nil, newProblem(problemBusy, http.StatusServiceUnavailable, "Busy", "Another leaf hash is being looked for.", "Ask again in a moment, or ask another oracle.").after(2)
		case errors.Is(err, ledger.ErrNoLeaf):
		case errors.Is(err, context.DeadlineExceeded):
			out.Tried[len(out.Tried)-1] = "leaf hash, among the newest leaves alone"
		default:
			return nil, a.unreadable("a leaf hash", err)
		}
	}
	if at, ok := parseInstant(q); ok {
		out.Tried = append(out.Tried, "time")
		height, ok, err := a.blockBefore(at)
		if err != nil {
			return nil, err
		}
		if ok {
			if b, err := a.block(height); err == nil {
				add("block", strconv.FormatUint(height, 10), "the last one by then, of "+b.Time, fmt.Sprintf("/api/v1/blocks/%d", height))
			}
		}
	}
	out.Tried = append(out.Tried, "key", "gateway", "member")
	a.cfg.Ledger.View(func(s *state.State) {
		for _, k := range s.Keys() {
			id := k.Public.ID()
			if strings.EqualFold(id.String(), q) || k.Gateway == q {
				state := "in force"
				if k.Revoked > 0 {
					state = fmt.Sprintf("revoked at leaf %d", k.Revoked)
				}
				add("key", id.String(), fmt.Sprintf("of gateway %s, %s", k.Gateway, state), "")
			}
			if k.Gateway == q && k.Revoked == 0 {
				add("gateway", k.Gateway, "a gateway with a key in force", "")
			}
		}
		if m, ok := s.Member(q); ok {
			add("member", m.Member, fmt.Sprintf("a member of zone %s", m.Zone), "")
		}
		if raw, err := hex.DecodeString(q); err == nil && len(raw) == len(signer.KeyID{}) {
			if p, ok := s.Party(signer.KeyID(raw)); ok {
				add("key", q, fmt.Sprintf("of the %s %s", p.Role, p.Name), "")
			}
		}
	})
	return out, nil
}

// parseHash reads a hash in hexadecimal, or as C2SP writes it in base64.
func parseHash(text string) (hash block.Hash, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil {
		b, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(b) != len(hash) {
		return hash, false
	}
	return block.Hash(b), true
}

// parseInstant reads a time as people may write it: a day, or a day and a time in UTC.
func parseInstant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// blockBefore returns the height of the last block that was made by a time, if there is one.
func (a *API) blockBefore(t time.Time) (height uint64, ok bool, err error) {
	last, _, _ := a.cfg.Ledger.Last()
	n := sort.Search(int(last.Height)+1, func(i int) bool {
		b, e := a.header(uint64(i))
		if e != nil {
			err = e
			return true
		}
		return b.Time > t.UnixMilli()
	})
	return uint64(max(n-1, 0)), n > 0, err
}
