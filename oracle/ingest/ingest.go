package ingest

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
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

// Config is what an Ingest works with. All fields are required.
type Config struct {
	Ledger Ledger
	// Submit puts a bundle into the order and returns when it is durable there.
	Submit func(ctx context.Context, bundle []byte) error
	// PutPack makes a committed pack durable where every oracle finds it.
	PutPack func(ctx context.Context, digest [32]byte, pack []byte) error
	// Now is the clock that statements' times are judged by.
	Now func() time.Time
	// Refuse answers a gateway with a reason.
	Refuse func(gateway string, r wire.Refusal)
	// Again answers a gateway that sent what is on the ledger already.
	Again func(gateway string, q entry.Sequence, index uint64)
	Log   *slog.Logger
}

// Sizes of queues and batches.
const (
	queueSize   = 8192 // frames waiting; more are dropped, counted, and sent again by their gateways
	batchSize   = 1024
	submitsOpen = 16 // bundles on their way into the order at once
	// flightTime is how long a submitted statement is remembered while it does
	// not appear in a block; then a re-send is taken again.
	flightTime = time.Minute
	maxFlights = 1 << 17
)

// Ingest is one oracle's intake.
type Ingest struct {
	Config
	queue    chan arrival
	verifier *signer.Verifier
	submits  chan struct{}

	mu      sync.Mutex // guards flights
	flights map[block.Hash]*Flight

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
	since time.Time
}

// New returns an Ingest. It does nothing until Run.
func New(c Config) *Ingest {
	return &Ingest{
		Config:   c,
		queue:    make(chan arrival, queueSize),
		verifier: signer.NewVerifier(),
		submits:  make(chan struct{}, submitsOpen),
		flights:  make(map[block.Hash]*Flight),
	}
}

// Offer takes a gateway's frame, which must not change afterwards. It reports
// false, and counts, when the queue is full: the gateway sends again.
func (g *Ingest) Offer(gateway string, frame []byte) bool {
	select {
	case g.queue <- arrival{gateway, frame}:
		return true
	default:
		g.dropped.Add(1)
		return false
	}
}

// Take removes and returns the flight of a leaf, if this oracle took it in.
func (g *Ingest) Take(leaf block.Hash) (*Flight, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, ok := g.flights[leaf]
	delete(g.flights, leaf)
	return f, ok
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
	Dropped    uint64 // frames lost to a full queue
	InFlight   int
}

// Stats returns the counts.
func (g *Ingest) Stats() Stats {
	g.mu.Lock()
	n := len(g.flights)
	g.mu.Unlock()
	return Stats{g.accepted.Load(), g.duplicates.Load(), g.dropped.Load(), n}
}

// Run works until ctx ends.
func (g *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	batch := make([]arrival, 0, batchSize)
	swept := time.Now()
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return nil
		case a := <-g.queue:
			batch = append(batch, a)
		}
	drain:
		for len(batch) < batchSize {
			select {
			case a := <-g.queue:
				batch = append(batch, a)
			default:
				break drain
			}
		}
		g.take(ctx, &wg, batch)
		if now := time.Now(); now.Sub(swept) > flightTime {
			g.sweep(now)
			swept = now
		}
	}
}

// take works through one batch.
func (g *Ingest) take(ctx context.Context, wg *sync.WaitGroup, batch []arrival) {
	flights := g.open(batch)
	flights = g.verify(flights)
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
	g.Refuse(o.Gateway, r)
}

// open reads the frames and passes over statements that are on their way.
func (g *Ingest) open(batch []arrival) []*opening {
	out := make([]*opening, 0, len(batch))
	inBatch := make(map[block.Hash]bool, len(batch))
	for _, a := range batch {
		o := &opening{}
		o.Gateway = a.gateway
		f, err := wire.ParseFrame(a.frame)
		if err != nil {
			o.Leaf = block.LeafHash(a.frame)
			reason := entry.ReasonMalformed
			if errors.Is(err, wire.ErrTooLarge) {
				reason = entry.ReasonTooLarge
			}
			g.refuse(o, reason)
			continue
		}
		o.Statement, o.pack, o.Leaf = f.Statement, f.Pack, block.LeafHash(f.Statement)
		if _, ok := g.Find(o.Leaf); ok || inBatch[o.Leaf] {
			g.duplicates.Add(1)
			continue
		}
		if o.message, err = signer.Parse(f.Statement); err != nil {
			g.refuse(o, entry.ReasonMalformed)
			continue
		}
		inBatch[o.Leaf] = true
		out = append(out, o)
	}
	return out
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
	g.verifier.VerifyAll(jobs)
	out := known[:0]
	for i, o := range known {
		if jobs[i].Err != nil {
			g.refuse(o, entry.ReasonBadSignature)
			continue
		}
		o.Input = &state.Input{Opened: jobs[i].Opened, Pack: o.pack}
		out = append(out, o)
	}
	readAll(out)
	return out
}

// readAll reads the statements on all cores, before the state is asked.
func readAll(list []*opening) {
	const least = 32 // fewer are not worth a goroutine
	shares := max(1, min(runtime.GOMAXPROCS(0), len(list)/least))
	var wg sync.WaitGroup
	for i := range shares {
		share := list[i*len(list)/shares : (i+1)*len(list)/shares]
		wg.Go(func() {
			for _, o := range share {
				o.Input.Read()
			}
		})
	}
	wg.Wait()
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
		}
		g.refuse(o, reasons[i])
	}
	return out
}

// submit makes the packs durable and then the bundle. On failure the flights are
// forgotten, so that a re-send is taken.
func (g *Ingest) submit(ctx context.Context, part []*opening) {
	now := time.Now() // ages are real time, whatever clock the ledger runs by
	g.mu.Lock()
	if len(g.flights) > maxFlights {
		clear(g.flights) // costs a second verification, nothing else
	}
	for _, o := range part {
		o.since = now
		g.flights[o.Leaf] = &o.Flight
	}
	g.mu.Unlock()

	err := g.putPacks(ctx, part)
	if err == nil {
		statements := make([][]byte, len(part))
		for i, o := range part {
			statements[i] = o.Statement
		}
		err = g.Submit(ctx, EncodeBundle(statements))
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

func (g *Ingest) sweep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for h, f := range g.flights {
		if now.Sub(f.since) > flightTime {
			delete(g.flights, h)
		}
	}
}
