package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/state"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// A server or an oracle of a bench is this program again, as "bench worker": it reads
// what it is to be from standard input, works until that ends, and answers each further
// line with what it has used until then.

// work is what a worker is told to be: a server, an oracle, or a plain program in its place.
type work struct {
	Broker *brokerWork `json:"broker,omitempty"`
	Oracle *oracleWork `json:"oracle,omitempty"`
	Plain  *plainWork  `json:"plain,omitempty"`
}

type brokerWork struct {
	Name     string           `json:"name"`
	Dir      string           `json:"dir"`
	NATS     string           `json:"nats"`
	MQTT     string           `json:"mqtt"`
	Cluster  *broker.Cluster  `json:"cluster,omitempty"` // none for a server alone
	Files    broker.Files     `json:"files"`
	Gateways []broker.Gateway `json:"gateways"`
	Oracles  []broker.Oracle  `json:"oracles"`
}

type oracleWork struct {
	Name     string       `json:"name"`
	Dir      string       `json:"dir"`
	Policy   string       `json:"policy"`
	Origin   string       `json:"origin"`
	Route    broker.Route `json:"route"`
	Replicas int          `json:"replicas"`
}

// workerState is what a worker says of itself.
type workerState struct {
	Error string  `json:"error,omitempty"`
	CPU   int64   `json:"cpu_us"`
	RSS   float64 `json:"rss_mb"`
	Keys  int     `json:"keys"`           // gateways' keys that an oracle knows
	MQTT  string  `json:"mqtt,omitempty"` // address of a server
}

func newBenchWorker() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Short: "Be a server or an oracle of a bench", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := json.NewEncoder(cmd.OutOrStdout())
			if err := beWorker(cmd.Context(), cmd.InOrStdin(), out, cmd.ErrOrStderr()); err != nil {
				return failed(out.Encode(workerState{Error: err.Error()}))
			}
			return nil
		},
	}
}

func beWorker(ctx context.Context, in io.Reader, out *json.Encoder, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<22)
	if !lines.Scan() {
		return fmt.Errorf("reading the work: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
	}
	var w work
	if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
		return fmt.Errorf("reading the work: %w", err)
	}
	state := func() workerState { return workerState{CPU: cpuTime().Microseconds(), RSS: peakRSS()} }
	switch {
	case w.Broker != nil:
		b, err := w.Broker.start(stderr)
		if err != nil {
			return err
		}
		defer b.Close()
		base := state
		state = func() workerState { s := base(); s.MQTT = b.MQTTURL(); return s }
	case w.Oracle != nil:
		n, end, err := w.Oracle.start(ctx, stderr)
		if err != nil {
			return err
		}
		defer end()
		defer cancel()
		base := state
		state = func() workerState { s := base(); s.Keys = keysKnown(n); return s }
	case w.Plain != nil:
		end, err := w.Plain.start(ctx, stderr)
		if err != nil {
			return err
		}
		defer end()
		defer cancel()
	default:
		return errors.New("the work is nobody's")
	}
	for more := true; more; more = lines.Scan() { // the first state says that it is ready
		if err := out.Encode(state()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func keysKnown(n *oracle.Node) (keys int) {
	n.Ledger().View(func(s *state.State) { keys = len(s.Keys()) })
	return keys
}

func (w *brokerWork) start(stderr io.Writer) (*broker.Broker, error) {
	cfg := broker.Config{
		StoreDir: w.Dir, Name: w.Name, ClientListen: w.NATS, MQTTListen: w.MQTT, Cluster: w.Cluster,
		Gateways: w.Gateways, Oracles: w.Oracles, Log: benchLog(stderr),
	}
	var err error
	if cfg.Certificate, cfg.Roots, err = w.Files.Load(); err != nil {
		return nil, err
	}
	return broker.Start(cfg)
}

// start opens the oracle and runs it; end waits until it has stopped.
func (w *oracleWork) start(ctx context.Context, stderr io.Writer) (n *oracle.Node, end func(), err error) {
	var conns []*nats.Conn
	closeAll := func() {
		for _, c := range conns {
			c.Close()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	for range 3 {
		c, err := w.Route.Connect(broker.Patient()...)
		if err != nil {
			return nil, nil, err
		}
		conns = append(conns, c)
	}
	log := benchLog(stderr)
	order, packs, err := openOrder(ctx, conns[1], jetstream.Config{Ledger: wire.ShortName(w.Origin), Replicas: w.Replicas, Log: log})
	if err != nil {
		return nil, nil, err
	}
	keys, err := oracle.LoadKeys(w.Dir + "/keys")
	if err != nil {
		return nil, nil, err
	}
	policy, err := block.ParsePolicy([]byte(w.Policy))
	if err != nil {
		return nil, nil, err
	}
	n, _, err = oracle.Open(oracle.Config{
		Name: w.Name, Keys: keys, Dir: w.Dir, Conn: conns[0], Frames: conns[2], Order: order, Packs: packs,
		Policy: policy, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.Run(ctx); err != nil {
			log.Error("the oracle stopped", "error", err)
		}
	})
	return n, func() { running.Wait(); closeAll() }, nil
}

// openOrder opens order and packs, also where the servers have yet to choose who leads.
func openOrder(ctx context.Context, conn *nats.Conn, cfg jetstream.Config) (order *jetstream.Orderer, packs *jetstream.Packs, err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		if order, err = jetstream.Open(try, conn, cfg); err == nil {
			packs, err = jetstream.OpenPacks(try, conn, cfg)
		}
		cancel()
		if err == nil {
			return order, packs, nil
		}
	}
	return nil, nil, err
}

// worker is a worker's process, seen from the bench.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// startWorker starts a process; ready waits until it works.
func startWorker(ctx context.Context, w *work, stderr io.Writer) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	p := &worker{cmd: exec.CommandContext(ctx, self, "bench", "worker")}
	p.cmd.Args[0] = os.Args[0]
	p.cmd.Stderr = stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process: %w", err)
	}
	if err := json.NewEncoder(p.in).Encode(w); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// ready reads the first state.
func (p *worker) ready() (*workerState, error) {
	var s workerState
	if err := p.out.Decode(&s); err != nil {
		return nil, fmt.Errorf("a process ended early: %w", err)
	}
	if s.Error != "" {
		return nil, errors.New(s.Error)
	}
	return &s, nil
}

// state asks for what it has used until now.
func (p *worker) state() (*workerState, error) {
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		return nil, fmt.Errorf("a process ended early: %w", err)
	}
	return p.ready()
}

// close ends the process.
func (p *worker) close() error {
	p.in.Close()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // it said why, or was stopped on purpose
	}
	return err
}

// freeAddress is a port of the loopback that was free a moment ago: the servers of a
// cluster must know one another's before the first starts.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
