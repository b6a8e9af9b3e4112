package calibration

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wattmark/ledger/entry"
)

// Version is that of the forms of Request and Answer. Others are refused: both ends are
// the same program.
const Version = 1

// Request asks a running gateway to sign a calibration and put it in force.
type Request struct {
	Version int    `json:"version"`
	Point   string `json:"point"`
	// Calibration is the payload of the record: entry.Calibration, encoded.
	Calibration []byte `json:"calibration"`
	// Adjust, if it is there, has the part adjust itself first.
	Adjust *Adjust `json:"adjust,omitempty"`
	// Until is when nobody waits for it any more; it is refused from then on.
	Until time.Time `json:"until"`
}

// Adjust is an adjustment that a part makes of itself.
type Adjust struct {
	Channel   string        `json:"channel"`
	Reference entry.Decimal `json:"reference"` // what the air has, in the channel's unit
}

// Parse reads the calibration.
func (r *Request) Parse() (*entry.Calibration, error) { return entry.ParseCalibration(r.Calibration) }

// Answer is what became of a request.
type Answer struct {
	Version int `json:"version"`
	// Record is the identity of the signed calibration, in hex; empty where Error is not.
	Record string `json:"record,omitempty"`
	Error  string `json:"error,omitempty"`
	// Setting, Before and After tell what a part changed in itself.
	Setting string `json:"setting,omitempty"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
}

var (
	// ErrNobody: no gateway takes requests here; nothing happened.
	ErrNobody = errors.New("no running gateway takes calibrations")
	// ErrWithdrawn: the request was taken back before a gateway took it; nothing
	// happened.
	ErrWithdrawn = errors.New("taken back")
	// ErrUnknown: the gateway took the request, and did not answer. It may have been
	// carried out.
	ErrUnknown = errors.New("it is not known whether the gateway made the calibration")
)

// Tray is a directory through which requests go to a gateway. Names of requests are
// random; a suffix tells the state: .request, .taken, .answer.
type Tray struct{ dir string }

// In returns the tray of a state directory.
func In(state string) Tray { return Tray{filepath.Join(state, "calibrations")} }

const (
	request = ".request"
	taken   = ".taken"
	answer  = ".answer"
	// look is how often whoever asks looks for the answer, and idle how often a gateway
	// that nobody tells looks for a request.
	look = 200 * time.Millisecond
	idle = 2 * time.Second
	// grace is how long a gateway that took a request has for it once nobody wants to
	// wait: a key in a TPM takes a second.
	grace = 10 * time.Second
	// largest is the longest file that is read, in bytes.
	largest = 256 << 10
)

// Ask hands a request to the gateway and waits for the answer, at most until r.Until or
// the end of ctx. The error is one of ErrNobody, ErrWithdrawn, ErrUnknown, or of the
// file system; what the gateway refuses is in the answer.
func (t Tray) Ask(ctx context.Context, r Request) (Answer, error) {
	r.Version = Version
	b, err := json.Marshal(r)
	if err != nil {
		return Answer{}, err
	}
	name := filepath.Join(t.dir, strings.ToLower(rand.Text()))
	if err := t.put(name+request, b); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Answer{}, ErrNobody
		}
		return Answer{}, err
	}
	waiting, cancel := context.WithDeadline(ctx, r.Until)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	end := waiting.Done()
	var last <-chan time.Time
	for {
		a, err := t.take(name + answer)
		if !errors.Is(err, fs.ErrNotExist) {
			return a, err
		}
		select {
		case <-tick.C:
		case <-end:
			if os.Remove(name+request) == nil {
				if ctx.Err() == nil {
					return Answer{}, ErrNobody
				}
				return Answer{}, ErrWithdrawn
			}
			end, last = nil, time.After(grace) // it is being carried out
		case <-last:
			return Answer{}, ErrUnknown
		}
	}
}

// take reads an answer and removes it.
func (t Tray) take(path string) (Answer, error) {
	var a Answer
	b, err := read(path)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil || a.Version != Version {
		return a, fmt.Errorf("%w: its answer cannot be read (version %d)", ErrUnknown, a.Version)
	}
	return a, os.Remove(path)
}

// put writes a file that is whole as soon as it is there, and belongs to whoever owns
// the directory.
func (t Tray) put(path string, b []byte) error {
	f, err := os.CreateTemp(t.dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it was renamed
	_, err = f.Write(b)
	if err == nil {
		err = give(f, t.dir)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(t.dir)
}

// give makes a file its directory's owner's, where we may.
func give(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return f.Chown(int(s.Uid), int(s.Gid))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read reads a file of the tray. What is too long was written by somebody else.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err == nil && len(b) > largest {
		return nil, fmt.Errorf("%s has more than %d bytes", path, largest)
	}
	return b, err
}

// Serve takes requests until ctx ends: do carries one out and returns what it came to.
// It makes the directory, for its own user alone. The request at hand is finished first.
func (t Tray) Serve(ctx context.Context, do func(ctx context.Context, r *Request) Answer) error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	news, every, wait := watch(ctx, t.dir)
	defer wait()
	defer cancel()
	if err := t.clear(); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		names, err := t.list(request)
		if err != nil {
			return err
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return nil
			}
			if err := t.serve(ctx, name, do); err != nil {
				return err
			}
		}
		select {
		case <-news:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// list returns the paths with a suffix, without it.
func (t Tray) list(suffix string) ([]string, error) {
	files, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), suffix); ok && f.Type().IsRegular() {
			all = append(all, filepath.Join(t.dir, name))
		}
	}
	return all, nil
}

// stale is from when an answer, or what was left half written, is nobody's any more.
const stale = time.Hour

// clear answers what was taken in a life before this one, and removes what nobody came
// for.
func (t Tray) clear() error {
	names, err := t.list(taken)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := t.reply(name, Answer{Error: ErrUnknown.Error() + ", as it ended in between: see what is in force, and calibrate again if need be"}); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		old := err == nil && time.Since(info.ModTime()) > stale
		if old && (strings.HasSuffix(f.Name(), answer) || strings.HasPrefix(f.Name(), ".new-")) {
			if err := os.Remove(filepath.Join(t.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// serve carries one request out. It is marked as taken first, durably: whatever happens
// then, it is not carried out twice.
func (t Tray) serve(ctx context.Context, name string, do func(ctx context.Context, r *Request) Answer) error {
	b, err := read(name + request)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was taken back
	}
	var r Request
	refused := err
	if refused == nil {
		refused = json.Unmarshal(b, &r)
	}
	if err := os.Rename(name+request, name+taken); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := syncDir(t.dir); err != nil {
		return err
	}
	a := Answer{}
	switch {
	case refused != nil:
		a.Error = "the request cannot be read: " + refused.Error()
	case r.Version != Version:
		a.Error = fmt.Sprintf("the request is of version %d, and this program of %d: restart the gateway after an update", r.Version, Version)
	case !time.Now().Before(r.Until):
		a.Error = "nobody waits for the request any more"
	default:
		a = do(context.WithoutCancel(ctx), &r)
	}
	return t.reply(name, a)
}

func (t Tray) reply(name string, a Answer) error {
	a.Version = Version
	b, err := json.Marshal(a)
	if err == nil {
		err = t.put(name+answer, b)
	}
	if err == nil {
		err = os.Remove(name + taken)
	}
	return err
}
