package update

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wattmark/firmware/update/slot"
)

// Store keeps the journal: Save replaces it whole and is durable on return, or leaves
// the old one. Load returns nil where there is none yet.
type Store interface {
	Load() ([]byte, error)
	Save([]byte) error
}

// File is a Store that is one file.
type File string

// maxJournal bounds the journal in bytes.
const maxJournal = 64 << 10

// Load implements Store.
func (f File) Load() ([]byte, error) {
	info, err := os.Stat(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Size() > maxJournal:
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", f, info.Size(), maxJournal)
	}
	return os.ReadFile(string(f))
}

// Save implements Store. File and directory are synced: during a trial /perm is mounted
// twice, and a rename whose directory was not synced is lost with the old mount.
func (f File) Save(b []byte) error {
	dir := filepath.Dir(string(f))
	t, err := os.CreateTemp(dir, filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	_, err = t.Write(b)
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err == nil {
		err = os.Rename(t.Name(), string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Result is what became of an update.
type Result string

// Results.
const (
	Kept     Result = "kept"
	Rejected Result = "refused"   // it was not tried
	FellBack Result = "fell_back" // it was tried, and the old root runs again
)

// Outcome is the last thing that became of an update.
type Outcome struct {
	Version uint64    `json:"version"` // 0 where it could not be read
	Result  Result    `json:"result"`
	Reason  Reason    `json:"reason,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	At      time.Time `json:"at"`
}

// phase is how far an update is.
type phase string

const (
	phaseWriting phase = "writing" // the slot's content is not to be relied on
	phaseReady   phase = "ready"   // written and read back; the trial may be armed or not
	phaseTrying  phase = "trying"  // the new root has run
)

// pending is an update that is under way.
type pending struct {
	Version uint64         `json:"version"`
	Root    digest         `json:"root"`
	Size    int64          `json:"size"`
	Slot    slot.Partition `json:"slot"`
	Phase   phase          `json:"phase"`
	// Read are the parts that the old root read when it made way.
	Read []string `json:"read,omitempty"`
}

// journal is what the agent remembers.
type journal struct {
	Format int `json:"format"` // 1
	// Floor is the highest version that was kept here. It guards against going back
	// where the running root is replaced by an older one of the same card.
	Floor   uint64   `json:"floor"`
	Pending *pending `json:"pending,omitempty"`
	// Failed are versions that are not taken again, Tries how often others were.
	Failed []uint64       `json:"failed,omitempty"`
	Tries  map[uint64]int `json:"tries,omitempty"`
	Last   *Outcome       `json:"last,omitempty"`
	// Rollout is when the newest roll-out that was seen was issued.
	Rollout int64 `json:"rollout,omitempty"`
}

// maxFailed bounds the versions that are remembered as failed; those below the floor
// are not needed.
const maxFailed = 64

// ErrJournal is wrapped where the journal does not read.
var ErrJournal = errors.New("the update journal does not read")

func (j *journal) encode() []byte {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return append(b, '\n')
}

func parseJournal(b []byte) (*journal, error) {
	j := &journal{Format: 1}
	if len(b) == 0 {
		return j, nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(j); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJournal, err)
	}
	if p := j.Pending; j.Format != 1 || p != nil && (p.Slot != slot.RootA && p.Slot != slot.RootB || p.Size <= 0 || !slices.Contains([]phase{phaseWriting, phaseReady, phaseTrying}, p.Phase)) {
		return nil, fmt.Errorf("%w: its format is %d, or what it says is under way cannot be", ErrJournal, j.Format)
	}
	return j, nil
}

// failed notes that a version is not to be taken again.
func (j *journal) fail(version uint64) {
	j.Failed = slices.DeleteFunc(j.Failed, func(v uint64) bool { return v <= j.Floor || v == version })
	j.Failed = append(j.Failed, version)
	if n := len(j.Failed) - maxFailed; n > 0 {
		j.Failed = slices.Delete(j.Failed, 0, n)
	}
	delete(j.Tries, version)
}

// digest is a SHA-256 that is written in hexadecimal.
type digest [32]byte

// MarshalText implements encoding.TextMarshaler.
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *digest) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("%q is not the hexadecimal of a SHA-256", b)
	}
	copy(d[:], raw)
	return nil
}
