package update

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"wattmark/firmware/update/slot"
	"wattmark/ledger/entry"
)

// Clock is the time that a Runner goes by.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Runner makes an agent's steps in time.
type Runner struct {
	Agent  *Agent
	Source Source // nil for none: a trial is judged, and nothing new is looked for
	// Look tells how the gateway fares.
	Look func() Health
	// Restart starts the machine again. It may return before that happened.
	Restart func() error
	// Board is for which boards releases are looked for.
	Board string
	// Every is how often they are, Within how long a trial may last, from the start of the
	// machine: a gateway that is started again within it gets no more time.
	Every, Within time.Duration
	// Uptime is the time since that start; nil is the start of Run.
	Uptime func() time.Duration
	Clock  Clock
	Log    *slog.Logger
	// Settled, if set, is called whenever Last may have changed.
	Settled func()
}

// lookEvery is how often a gateway on trial is looked at.
const lookEvery = time.Second

// Run settles the start that the machine is in, judges a trial, and then looks for
// releases until ctx ends. It returns nil when ctx ended, or when the machine is about to
// start again. What fails in between is logged and tried again.
func (r *Runner) Run(ctx context.Context) error {
	next, err := r.Agent.Resume()
	if err != nil {
		return err
	}
	if next == Gate {
		if next, err = r.gate(ctx); err != nil || ctx.Err() != nil {
			return err
		}
	}
	r.settled()
	for {
		if next == Reboot {
			r.Log.Info("starting the machine again for an update")
			return r.Restart()
		}
		if next, err = r.offer(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("took no update", "error", err)
		}
		r.settled()
		if next == Reboot {
			continue
		}
		select {
		case <-r.Clock.After(r.Every):
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Runner) settled() {
	if r.Settled != nil {
		r.Settled()
	}
}

// gate judges a root on trial.
func (r *Runner) gate(ctx context.Context) (Next, error) {
	r.Log.Info("an update runs on trial", "within", r.Within)
	end := r.Clock.Now().Add(r.Within)
	if r.Uptime != nil {
		end = end.Add(-r.Uptime())
	}
	for {
		verdict, err := r.Agent.Judge(r.Look(), end.Sub(r.Clock.Now()))
		if err != nil {
			r.Log.Error("could not keep the update on trial", "error", err)
		}
		switch {
		case verdict == Healthy:
			r.Log.Info("kept the update", "version", r.Agent.Last().Version)
			return Stay, nil
		case verdict == Failed:
			if last := r.Agent.Last(); last != nil {
				r.Log.Error("the update did not prove to work", "version", last.Version, "detail", last.Detail)
			}
			return Reboot, nil
		}
		select {
		case <-r.Clock.After(lookEvery):
		case <-ctx.Done():
			return Gate, nil
		}
	}
}

// Overdue reports whether a machine runs a root on trial that has had its time. It is
// asked where the gateway does not get as far as to be judged.
func Overdue(running slot.Partition, s slot.State, uptime, within time.Duration) bool {
	return running != s.Default && uptime > within
}

// offer looks for a release once, and takes it if it is for this gateway.
func (r *Runner) offer(ctx context.Context) (Next, error) {
	if r.Source == nil {
		return Stay, nil
	}
	proof, rollout, err := r.Source.Offer(ctx, r.Board)
	if err != nil || proof == nil {
		return Stay, err
	}
	l, err := r.Agent.Check(proof)
	var refused *Refused
	switch {
	case errors.As(err, &refused) && r.Agent.known(refused):
		return Stay, nil // no news
	case err == nil:
		if rollout == nil {
			return Stay, nil
		}
		if in, err := r.Agent.Included(rollout, &l.Release); err != nil || !in {
			return Stay, err
		}
		r.Log.Info("taking an update", "version", l.Release.Version, "leaf", l.Leaf)
	}
	if err := r.Agent.Take(ctx, proof, func(ctx context.Context, rel *entry.Release) (io.ReadCloser, error) { return r.Source.Root(ctx, rel) }, r.Look().Read); err != nil {
		return Stay, err
	}
	return Reboot, nil
}
