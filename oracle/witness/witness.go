package witness

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// Config is what a witness works with.
type Config struct {
	// Name is that of its key, which should be the witness's URL without https://.
	Name string
	Key  signer.Signer // Ed25519
	// Dir keeps what was cosigned. It belongs to the key: without it the key must not
	// be used any more.
	Dir string
	// Ledgers are the policies of the ledgers that are watched, of one origin each. What
	// they ask of witnesses from outside, this one among them, does not count.
	Ledgers []*block.Policy
	Now     func() time.Time
	Log     *slog.Logger
}

// Witness cosigns checkpoints. It is safe for concurrent use.
type Witness struct {
	cfg  Config
	key  block.VerifierKey
	lock *os.File
	logs map[string]*watched // by origin
}

// watched is one ledger.
type watched struct {
	policy *block.Policy
	dir    string

	// mu is held from the look at the last checkpoint until the next one is on the disk,
	// and guards the fields below.
	mu     sync.Mutex
	last   block.Checkpoint // zero size where none was cosigned
	note   []byte           // its record, nil for none
	broken error            // a write failed: what is on the disk is not known
}

// Open opens or makes a witness's directory. A record that is damaged, or not signed
// by the key, is an error: what was cosigned is not known then.
func Open(cfg Config) (_ *Witness, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Key.Public().Algorithm() != signer.EdDSA {
		return nil, fmt.Errorf("witness %q: its key is %v, cosignatures are made with Ed25519", cfg.Name, cfg.Key.Public().Algorithm())
	}
	w := &Witness{cfg: cfg, key: block.VerifierKey{Name: cfg.Name, Cosigner: true, Key: cfg.Key.Public()}, logs: make(map[string]*watched)}
	if _, err := block.ParseVerifierKey(w.key.String()); err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, err
	}
	w.lock, err = os.OpenFile(filepath.Join(cfg.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("witness's directory: %w", err)
	}
	defer func() {
		if err != nil {
			w.lock.Close()
		}
	}()
	if err := flock(w.lock); err != nil {
		return nil, fmt.Errorf("witness's directory %s is in use by another process: %w", cfg.Dir, err)
	}
	for _, p := range cfg.Ledgers {
		if w.logs[p.Origin()] != nil {
			return nil, fmt.Errorf("witness: two policies for the ledger %q", p.Origin())
		}
		l := &watched{policy: p, dir: filepath.Join(cfg.Dir, originHash(p.Origin()))}
		if err := makeDir(l.dir); err != nil {
			return nil, err
		}
		if err := w.load(l); err != nil {
			return nil, fmt.Errorf("%s: %w: restore it from a backup that is newer than the last signature, or give this witness up and begin another one with a new key", filepath.Join(l.dir, recordFile), err)
		}
		w.logs[p.Origin()] = l
	}
	return w, nil
}

// load reads what was cosigned last.
func (w *Witness) load(l *watched) error {
	note, err := readRecord(l.dir)
	if err != nil || note == nil {
		return err
	}
	c, _, err := block.OpenSigned(note, w.key)
	if err != nil {
		return fmt.Errorf("what this witness cosigned last: %w", err)
	}
	if c.Origin != l.policy.Origin() {
		return fmt.Errorf("what this witness cosigned last is of ledger %q, not %q", c.Origin, l.policy.Origin())
	}
	l.last, l.note = c, note
	return nil
}

// Close lets another process use the directory.
func (w *Witness) Close() error { return w.lock.Close() }

// Key returns the witness's key as policies have it.
func (w *Witness) Key() block.VerifierKey { return w.key }

// The answers of Add that are no cosignature.
var (
	ErrUnknownLedger = errors.New("this witness does not watch the ledger")
	ErrSignatures    = errors.New("the checkpoint is not signed by the oracles that this witness trusts")
	ErrInconsistent  = errors.New("the checkpoint does not follow from the last one that this witness cosigned")
)

// Conflict is the answer to a request from another size than that of the last
// checkpoint cosigned.
type Conflict struct{ Size uint64 }

// Error says which size it is.
func (c *Conflict) Error() string {
	return fmt.Sprintf("the last checkpoint that this witness cosigned has %d leaves", c.Size)
}

// Add cosigns a checkpoint and returns the signature line. When it returns the line,
// the checkpoint is on the disk. Errors that wrap none of ErrRequest, ErrUnknownLedger,
// ErrSignatures, ErrInconsistent and *Conflict are the witness's own.
func (w *Witness) Add(r *Request) (string, error) {
	c, err := block.CheckpointOf(r.Checkpoint)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRequest, err)
	}
	l := w.logs[c.Origin]
	if l == nil {
		return "", fmt.Errorf("%w %q", ErrUnknownLedger, c.Origin)
	}
	signed, err := l.policy.VerifyOracles(r.Checkpoint)
	switch {
	case errors.Is(err, block.ErrForm):
		return "", fmt.Errorf("%w: %w", ErrRequest, err)
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrSignatures, err)
	case r.Old > c.Size:
		return "", fmt.Errorf("%w: from %d leaves to %d", ErrRequest, r.Old, c.Size)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return "", l.broken
	}
	if r.Old != l.last.Size {
		return "", &Conflict{l.last.Size}
	}
	if c.Size == 0 && c.Root != (&block.Tree{}).Root() {
		err = fmt.Errorf("%w: the tree without leaves has another root", block.ErrProof)
	} else if l.note != nil || c.Size > 0 {
		err = block.VerifyConsistency(l.last, c, r.Proof)
	}
	if err != nil {
		w.keep(l, r)
		return "", fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	return w.cosign(l, c, signed.Lines)
}

// cosign signs, keeps and answers, in this order. The caller holds l's mu.
func (w *Witness) cosign(l *watched, c block.Checkpoint, lines []string) (string, error) {
	now := w.cfg.Now().Unix()
	if now <= 0 {
		return "", fmt.Errorf("the clock says %d: a cosignature has a time", now)
	}
	line, err := block.Cosign(w.cfg.Key, w.cfg.Name, c, uint64(now))
	if err != nil {
		return "", err
	}
	var own []string
	for _, s := range lines { // an earlier one of our own, which the policy may name
		if !strings.HasPrefix(s, "\u2014 "+w.cfg.Name+" ") {
			own = append(own, s)
		}
	}
	note := []byte(c.Text() + "\n" + strings.Join(append(own, line), ""))
	if err := writeRecord(l.dir, note); err != nil {
		l.broken = fmt.Errorf("this witness does not know what is on its disk: start it again: %w", err)
		return "", l.broken
	}
	l.last, l.note = c, note
	return line, nil
}

// Last returns what was cosigned last of the ledger whose origin has the given
// SHA-256 in hexadecimal, signed; nil for nothing.
func (w *Witness) Last(hash string) []byte {
	for origin, l := range w.logs {
		if originHash(origin) == hash {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.note
		}
	}
	return nil
}

// LastOf is Last by the ledger's origin.
func (w *Witness) LastOf(origin string) []byte { return w.Last(originHash(origin)) }

// maxKept bounds the requests that are kept of a ledger: who forks it more often is
// known by then.
const maxKept = 64

// keep writes down a request that contradicts what was cosigned: signed by a ledger's
// oracles as it is, it proves that they told two stories, or that somebody has their
// keys. The caller holds l's mu.
func (w *Witness) keep(l *watched, r *Request) {
	w.cfg.Log.Error("a checkpoint that oracles signed does not follow from the last one", "origin", l.policy.Origin(), "last_size", l.last.Size)
	body := r.Encode()
	digest := sha256.Sum256(body)
	name := filepath.Join(l.dir, fmt.Sprintf("conflict-%d-%x.request", l.last.Size, digest[:8]))
	if had, err := filepath.Glob(filepath.Join(l.dir, "conflict-*")); err != nil || len(had) >= maxKept {
		return
	}
	if err := os.WriteFile(name, body, 0o644); err != nil {
		w.cfg.Log.Warn("did not keep what proves it", "error", err)
	}
}
