package calibration_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/gateway/calibration"
)

// serve runs the gateway's end of a tray, and returns how to end it.
func serve(t *testing.T, state string, do func(ctx context.Context, r *calibration.Request) calibration.Answer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := calibration.In(state).Serve(ctx, do); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func request() calibration.Request {
	return calibration.Request{Point: "mp-1", Calibration: []byte{1, 2, 3}, Until: time.Now().Add(time.Minute)}
}

// files are what lies in the tray.
func files(t *testing.T, state string) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(state, "calibrations"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range list {
		all = append(all, f.Name())
	}
	return all
}

func TestAsk(t *testing.T) {
	state := t.TempDir()
	if _, err := calibration.In(state).Ask(t.Context(), request()); !errors.Is(err, calibration.ErrNobody) {
		t.Errorf("without a gateway: %v", err)
	}
	served := make(chan calibration.Request, 9)
	serve(t, state, func(_ context.Context, r *calibration.Request) calibration.Answer {
		served <- *r
		return calibration.Answer{Record: "abcd"}
	})
	waitFor(t, state)
	a, err := calibration.In(state).Ask(t.Context(), request())
	if err != nil || a.Record != "abcd" || a.Error != "" {
		t.Fatalf("%+v: %v", a, err)
	}
	if r := <-served; r.Point != "mp-1" || string(r.Calibration) != "\x01\x02\x03" {
		t.Errorf("the gateway got %+v", r)
	}
	if left := files(t, state); len(left) > 0 {
		t.Errorf("left in the tray: %v", left)
	}
}

// waitFor waits until the gateway's end is there.
func waitFor(t *testing.T, state string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(state, "calibrations")); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the tray is not served")
		}
	}
}

// TestWithdrawn: who gives up before a gateway took the request has changed nothing.
func TestWithdrawn(t *testing.T) {
	state := t.TempDir()
	stop := serve(t, state, func(context.Context, *calibration.Request) calibration.Answer {
		t.Error("carried out")
		return calibration.Answer{}
	})
	waitFor(t, state)
	stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := calibration.In(state).Ask(ctx, request()); !errors.Is(err, calibration.ErrWithdrawn) {
		t.Errorf("given up: %v", err)
	}
	late := request()
	late.Until = time.Now()
	if _, err := calibration.In(state).Ask(t.Context(), late); !errors.Is(err, calibration.ErrNobody) {
		t.Errorf("not taken: %v", err)
	}
	if left := files(t, state); len(left) > 0 {
		t.Errorf("left in the tray: %v", left)
	}
}

// TestOnce: what was taken when the machine went off is not carried out again, and the
// one who asked is told; so is who wrote something that cannot be read.
func TestOnce(t *testing.T) {
	state := t.TempDir()
	tray := filepath.Join(state, "calibrations")
	if err := os.Mkdir(tray, 0o770); err != nil {
		t.Fatal(err)
	}
	old := `{"version":1,"point":"mp-1","calibration":"AQID","until":"2020-01-01T00:00:00Z"}`
	for name, text := range map[string]string{
		"a.taken": `{}`, "b.request": `{`, "c.request": `{"version":7}`, "d.request": old, "e.request": strings.Repeat(" ", 300<<10), "f.txt": "a note",
	} {
		if err := os.WriteFile(filepath.Join(tray, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, state, func(context.Context, *calibration.Request) calibration.Answer {
		t.Error("carried out")
		return calibration.Answer{}
	})
	for name, want := range map[string]string{
		"a": "not known whether", "b": "cannot be read", "c": "version 7", "d": "nobody waits", "e": "more than",
	} {
		path := filepath.Join(tray, name+".answer")
		b := until(t, path)
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is answered with %s, want %q", name, b, want)
		}
	}
}

// until reads a file once it is there.
func until(t *testing.T, path string) []byte {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if b, err := os.ReadFile(path); err == nil {
			return b
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s did not come", path)
		}
	}
}
