package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"wattmark/gateway/outbox"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Config says whose statements go where. The first six fields must be given.
type Config struct {
	Gateway   string // its name in subjects
	Origin    string // of the ledger
	Policy    *block.Policy
	Outbox    *outbox.Outbox
	Transport Transport
	// OracleKeys are the oracles' statement keys, which sign refusals.
	OracleKeys map[signer.KeyID]signer.PublicKey

	// Policy and OracleKeys are those of the configuration. Followed are the handovers that
	// lead from there to the oracles in force, as far as was come before, and Keep makes
	// them durable with each new one; nil keeps them in memory.
	Followed []*handover.Handover
	Keep     func([]*handover.Handover) error

	Resend    Backoff // default 30 s to 15 min
	Reconnect Backoff // default 1 s to 5 min
	// MaxRate is what the line carries, in bytes a second; the backlog gets half of it.
	// 0 is no limit.
	MaxRate int
	// Birth returns what is announced after each connection, where the transport has a
	// subject for it; nil announces nothing.
	Birth func(ctx context.Context) ([]byte, error)
	// Renew takes a client certificate that was sent, in DER, and reports whether it is in
	// use from now on, also where it could not be kept; nil drops it.
	Renew func(der []byte) (bool, error)
	// Jitter draws evenly from [0, 1); nil is random.
	Jitter func() float64
	// OnReceipt and OnRefusal, if set, are told of each in turn, from one goroutine.
	OnReceipt func(Receipt)
	OnRefusal func(Refusal)
	Log       *slog.Logger // nil drops everything
}

// Receipt is a verified receipt whose statement the outbox has marked.
type Receipt struct {
	outbox.Number
	// Statement is what was signed.
	Statement []byte
	// Transparent is the statement with its receipts, as a *.cose file.
	Transparent []byte
	// Proof is the statement's tlog-proof.
	Proof *block.LogProof
}

// Refusal is an authentic refusal.
type Refusal struct {
	outbox.Number
	Reason entry.Reason
	// Leaf is the leaf hash of what was refused.
	Leaf block.Hash
	// Ours is false when what was refused is not what the outbox has under that
	// number: something else was sent in this gateway's name.
	Ours bool
	// Lasting says that the statement is not sent any more.
	Lasting bool
}

// Uplink sends what an outbox holds and takes what comes back. Run does the work;
// the other methods may be called from any goroutine.
type Uplink struct {
	cfg      Config
	subjects wire.Subjects
	// firstOracle is the one that hears first what is sent again, drawn so that not
	// every gateway asks the same.
	firstOracle int
	incoming    chan message
	again       chan struct{} // holds one: there is something to send
	news        chan struct{} // capacity 1; see Announce
	trust       atomic.Pointer[trusted]

	follow followed // owned by the goroutine that takes answers

	// Owned by the goroutine of Run: everything up to live was sent once or lies
	// behind in the backlog, which goes from backlog up to backlogEnd.
	live, backlog, backlogEnd outbox.Number
	backlogAt                 time.Time // when the line has room for more of it

	mu      sync.Mutex // guards the fields below
	flights flights
	stats   Stats
	oracles Oracles // without what trust has
}

type message struct {
	subject string
	body    []byte
}

// Stats are counts since the start, and how the connection is.
type Stats struct {
	Connected   bool
	Since       time.Time // of Connected's last change
	Broker      string
	Failure     string // why the last connection failed or ended
	Connects    uint64
	Published   uint64
	Resent      uint64 // of these, not for the first time
	InFlight    int    // sent and without receipt
	Receipts    uint64 // verified, of statements that waited for one
	Repeated    uint64 // answers for what is not waiting any more, or is not ours
	Unverified  uint64 // receipts that do not verify
	Superseded  uint64 // of these, for want of a handover that came then
	Refusals    map[entry.Reason]uint64
	Foreign     uint64    // refusals of something else in this gateway's name
	BadRefusals uint64    // refusals that do not verify
	LastReceipt time.Time // zero if there was none
}

// New checks the configuration and returns an Uplink that has not started.
func New(cfg Config) (*Uplink, error) {
	switch {
	case cfg.Origin == "" || cfg.Policy == nil || cfg.Outbox == nil || cfg.Transport == nil || len(cfg.OracleKeys) == 0:
		return nil, errors.New("an uplink needs an origin, a policy, oracle keys, an outbox and a transport")
	case cfg.Policy.Origin() != cfg.Origin:
		return nil, fmt.Errorf("the policy is for the ledger %q, the gateway for %q", cfg.Policy.Origin(), cfg.Origin)
	case cfg.MaxRate < 0:
		return nil, fmt.Errorf("a rate of %d bytes a second", cfg.MaxRate)
	}
	if err := entry.CheckGateway(cfg.Gateway); err != nil {
		return nil, err
	}
	cfg.Resend = cfg.Resend.or(30*time.Second, 15*time.Minute)
	cfg.Reconnect = cfg.Reconnect.or(time.Second, 5*time.Minute)
	if err := errors.Join(cfg.Resend.check("sending again"), cfg.Reconnect.check("reconnecting")); err != nil {
		return nil, err
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	u := &Uplink{
		cfg: cfg, subjects: wire.For(cfg.Origin), firstOracle: int(cfg.Jitter() * float64(len(cfg.OracleKeys))),
		incoming: make(chan message, 16), again: make(chan struct{}, 1), news: make(chan struct{}, 1),
		flights: newFlights(),
		stats:   Stats{Broker: cfg.Transport.String(), Refusals: make(map[entry.Reason]uint64), Since: time.Now()},
	}
	return u, u.openOracles()
}

// Run sends and listens until ctx ends, and returns nil.
func (u *Uplink) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { u.answers(ctx) })
	attempt := 0
	for {
		begin := time.Now()
		err := u.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		// A connection that outlived the wait before it was a good one.
		if time.Since(begin) > u.cfg.Reconnect.Step(attempt) && u.connected() {
			attempt = 0
		}
		u.disconnected(err)
		wait := u.cfg.Reconnect.Wait(attempt, u.cfg.Jitter())
		u.cfg.Log.Warn("no connection to the broker", "broker", u.cfg.Transport.String(), "error", err, "retry_ms", wait.Milliseconds())
		attempt++
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (u *Uplink) connected() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stats.Connected
}

func (u *Uplink) disconnected(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stats.Connected {
		u.stats.Connected, u.stats.Since = false, time.Now()
	}
	u.stats.Failure = err.Error()
}

// session is one connection, from its opening to its end.
func (u *Uplink) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listen := []string{u.subjects.Receipt(u.cfg.Gateway), u.subjects.Refusal(u.cfg.Gateway)}
	conn, err := u.cfg.Transport.Connect(ctx, listen, func(subject string, body []byte) {
		select {
		case u.incoming <- message{subject, body}:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer cancel() // first: what is being delivered must not hold Close up

	u.mu.Lock()
	u.stats.Connected, u.stats.Since = true, time.Now()
	u.stats.Connects++
	u.mu.Unlock()
	u.cfg.Log.Info("connected to the broker", "broker", u.cfg.Transport.String())
	if err := u.announce(ctx, conn); err != nil {
		return err
	}
	if durable := u.cfg.Outbox.Durable(); durable.Compare(u.live) > 0 {
		u.live, u.backlogEnd = durable, durable
	}
	for {
		wait, err := u.send(ctx, conn)
		if err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-u.cfg.Outbox.Ready():
		case <-u.again:
		case <-u.news:
			err = u.announce(ctx, conn)
		case <-conn.Done():
			err = conn.Err()
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

// announce says what this gateway is. That it cannot is no reason not to send.
func (u *Uplink) announce(ctx context.Context, conn Conn) error {
	a, ok := conn.(announcer)
	if !ok || u.cfg.Birth == nil {
		return nil
	}
	b, err := u.cfg.Birth(ctx)
	if err != nil {
		u.cfg.Log.Warn("did not announce the gateway", "error", err)
		return nil
	}
	if err := a.Announce(ctx, b); err != nil {
		return fmt.Errorf("announcing the gateway: %w", err)
	}
	return nil
}

// Announce says again what this gateway is, as when that has changed; without a
// connection nothing needs to be done, as the next one begins with it.
func (u *Uplink) Announce() {
	select {
	case u.news <- struct{}{}:
	default: // it is about to be said
	}
}

// Resend makes a statement that was refused for good be sent again, as when the
// operator has mended the cause. Its errors are those of Outbox.Resend.
func (u *Uplink) Resend(n outbox.Number) error {
	if err := u.cfg.Outbox.Resend(n.Boot, n.Seq); err != nil {
		return err
	}
	u.mu.Lock()
	u.flights.put(&flight{number: n, due: time.Now()})
	u.mu.Unlock()
	u.wake()
	return nil
}

// wake makes Run look for something to send.
func (u *Uplink) wake() {
	select {
	case u.again <- struct{}{}:
	default:
	}
}

// Stats returns the counts up to now.
func (u *Uplink) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.stats
	out.InFlight = len(u.flights.byNumber)
	out.Refusals = make(map[entry.Reason]uint64, len(u.stats.Refusals))
	for r, n := range u.stats.Refusals {
		out.Refusals[r] = n
	}
	return out
}
