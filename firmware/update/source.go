package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"wattmark/firmware/manifest"
	"wattmark/ledger/entry"
)

// Source is where updates are offered.
type Source interface {
	// Offer returns the newest release for a board: its proof and its roll-out. It
	// returns nil for both where there is none.
	Offer(ctx context.Context, board string) (proof, rollout []byte, err error)
	// Root returns the root of a release.
	Root(ctx context.Context, r *entry.Release) (io.ReadCloser, error)
}

// Names of files at a source, below a folder named for the board.
const (
	ProofFile   = "release.tlog-proof"
	RolloutFile = "rollout"
)

// RootFile is the name of a version's root.
func RootFile(version uint64) string { return strconv.FormatUint(version, 10) + ".squashfs" }

// Web is a Source that is plain files on a web server, which need not be trusted: what
// it gives is verified, and all that it can do is to give nothing.
type Web struct {
	Base   *url.URL
	Client *http.Client // whose transport has the roots to trust for TLS
}

// maxProof bounds a proof in bytes, as package block does.
const maxProof = 256 << 10

// offerWithin bounds the wait for a proof. A root may take as long as it goes on.
const offerWithin = time.Minute

// Offer implements Source.
func (w *Web) Offer(ctx context.Context, board string) (proof, rollout []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, offerWithin)
	defer cancel()
	if proof, err = w.small(ctx, maxProof, board, ProofFile); err != nil || proof == nil {
		return nil, nil, err
	}
	rollout, err = w.small(ctx, manifest.MaxRollout, board, RolloutFile)
	return proof, rollout, err
}

// Root implements Source.
func (w *Web) Root(ctx context.Context, r *entry.Release) (io.ReadCloser, error) {
	body, err := w.get(ctx, r.Board, RootFile(r.Version))
	if err == nil && body == nil {
		err = errors.New("the source has not got it")
	}
	return body, err
}

// small reads a file, nil where there is none.
func (w *Web) small(ctx context.Context, limit int64, path ...string) ([]byte, error) {
	body, err := w.get(ctx, path...)
	if err != nil || body == nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%v is over the limit of %d bytes", w.Base.JoinPath(path...), limit)
	}
	return b, nil
}

func (w *Web) get(ctx context.Context, path ...string) (io.ReadCloser, error) {
	at := w.Base.JoinPath(path...)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.Client.Do(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound:
		return nil, resp.Body.Close()
	}
	return nil, errors.Join(fmt.Errorf("getting %v: %s", at, resp.Status), resp.Body.Close())
}
