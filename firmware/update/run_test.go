package update_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/firmware/manifest"
	"wattmark/firmware/manifest/manifesttest"
	"wattmark/firmware/update"
	"wattmark/firmware/update/slot"
	"wattmark/firmware/update/slot/slottest"
	"wattmark/ledger/entry"
)

// wall is the time of the test's bubble.
type wall struct{}

func (wall) Now() time.Time                         { return time.Now() }
func (wall) After(d time.Duration) <-chan time.Time { return time.After(d) }

// shop offers one release, and another roll-out from a certain offer on.
type shop struct {
	w              *world
	proof, rollout []byte
	later          []byte
	from, offers   int
}

func (s *shop) Offer(context.Context, string) (proof, rollout []byte, err error) {
	s.offers++
	if s.later != nil && s.offers >= s.from {
		return s.proof, s.later, nil
	}
	return s.proof, s.rollout, nil
}

func (s *shop) Root(ctx context.Context, r *entry.Release) (io.ReadCloser, error) {
	return s.w.fetch(ctx, r)
}

func signedRollout(tb testing.TB, r *entry.Release, percent uint64) []byte {
	tb.Helper()
	b, err := manifest.SignRollout(manifesttest.Key(tb, "release"), &manifest.Rollout{Origin: r.Origin, Board: r.Board, Version: r.Version, Percent: percent, Issued: int64(percent)})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// runner is one start of the machine.
func (w *world) runner(s update.Source, look func() update.Health) (r *update.Runner, restarted *bool) {
	w.tb.Helper()
	if err := w.boot(); err != nil {
		w.tb.Fatal(err)
	}
	restarted = new(bool)
	return &update.Runner{
		Agent: w.agent, Source: s, Look: look, Restart: func() error { *restarted = true; return nil }, Board: board,
		Every: time.Hour, Within: 10 * time.Minute, Clock: wall{}, Log: slog.New(slog.DiscardHandler),
	}, restarted
}

func TestRunnerTakesAndKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rel, proof := w.release(2, slottest.Root("two", slotSize/2))
		// Held back for six hours, then let go.
		s := &shop{w: w, proof: proof, rollout: signedRollout(t, rel, 0), later: signedRollout(t, rel, 100), from: 7}
		r, restarted := w.runner(s, func() update.Health { return well })
		begin := time.Now()
		if err := r.Run(t.Context()); err != nil || !*restarted {
			t.Fatal(err, *restarted)
		}
		if took := time.Since(begin); took != 6*time.Hour || s.offers != 7 {
			t.Errorf("taken after %s and %d offers", took, s.offers)
		}
		// On trial the receipt takes three minutes.
		started := time.Now()
		r, restarted = w.runner(s, func() update.Health {
			h := well
			if time.Since(started) < 3*time.Minute {
				h.Receipts = 0
			}
			return h
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour+time.Minute)
		defer cancel()
		if err := r.Run(ctx); err != nil || *restarted {
			t.Fatal(err, *restarted)
		}
		w.check(2, update.Kept, "")
	})
}

func TestRunnerFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rel, proof := w.release(2, slottest.Root("two", slotSize/2))
		s := &shop{w: w, proof: proof, rollout: signedRollout(t, rel, 100)}
		r, _ := w.runner(s, func() update.Health { return well })
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		r, restarted := w.runner(s, func() update.Health { return update.Health{} })
		if err := r.Run(t.Context()); err != nil || !*restarted || time.Since(begin) != 10*time.Minute {
			t.Fatalf("%v, restarted %v after %s", err, *restarted, time.Since(begin))
		}
		r, restarted = w.runner(s, func() update.Health { return well })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		if err := r.Run(ctx); err != nil || *restarted {
			t.Fatal(err, *restarted)
		}
		w.check(1, update.FellBack, update.Unhealthy)
	})
}

// A gateway that dies and is started again, and again, gets no more time than one.
func TestTimeOfATrialIsTheMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rel, proof := w.release(2, slottest.Root("two", slotSize/2))
		s := &shop{w: w, proof: proof, rollout: signedRollout(t, rel, 100)}
		r, _ := w.runner(s, func() update.Health { return well })
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		r, restarted := w.runner(s, func() update.Health { return update.Health{} })
		r.Uptime = func() time.Duration { return time.Since(started) }
		for life := 0; !*restarted; life++ {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			if err := r.Run(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			if life > 5 {
				t.Fatal("the trial never ends")
			}
		}
		if took := time.Since(started); took != 10*time.Minute {
			t.Errorf("the trial took %s", took)
		}
	})
	onTrial := slot.State{Default: slot.RootA, Trial: slot.Taken, Agree: true}
	for _, c := range []struct {
		running slot.Partition
		uptime  time.Duration
		want    bool
	}{{slot.RootA, time.Hour, false}, {slot.RootB, 9 * time.Minute, false}, {slot.RootB, 11 * time.Minute, true}} {
		if got := update.Overdue(c.running, onTrial, c.uptime, 10*time.Minute); got != c.want {
			t.Errorf("slot %d after %s: %v", c.running, c.uptime, got)
		}
	}
}

func TestUpdatesFromAWebServer(t *testing.T) {
	w := newWorld(t)
	rel, proof := w.release(2, slottest.Root("two", slotSize/2))
	rollout := signedRollout(t, rel, 50)
	files := map[string][]byte{
		"/firmware/rpi/" + update.ProofFile: proof, "/firmware/rpi/" + update.RolloutFile: rollout, "/firmware/rpi/" + update.RootFile(2): w.roots[2],
		"/firmware/large/" + update.ProofFile: bytes.Repeat([]byte("x"), 256<<10+1),
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		switch b := files[q.URL.Path]; {
		case strings.Contains(q.URL.Path, "broken"):
			http.Error(rw, "no", http.StatusInternalServerError)
		case b == nil:
			http.NotFound(rw, q)
		default:
			_, _ = rw.Write(b)
		}
	}))
	defer server.Close()
	base, err := url.Parse(server.URL + "/firmware/")
	if err != nil {
		t.Fatal(err)
	}
	web := &update.Web{Base: base, Client: server.Client()}
	p, o, err := web.Offer(t.Context(), "rpi")
	if err != nil || !bytes.Equal(p, proof) || !bytes.Equal(o, rollout) {
		t.Fatalf("%d and %d bytes, %v", len(p), len(o), err)
	}
	root, err := web.Root(t.Context(), rel)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if b, err := io.ReadAll(root); err != nil || !bytes.Equal(b, w.roots[2]) {
		t.Fatalf("%d bytes of root, %v", len(b), err)
	}
	if p, o, err := web.Offer(t.Context(), "lab"); p != nil || o != nil || err != nil {
		t.Errorf("nothing is offered: %q, %q, %v", p, o, err)
	}
	for _, board := range []string{"large", "broken"} {
		if p, _, err := web.Offer(t.Context(), board); err == nil {
			t.Errorf("%s: %d bytes", board, len(p))
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"format":1,"floor":2,"last":{"version":2,"result":"kept","at":"2026-01-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		if w.running = 2; w.open() != nil {
			t.Fatal("a fresh world does not open")
		}
		w.store.content = b
		if w.open() != nil {
			return
		}
		// What opens is written, and opens again as the same.
		for range 2 {
			if _, err := w.agent.Resume(); err != nil {
				return
			}
			if err := w.open(); err != nil {
				t.Fatalf("%q: %v", w.store.content, err)
			}
		}
	})
}
