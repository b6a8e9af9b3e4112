package oracle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/handover"
)

// Tiles reads another oracle's static tiles (C2SP tlog-tiles), from any file server or
// from a directory. Nothing that it gives is verified.
type Tiles struct {
	// From is the address of the directory, http:// or https://, or its path.
	From string
	// Client, if set, fetches instead of the default one.
	Client *http.Client
}

const (
	bundleWidth = 256
	maxBundle   = bundleWidth * (2 + 65535)
	fetchWithin = 30 * time.Second // one file
	fetchTries  = 3
)

// Get returns one file. A file that is not there wraps fs.ErrNotExist.
func (t *Tiles) Get(ctx context.Context, name string, most int64) (b []byte, err error) {
	if !strings.HasPrefix(t.From, "http://") && !strings.HasPrefix(t.From, "https://") {
		f, err := os.Open(filepath.Join(t.From, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return limited(f, name, most)
	}
	for try := range fetchTries {
		if b, err = t.fetch(ctx, name, most); err == nil || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			return b, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		}
	}
	return b, err
}

func (t *Tiles) fetch(ctx context.Context, name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(t.From, "/")+"/"+name, nil)
	if err != nil {
		return nil, err
	}
	c := t.Client
	if c == nil {
		c = http.DefaultClient
	}
	a, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	switch {
	case a.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case a.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: the server says %s", name, a.Status)
	}
	return limited(a.Body, name, most)
}

func limited(r io.Reader, name string, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return b, err
}

// Checkpoint returns the newest final checkpoint, verified, and the handovers by which a
// policy was followed to the oracles in force.
func (t *Tiles) Checkpoint(ctx context.Context, p *block.Policy) (*block.Signed, []*handover.Handover, error) {
	note, err := t.Get(ctx, "checkpoint", 64<<10)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching the checkpoint: %w", err)
	}
	list, err := t.handovers(ctx)
	if err != nil {
		return nil, nil, err
	}
	spans, err := handover.Follow(p, list)
	if err != nil {
		return nil, nil, err
	}
	c, err := block.Stated(note)
	if err != nil {
		return nil, nil, err
	}
	policy := handover.PolicyFor(spans, c.Size)
	if policy == nil {
		return nil, nil, fmt.Errorf("checkpoint of %d leaves: %w", c.Size, block.ErrQuorum)
	}
	s, err := policy.Verify(note)
	if err != nil {
		return nil, nil, err
	}
	return s, list, nil
}

func (t *Tiles) handovers(ctx context.Context) ([]*handover.Handover, error) {
	index, err := t.Get(ctx, "handover/index", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the oracles never changed
	}
	if err != nil {
		return nil, fmt.Errorf("fetching handovers: %w", err)
	}
	var list []*handover.Handover
	for _, line := range strings.Fields(string(index)) {
		height, err := strconv.ParseUint(line, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("handover/index: %q is no height", line)
		}
		b, err := t.Get(ctx, "handover/"+strconv.FormatUint(height, 10), 16<<20)
		if err != nil {
			return nil, fmt.Errorf("fetching handovers: %w", err)
		}
		h, err := handover.Parse(b)
		if err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, nil
}

// Leaves calls fn with each leaf up to to, not included, of tiles that were published
// with a checkpoint of size leaves or a later one.
func (t *Tiles) Leaves(ctx context.Context, size, to uint64, fn func(index uint64, leaf []byte) error) error {
	for n := uint64(0); n*bundleWidth < to; n++ {
		b, err := t.bundle(ctx, n, min(size-n*bundleWidth, bundleWidth))
		if err != nil {
			return fmt.Errorf("fetching leaves: %w", err)
		}
		for i := range min(to-n*bundleWidth, bundleWidth) {
			if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
				return fmt.Errorf("entry bundle %d ends within leaf %d", n, n*bundleWidth+i)
			}
			end := 2 + int(binary.BigEndian.Uint16(b))
			if err := fn(n*bundleWidth+i, b[2:end]); err != nil {
				return err
			}
			b = b[end:]
		}
	}
	return nil
}

// bundle returns a bundle that has at least width leaves. The partial one of a
// checkpoint goes when the next ones are published; the full one holds the same.
func (t *Tiles) bundle(ctx context.Context, n, width uint64) ([]byte, error) {
	full := "tile/entries/" + tileNumber(n)
	if width < bundleWidth {
		b, err := t.Get(ctx, fmt.Sprintf("%s.p/%d", full, width), maxBundle)
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return t.Get(ctx, full, maxBundle)
}

// tileNumber writes a number as the paths of C2SP tlog-tiles have it.
func tileNumber(n uint64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

// Join makes in dir the ledger of an oracle that joins, from tiles and, where there is
// one, a snapshot of another oracle: ledger.Join. policy is of oracles that the joining
// one trusts, those of the charter or later ones.
func Join(ctx context.Context, dir string, t *Tiles, policy *block.Policy, snapshot func(height uint64) ([]byte, error), packs func(digest []byte) []byte) (height uint64, err error) {
	signed, list, err := t.Checkpoint(ctx, policy)
	if err != nil {
		return 0, err
	}
	j := ledger.Joining{
		Checkpoint: signed.Checkpoint, Snapshot: snapshot, Packs: packs, Handovers: list,
		Leaves: func(to uint64, fn func(uint64, []byte) error) error { return t.Leaves(ctx, signed.Size, to, fn) },
	}
	for _, h := range list {
		j.Followed = append(j.Followed, h.Height())
	}
	return ledger.Join(dir, j)
}
