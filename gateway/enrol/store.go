package enrol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/ledger/entry"
)

// Names of the files in the state directory.
const (
	fileEnrolment = "enrolment"         // of the key in use
	fileRequest   = "enrolment.request" // that waits for its approval
)

// wireEnrolment is the form of the file: what proves the enrolment, and the points
// that go over from a key that was replaced.
type wireEnrolment struct {
	_        struct{} `cbor:",toarray"`
	Kind     string
	Version  uint64
	Request  []byte
	Approval []byte
	Points   []entry.Point
}

const (
	enrolmentKind    = "enrolment"
	enrolmentVersion = 1
	// maxEnrolment bounds the file: an approval, a request, and the points of one.
	maxEnrolment = MaxApproval + 2*entry.MaxRequest + 64
)

// Save keeps an enrolment in a state directory in place of the one before, whole or
// not at all, and durable on return. The request that waited is done with.
func Save(dir string, e *Enrolment, r *Request) error {
	b, err := encMode.Marshal(wireEnrolment{
		Kind: enrolmentKind, Version: enrolmentVersion,
		Request: r.Carried, Approval: e.approval.Encode(), Points: e.Points,
	})
	if err != nil {
		return fmt.Errorf("storing the enrolment: %w", err)
	}
	if err := replace(dir, fileEnrolment, b); err != nil {
		return fmt.Errorf("storing the enrolment: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, fileRequest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("storing the enrolment: %w", err)
	}
	return nil
}

// Load reads the enrolment of a state directory and verifies it again. Where there
// is none, the error is fs.ErrNotExist.
func Load(dir string) (*Enrolment, error) {
	path := filepath.Join(dir, fileEnrolment)
	b, err := read(path, maxEnrolment)
	if err != nil {
		return nil, fmt.Errorf("reading the enrolment: %w", err)
	}
	e, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: restore it from a copy; without one, have the key revoked and run wattmark-gateway enrol --again", path, err)
	}
	return e, nil
}

func parse(b []byte) (*Enrolment, error) {
	var w wireEnrolment
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, err
	}
	if w.Kind != enrolmentKind || w.Version != enrolmentVersion {
		return nil, fmt.Errorf("%q version %d, and this program reads %q version %d", w.Kind, w.Version, enrolmentKind, enrolmentVersion)
	}
	r, err := ParseRequest(w.Request)
	if err != nil {
		return nil, err
	}
	a, err := ParseApproval(w.Approval)
	if err != nil {
		return nil, err
	}
	e := &Enrolment{Origin: a.Policy.Origin(), Policy: a.Policy, Gateway: r.Gateway, Key: r.Public, Leaf: a.Enrolment.Index, Points: w.Points, approval: a}
	spans, err := a.follow()
	if err != nil {
		return nil, err
	}
	carried, err := e.prove(a, spans)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(carried, r.Carried) || r.Origin != e.Origin {
		return nil, errors.New("approval and request are not of one another")
	}
	if again, err := encMode.Marshal(w); err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("not in its own encoding")
	}
	return e, nil
}

// SaveRequest keeps a request that waits for its approval, so that the ceremony goes
// on after a restart with the very same bytes.
func SaveRequest(dir string, r *Request) error {
	if err := replace(dir, fileRequest, r.Carried); err != nil {
		return fmt.Errorf("storing the request: %w", err)
	}
	return nil
}

// LoadRequest reads the request that waits. Where there is none, the error is
// fs.ErrNotExist.
func LoadRequest(dir string) (*Request, error) {
	b, err := read(filepath.Join(dir, fileRequest), entry.MaxRequest)
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	return ParseRequest(b)
}

func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, err
}

// replace writes a file beside its place, and puts it there once it is durable.
func replace(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
