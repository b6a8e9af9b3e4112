package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/street"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
	"wattmark/oracle"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
)

// demoOptions are the flags of the demonstration.
type demoOptions struct {
	duration time.Duration
	speed    int
	dir      string
	http     string
	gateways int
	oracles  int
	seed     uint64
	asJSON   bool

	lan, noBrowser bool
	prologue       bool

	given func(flag string) bool // whether a person typed it
}

const defaultHTTP = "127.0.0.1:8080"

func newDemo() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole street in one process, from meters to oracles",
		Long: `Demo runs a street in one process, through the code that ships at every step:
homes with energy meters, a stack with CO2 and flow, and the feeder's meter are
emulated at the level of registers and live by real homes' energy; gateways
read, sign, keep and send; an embedded broker carries; oracles verify, order,
execute and cosign; gateways forget only what has a verified receipt.

A new street begins on the evening before, unless it is to run for a short time:
seventeen hours pass as fast as the machine goes, and at 11:20 it is live. In the
first minute of that one gateway loses its network and catches up, one tampered
statement is refused, and one receipt is verified as 'wattmark verify' does it.
The homes trade: by auction, and by sharing what is over, each quarter of an
hour; a reading that comes late corrects an interval, and the bill is proved.
A bakery's stack is accounted for and certificates of a roof stand for its load;
a tonne is issued, retired and proved, and a second claim is refused.

The ribbon of its pages has a button that cuts a home's link, one that restores
it, one that forges a reading, which the oracles refuse, and one that makes the
street's clock go faster or slower.

With --dir the same directory can be stopped, also by kill -9, and started
again, and goes on. In it are policy, keys.jwks, receipts/, oracles/ and tiles/
for whoever wants to check; nothing else in it is meant for other programs.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = cmd.Flags().Changed
			if err := o.check(); err != nil {
				return err
			}
			if !o.given("prologue") {
				o.prologue = !o.asJSON && (o.duration == 0 || o.duration >= prologueMost+tourLength)
			}
			return failed(runDemo(cmd.Context(), &o, cmd.OutOrStdout()))
		},
	}
	c.Flags().DurationVar(&o.duration, "duration", 0, "how long to run, as in 90s; 0 is until interrupted")
	c.Flags().IntVar(&o.speed, "speed", 60, "how many times as fast as the wall the street's time goes")
	c.Flags().StringVar(&o.dir, "dir", "", "`DIR` to keep everything in; default is a new temporary one")
	c.Flags().StringVar(&o.http, "http", defaultHTTP, "`ADDRESS` of the page, or off")
	c.Flags().BoolVar(&o.lan, "lan", false, "show the page to the network too, with a code for phones")
	c.Flags().BoolVar(&o.noBrowser, "no-browser", false, "do not open the page in a browser, as is done on a terminal of a desktop")
	c.Flags().IntVar(&o.gateways, "gateways", 12, "homes, each with a gateway; the stack's and the feeder's come besides")
	c.Flags().IntVar(&o.oracles, "oracles", 4, "oracles, each with its own keys and store")
	c.Flags().Uint64Var(&o.seed, "seed", 1, "from what everything invented is drawn")
	c.Flags().BoolVar(&o.prologue, "prologue", false, "begin with the evening and the morning before, as fast as the machine goes; default where the directory is new, --json is not given, and --duration neither, or 90s at least")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object at the end, and nothing before")
	return c
}

// Bounds of what one process on one machine is asked to run.
const (
	maxDemoHomes   = 200
	maxDemoOracles = 16
)

func (o *demoOptions) check() error {
	switch {
	case o.duration < 0:
		return fmt.Errorf("--duration %s is negative", o.duration)
	case o.speed < 1 || o.speed > street.MaxSpeed:
		return fmt.Errorf("--speed %d is not between 1 and %d", o.speed, street.MaxSpeed)
	case o.gateways < 1 || o.gateways > maxDemoHomes:
		return fmt.Errorf("--gateways %d is not between 1 and %d", o.gateways, maxDemoHomes)
	case o.oracles < 1 || o.oracles > maxDemoOracles:
		return fmt.Errorf("--oracles %d is not between 1 and %d", o.oracles, maxDemoOracles)
	}
	return o.checkLAN()
}

// demo is a running demonstration.
type demo struct {
	*demoOptions
	begin   time.Time                 // wall
	live    atomic.Pointer[time.Time] // wall, since when the clock goes at its speed; nil in the prologue
	loose   atomic.Bool               // the rules are still the prologue's
	clock   *street.Clock
	street  *street.Street
	cluster *cluster
	fleet   []*demoGateway // of the street, in its order: homes, stack, feeder
	page    *dashboard.Dashboard
	api     *api.API
	pageURL string
	screen  *screen
	tally   tally
	news    news
	links   links
	// forgeries wait for their refusal.
	forgeries forgeries
	// corrected is told of the first interval that came out otherwise when it was settled
	// again.
	corrected chan unit.Interval
	accounts  atomic.Pointer[accounts] // of carbon, once they are opened
	log       *slog.Logger
}

// demoResult is what --json prints.
type demoResult struct {
	Signed       uint64            `json:"signed"`
	Acknowledged uint64            `json:"acknowledged"`
	Refused      map[string]uint64 `json:"refused"`
	Blocks       uint64            `json:"blocks"`
	Leaves       uint64            `json:"leaves"`
	Lost         uint64            `json:"lost"`
	FirstFinalMS int64             `json:"first_final_ms"`
}

func runDemo(ctx context.Context, o *demoOptions, stdout io.Writer) (err error) {
	d := &demo{demoOptions: o, begin: time.Now(), screen: newScreen(stdout, o.asJSON), corrected: make(chan unit.Interval, 1)}
	d.links.d = d
	defer d.screen.close()
	release, err := d.openDir()
	if err != nil {
		return err
	}
	defer release()
	// Everything below runs on running and ends with it; the first failure ends it.
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := d.open(running); err != nil {
		d.close()
		return interrupted(ctx, err)
	}
	result, err := d.run(running, cancel)
	if err != nil {
		return interrupted(ctx, err)
	}
	if o.asJSON {
		return json.NewEncoder(stdout).Encode(result)
	}
	d.screen.farewell(d, result)
	return nil
}

// interrupted says that somebody stopped the demonstration before it ran, where that
// is why the start failed.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted before the street was up: start it again, the directory is as good as before")
	}
	return err
}

// openDir makes the directory, takes it for this process alone, and opens the log.
func (d *demo) openDir() (release func(), err error) {
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "wattmark-demo-"); err != nil {
			return nil, err
		}
	} else if d.dir, err = filepath.Abs(d.dir); err != nil {
		return nil, err
	} else if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(d.dir)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		lock.Close()
		return nil, err
	}
	d.log = slog.New(slog.NewTextHandler(log, nil))
	return func() { log.Close(); lock.Close() }, nil
}

// open starts the clock and opens street, oracles, gateways and page. On an error
// the caller closes what was opened.
func (d *demo) open(ctx context.Context) error {
	if err := d.openClock(); err != nil {
		return err
	}
	var err error
	if d.street, err = street.New(street.Config{Homes: d.gateways, Seed: d.seed, Clock: d.clock}); err != nil {
		return err
	}
	var names []string
	for _, g := range d.street.Gateways() {
		names = append(names, g.Name)
	}
	d.screen.headline(d)
	d.cluster, err = openCluster(ctx, clusterConfig{
		dir: d.dir, oracles: d.oracles, gateways: names, listen: true, now: d.clock.Now, simulated: true,
		parameters: d.founding(), observe: d.observe, log: d.log,
	})
	if err != nil {
		return err
	}
	first := d.cluster.nodes[0].Ledger()
	d.tally.start(first)
	d.api = d.cluster.nodes[0].API()
	d.page = dashboard.New(d, dashboard.Options{
		Origin: d.cluster.charter.Origin, Simulated: true, Quorum: int(d.cluster.charter.Quorum),
		Ledger: first.Store(), API: d.api, OpenMembers: true, Controls: d.controls(), Cross: compileCross, Fleet: d.api.Fleet, Trouble: d.api.Trouble, Refused: d.api.Refused, Dir: d.dir, Window: time.Duration(d.speed) * 3 * time.Minute, Log: d.log,
	})
	return nil
}

// close releases what open opened, when nothing of it runs.
func (d *demo) close() {
	if d.cluster != nil {
		d.cluster.closeLedgers()
		d.cluster.close()
	}
	if d.street != nil {
		d.street.Close()
	}
}

// run runs everything until the duration is over, ctx ends, or a part fails.
func (d *demo) run(ctx context.Context, cancel context.CancelCauseFunc) (*demoResult, error) {
	defer d.street.Close()
	defer d.cluster.close()
	// What gateways need outlives them: streets and oracles end last.
	below, stopBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBelow()
	var lower, upper sync.WaitGroup
	fail := func(err error) {
		if err != nil {
			cancel(err)
		}
	}
	lower.Go(func() { fail(d.street.Run(below)) })
	lower.Go(func() { fail(d.cluster.run(below)) })
	err := d.enrol(ctx)
	var members []*trading
	if err == nil {
		members, err = d.openMarket(ctx)
	}
	if err == nil {
		period, pack := pace(d.speed)
		if d.prologue {
			period, pack = prologuePack, prologuePack
		}
		err = d.openGateways(period, pack)
	}
	var books *accounts
	if err == nil {
		books, err = d.openAccounts(members)
	}
	if err == nil {
		err = d.openPage(below, &lower)
	}
	if err == nil && d.prologue {
		err = d.playPrologue(ctx, members)
	}
	if err != nil {
		d.closeGateways()
		stopBelow()
		lower.Wait()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause // what failed first
		}
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	now := time.Now()
	d.live.Store(&now)
	for _, g := range d.fleet {
		upper.Go(func() { fail(g.gateway.Load().Run(running)) })
	}
	upper.Go(func() { fail(d.tighten(running)) })
	upper.Go(func() { d.screen.run(running, d) })
	upper.Go(func() { fail(d.tour(running)) })
	upper.Go(func() { d.links.run(running) })
	upper.Go(func() { fail(d.trade(running, members)) })
	upper.Go(func() { fail(books.account(running)) })
	d.waitEnd(ctx)
	d.links.end(ctx)
	stopped := time.Now()
	stop()
	upper.Wait()
	result := d.result(stopped)
	stopBelow()
	lower.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	return result, nil
}

// waitEnd waits for the end of the duration, which counts from the first line, or
// of ctx.
func (d *demo) waitEnd(ctx context.Context) {
	var over <-chan time.Time
	if d.duration > 0 {
		over = time.After(time.Until(d.begin.Add(d.duration)))
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// enrol enrols the street's gateways where they are not, and writes their keys.
func (d *demo) enrol(ctx context.Context) error {
	var list []joining
	for _, g := range d.street.Gateways() {
		key, err := gatewayKey(d.dir, &g)
		if err != nil {
			return err
		}
		list = append(list, joining{key, entry.EnrolmentRequest{Gateway: g.Name, Points: g.Points()}})
	}
	// A street that goes on faster than it was founded needs other rules.
	if err := d.agree(ctx, d.speed); err != nil {
		return err
	}
	return d.cluster.enrol(ctx, list)
}

// observe takes what an oracle says of itself; it returns at once.
func (d *demo) observe(i int, e oracle.Event) {
	d.tally.observe(i, e, time.Since(d.begin))
	switch {
	case e.Halted != nil:
		d.screen.event(d, fmt.Sprintf("oracle %d has HALTED: %v", i+1, e.Halted))
	case e.Conflict != nil:
		d.screen.event(d, fmt.Sprintf("oracle %d has proof that oracles disagree: %v", i+1, e.Conflict))
	case e.Refusal != nil:
		d.forgeries.refused(e.Refusal)
		d.screen.event(d, fmt.Sprintf("refused a statement in the name of %s: %s (%s)", e.Gateway, e.Refusal.Reason, e.Refusal.Reason.Remedy()))
	}
	if i == 0 && e.Block != nil {
		d.marketNews(e.Block)
		if a := d.accounts.Load(); a != nil {
			a.news(e.Block)
		}
	}
	d.tellPage(i, e)
}
