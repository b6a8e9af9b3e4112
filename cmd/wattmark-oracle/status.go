package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/oracle"
)

// statusSocket is where a running oracle says how it is, in the state directory.
const statusSocket = "status.sock"

// status is what status prints.
type status struct {
	Running bool   `json:"running"`
	Oracle  string `json:"oracle"`
	Ledger  string `json:"ledger"`
	Version string `json:"version,omitempty"` // of the one that runs
	Oracles int    `json:"oracles"`           // in force
	Quorum  uint64 `json:"quorum"`
	// Watching says that this oracle is in no oracle set in force: it executes and serves.
	Watching bool   `json:"watching,omitempty"`
	Height   uint64 `json:"height"` // of the last block that is durable here
	Leaves   uint64 `json:"leaves"`
	// Time is that of the last block; FinalHeight is the newest that is final, if one is
	// known.
	Time        string  `json:"time"`
	FinalHeight *uint64 `json:"final_height,omitempty"`
	CaughtUp    bool    `json:"caught_up"`
	Gateways    int     `json:"gateways"`
	Broker      string  `json:"broker,omitempty"`
	Connected   bool    `json:"connected"`
	Halted      string  `json:"halted,omitempty"`
	// Certificates are those that this oracle shows, those that the servers of its broker
	// showed it last, and its authority's.
	Certificates []certificateStatus `json:"certificates,omitempty"`
}

// certificateStatus says when a certificate ends.
type certificateStatus struct {
	Of     string `json:"of"` // broker, oracle, http.listen or authority
	Server string `json:"server,omitempty"`
	Ends   string `json:"ends"`
	Soon   bool   `json:"soon,omitempty"` // within endsSoon
}

// endsSoon is how long before its end a certificate is marked.
const endsSoon = 30 * 24 * time.Hour

func certificateStatuses(list []oracle.CertificateEnd, now time.Time) (out []certificateStatus) {
	for _, c := range list {
		out = append(out, certificateStatus{c.Of, c.Server, c.At.UTC().Format(time.RFC3339), c.At.Sub(now) <= endsSoon})
	}
	return out
}

func newStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how this oracle is",
		Long: `Status asks the oracle that runs on this machine, and where none does it reads
the ledger in the state directory. Certificates that end within 30 days are marked.

Exit status: 0 it runs and has not halted, 1 otherwise, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := configured(cmd)
			if err != nil {
				return err
			}
			s, err := f.state().status(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if !s.Running {
				s.Certificates = certificateStatuses(f.leftEnds(), time.Now())
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			} else {
				err = s.print(cmd.OutOrStdout())
			}
			switch {
			case err != nil:
			case s.Halted != "":
				err = fmt.Errorf("it has halted: %s", s.Halted)
			case !s.Running:
				err = errors.New("it does not run")
			}
			return failed(err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// maxStatus bounds an answer, in bytes.
const maxStatus = 64 << 10

// status asks the running oracle, or reads what it has left.
func (s stateDir) status(ctx context.Context) (*status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.file(statusSocket))
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://oracle/status", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return s.left()
	}
	if err != nil {
		return nil, fmt.Errorf("asking the oracle: %w", err)
	}
	defer res.Body.Close()
	var st status
	if err := json.NewDecoder(io.LimitReader(res.Body, maxStatus)).Decode(&st); err != nil {
		return nil, fmt.Errorf("asking the oracle: %w", err)
	}
	return &st, nil
}

// left is the status of an oracle that does not run.
func (s stateDir) left() (*status, error) {
	a, err := s.agreed()
	if err != nil {
		return nil, err
	}
	st := &status{Oracle: a.own.Oracle.Name, Ledger: a.charter.Origin, Oracles: len(a.charter.Oracles), Quorum: a.charter.Quorum}
	r, _, err := store.OpenReader(string(s))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if last, ok := r.Last(); ok {
		st.Height, st.Leaves = last.Height, last.Size
	}
	if _, height, ok, err := r.Final(); err == nil && ok {
		st.FinalHeight = &height
	}
	return st, nil
}

// serveStatus answers status.
func (d *daemon) serveStatus(w http.ResponseWriter, _ *http.Request) {
	h, cp, _ := d.node.Ledger().Last()
	names, _ := enrolled(d.node)
	_, in := d.node.Position()
	var set *entry.OracleSet
	d.node.Ledger().View(func(s *state.State) { set = s.Oracles() })
	st := status{
		Running: true, Oracle: d.agreed.own.Oracle.Name, Ledger: d.agreed.charter.Origin, Version: programVersion(),
		Oracles: len(set.Oracles), Quorum: set.Quorum, Watching: !in, Height: h.Height, Leaves: cp.Size,
		Time: time.UnixMilli(h.Time).UTC().Format(time.RFC3339), CaughtUp: d.node.CaughtUp(), Gateways: len(names),
		Broker: d.servers(), Connected: d.conns[0].IsConnected(),
	}
	if f := d.node.Final(); f != nil {
		st.FinalHeight = &f.Height
	}
	if err := d.node.Halted(); err != nil {
		st.Halted = err.Error()
	}
	st.Certificates = certificateStatuses(d.expiry.ends(), time.Now())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(st); err != nil {
		d.log.Debug("did not say how it is", "error", err)
	}
}

func (s *status) print(w io.Writer) error {
	state := "does not run"
	switch {
	case s.Halted != "":
		state = "HALTED: writes nothing, serves reads"
	case s.Running && !s.Connected:
		state = "runs, without the broker"
	case s.Running && !s.CaughtUp:
		state = "runs, and is catching up"
	case s.Running && s.Watching:
		state = "runs, and watches: it is not in the set of oracles in force"
	case s.Running:
		state = "runs"
	}
	final := "none known"
	if s.FinalHeight != nil {
		final = fmt.Sprintf("block %d", *s.FinalHeight)
	}
	place := "one of"
	if s.Watching {
		place = "beside"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n  oracle    %s, %s %d; %d make a block final\n  ledger    %s\n  last      block %d, %d leaves, %s\n  final     %s\n  gateways  %d\n  broker    %s\n",
		state, s.Oracle, place, s.Oracles, s.Quorum, s.Ledger, s.Height, s.Leaves, s.Time, final, s.Gateways, s.Broker)
	head := "TLS"
	for _, c := range s.Certificates {
		day, _, _ := strings.Cut(c.Ends, "T")
		fmt.Fprintf(&text, "  %-8s  %s until %s", head, strings.TrimSpace(c.Of+" "+c.Server), day)
		if c.Soon {
			text.WriteString(": ends within 30 days")
		}
		text.WriteString("\n")
		head = ""
	}
	_, err := io.WriteString(w, text.String())
	return err
}
