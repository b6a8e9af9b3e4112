package outbox

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
)

// Limits of what a record may hold, in bytes.
const (
	MaxStatement = 65535 // the entry limit of tlog-tiles
	MaxPack      = 65535 // salt and records of a committed statement
	MaxReceipt   = 16384 // the receipts of all oracles for one statement
	maxReason    = 256   // a refusal's or a gap's reason
)

const (
	groupRecords = 64        // an fsync at the latest after so many statements,
	groupBytes   = 256 << 10 // or so many bytes of anything
	keptReceipts = 64
	reserveBlock = 256
	spareDead    = 2 // dead segments kept to be written again
	minSegments  = 4
)

// Errors that callers branch on.
var (
	// ErrClosed: the outbox was closed.
	ErrClosed = errors.New("the outbox is closed")
	// ErrNoBoot: RaiseBoot has not succeeded yet.
	ErrNoBoot = errors.New("the boot count was not raised yet")
	// ErrNoNumber: the reserved numbers are used up and no more can be made
	// durable. Nothing can be signed until Retry succeeds.
	ErrNoNumber = errors.New("no sequence number can be reserved")
	// ErrOrder: the number is not the one NextSeq handed out last, or it was
	// appended already.
	ErrOrder = errors.New("not the number that was handed out")
	// ErrTooLarge: a statement, pack, receipt or reason is above its limit.
	ErrTooLarge = errors.New("too large")
	// ErrUnknown: the outbox has no statement of this number; it may have been
	// receipted and forgotten long ago.
	ErrUnknown = errors.New("no such statement in the outbox")
	// ErrMemory: the disk does not take writes and the outbox is in memory.
	ErrMemory = errors.New("the outbox is in memory, as the disk does not take writes")
)

// Options say how an outbox is kept. The zero value works, without a gateway id.
type Options struct {
	// GatewayID is written into each segment; a directory of another gateway is
	// refused. At most 64 bytes.
	GatewayID string
	// MaxBytes limits the segments on disk; 0 means 256 MB. At least 1 MB.
	MaxBytes int64
	// MemoryBytes limits what is kept while the disk fails; 0 means 2 MB.
	MemoryBytes int
	// FsyncEach makes each statement durable before Append returns.
	FsyncEach bool
	// Identity is what a statement calls the one before it; nil is the SHA-256 of
	// its bytes. It must always be the same for one directory.
	Identity func(statement []byte) [32]byte

	segmentBytes int // less than usual in tests
	keptReceipts int
	reserveBlock uint64
}

// Record is one signed statement.
type Record struct {
	Boot      uint64
	Seq       uint64
	Statement []byte // COSE_Sign1, to be published as it is
	Pack      []byte // salt and records of a committed payload; nil for an open one
	// Covers are the gaps, from Gaps, that this statement says. They are
	// forgotten when it is receipted, and come back if it is dropped. Pending
	// leaves it nil.
	Covers []Gap
	// Replaces are statements of one boot, from Thinnable, whose place this one
	// takes; they are not sent any more. The gap of reason Thinned that they leave
	// is one that this statement says. Those that have a receipt meanwhile stay as
	// they are. Pending leaves it nil.
	Replaces []Number
}

// Number returns the record's sequence number.
func (r *Record) Number() Number { return Number{r.Boot, r.Seq} }

// State says where the outbox keeps what it is given.
type State int

// The states of an outbox.
const (
	OnDisk   State = iota // as it should be
	InMemory              // the disk refused a write; see Retry
)

// String returns "disk" or "memory".
func (s State) String() string {
	if s == InMemory {
		return "memory"
	}
	return "disk"
}

// Outbox is the store. Make one with Open.
type Outbox struct {
	fs    FS
	dir   string
	opts  Options
	lock  io.Closer
	ready chan struct{} // capacity 1; see Ready

	mu     sync.Mutex // guards everything below
	closed bool

	segs     []*segment // oldest first; the last one is the head while there is a file
	head     *head      // nil before the first write and in memory
	ordinal  uint32     // the highest ever used
	dirDirty bool       // a removal is not durable yet

	index    index
	gaps     []*gap            // oldest first
	refusals map[Number]string // why, for each place with the flag refused
	kept     []keptReceipt     // the last receipts, oldest first
	facts    map[string]*fact  // see Put

	group     []logRecord // logged and not durable; in memory mode all there is
	groupSize int         // its bytes
	unsynced  int         // statements appended since the last sync
	released  []Number    // to be forgotten once the group is durable
	dropped   []*gap      // likewise

	superseded []held // likewise: facts that have newer values

	state     State
	cause     error // why it is in memory, or what went wrong last in tidying up
	lastRetry retryTime
	toRepair  *recovery // what Open could not finish, as the disk refused

	bootState      // the counters of boot.go
	last      link // the statement logged last
	durable   link // the last one that is durable
	base      link // what the next segment's header names: durable once the head is synced

	reader struct { // the segment read last
		ordinal uint32
		file    File
	}
	counts counts
	buf    []byte
}

// link names a statement for the one after it.
type link struct {
	Number
	hash [32]byte // SHA-256 of the statement
}

// head is the segment being written.
type head struct {
	*segment
	file    File
	end     int  // where the next record goes
	settled bool // nothing was written since the last sync
}

// keptReceipt is one of the last receipts.
type keptReceipt struct {
	number  Number
	receipt []byte
}

// Append logs a statement with the number that NextSeq handed out last. On
// return it survives the end of the process, and with FsyncEach, or when it
// filled the group of 64, also a power cut; otherwise Flush makes it so. A disk
// that refuses is no error: the outbox moves to memory and State says so. The
// errors are ErrClosed, ErrOrder, ErrTooLarge and, for a statement that replaces
// others, ErrMemory; then nothing changed. The
// record's slices stay the caller's.
func (o *Outbox) Append(rec Record) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.check(&rec); err != nil {
		return err
	}
	n := rec.Number()
	o.logStatement(n, &rec)
	o.last, o.accounted = link{n, o.opts.Identity(rec.Statement)}, n.Seq
	o.unsynced++
	o.counts.appended++
	o.counts.payload += uint64(len(rec.Statement) + len(rec.Pack))
	if len(rec.Replaces) > 0 {
		o.replace(n, rec.Replaces)
	}
	o.coverAll(n, rec.Covers)
	if o.opts.FsyncEach || o.groupFull() {
		o.flush() // a failure shows as the state
	}
	if o.state == InMemory {
		o.trimMemory()
		o.signal()
	}
	return nil
}

func (o *Outbox) check(rec *Record) error {
	switch n := rec.Number(); {
	case o.closed:
		return ErrClosed
	case len(rec.Statement) == 0:
		return errors.New("the statement is empty")
	case len(rec.Statement) > MaxStatement:
		return fmt.Errorf("statement of %d bytes is %w: at most %d", len(rec.Statement), ErrTooLarge, MaxStatement)
	case len(rec.Pack) > MaxPack:
		return fmt.Errorf("pack of %d bytes is %w: at most %d", len(rec.Pack), ErrTooLarge, MaxPack)
	case len(rec.Statement)+len(rec.Pack) > o.opts.segmentBytes/2:
		return fmt.Errorf("statement and pack of %d bytes are %w for a segment", len(rec.Statement)+len(rec.Pack), ErrTooLarge)
	case !o.raised, n.Boot != o.boot, n.Seq != o.handed, n.Seq <= o.accounted:
		return fmt.Errorf("statement %s: %w (%d-%d)", n, ErrOrder, o.boot, o.handed)
	}
	return o.checkReplaces(rec.Replaces)
}

// groupFull tells whether the group is to be synced. Marks alone do not fill it:
// those that a power cut takes are made again, as their statements are sent again.
func (o *Outbox) groupFull() bool {
	return o.state == OnDisk && (o.unsynced >= groupRecords || o.groupSize >= groupBytes)
}

// Flush makes durable what was logged before. Callers flush at an interval's
// end, by a timer of 5 s, and before they stop. It returns an error that is
// ErrMemory when the disk does not take it.
func (o *Outbox) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	return o.flush()
}

func (o *Outbox) flush() error {
	idle := len(o.group) == 0
	if err := o.commit(); err != nil || idle {
		return err
	}
	o.reclaim()
	return nil
}

// commit is flush without giving space back, which may begin a segment, whose
// header repeats the counters: they must be right by then.
func (o *Outbox) commit() error {
	if o.state == InMemory {
		return fmt.Errorf("%w: %w", ErrMemory, o.cause)
	}
	if len(o.group) == 0 {
		return nil
	}
	o.reserveAhead()
	if o.state == OnDisk {
		if err := o.syncHead(); err != nil {
			o.degrade(err)
		}
	}
	if o.state == InMemory {
		return fmt.Errorf("%w: %w", ErrMemory, o.cause)
	}
	o.settle()
	return nil
}

// settle draws the consequences of a sync: what was logged is durable, and what
// waited for that is forgotten.
func (o *Outbox) settle() {
	clear(o.group)
	o.group, o.groupSize, o.unsynced = o.group[:0], 0, 0
	if o.durable != o.last {
		o.durable = o.last
		o.signal()
	}
	o.base = o.durable
	o.durableReserve()
	for _, n := range o.released {
		if p := o.index.find(n); p != nil {
			o.keep(p.seg, -1, p.size())
			o.index.forget(p)
		}
	}
	for _, g := range o.dropped {
		o.keep(g.seg, -1, g.size)
	}
	for _, h := range o.superseded {
		o.keep(h.seg, -1, h.size)
	}
	o.released, o.dropped, o.superseded = o.released[:0], nil, o.superseded[:0]
	o.index.compact()
}

// Close flushes, gives the reserved numbers back that were not handed out, and
// lets the directory go. The outbox is of no use afterwards, whatever Close
// returns.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	o.giveBack()
	err := o.flush()
	o.closed = true
	if o.head != nil {
		err = errors.Join(err, o.head.file.Close())
	}
	o.forgetReader()
	return errors.Join(err, o.lock.Close())
}

// Last returns the number and the identity of the statement appended last, to
// which the next one links. It is false for an empty outbox. After a power cut
// it is the last statement on disk.
func (o *Outbox) Last() (n Number, hash [32]byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.Number, o.last.hash, o.last != link{}
}

// Durable returns the highest number whose statement is durable.
func (o *Outbox) Durable() Number {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.durable.Number
}

// State tells where the outbox keeps what it is given, and the error that moved
// it to memory.
func (o *Outbox) State() (State, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == OnDisk {
		return OnDisk, nil
	}
	return o.state, o.cause
}

// Ready receives a value after statements became available to Pending.
func (o *Outbox) Ready() <-chan struct{} { return o.ready }

func (o *Outbox) signal() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *Outbox) path(name string) string { return filepath.Join(o.dir, name) }

// segment returns the segment of an ordinal, nil for what is in memory.
func (o *Outbox) segment(ordinal uint32) *segment {
	lo, hi := 0, len(o.segs)
	for lo < hi {
		mid := (lo + hi) / 2
		if o.segs[mid].ordinal < ordinal {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(o.segs) && o.segs[lo].ordinal == ordinal {
		return o.segs[lo]
	}
	return nil
}

// keep counts n more (or fewer) things of size bytes that keep a segment on
// disk.
func (o *Outbox) keep(ordinal uint32, n, size int) {
	if s := o.segment(ordinal); s != nil {
		s.live += n
		s.liveBytes += int64(n * size)
	}
}
