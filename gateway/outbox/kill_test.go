package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"wattmark/gateway/outbox"
)

// event is what the process that will be killed tells of, in order.
type event struct {
	Op   string // see apply
	N    outbox.Number
	Says []outbox.Gap `json:",omitempty"`
}

// apply enters an event. What Append and Receipted returned from survives the end
// of the process, synced or not.
func (w *witness) apply(e event) error {
	switch e.Op {
	case "handed":
		if w.handed[e.N] {
			return fmt.Errorf("number %s was handed out twice", e.N)
		}
		w.handed[e.N] = true
	case "appending":
		w.signed[e.N], w.saying[e.N] = statementOf(e.N), e.Says
	case "appended":
		w.durable[e.N] = true
	case "shown":
		w.shown[e.N], w.durable[e.N] = true, true
		if w.final[e.N] {
			return fmt.Errorf("%s is pending again after its receipt", e.N)
		}
	case "receipting":
		w.receipted[e.N] = true
	case "receipted":
		w.final[e.N] = true
	default:
		return fmt.Errorf("the process said %q", e.Op)
	}
	return nil
}

const (
	killDir  = "WATTMARK_OUTBOX_KILL_DIR"
	killSeed = "WATTMARK_OUTBOX_KILL_SEED"
)

var killOptions = outbox.Small(outbox.Options{GatewayID: "gw", MaxBytes: 10 * 8192}, 8192, 4, 16)

// TestMain is the process that is killed, where the environment says so.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		seed, err := strconv.ParseUint(os.Getenv(killSeed), 10, 64)
		if err == nil {
			err = toBeKilled(dir, rand.New(rand.NewPCG(seed, 4)), json.NewEncoder(os.Stdout))
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// toBeKilled uses an outbox without end. It tells of each thing before it does it
// and after.
func toBeKilled(dir string, rng *rand.Rand, out *json.Encoder) error {
	o, _, err := outbox.Open(outbox.Disk, dir, killOptions)
	if err != nil {
		return err
	}
	if _, err := o.RaiseBoot(fmt.Sprint("boot ", rng.IntN(3))); err != nil {
		return err
	}
	for err == nil {
		switch k := rng.IntN(10); {
		case k < 6:
			err = appendOne(o, out)
		case k < 7:
			err = o.Flush()
		default:
			err = receiptSome(o, rng, out)
		}
	}
	return err
}

func appendOne(o *outbox.Outbox, out *json.Encoder) error {
	boot, seq, skipped, err := o.NextSeq()
	if err != nil {
		return err
	}
	n := outbox.Number{Boot: boot, Seq: seq}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: statementOf(n), Pack: packOf(n), Covers: o.Gaps()}
	says := rec.Covers
	if skipped != nil {
		says = append(says, outbox.Gap{Range: *skipped, Reason: outbox.Skipped})
	}
	return errors.Join(
		out.Encode(event{Op: "handed", N: n}),
		out.Encode(event{Op: "appending", N: n, Says: says}),
		o.Append(rec),
		out.Encode(event{Op: "appended", N: n}),
	)
}

func receiptSome(o *outbox.Outbox, rng *rand.Rand, out *json.Encoder) error {
	list, err := o.Pending(outbox.Number{}, 1+rng.IntN(6))
	for i := range list {
		n := list[i].Number()
		err = errors.Join(err,
			out.Encode(event{Op: "shown", N: n}),
			out.Encode(event{Op: "receipting", N: n}),
		)
		mark := o.Receipted(n.Boot, n.Seq, fmt.Appendf(nil, "receipt %s", n))
		if errors.Is(mark, outbox.ErrUnknown) {
			return err // a mark before it made room by dropping it
		}
		err = errors.Join(err, mark, out.Encode(event{Op: "receipted", N: n}))
	}
	return err
}

// TestKilledProcess kills a process of its own at random moments and holds the
// outbox to its promises: what Append and Receipted returned from is there.
func TestKilledProcess(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	dir, w := t.TempDir(), newWitness()
	for round := range 50 {
		if err := runAndKill(t, dir, w, rng); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		o, report, err := outbox.Open(outbox.Disk, dir, killOptions)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		if _, err := o.RaiseBoot(fmt.Sprint("boot ", rng.IntN(3))); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		if err := w.check(o); err != nil {
			t.Fatalf("seed %d, round %d: %v\n%s", seed, round, err, report)
		}
		if err := errors.Join(outbox.Check(o), o.Close()); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
	}
	t.Logf("%d statements signed, %d receipted", len(w.signed), len(w.final))
	if len(w.signed) < 500 || len(w.final) < 100 {
		t.Errorf("%d statements signed and %d receipted are no test", len(w.signed), len(w.final))
	}
}

// runAndKill starts the process, hears it for a random time, and kills it.
func runAndKill(t *testing.T, dir string, w *witness, rng *rand.Rand) error {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), killDir+"="+dir, killSeed+"="+strconv.FormatUint(rng.Uint64(), 10))
	cmd.Stderr = t.Output()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	events := json.NewDecoder(pipe)
	for left := rng.IntN(400); ; left-- {
		if left == 0 {
			if err := cmd.Process.Kill(); err != nil {
				return err
			}
		}
		var e event
		err := events.Decode(&e)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err == nil {
			err = w.apply(e)
		}
		if err != nil {
			return errors.Join(err, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("the process ended before it was killed: %w", err)
	}
	return nil
}
