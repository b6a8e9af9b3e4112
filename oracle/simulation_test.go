package oracle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

// The simulation runs four oracles through schedules that no test of processes would
// meet often enough: what is cut, executed and voted is the shipped code; order,
// network and disk are drawn, one event at a time, from a seed. A schedule that fails
// prints its seed, and runs alone with it. It is inside the package because cutting and
// executing have no other way in.

var (
	simSeed      = flag.Uint64("sim.seed", 0, "run this one schedule of the simulation")
	simSchedules = flag.Int("sim.schedules", 400, "schedules of the simulation")
)

const simOracles = 4

// plan is what may happen in a schedule.
type simPlan struct {
	rewind bool // the order loses messages that were delivered
	liar   bool // one oracle votes for what was not executed, and differently to each
	early  bool // wrong on purpose: an oracle votes before its block is durable and forgets the block
}

// simWorld is a schedule at one moment.
type simWorld struct {
	rng     *rand.Rand
	plan    simPlan
	base    *simBase
	order   []simMessage
	oracles []*simOracle
	packets []simPacket
	final   map[uint64]block.Checkpoint // by height, of anybody honest
	votes   map[simVote]block.Checkpoint
	used    int // of base.readings
	rewound bool
}

// simBase is what all schedules start from: genesis, and a block with two gateways.
type simBase struct {
	chain    *ledgertest.Chain
	export   []state.Change
	tree     store.Tree
	prev     block.Hash
	readings []ledgertest.Message

	finals, halts, lies atomic.Int64 // in all schedules

	mu     sync.Mutex // guards clocks
	clocks map[[3]int64]ledgertest.Message
}

type simVote struct {
	oracle int
	height uint64
}

type simMessage struct {
	digest     [32]byte
	statements []ledgertest.Message
}

type simPacket struct {
	to int
	b  []byte
}

// simBlock is a block of one oracle.
type simBlock struct {
	height     uint64
	checkpoint block.Checkpoint
	at         int      // messages of the order that it and those before took in
	digest     [32]byte // of the last of them
	export     []state.Change
	tree       store.Tree
	prev       block.Hash
	leaves     map[string]bool // of statements
	logged     map[simNumber]uint64
}

type simNumber struct {
	id signer.KeyID
	q  entry.Sequence
}

// simOracle is an oracle: what is on its disk, and what it forgets with its process.
type simOracle struct {
	i       int
	durable []*simBlock
	halted  error

	up       bool
	state    *state.State
	cutter   *cutter
	at       int      // messages delivered
	last     [32]byte // digest of the last one
	executed []*simBlock
	tree     store.Tree
	prev     block.Hash
	tally    *finality.Tally
	second   *finality.Tally // of a liar
}

func newSimBase(t *testing.T) *simBase {
	c := ledgertest.New(t, simOracles, entry.Parameter{Name: entry.ParamCutLeaves, Value: 12})
	c.Draw("+home1 +home2")
	b := &simBase{chain: c, export: c.State.Export(), clocks: make(map[[3]int64]ledgertest.Message)}
	for _, leaf := range c.All() {
		b.tree.Append(block.LeafHash(leaf), nil)
	}
	b.prev = block.LeafHash(c.Last().Header.Encode())
	for i := range 24 {
		home := fmt.Sprintf("home%d", 1+i%2)
		s, pack := c.Reading(home, ledgertest.Record(home, "energy", int64(1000+i), c.State.Time())).Sign(t)
		b.readings = append(b.readings, c.Deliver(s, pack))
	}
	return b
}

// clock is the statement of an oracle's clock for a height. Making one takes a
// signature, so that schedules share them.
func (b *simBase) clock(oracle int, height uint64, tick int64) ledgertest.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := [3]int64{int64(oracle), int64(height), tick}
	m, ok := b.clocks[k]
	if !ok {
		c := entry.Clock{Height: height, Time: ledgertest.Start + 1000*int64(height) + tick}
		s, _ := b.chain.Stated(oracle, entry.TypeClock, c.Encode()).Sign(b.chain.TB())
		m = b.chain.Deliver(s, nil)
		b.clocks[k] = m
	}
	return m
}

func (o *simOracle) liar(w *simWorld) bool { return w.plan.liar && o.i == 0 }

// end is the last durable block, or what all start from.
func (o *simOracle) end(b *simBase) *simBlock {
	if n := len(o.durable); n > 0 {
		return o.durable[n-1]
	}
	last := b.chain.Last()
	return &simBlock{height: last.Header.Height, checkpoint: last.Checkpoint, export: b.export, tree: b.tree, prev: b.prev,
		leaves: map[string]bool{}, logged: map[simNumber]uint64{}}
}

// start is an oracle that opens its ledger, compares it with the order, and votes for
// its last block again.
func (w *simWorld) start(o *simOracle) error {
	end := o.end(w.base)
	if end.at > len(w.order) || end.at > 0 && w.order[end.at-1].digest != end.digest {
		o.halted = fmt.Errorf("%w: the chain rests on message %d", ErrHalted, end.at)
		w.base.halts.Add(1)
		return nil
	}
	var err error
	if o.state, err = state.Load(w.base.chain.Charter, func(each func(k, v []byte) error) error {
		for _, c := range end.export {
			if err := each(c.Key, c.Value); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	o.up, o.at, o.last, o.tree, o.prev, o.executed = true, end.at, end.digest, end.tree, end.prev, nil
	o.cutter = newCutter(o.state)
	k := w.base.chain.Oracles[o.i]
	tally := func() *finality.Tally {
		return finality.NewTally(finality.Always(w.base.chain.Policy), finality.Keys{Name: k.Name, Log: k.Log, Cosigner: k.Cosigner})
	}
	o.tally, o.second = tally(), tally()
	return w.cast(o, end.height, end.checkpoint)
}

// deliver hands an oracle the next message of the order: the cutter's and the
// executor's step.
func (w *simWorld) deliver(o *simOracle) error {
	if o.at > 0 && (o.at > len(w.order) || w.order[o.at-1].digest != o.last) {
		o.halted, o.up = fmt.Errorf("%w: message %d is another one now", ErrHalted, o.at), false
		w.base.halts.Add(1)
		return nil
	}
	if o.at == len(w.order) {
		return nil
	}
	m := w.order[o.at]
	o.at, o.last = o.at+1, m.digest
	items := make([]item, len(m.statements))
	for i := range m.statements {
		s := &m.statements[i]
		items[i] = item{leaf: s.Hash, size: len(s.Statement), input: s.Input()}
	}
	if !o.cutter.take(o.state, items) {
		return nil
	}
	return w.execute(o)
}

func (w *simWorld) execute(o *simOracle) error {
	before := o.end(w.base)
	if n := len(o.executed); n > 0 {
		before = o.executed[n-1]
	}
	c := o.cutter
	items, _, err := unrepeated(c.items, used(o.state, c.items), func(id signer.KeyID, q entry.Sequence) (uint64, []byte, bool) {
		at, ok := before.logged[simNumber{id, q}]
		for i := range w.base.readings { // whose leaf is known by its number
			if r := &w.base.readings[i]; ok && r.Input().Opened.Key().ID() == id && number(r) == q {
				return at, r.Statement, true
			}
		}
		return 0, nil, false
	})
	if err != nil {
		return err
	}
	inputs := make([]state.Input, len(items))
	for i := range items {
		inputs[i] = items[i].input
	}
	first, height := o.tree.Size(), o.state.Height()
	r, err := o.state.Execute(first, o.prev, inputs)
	if err != nil {
		return err
	}
	b := &simBlock{height: height, at: o.at, digest: o.last, leaves: maps.Clone(before.leaves), logged: maps.Clone(before.logged)}
	for _, leaf := range slices.Concat(r.Leaves, r.Refusals) {
		o.tree.Append(block.LeafHash(leaf), nil)
	}
	for _, i := range r.Accepted {
		s := string(inputs[i].Opened.Message().Bytes())
		if b.leaves[s] {
			return fmt.Errorf("a statement is on the chain twice at height %d", height)
		}
		b.leaves[s] = true
	}
	for _, q := range r.Sequences {
		b.logged[simNumber{q.KeyID, q.Sequence}] = q.Leaf
	}
	h := block.Header{Version: block.HeaderVersion, Origin: ledgertest.Origin, Height: height, Prev: o.prev, First: first,
		Size: o.tree.Size(), Root: o.tree.Root(), Time: r.Time}
	o.prev = block.LeafHash(h.Encode())
	o.tree.Append(o.prev, nil)
	b.tree, b.prev = o.tree, o.prev
	b.checkpoint = block.Checkpoint{Origin: ledgertest.Origin, Size: o.tree.Size(), Root: o.tree.Root()}
	b.export = o.state.Export()
	o.executed = append(o.executed, b)
	o.cutter = newCutter(o.state)
	if w.plan.early {
		return w.cast(o, b.height, b.checkpoint)
	}
	return nil
}

func number(m *ledgertest.Message) entry.Sequence {
	in := m.Input()
	in.Read()
	return in.Sequence()
}

// commit makes an oracle's oldest executed block durable; voting for it comes after,
// and a crash may come between.
func (w *simWorld) commit(o *simOracle, dies bool) error {
	if len(o.executed) == 0 {
		return nil
	}
	b := o.executed[0]
	o.executed = o.executed[1:]
	for _, other := range w.oracles {
		for _, d := range other.durable {
			// Without a rewind one order has one chain, final or not.
			if !w.rewound && d.height == b.height && d.checkpoint != b.checkpoint {
				return fmt.Errorf("oracles %d and %d made different blocks of one order at height %d", o.i, other.i, b.height)
			}
		}
	}
	o.durable = append(o.durable, b)
	if dies {
		o.up = false
		return nil
	}
	if w.plan.early {
		return nil
	}
	return w.cast(o, b.height, b.checkpoint)
}

// cast is the voter's step for a block of its own.
func (w *simWorld) cast(o *simOracle, height uint64, c block.Checkpoint) error {
	if o.liar(w) {
		lie := c
		lie.Root[0] ^= 1
		v, _, err := o.tally.Cast(height, c, 1)
		if err != nil {
			return err
		}
		other, _, err := o.second.Cast(height, lie, 1)
		if err != nil {
			return err
		}
		for to := range w.oracles {
			w.send(to, []*finality.Vote{v, other}[to%2])
		}
		return nil
	}
	if was, ok := w.votes[simVote{o.i, height}]; ok && was != c {
		return fmt.Errorf("oracle %d signs two checkpoints at height %d: %v and %v", o.i, height, was, c)
	}
	w.votes[simVote{o.i, height}] = c
	v, f, err := o.tally.Cast(height, c, 1)
	if err != nil {
		return fmt.Errorf("oracle %d: %w", o.i, err)
	}
	for to := range w.oracles {
		if to != o.i {
			w.send(to, v)
		}
	}
	return w.finish(o, f)
}

func (w *simWorld) send(to int, v *finality.Vote) {
	if v != nil {
		w.packets = append(w.packets, simPacket{to, v.Encode()})
	}
}

// finish checks what nothing may break: one final checkpoint a height.
func (w *simWorld) finish(o *simOracle, f *finality.Final) error {
	if f == nil {
		return nil
	}
	if c, ok := w.final[f.Height]; ok && c != f.Checkpoint {
		return fmt.Errorf("two final checkpoints at height %d: %v and %v", f.Height, c, f.Checkpoint)
	}
	if _, ok := w.final[f.Height]; !ok {
		w.base.finals.Add(1)
	}
	w.final[f.Height] = f.Checkpoint
	return nil
}

// receive takes one packet off the network.
func (w *simWorld) receive(k int, keep bool) error {
	p := w.packets[k]
	if !keep {
		w.packets = slices.Delete(w.packets, k, k+1)
	}
	o := w.oracles[p.to]
	if !o.up || o.liar(w) {
		return nil
	}
	v, err := finality.ParseVote(p.b, ledgertest.Origin)
	if err != nil {
		return err
	}
	f, again, err := o.tally.Receive(v)
	for _, c := range o.tally.Conflicts() {
		if !w.plan.liar && !w.plan.early && !w.rewound {
			return fmt.Errorf("honest oracles disagree: %w", c)
		}
		w.base.lies.Add(1)
	}
	if err != nil && !errors.Is(err, finality.ErrVote) {
		return err
	}
	if again != nil {
		for to := range w.oracles {
			w.send(to, again)
		}
	}
	return w.finish(o, f)
}

func (w *simWorld) submit(list ...ledgertest.Message) {
	m := simMessage{statements: list}
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(w.order)))) // the same bytes again are another message
	for i := range list {
		h.Write(list[i].Hash[:])
	}
	if w.rewound {
		h.Write([]byte("after the rewind"))
	}
	h.Sum(m.digest[:0])
	w.order = append(w.order, m)
}

// event draws one event and carries it out.
func (w *simWorld) event() error {
	o := w.oracles[w.rng.IntN(simOracles)]
	switch k := w.rng.IntN(100); {
	case k < 12: // a gateway's bundle, or one that was sent before
		n := 1 + w.rng.IntN(3)
		from := w.used
		if w.rng.IntN(4) == 0 {
			from = w.rng.IntN(w.used + 1)
		}
		to := min(from+n, len(w.base.readings))
		w.used = max(w.used, to)
		if from < to {
			w.submit(w.base.readings[from:to]...)
		}
	case k < 30: // a clock, which may be late, early, or said twice
		if o.up {
			w.submit(w.base.clock(o.i, o.state.Height()-uint64(w.rng.IntN(2)), int64(w.rng.IntN(3))))
		}
	case k < 58:
		if o.up {
			return w.deliver(o)
		}
	case k < 70:
		if o.up {
			return w.commit(o, w.rng.IntN(12) == 0)
		}
	case k < 90:
		if len(w.packets) > 0 { // any of them: they overtake one another
			at, fate := w.rng.IntN(len(w.packets)), w.rng.IntN(10)
			if fate == 0 { // lost
				w.packets = slices.Delete(w.packets, at, at+1)
				return nil
			}
			return w.receive(at, fate == 1)
		}
	case k < 94: // a crash: what was executed and not written, or written in part, is gone
		o.up = false
	case k < 98:
		if !o.up && o.halted == nil {
			return w.start(o)
		}
	case k < 99 && w.plan.rewind && !w.rewound && len(w.order) > 4:
		w.order = w.order[:w.rng.IntN(len(w.order))]
		w.rewound = true
	}
	return nil
}

// heal brings everybody back and lets all that is on its way arrive.
func (w *simWorld) heal() error {
	for round := range 12 {
		for _, o := range w.oracles {
			if !o.up && o.halted == nil {
				if err := w.start(o); err != nil {
					return err
				}
			}
		}
		for _, o := range w.oracles {
			for o.up && o.at < len(w.order) {
				if err := w.deliver(o); err != nil {
					return err
				}
			}
			for o.up && len(o.executed) > 0 {
				if err := w.commit(o, false); err != nil {
					return err
				}
			}
		}
		for len(w.packets) > 0 {
			if err := w.receive(0, false); err != nil {
				return err
			}
		}
		for _, o := range w.oracles {
			if o.up && !o.liar(w) {
				for _, v := range o.tally.Pending() {
					for to := range w.oracles {
						w.send(to, v)
					}
				}
				if round < 4 {
					w.submit(w.base.clock(o.i, o.state.Height(), 0))
				}
			}
		}
	}
	return nil
}

// check says what must hold once all is healed.
func (w *simWorld) check() error {
	if w.rewound { // who had taken what was lost has halted; nothing conflicting was final before
		return nil
	}
	var end *block.Checkpoint
	for _, o := range w.oracles {
		if o.halted != nil {
			return fmt.Errorf("oracle %d halted: %w", o.i, o.halted)
		}
		last := o.end(w.base)
		if end == nil {
			end = &last.checkpoint
		}
		if last.checkpoint != *end {
			return fmt.Errorf("oracle %d ends at %v, oracle 0 at %v", o.i, last.checkpoint, *end)
		}
		for i := range w.order {
			for k := range w.order[i].statements {
				s := &w.order[i].statements[k]
				if in := s.Input(); in.Opened.Message().Type == entry.TypeReading && !last.leaves[string(s.Statement)] {
					return fmt.Errorf("oracle %d lost a statement of message %d", o.i, i+1)
				}
			}
		}
		if o.liar(w) {
			continue
		}
		if f := o.tally.Final(); f == nil || f.Checkpoint != last.checkpoint {
			return fmt.Errorf("oracle %d: its last block, at height %d, is not final", o.i, last.height)
		}
	}
	return nil
}

// simulate runs one schedule.
func (b *simBase) simulate(seed uint64, plan simPlan) error {
	w := &simWorld{rng: rand.New(rand.NewPCG(seed, 0)), plan: plan, base: b, final: make(map[uint64]block.Checkpoint), votes: make(map[simVote]block.Checkpoint)}
	for i := range simOracles {
		w.oracles = append(w.oracles, &simOracle{i: i})
	}
	for _, o := range w.oracles {
		if err := w.start(o); err != nil {
			return err
		}
	}
	for range 150 + w.rng.IntN(150) {
		if err := w.event(); err != nil {
			return err
		}
	}
	if err := w.heal(); err != nil {
		return err
	}
	return w.check()
}

// planOf is the plan of a seed: each kind of trouble in its turn.
func planOf(seed uint64) simPlan { return simPlan{rewind: seed%4 == 1, liar: seed%4 == 2} }

func TestSimulation(t *testing.T) {
	b := newSimBase(t)
	if *simSeed != 0 {
		if err := b.simulate(*simSeed, planOf(*simSeed)); err != nil {
			t.Fatalf("seed %d: %v", *simSeed, err)
		}
		return
	}
	n := *simSchedules
	from := rand.Uint64N(1 << 40)
	t.Logf("%d schedules from seed %d", n, from)
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for k := next.Add(1); k <= uint64(n) && !t.Failed(); k = next.Add(1) {
				if err := b.simulate(from+k, planOf(from+k)); err != nil {
					t.Errorf("seed %d: %v\nagain with: go test -run TestSimulation ./oracle -sim.seed %d", from+k, err, from+k)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d blocks final, %d oracles halted at a rewound order, %d liars found out", b.finals.Load(), b.halts.Load(), b.lies.Load())
	if !t.Failed() && n >= 100 && (b.finals.Load() < int64(n) || b.halts.Load() == 0 || b.lies.Load() == 0) {
		t.Error("the schedules do not reach what they are for")
	}
}

// An oracle that votes for a block before it is durable, and comes back to an order that
// lost what the block was made of, signs two checkpoints of one height: the simulation
// would find that.
func TestSimulationFindsEarlyVotes(t *testing.T) {
	b := newSimBase(t)
	for seed := range uint64(2000) {
		if b.simulate(seed, simPlan{rewind: true, early: true}) != nil {
			t.Logf("found with seed %d", seed)
			return
		}
	}
	t.Error("no schedule showed it")
}
