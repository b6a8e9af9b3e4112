package block_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger/block"
)

const origin = "example.org/street"

func header() *block.Header {
	return &block.Header{
		Version: 1, Origin: origin, Height: 7, Prev: block.Hash{1}, First: 100, Size: 112, Root: block.Hash{2}, Time: 1_750_000_000_000,
	}
}

func TestHeadersRoundTrip(t *testing.T) {
	want := header()
	got, err := block.ParseHeader(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(block.Header{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*block.Header)
		want   string
	}{
		"version 0":           {func(h *block.Header) { h.Version = 0 }, "version 0"},
		"version 2":           {func(h *block.Header) { h.Version = 2 }, "version 2"},
		"no origin":           {func(h *block.Header) { h.Origin = "" }, "not an origin"},
		"origin of two lines": {func(h *block.Header) { h.Origin = "street\n9" }, "not an origin"},
		"huge height":         {func(h *block.Header) { h.Height = 1 << 63 }, "out of range"},
		"huge size":           {func(h *block.Header) { h.Size = 1<<64 - 1 }, "out of range"},
		"starts at its end":   {func(h *block.Header) { h.First = 113 }, "after its end"},
		"before 1970":         {func(h *block.Header) { h.Time = -1 }, "time -1"},
		"far future":          {func(h *block.Header) { h.Time = 1<<50 + 1 }, "out of range"},
	} {
		h := header()
		test.change(h)
		if _, err := block.ParseHeader(h.Encode()); !errors.Is(err, block.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want ErrForm with %q", name, err, test.want)
		}
	}
	good := header().Encode()
	for n := range good {
		if _, err := block.ParseHeader(good[:n]); !errors.Is(err, block.ErrForm) {
			t.Errorf("the first %d of %d bytes: %v", n, len(good), err)
		}
	}
	if _, err := block.ParseHeader(append(good, 0)); !errors.Is(err, block.ErrForm) {
		t.Errorf("trailing byte: %v", err)
	}
}

// chain makes n headers, each following the one before, and their leaf hashes.
func chain(n int) (list []*block.Header, ids []block.Hash) {
	first, prev := uint64(0), block.Hash{}
	for i := range n {
		h := &block.Header{Version: 1, Origin: origin, Height: uint64(i), Prev: prev, First: first, Size: first + uint64(3*i+1), Time: 1000 + int64(i)/2}
		prev, first = block.LeafHash(h.Encode()), h.Size+1
		list, ids = append(list, h), append(ids, prev)
	}
	return list, ids
}

func TestHeadersFormAChain(t *testing.T) {
	list, ids := chain(6)
	if err := list[0].Follows(nil, block.Hash{}); err != nil {
		t.Errorf("genesis: %v", err)
	}
	for i := 1; i < len(list); i++ {
		if err := list[i].Follows(list[i-1], ids[i-1]); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
	}
	for name, change := range map[string]func(*block.Header){
		"another ledger":      func(h *block.Header) { h.Origin = "example.org/other" },
		"a height too high":   func(h *block.Header) { h.Height++ },
		"the same height":     func(h *block.Header) { h.Height-- },
		"another predecessor": func(h *block.Header) { h.Prev[0] ^= 1 },
		"a gap":               func(h *block.Header) { h.First++ },
		"an overlap":          func(h *block.Header) { h.First-- },
		"older":               func(h *block.Header) { h.Time = list[2].Time - 1 },
	} {
		h := *list[3]
		change(&h)
		if err := h.Follows(list[2], ids[2]); !errors.Is(err, block.ErrChain) {
			t.Errorf("%s: %v, want ErrChain", name, err)
		}
	}
	for i := 1; i < 3; i++ {
		if err := list[i].Follows(nil, block.Hash{}); !errors.Is(err, block.ErrChain) {
			t.Errorf("block %d as genesis: %v, want ErrChain", i, err)
		}
	}
}
