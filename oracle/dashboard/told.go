package dashboard

import (
	"slices"
	"sync"
)

// shownRows is how many of the newest blocks, receipts and notices a page shows,
// and all that is remembered of them.
const shownRows = 10

// maxNotice is how many characters of a notice are shown; German needs more of them.
const maxNotice = 280

// told is what the dashboard was told, as much of it as is shown, and what of
// that is news since the last take.
type told struct {
	mu        sync.Mutex // guards what follows
	blocks    []Block    // by height
	receipts  []receiptRow
	notices   []noticeRow
	any       bool // whether a block was ever told
	anyFinal  bool // whether final means anything
	final     uint64
	cosigners int
	received  uint64 // receipts ever told
	noticed   uint64 // notices ever told

	newBlocks  map[uint64]bool
	oldReceipt uint64 // the last receipt that was taken
	oldNotice  uint64
}

// receiptRow and noticeRow carry the number that names their row on the page.
type receiptRow struct {
	N uint64
	Receipt
}

type noticeRow struct {
	N uint64
	Notice
}

// snapshot is what was told, newest first.
type snapshot struct {
	blocks    []Block
	receipts  []receiptRow
	notices   []noticeRow
	any       bool
	anyFinal  bool
	final     uint64
	cosigners int
}

// news are the rows that changed, in the order in which they happened.
type news struct {
	blocks   []Block
	receipts []receiptRow
	notices  []noticeRow
}

func (t *told) block(b Block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.Final {
		t.finalise(b.Height, b.Cosigners)
	}
	if t.anyFinal && b.Height <= t.final {
		b.Final = true
		b.Cosigners = max(b.Cosigners, t.cosigners)
	}
	i, found := slices.BinarySearchFunc(t.blocks, b.Height, func(b Block, h uint64) int {
		switch {
		case b.Height < h:
			return -1
		case b.Height > h:
			return 1
		}
		return 0
	})
	switch {
	case found:
		return // several oracles tell of one block
	case i == 0 && len(t.blocks) == shownRows:
		return // older than what is shown
	default:
		t.blocks = slices.Insert(t.blocks, i, b)
		if len(t.blocks) > shownRows {
			t.blocks = slices.Delete(t.blocks, 0, 1)
		}
	}
	t.any = true
	t.changed(b.Height)
}

func (t *told) finalTo(height uint64, cosigners int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finalise(height, cosigners)
}

// finalise marks a block and every one before it. It is called with mu held.
func (t *told) finalise(height uint64, cosigners int) {
	if t.anyFinal && height <= t.final {
		if height == t.final {
			t.cosigners = max(t.cosigners, cosigners)
		}
		return
	}
	t.anyFinal, t.final, t.cosigners = true, height, cosigners
	for i := range t.blocks {
		if b := &t.blocks[i]; b.Height <= height && !b.Final {
			b.Final, b.Cosigners = true, cosigners
			t.changed(b.Height)
		}
	}
}

func (t *told) changed(height uint64) {
	if t.newBlocks == nil {
		t.newBlocks = make(map[uint64]bool)
	}
	t.newBlocks[height] = true
	if len(t.newBlocks) > 4*shownRows { // nobody takes them: forget what is not shown
		for h := range t.newBlocks {
			if h < t.blocks[0].Height {
				delete(t.newBlocks, h)
			}
		}
	}
}

func (t *told) receipt(r Receipt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Gateway = shorten(r.Gateway, 64)
	t.received++
	t.receipts = push(t.receipts, receiptRow{t.received, r})
}

func (t *told) notice(n Notice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(n.Args) == 0 { // else it is whose it is, and not from outside
		n.Text = shorten(n.Text, maxNotice)
	}
	n.Args = slices.Clone(n.Args)
	if n.Leaf != nil { // the caller's may change
		leaf := *n.Leaf
		n.Leaf = &leaf
	}
	t.noticed++
	t.notices = push(t.notices, noticeRow{t.noticed, n})
}

// push appends to a list that keeps its newest.
func push[T any](list []T, v T) []T {
	if len(list) == shownRows {
		copy(list, list[1:])
		list = list[:shownRows-1]
	}
	return append(list, v)
}

// look returns what is shown, and what of it is news. With take the news count as
// seen.
func (t *told) look(take bool) (snapshot, news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := snapshot{
		blocks: slices.Clone(t.blocks), receipts: slices.Clone(t.receipts), notices: slices.Clone(t.notices),
		any: t.any, anyFinal: t.anyFinal, final: t.final, cosigners: t.cosigners,
	}
	var n news
	for _, b := range s.blocks {
		if t.newBlocks[b.Height] {
			n.blocks = append(n.blocks, b)
		}
	}
	for _, r := range s.receipts {
		if r.N > t.oldReceipt {
			n.receipts = append(n.receipts, r)
		}
	}
	for _, r := range s.notices {
		if r.N > t.oldNotice {
			n.notices = append(n.notices, r)
		}
	}
	if take {
		clear(t.newBlocks)
		t.oldReceipt, t.oldNotice = t.received, t.noticed
	}
	slices.Reverse(s.blocks)
	slices.Reverse(s.receipts)
	slices.Reverse(s.notices)
	return s, n
}
