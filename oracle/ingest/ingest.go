package ingest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Ledger is what ingest asks of the ledger it feeds. Both methods are safe for
// concurrent use.
type Ledger interface {
	// View calls fn with the state between two blocks. fn must not change or
	// keep it.
	View(fn func(*state.State))
	// Logged returns the leaf that used a sequence number.
	Logged(id signer.KeyID, q entry.Sequence) (index uint64, leaf []byte, ok bool)
}

// Config is what an Ingest works with. All fields but Used are required.
type Config struct {
	Ledger Ledger
	// Submit puts a bundle into the order and returns when it is durable there. It
	// must not keep it.
	Submit func(ctx context.Context, bundle []byte) error
	// PutPack makes a committed pack durable where every oracle finds it.
	PutPack func(ctx context.Context, digest [32]byte, pack []byte) error
	// Now is the clock that statements' times are judged by.
	Now func() time.Time
	// Refuse answers a gateway with a reason.
	Refuse func(gateway string, r wire.Refusal)
	// Again answers a gateway that sent what is on the ledger already.
	Again func(gateway string, q entry.Sequence, index uint64)
	// Used, if set, is told of a verified statement whose sequence number another one has
	// used. It must not keep the message, and returns at once.
	Used func(m *signer.Message, q entry.Sequence)
	Log  *slog.Logger
}

// Sizes of queues and batches.
const (
	// queueSize and queueBytes bound the frames that wait; more are dropped,
	// counted, and sent again by their gateways.
	queueSize  = 32768
	queueBytes = 64 << 20
	batchSize  = 1024
	// pace is how long after one batch the next one begins, unless enough wait
	// already. A statement that comes alone waits for nobody; of many, each costs
	// the less the more are verified, and ordered with one sync, together.
	pace        = 20 * time.Millisecond
	enough      = 512
	submitsOpen = 16 // bundles on their way into the order at once
	// flightTime is how long a submitted statement is remembered while it does
	// not appear in a block; then a re-send is taken again.
	flightTime = time.Minute
	// maxFlights and flightBytes bound what is remembered of them. What goes
	// beyond is dropped as from a full queue: forgetting others instead would
	// cost their receipts, and order them twice when they are sent again.
	maxFlights  = 1 << 17
	flightBytes = 256 << 20
)

// Ingest is one oracle's intake.
type Ingest struct {
	Config
	queue    chan arrival
	hurry    chan struct{} // holds one: enough wait for a batch
	queued   atomic.Int64  // bytes in queue
	verifier *signer.Verifier
	workers  chan struct{} // one for each core: batches being worked on
	submits  chan struct{}
	sent     sent

	most, mostBytes int // flights

	mu      sync.Mutex // guards the fields below
	flights map[block.Hash]*Flight
	opening map[sender]bool // what batches being worked on hold
	held    int             // bytes of the frames that flights refer to
	refused map[entry.Reason]uint64

	dropped, duplicates, accepted atomic.Uint64
}

type arrival struct {
	gateway string
	frame   []byte
}

// Flight is a statement on its way from ingest to a block.
type Flight struct {
	Gateway string
	Leaf    block.Hash
	// Input is the verified and judged statement.
	Input *state.Input
	size  int // of the frame, which Input refers to
	since time.Time
}

// New returns an Ingest. It does nothing until Run.
func New(c Config) *Ingest {
	return &Ingest{
		Config:   c,
		queue:    make(chan arrival, queueSize),
		hurry:    make(chan struct{}, 1),
		verifier: signer.NewVerifier(),
		workers:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		submits:  make(chan struct{}, submitsOpen),
		sent:     newSent(),
		flights:  make(map[block.Hash]*Flight),
		opening:  make(map[sender]bool),
		refused:  make(map[entry.Reason]uint64),
		most:     maxFlights, mostBytes: flightBytes,
	}
}

// Offer takes a gateway's frame, which must not change afterwards. It reports
// false, and counts, when the queue is full: the gateway sends again.
func (g *Ingest) Offer(gateway string, frame []byte) bool {
	if n := int64(len(frame)); g.queued.Add(n) <= queueBytes {
		select {
		case g.queue <- arrival{gateway, frame}:
			if len(g.queue) >= enough {
				select {
				case g.hurry <- struct{}{}:
				default:
				}
			}
			return true
		default:
		}
	}
	g.queued.Add(-int64(len(frame)))
	g.dropped.Add(1)
	return false
}

// Take removes and returns the flight of a leaf, if this oracle took it in.
func (g *Ingest) Take(leaf block.Hash) (*Flight, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, ok := g.flights[leaf]
	if ok {
		g.forget(f)
	}
	return f, ok
}

// forget removes a flight. The caller holds mu.
func (g *Ingest) forget(f *Flight) {
	delete(g.flights, f.Leaf)
	g.held -= f.size
}

// Recognise returns the statements of a message of the order that is a bundle of this
// intake, in their order, or nil. They need not be read, hashed and verified again. A
// bundle is recognised once.
func (g *Ingest) Recognise(message []byte) []Known {
	b := g.sent.take(message)
	if b == nil {
		return nil
	}
	defer g.sent.release(b)
	out := make([]Known, len(b.part))
	for i, o := range b.part {
		out[i] = Known{o.Leaf, len(o.Statement), o.Input}
	}
	return out
}

// Known is a statement that was verified when it was taken in.
type Known struct {
	Leaf  block.Hash
	Size  int // of the statement, in bytes
	Input *state.Input
}

// Find returns the flight of a leaf and leaves it where it is.
func (g *Ingest) Find(leaf block.Hash) (*Flight, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, ok := g.flights[leaf]
	return f, ok
}

// Stats are counts since the start.
type Stats struct {
	Accepted   uint64 // statements submitted to the order
	Duplicates uint64 // frames of statements on their way or on the ledger already
	Dropped    uint64 // frames lost to a full queue, or to too many statements on their way
	InFlight   int    // statements on their way
	// Refused counts the refusals of this intake by their reason; those of the
	// rules at execution are outcomes on the ledger.
	Refused map[entry.Reason]uint64
}

// Stats returns the counts.
func (g *Ingest) Stats() Stats {
	g.mu.Lock()
	n, refused := len(g.flights), maps.Clone(g.refused)
	g.mu.Unlock()
	return Stats{g.accepted.Load(), g.duplicates.Load(), g.dropped.Load(), n, refused}
}

// Run works until ctx ends.
func (g *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	batch := make([]arrival, 0, batchSize)
	swept := time.Now()
	var began time.Time
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return nil
		case a := <-g.queue:
			batch = append(batch, a)
		}
		if !g.wait(ctx, began.Add(pace)) {
			return nil
		}
		began = time.Now()
	drain:
		for len(batch) < batchSize {
			select {
			case a := <-g.queue:
				batch = append(batch, a)
			default:
				break drain
			}
		}
		for i := range batch {
			g.queued.Add(-int64(len(batch[i].frame)))
		}
		// As many batches at once as there are cores: the slower half of one batch does
		// not keep the other core waiting, and a signature costs the less the more are
		// verified together.
		select {
		case g.workers <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		work := slices.Clone(batch)
		wg.Go(func() {
			defer func() { <-g.workers }()
			g.take(ctx, &wg, work)
		})
		if now := time.Now(); now.Sub(swept) > flightTime {
			g.mu.Lock()
			g.sweep(now)
			g.mu.Unlock()
			g.sent.sweep(now)
			swept = now
		}
	}
}

// wait returns when it is time for the next batch, or enough statements are there for
// one. It is false when ctx has ended.
func (g *Ingest) wait(ctx context.Context, next time.Time) bool {
	select {
	case <-g.hurry: // of an earlier batch, perhaps
	default:
	}
	wait := time.Until(next)
	if wait <= 0 || len(g.queue) >= enough {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-g.hurry:
	}
	return true
}

// take works through one batch.
func (g *Ingest) take(ctx context.Context, wg *sync.WaitGroup, batch []arrival) {
	opened := g.open(batch)
	defer g.close(opened)
	flights := g.verify(opened)
	flights = g.judge(flights)
	for len(flights) > 0 {
		n, size := 0, 1
		for n < len(flights) && n < maxStatements && size <= MaxBundle {
			if size += 4 + len(flights[n].Statement); size > MaxBundle && n > 0 {
				break
			}
			n++
		}
		part := flights[:n:n]
		flights = flights[n:]
		// Before the next batch is looked at, so that nothing is taken in twice.
		if !g.remember(part) {
			g.dropped.Add(uint64(len(part)))
			g.Log.Warn("dropped statements, as too many are on their way", "statements", len(part))
			continue
		}
		select {
		case g.submits <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-g.submits }()
			g.submit(ctx, part)
		})
	}
}

// opening is a frame being worked on.
type opening struct {
	Flight
	Statement []byte
	pack      []byte
	message   *signer.Message
}

func (g *Ingest) refuse(o *opening, reason entry.Reason) {
	r := wire.Refusal{Leaf: o.Leaf, Reason: reason}
	if o.Input != nil {
		q := o.Input.Sequence()
		r.Boot, r.Count = q.Boot, q.Count
	} else if o.message != nil {
		// Not verified, but it tells the gateway which of its statements is meant.
		if c, err := entry.ParseClaims(o.message.Claims); err == nil {
			r.Boot, r.Count = c.Sequence.Boot, c.Sequence.Count
		}
	}
	g.mu.Lock()
	g.refused[reason]++
	g.mu.Unlock()
	g.Refuse(o.Gateway, r)
}

// sender is a statement and who sent it: a copy from another gateway's connection must
// not stand in the way of the gateway's own.
type sender struct {
	gateway string
	leaf    block.Hash
}

// open reads the frames and passes over statements that are on their way, or in a batch
// that is being worked on. What it returns is closed when it is on its way, or refused.
func (g *Ingest) open(batch []arrival) []*opening {
	all := make([]opening, len(batch))
	reasons := make([]entry.Reason, len(batch))
	for i := range batch {
		reasons[i] = all[i].read(batch[i])
	}
	out := make([]*opening, 0, len(batch))
	g.mu.Lock()
	for i := range all {
		o := &all[i]
		from := sender{o.Gateway, o.Leaf}
		switch {
		case reasons[i] != "":
		case g.flights[o.Leaf] != nil || g.opening[from]:
			g.duplicates.Add(1)
		default:
			g.opening[from] = true
			out = append(out, o)
		}
	}
	g.mu.Unlock()
	for i := range all {
		if reasons[i] != "" {
			g.refuse(&all[i], reasons[i])
		}
	}
	return out
}

// close ends what open began.
func (g *Ingest) close(opened []*opening) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range opened {
		delete(g.opening, sender{o.Gateway, o.Leaf})
	}
}

// read reads a frame as far as that can be done without keys.
func (o *opening) read(a arrival) entry.Reason {
	o.Gateway, o.size = a.gateway, len(a.frame)
	f, err := wire.ParseFrame(a.frame)
	if err != nil {
		o.Leaf = block.LeafHash(a.frame)
		if errors.Is(err, wire.ErrTooLarge) {
			return entry.ReasonTooLarge
		}
		return entry.ReasonMalformed
	}
	o.Statement, o.pack, o.Leaf = f.Statement, f.Pack, block.LeafHash(f.Statement)
	if o.message, err = signer.Parse(f.Statement); err != nil {
		return entry.ReasonMalformed
	}
	return ""
}

// verify checks keys, whose they are, and all signatures at once.
func (g *Ingest) verify(in []*opening) []*opening {
	jobs := make([]signer.Job, 0, len(in))
	known := make([]*opening, 0, len(in))
	reasons := make([]entry.Reason, len(in))
	g.Ledger.View(func(s *state.State) {
		for i, o := range in {
			k, ok := s.Key(o.message.KeyID)
			switch {
			case !ok:
				reasons[i] = entry.ReasonUnknownKey
			case k.Revoked != 0:
				reasons[i] = entry.ReasonRevokedKey
			case k.Gateway != o.Gateway:
				reasons[i] = entry.ReasonWrongGateway
			default:
				known = append(known, o)
				jobs = append(jobs, signer.Job{Message: o.message, Key: k.Public})
			}
		}
	})
	for i, o := range in {
		if reasons[i] != "" {
			g.refuse(o, reasons[i])
		}
	}
	g.verifier.VerifyBatch(jobs)
	out := known[:0]
	for i, o := range known {
		if jobs[i].Err != nil {
			g.refuse(o, entry.ReasonBadSignature)
			continue
		}
		o.Input = &state.Input{Opened: jobs[i].Opened, Pack: o.pack}
		out = append(out, o)
	}
	for _, o := range out {
		o.Input.Read() // before the state is asked
	}
	return out
}

// judge asks the rules, and answers what is on the ledger already.
func (g *Ingest) judge(in []*opening) []*opening {
	reasons := make([]entry.Reason, len(in))
	now := g.Now().UnixMilli()
	g.Ledger.View(func(s *state.State) {
		for i, o := range in {
			reasons[i] = s.Judge(o.Input, max(now, s.Time()))
		}
	})
	out := in[:0]
	for i, o := range in {
		switch reasons[i] {
		case "":
			out = append(out, o)
			continue
		case entry.ReasonSequenceUsed:
			q := o.Input.Sequence()
			if index, leaf, ok := g.Ledger.Logged(o.message.KeyID, q); ok && string(leaf) == string(o.Statement) {
				g.duplicates.Add(1)
				g.Again(o.Gateway, q, index)
				continue
			}
			if g.Used != nil {
				g.Used(o.message, q)
			}
		}
		g.refuse(o, reasons[i])
	}
	return out
}

// submit makes the packs durable and then the bundle. On failure the flights are
// forgotten, so that a re-send is taken.
func (g *Ingest) submit(ctx context.Context, part []*opening) {
	err := g.putPacks(ctx, part)
	if err == nil {
		statements := make([][]byte, len(part))
		for i, o := range part {
			statements[i] = o.Statement
		}
		b := g.sent.add(part, statements)
		err = g.Submit(ctx, b.bytes)
		g.sent.release(b)
	}
	if err != nil {
		for _, o := range part {
			g.Take(o.Leaf)
		}
		if ctx.Err() == nil {
			g.Log.Warn("did not submit bundle", "statements", len(part), "error", err)
		}
		return
	}
	g.accepted.Add(uint64(len(part)))
}

func (g *Ingest) putPacks(ctx context.Context, part []*opening) error {
	var wg sync.WaitGroup
	errs := make([]error, len(part))
	limit := make(chan struct{}, 64)
	for i, o := range part {
		if o.pack == nil || !o.message.Hidden() {
			continue
		}
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			errs[i] = g.PutPack(ctx, [32]byte(o.message.Payload), o.pack)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// remember notes the flights of part, or reports that there is no room.
func (g *Ingest) remember(part []*opening) bool {
	now := time.Now() // ages are real time, whatever clock the ledger runs by
	size := 0
	for _, o := range part {
		size += o.size
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	room := func() bool { return len(g.flights)+len(part) <= g.most && g.held+size <= g.mostBytes }
	if !room() {
		g.sweep(now)
	}
	if !room() {
		return false
	}
	for _, o := range part {
		o.since = now
		g.flights[o.Leaf] = &o.Flight
	}
	g.held += size
	return true
}

// sweep forgets flights that are too old. The caller holds mu.
func (g *Ingest) sweep(now time.Time) {
	for _, f := range g.flights {
		if now.Sub(f.since) > flightTime {
			g.forget(f)
		}
	}
}
