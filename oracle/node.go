package oracle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/oracle/finality"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Keys are an oracle's three private keys.
type Keys struct {
	// Statement signs what the oracle states: clocks, votes, refusals.
	Statement signer.Signer
	// Log signs checkpoints as the log.
	Log signer.Signer
	// Cosigner cosigns checkpoints and signs receipts, and no statements.
	Cosigner signer.Signer
}

// Packs is where committed packs wait for the oracles. Both methods are safe for
// concurrent use; Put is durable on return.
type Packs interface {
	Put(ctx context.Context, digest [32]byte, pack []byte) error
	Get(ctx context.Context, digest [32]byte) ([]byte, error)
}

// Config is what a node works with.
type Config struct {
	// Name is the oracle's name in the charter, which is also its cosigner's.
	Name string
	Keys Keys
	// Next, if set, are the keys that this oracle changes to: it signs with whichever
	// are in the oracle set in force.
	Next *Keys
	// Watch lets an oracle run that is in no oracle set yet, or no more: it executes and
	// serves, and neither states its clock nor votes.
	Watch bool
	// Dir holds the ledger, which must have been created.
	Dir string
	// Tiles is where the static tiles go; empty is Dir/tiles.
	Tiles string
	// Conn is the oracle's own connection to the broker, with every right.
	Conn *nats.Conn
	// Frames, if set, is a second connection for gateways' frames alone, so that
	// votes and receipts do not wait behind them.
	Frames *nats.Conn
	Order  orderer.Orderer
	Packs  Packs
	// Policy says when a checkpoint of the charter's oracles is final. Those of later
	// oracle sets are made final as the sets say.
	Policy *block.Policy
	// Witnesses are where witnesses from outside are asked, besides those to which Policy
	// gives a URL.
	Witnesses []block.PolicyWitness
	// Web, if set, asks them.
	Web *http.Client
	// Certify, if set, makes a client certificate for a gateway, in DER, for a public key as
	// SubjectPublicKeyInfo, by the broker's authority; nil where that is elsewhere.
	Certify func(now time.Time, gateway string, spki []byte) ([]byte, error)
	// Now is the clock that the oracle states and judges by.
	Now func() time.Time
	// CutAfter is how long statements wait for company before this oracle wishes
	// to close the block; 0 is 100 ms.
	CutAfter time.Duration
	// Observe, if set, is told what happens. It must return at once.
	Observe func(Event)
	// Certificates, if set, says for the metrics when the certificates end that this oracle
	// and the servers of its broker show. It is safe for concurrent use.
	Certificates func() []CertificateEnd
	Log          *slog.Logger
}

// Event is something a person may want to see.
type Event struct {
	// Block is set when a block was made durable, Final when one became final,
	// Refusal when a statement was refused, Answered when receipts went out.
	Block    *ledger.Block
	Final    *finality.Final
	Refusal  *wire.Refusal
	Gateway  string // of Refusal and Answered
	Answered int
	Conflict *finality.Conflict
	Halted   error
}

// Node is one oracle. It does nothing until Run.
type Node struct {
	cfg      Config
	origin   string
	subjects wire.Subjects
	ledger   *ledger.Ledger
	ingest   *ingest.Ingest
	verifier *signer.Verifier
	place    place
	births   births

	policyMu  sync.Mutex // guards policies and promisers
	policies  map[*entry.OracleSet]*block.Policy
	promisers map[*entry.OracleSet]map[signer.KeyID]signer.PublicKey // statement keys by cosigners'

	delivered chan *delivery
	executed  chan *executed
	nonsense  seldom // messages of the order; deliver's
	sealed    chan *sealed
	votes     chan []byte
	again     chan answer

	// waiting is when the oldest statement that waits for its block arrived, as
	// Unix nanoseconds, 0 for none; height is the block it waits for. Execute
	// writes them, the clock reads them.
	waiting atomic.Int64
	height  atomic.Uint64
	wish    chan struct{} // execute asks for a clock at once
	due     chan struct{} // seal asks for the index to be written

	final  atomic.Pointer[finality.Final]
	halted atomic.Pointer[haltError]
	counts counts

	accused chan *accusation // what is to be stated of keys

	outside  []*outsider                    // witnesses that are asked
	agreed   atomic.Pointer[finality.Final] // what oracles have signed last, and witnesses may
	cosigned chan cosignature

	// behind is the last message of the order when Run began. From then on this
	// oracle listens to gateways, which execute says by closing caughtUp: before,
	// it would judge statements by a state of long ago.
	behind   uint64
	caughtUp chan struct{}
	stop     context.CancelFunc // stops whatever writes, when the node halts
}

type haltError struct{ error }

const (
	defaultCutAfter = 100 * time.Millisecond
	resendVote      = 250 * time.Millisecond
	leaveWithin     = time.Second // the broker has to take note that an oracle leaves
)

// Open opens the node's ledger and checks that the keys are those of the
// charter. The report says what the store had to mend.
func Open(cfg Config) (*Node, ledger.Report, error) {
	if cfg.CutAfter == 0 {
		cfg.CutAfter = defaultCutAfter
	}
	if cfg.Frames == nil {
		cfg.Frames = cfg.Conn
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l, report, err := ledger.Open(cfg.Dir, store.Options{})
	if err != nil {
		return nil, report, err
	}
	n := &Node{
		cfg: cfg, ledger: l, verifier: signer.NewVerifier(),
		delivered: make(chan *delivery, 8), sealed: make(chan *sealed, 64),
		executed: make(chan *executed, 4), wish: make(chan struct{}, 1), due: make(chan struct{}, 1), votes: make(chan []byte, 1024), again: make(chan answer, 4096),
		caughtUp: make(chan struct{}), accused: make(chan *accusation, 64), cosigned: make(chan cosignature, 64),
	}
	n.counts.init()
	n.ledger.View(func(s *state.State) { n.height.Store(s.Height()) })
	if err := n.checkKeys(); err != nil {
		return nil, report, errors.Join(err, l.Close())
	}
	if n.outside, err = outsidersOf(cfg.Policy, cfg.Witnesses, cfg.Web); err != nil {
		return nil, report, errors.Join(err, l.Close())
	}
	n.subjects = wire.For(n.origin)
	if n.cfg.Tiles == "" {
		n.cfg.Tiles = cfg.Dir + "/tiles"
	}
	n.ingest = ingest.New(ingest.Config{
		Ledger: l, Submit: cfg.Order.Submit, PutPack: cfg.Packs.Put, Now: cfg.Now,
		Refuse: n.refuse, Again: n.answerAgain, Used: n.suspectNumber, Log: cfg.Log,
	})
	return n, report, nil
}

// Ledger gives the node's ledger, for reading.
func (n *Node) Ledger() *ledger.Ledger { return n.ledger }

// Ingest gives the node's intake, for its counts and for offering frames without
// a broker.
func (n *Node) Ingest() *ingest.Ingest { return n.ingest }

// Final returns the newest final checkpoint that this node has seen since it
// started, or nil.
func (n *Node) Final() *finality.Final { return n.final.Load() }

// Halted returns why the node stopped writing, or nil.
func (n *Node) Halted() error {
	if h := n.halted.Load(); h != nil {
		return h.error
	}
	return nil
}

// ErrHalted is wrapped by the error of a node that stopped writing because it
// cannot know which history is right. It goes on serving reads; a person has to
// decide.
var ErrHalted = errors.New("this oracle has halted")

// Run works until ctx ends, and then closes the ledger. A node that halts keeps
// running, without writing to the ledger or the order and without casting votes,
// and says so by Halted, its log and an event. Run is called once.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.ledger.Close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	writing, stop := context.WithCancel(ctx)
	defer stop()
	n.stop = stop
	last, err := n.askOrder(ctx)
	switch {
	case errors.Is(err, ErrHalted):
		n.halt(err)
		<-ctx.Done()
		return nil
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	if err := n.forgetRest(ctx); err != nil {
		return err
	}
	n.behind = last
	votes, err := n.cfg.Conn.Subscribe(n.subjects.Vote(), func(m *nats.Msg) {
		select {
		case n.votes <- m.Data:
		default: // votes are sent again until their height is final
		}
	})
	if err != nil {
		return fmt.Errorf("listening to votes: %w", err)
	}
	defer votes.Unsubscribe()
	packs, err := n.cfg.Conn.Subscribe(n.subjects.Pack(), n.givePack)
	if err != nil {
		return fmt.Errorf("listening to requests for packs: %w", err)
	}
	defer packs.Unsubscribe()

	// Where the chain ends now, before execute adds to it.
	begin := n.end()
	var wg sync.WaitGroup
	run := func(ctx context.Context, part func(context.Context) error) {
		wg.Go(func() {
			err := part(ctx)
			switch {
			case errors.Is(err, ErrHalted):
				n.halt(err)
			case err != nil && ctx.Err() == nil:
				cancel(err)
			}
		})
	}
	for _, part := range []func(context.Context) error{n.listen, n.ingest.Run, n.deliver, n.execute, n.seal, n.index, n.clock, n.accuse} {
		run(writing, part)
	}
	run(ctx, func(ctx context.Context) error { return n.conclude(ctx, begin) })
	run(ctx, n.publish)
	run(writing, n.sortHashes)
	for _, o := range n.outside {
		run(writing, func(ctx context.Context) error { return n.witness(ctx, o) })
	}
	run(ctx, n.hearRequests)
	run(ctx, n.hearBirths)
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// listen takes gateways' frames, once this oracle knows what is in the order.
func (n *Node) listen(ctx context.Context) error {
	select {
	case <-n.caughtUp:
	case <-ctx.Done():
		return nil
	}
	take := func(m *nats.Msg) { n.ingest.Offer(n.subjects.Gateway(m.Subject), m.Data) }
	shared, err := n.cfg.Frames.QueueSubscribe(n.subjects.Up("*"), wire.QueueGroup, take)
	if err != nil {
		return fmt.Errorf("listening to gateways: %w", err)
	}
	defer func() { // so that frames reach the other oracles from here on
		shared.Unsubscribe()
		n.cfg.Frames.FlushTimeout(leaveWithin)
	}()
	limit := func(frames *nats.Subscription) error { return frames.SetPendingLimits(1<<17, 256<<20) }
	if err := limit(shared); err != nil {
		return fmt.Errorf("listening to gateways: %w", err)
	}
	return n.atEachPlace(ctx, func(position int) (func(), error) {
		own, err := n.cfg.Frames.Subscribe(n.subjects.UpTo("*", position), take)
		if err == nil {
			err = limit(own)
		}
		if err != nil {
			return nil, fmt.Errorf("listening to gateways: %w", err)
		}
		return func() { own.Unsubscribe() }, nil
	})
}

// halt stops all writing, for good.
func (n *Node) halt(err error) {
	if !n.halted.CompareAndSwap(nil, &haltError{err}) {
		return // what else fails now follows from the first
	}
	n.stop()
	n.cfg.Log.Error("halted: writing has stopped, reads go on", "oracle", n.cfg.Name, "error", err,
		"remedy", Recovery)
	n.observe(Event{Halted: err})
}

// askWithin is how long the order may be out of reach at the start: the servers of a
// cluster choose who leads first.
const askWithin = time.Minute

// askOrder checks the order and asks how far it reaches, again and again while it cannot
// be asked.
func (n *Node) askOrder(ctx context.Context) (last uint64, err error) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for begin := time.Now(); ; {
		if err = n.checkOrder(ctx); err == nil {
			if _, last, err = n.cfg.Order.Bounds(ctx); err == nil {
				return last, nil
			}
			err = fmt.Errorf("asking how far the order reaches: %w", err)
		}
		if errors.Is(err, ErrHalted) || time.Since(begin) > askWithin {
			return 0, err
		}
		n.cfg.Log.Warn("the order cannot be asked yet", "error", err)
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-again.C:
		}
	}
}

// checkOrder compares the last message that the chain rests on with the order's.
func (n *Node) checkOrder(ctx context.Context) error {
	_, _, last := n.ledger.Last()
	if last.Sequence == 0 {
		return nil
	}
	msg, err := n.cfg.Order.At(ctx, last.Sequence)
	switch {
	case errors.Is(err, orderer.ErrTrimmed):
		return nil // older than what the order keeps: the blocks hold it
	case errors.Is(err, orderer.ErrDiverged):
		return fmt.Errorf("%w: %w", ErrHalted, err)
	case errors.Is(err, orderer.ErrBeyond):
		return fmt.Errorf("%w: the order was rewound: the chain rests on message %d, which the order does not have", ErrHalted, last.Sequence)
	case err != nil:
		return fmt.Errorf("asking the order for message %d: %w", last.Sequence, err)
	}
	if sha256.Sum256(msg) != last.Digest {
		return fmt.Errorf("%w: the order has diverged: message %d is not the one that the chain rests on", ErrHalted, last.Sequence)
	}
	return nil
}

func (n *Node) observe(e Event) {
	n.counts.note(&e, time.Now())
	if n.cfg.Observe != nil {
		n.cfg.Observe(e)
	}
}

// refuse answers a gateway with a reason, signed.
func (n *Node) refuse(gateway string, r wire.Refusal) {
	n.observe(Event{Refusal: &r, Gateway: gateway})
	if entry.CheckGateway(gateway) != nil {
		return
	}
	b, err := r.Sign(n.statementKey(), n.issuer(), n.origin, n.cfg.Now().Unix())
	if err == nil {
		err = n.cfg.Conn.Publish(n.subjects.Refusal(gateway), b)
	}
	if err != nil {
		n.cfg.Log.Warn("did not send refusal", "gateway", gateway, "reason", r.Reason, "error", err)
	}
}

func (n *Node) issuer() string { return "urn:wattmark:oracle:" + n.cfg.Name }

func (n *Node) answerAgain(gateway string, q entry.Sequence, index uint64) {
	select {
	case n.again <- answer{gateway, q, index}:
	default: // the gateway asks again
	}
}

// Submit puts a signed statement of this oracle's own (an enrolment, a
// revocation, a vote) into the order.
func (n *Node) Submit(ctx context.Context, statement []byte) error {
	return n.cfg.Order.Submit(ctx, ingest.EncodeBundle([][]byte{statement}))
}

// Sign signs an entry of the given type by this oracle's statement key.
func (n *Node) Sign(typ string, payload []byte) ([]byte, error) {
	return n.signBy(n.statementKey(), typ, payload)
}

func (n *Node) signBy(key signer.Signer, typ string, payload []byte) ([]byte, error) {
	c := entry.Claims{Issuer: n.issuer(), Audience: n.origin, IssuedAt: n.cfg.Now().Unix()}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
}
