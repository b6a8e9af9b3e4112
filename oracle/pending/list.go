package pending

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"wattmark/ledger/request"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Limits of a list, beside those of a message (wire.MaxPending, wire.MaxPendingIn).
const (
	// maxShared and maxSharedIn are for those without a certificate of their own: the
	// rest is kept for those who have one.
	maxShared   = 48
	maxSharedIn = wire.MaxPendingIn / 2
	// maxNamed is how many of them may go by one name.
	maxNamed = 4
	// lapse is how long a request waits without being sent again. Gateways send every
	// 30 s.
	lapse = 10 * time.Minute

	// Approvals that are kept, and for how long.
	maxApprovals   = 32
	maxApproval    = 1 << 20 // bytes of one: the broker's limit of a message, as approvals have the handovers in them
	maxApprovalsIn = 2 << 20 // bytes of all
	keepApproval   = time.Hour
	// answerEvery is how often one key is given its approval at most.
	answerEvery = 5 * time.Second
)

var (
	// ErrRate: too many came at once.
	ErrRate = errors.New("too many requests at once")
	// ErrFull: there is no room left.
	ErrFull = errors.New("too many requests wait")
	// ErrSender: the request is another's than the certificate with which it came.
	ErrSender = errors.New("it came with another gateway's certificate")
)

// Config is what a List works with. All fields are required.
type Config struct {
	Origin string // of the ledger
	// Now is the machine's clock, by which requests lapse.
	Now func() time.Time
	// Key returns a key that signs for a gateway now: one that a rotation replaces
	// must have signed it.
	Key func(id signer.KeyID) (key signer.PublicKey, gateway string, ok bool)
}

// List is the requests that wait. Its methods may be called from any goroutine.
type List struct {
	Config

	mu          sync.Mutex // guards the fields below
	shared, own *Rate
	waiting     []*entry // in the order in which they came first
	approvals   []*approval
	dropped     uint64
}

type entry struct {
	wire.PendingRequest
	digest [sha256.Size]byte
	key    signer.KeyID
	name   string // that it asks for
	last   time.Time
}

type approval struct {
	key         signer.KeyID
	message     []byte
	kept, given time.Time
}

// New returns an empty list.
func New(c Config) *List {
	// A technician asks once in 30 s; a street that comes back after an outage at once.
	return &List{Config: c, shared: NewRate(2, 16, c.Now()), own: NewRate(20, 64, c.Now())}
}

// Offer takes a message of wire.EncodeRequest that came with the certificate of a
// gateway, or with the shared one: then gateway is empty. Where the key has its
// approval already and that is still known, it is returned for the key, to be given again.
func (l *List) Offer(gateway string, message []byte) (again *Answer, err error) {
	now := l.Now()
	l.mu.Lock()
	rate := l.own
	if gateway == "" {
		rate = l.shared
	}
	if !rate.Take(now) {
		l.dropped++
		l.mu.Unlock()
		return nil, ErrRate
	}
	digest := sha256.Sum256(message)
	l.sweep(now)
	if e := l.known(digest); e != nil && e.Gateway == gateway {
		e.Last, e.last = now.Unix(), now
		e.Times++
		l.mu.Unlock()
		return nil, nil
	}
	l.mu.Unlock()

	// Verified without the lock: it takes a while.
	statement, err := wire.ParseRequest(message)
	if err != nil {
		return nil, err
	}
	r, err := request.Open(statement, l.Origin)
	if err != nil {
		return nil, err
	}
	if gateway != "" && r.Gateway != gateway {
		return nil, fmt.Errorf("%w: %q asks as %q", ErrSender, gateway, r.Gateway)
	}
	if err := l.consented(r); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.approved(r.Public.ID()); a != nil {
		if now.Sub(a.given) < answerEvery {
			return nil, nil
		}
		a.given = now
		return &Answer{Gateway: r.Gateway, Key: a.key, Approval: a.message}, nil
	}
	e := &entry{
		PendingRequest: wire.PendingRequest{Statement: slices.Clone(statement), Gateway: gateway, First: now.Unix(), Last: now.Unix(), Times: 1},
		digest:         digest, key: r.Public.ID(), name: r.Gateway, last: now,
	}
	return nil, l.add(e)
}

// Answer is an approval for whoever asked.
type Answer struct {
	Gateway  string
	Key      signer.KeyID
	Approval []byte
}

// consented wants a rotation to be signed by the key that it replaces, which signs for
// the same gateway.
func (l *List) consented(r *request.Request) error {
	if !r.Rotation {
		return nil
	}
	old, gateway, ok := l.Key(signer.KeyID(r.Replaces))
	if !ok || gateway != r.Gateway {
		return fmt.Errorf("%w: it replaces key %x, which does not sign for %q", request.ErrRequest, r.Replaces, r.Gateway)
	}
	return r.Consented(old)
}

func (l *List) known(digest [sha256.Size]byte) *entry {
	for _, e := range l.waiting {
		if e.digest == digest {
			return e
		}
	}
	return nil
}

func (l *List) approved(key signer.KeyID) *approval {
	for _, a := range l.approvals {
		if a.key == key {
			return a
		}
	}
	return nil
}

// add puts a request into the list, in the place of an older one of the same sender
// where that has as many as it may. The caller holds mu.
func (l *List) add(e *entry) error {
	same := func(o *entry) bool { return o.Gateway == e.Gateway && o.name == e.name }
	most := maxNamed
	if e.Gateway != "" {
		most = 1 // its newest is the one that counts
	}
	var mine []*entry
	for _, o := range l.waiting {
		// A key asks once: its newest request is the one that counts.
		if o.key == e.key && o.Gateway == e.Gateway || same(o) {
			mine = append(mine, o)
		}
	}
	slices.SortStableFunc(mine, func(a, b *entry) int {
		if x, y := a.key == e.key, b.key == e.key; x != y {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return a.last.Compare(b.last)
	})
	var out []*entry
	for i, o := range mine {
		if o.key == e.key || len(mine)-i >= most {
			out = append(out, o)
		}
	}
	all, shared, count := 0, 0, 0
	for _, o := range l.waiting {
		if slices.Contains(out, o) {
			continue
		}
		all += len(o.Statement)
		if o.Gateway == "" {
			shared += len(o.Statement)
			count++
		}
	}
	full := len(l.waiting)-len(out) >= wire.MaxPending || all+len(e.Statement) > wire.MaxPendingIn
	if e.Gateway == "" {
		full = full || count >= maxShared || shared+len(e.Statement) > maxSharedIn
	}
	if full {
		l.dropped++
		return ErrFull
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(o *entry) bool { return slices.Contains(out, o) })
	l.waiting = append(l.waiting, e)
	return nil
}

// sweep forgets what has lapsed. The caller holds mu.
func (l *List) sweep(now time.Time) {
	l.waiting = slices.DeleteFunc(l.waiting, func(e *entry) bool { return now.Sub(e.last) > lapse })
	l.approvals = slices.DeleteFunc(l.approvals, func(a *approval) bool { return now.Sub(a.kept) > keepApproval })
}

// Approved notes the approval that an operator gave to a key: its requests wait no
// more.
func (l *List) Approved(key signer.KeyID, message []byte) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	l.waiting = slices.DeleteFunc(l.waiting, func(e *entry) bool { return e.key == key })
	if a := l.approved(key); a != nil && bytes.Equal(a.message, message) {
		return // another oracle gave it again
	}
	l.approvals = slices.DeleteFunc(l.approvals, func(a *approval) bool { return a.key == key })
	if len(message) > maxApproval {
		return
	}
	// What was published just now was heard by whoever listens: one that was away asks
	// again, and has it at once.
	l.approvals = append(l.approvals, &approval{key: key, message: slices.Clone(message), kept: now})
	size := 0
	for _, a := range l.approvals {
		size += len(a.message)
	}
	for len(l.approvals) > maxApprovals || size > maxApprovalsIn {
		size -= len(l.approvals[0].message)
		l.approvals = l.approvals[1:]
	}
}

// Pending returns what waits, in the order in which it came first.
func (l *List) Pending() *wire.Pending {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	p := &wire.Pending{Requests: []wire.PendingRequest{}, Dropped: l.dropped}
	for _, e := range l.waiting {
		p.Requests = append(p.Requests, e.PendingRequest)
	}
	return p
}
