package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/firmware/manifest"
	"wattmark/firmware/update"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/api"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// stagePlan is how a roll-out goes on by itself.
type stagePlan struct {
	steps    []uint64      // percentages, rising
	hold     time.Duration // that each step is looked at
	failures int           // gateways that may fail before it is stopped
}

// staged is how a roll-out stands, and what is to be done with it.
type staged struct {
	Board   string `json:"board"`
	Version uint64 `json:"version"`
	Percent uint64 `json:"percent"`
	// Next is the percentage that is to be signed, Percent where nothing is.
	Next uint64 `json:"next_percent"`
	Why  string `json:"why"`
	Done bool   `json:"done"` // nothing more will be done: all have it, or it is stopped
	// Of the board's gateways: those that signed on the release or said that they kept it,
	// those that may take it and have not yet, those that gave it up or refused it, and
	// those whose turn has not come.
	Kept    []string        `json:"kept"`
	Waiting []string        `json:"waiting"`
	Failed  []stagedFailure `json:"failed"`
	Later   []string        `json:"later"`
}

type stagedFailure struct {
	Gateway string `json:"gateway"`
	Why     string `json:"why"`
}

// stageOf decides how a roll-out goes on: it is stopped when more gateways failed than
// may; it goes a step on once all that may take the release have kept it and the step was
// looked at for as long as planned; else it stays.
func stageOf(plan stagePlan, o *manifest.Rollout, fleet []api.FleetGateway, now int64) staged {
	s := staged{Board: o.Board, Version: o.Version, Percent: o.Percent, Next: o.Percent, Kept: []string{}, Waiting: []string{}, Failed: []stagedFailure{}, Later: []string{}}
	for i := range fleet {
		g := &fleet[i]
		if g.Board != o.Board {
			continue
		}
		runs := g.Release != nil && g.Release.Origin == o.Origin && g.Release.Board == o.Board && g.Release.Version >= o.Version
		told := g.Update != nil && g.Update.Version == o.Version
		switch {
		case told && (g.Update.Result == string(update.FellBack) || g.Update.Result == string(update.Rejected)):
			s.Failed = append(s.Failed, stagedFailure{g.Gateway, strings.TrimSuffix(g.Update.Result+": "+g.Update.Reason, ": ")})
		case g.WentBack == o.Version:
			s.Failed = append(s.Failed, stagedFailure{g.Gateway, "signs on it no more"})
		case runs || told && g.Update.Result == string(update.Kept):
			s.Kept = append(s.Kept, g.Gateway)
		case o.Includes(g.Gateway):
			s.Waiting = append(s.Waiting, g.Gateway)
		default:
			s.Later = append(s.Later, g.Gateway)
		}
	}
	slices.SortFunc(s.Failed, func(a, b stagedFailure) int { return strings.Compare(a.Gateway, b.Gateway) })
	for _, list := range [][]string{s.Kept, s.Waiting, s.Later} {
		slices.Sort(list)
	}
	next := slices.IndexFunc(plan.steps, func(p uint64) bool { return p > o.Percent })
	end := time.Unix(o.Issued, 0).Add(plan.hold)
	tried := len(s.Kept)+len(s.Waiting)+len(s.Failed) > 0
	switch {
	case len(s.Failed) > plan.failures:
		s.Next, s.Done = 0, true
		s.Why = fmt.Sprintf("stopped: %s failed, and %d may; find out why, mend it and publish a higher version", plural(len(s.Failed), "gateway", "gateways"), plan.failures)
	case len(s.Waiting) > 0:
		s.Why = fmt.Sprintf("waits for %s", plural(len(s.Waiting), "gateway", "gateways"))
	case next < 0:
		s.Done, s.Why = true, fmt.Sprintf("done: every gateway that may take it has it, %d in all", len(s.Kept))
	case tried && o.Percent > 0 && now < end.Unix():
		s.Why = fmt.Sprintf("looks on until %s", end.UTC().Format(time.RFC3339))
	default:
		s.Next = plan.steps[next]
		s.Why = fmt.Sprintf("goes on to %d%%", s.Next)
	}
	return s
}

func newReleaseStage() *cobra.Command {
	var who releaseSigner
	var dir, out string
	var version uint64
	var asJSON, watch bool
	var steps []string
	plan := stagePlan{}
	c := &cobra.Command{
		Use:   "stage BOARD --version N --dir DIR --out FOLDER",
		Short: "Roll a release out step by step, and stop when gateways fail",
		Long: `Stage looks at what the gateways of a board have made of a release, as the
ledger and the oracle of DIR tell it. It signs the next percentage when all
that may take the release have kept it and the step was looked at for --hold.
When more than --failures gateways have fallen back or refused it, it signs 0:
none takes it that has not begun. It ends with status 1 then.

Run it from a timer, or with --watch, which looks again each minute until the
release is everywhere or stopped. Nothing is remembered between two runs but
the roll-out itself.

Exit status: 0 done or waiting, 1 failed or the roll-out is stopped, 2 wrong
usage.`,
		Example: "  wattmark release stage rpi --version 7 --dir /var/lib/wattmark-oracle \\\n    --out www --origin wattmark.example/firmware --key release.pem",
		Args: func(_ *cobra.Command, args []string) (err error) {
			switch {
			case len(args) != 1 || entry.CheckGateway(args[0]) != nil:
				return errors.New("give one BOARD, as the folder of its releases is called")
			case version == 0 || dir == "" || out == "":
				return errors.New("give --version N, --dir DIR of an oracle, and --out FOLDER that gateways are served")
			case plan.failures < 0 || plan.hold < 0:
				return errors.New("--failures and --hold are 0 or more")
			}
			if plan.steps, err = parseSteps(steps); err != nil {
				return err
			}
			return who.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyfile.Load(who.key)
			if err != nil {
				return failed(err)
			}
			st := stager{key: key, origin: who.origin, board: args[0], version: version, dir: dir, out: out, plan: plan, json: asJSON}
			return failed(st.run(cmd.Context(), cmd.OutOrStdout(), watch))
		},
	}
	who.add(c)
	c.Flags().StringVar(&dir, "dir", "", "`DIR` of an oracle's ledger")
	c.Flags().StringVar(&out, "out", "", "`FOLDER` that gateways are served")
	c.Flags().Uint64Var(&version, "version", 0, "the version `N`")
	c.Flags().StringSliceVar(&steps, "steps", []string{"5", "25", "100"}, "`PERCENTAGES` to go by")
	c.Flags().DurationVar(&plan.hold, "hold", 24*time.Hour, "how `LONG` each step is looked at")
	c.Flags().IntVar(&plan.failures, "failures", 0, "`N` gateways may fail")
	c.Flags().BoolVar(&watch, "watch", false, "go on until it is everywhere or stopped")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, a look a line")
	return c
}

func parseSteps(list []string) ([]uint64, error) {
	var steps []uint64
	for _, text := range list {
		n, err := strconv.ParseUint(text, 10, 7)
		if err != nil || n == 0 || n > 100 || len(steps) > 0 && n <= steps[len(steps)-1] {
			return nil, fmt.Errorf("--steps %s: give rising percentages of 1 to 100, as 5,25,100", strings.Join(list, ","))
		}
		steps = append(steps, n)
	}
	return steps, nil
}

// stager carries out a staged roll-out.
type stager struct {
	key           signer.Signer
	origin, board string
	version       uint64
	dir, out      string
	plan          stagePlan
	json          bool
	shown         string // what was printed last
}

// errStopped ends a run whose roll-out is stopped.
var errStopped = errors.New("the roll-out is stopped")

func (s *stager) run(ctx context.Context, w io.Writer, watch bool) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		at, err := s.look(w)
		switch {
		case err != nil:
			return err
		case at.Done && len(at.Failed) > s.plan.failures:
			return errStopped
		case at.Done || !watch:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look looks once, and does what is to be done.
func (s *stager) look(w io.Writer) (*staged, error) {
	name := filepath.Join(s.out, s.board, update.RolloutFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the roll-out, which release publish begins: %w", err)
	}
	o, err := manifest.OpenRollout(b, []block.VerifierKey{manifest.Key(s.origin, s.key.Public())})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if o.Board != s.board || o.Version != s.version {
		return nil, fmt.Errorf("%s is of version %d for %s: publish version %d first", name, o.Version, o.Board, s.version)
	}
	dirs, err := storesOf(s.dir)
	if err != nil {
		return nil, err
	}
	fleet, err := fleetIn(dirs[0])
	if err != nil {
		return nil, err
	}
	at := stageOf(s.plan, o, fleet, time.Now().Unix())
	if at.Next != at.Percent {
		if err := writeRollout(s.key, s.origin, s.board, s.version, at.Next, filepath.Join(s.out, s.board)); err != nil {
			return nil, err
		}
	}
	return &at, s.show(w, &at)
}

// show prints a look, once for as long as nothing changes.
func (s *stager) show(w io.Writer, at *staged) error {
	b, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if string(b) == s.shown {
		return nil
	}
	s.shown = string(b)
	if s.json {
		_, err := fmt.Fprintf(w, "%s\n", b)
		return err
	}
	p := newPage(w)
	p.line(2, "release %d for %s at %d%%: %s", at.Version, at.Board, at.Percent, at.Why)
	p.line(4, "    %d have it, %d may take it, %d failed, %d come later", len(at.Kept), len(at.Waiting), len(at.Failed), len(at.Later))
	for _, f := range at.Failed {
		p.line(6, "    ! %s: %s", f.Gateway, f.Why)
	}
	for _, g := range at.Waiting {
		p.line(6, "    waits for %s", g)
	}
	return p.err
}
