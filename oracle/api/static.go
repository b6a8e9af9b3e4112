package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"wattmark/ledger/block"
	"wattmark/ledger/store"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	// forever is for what never changes: a tile of leaves that are final.
	forever = "public, max-age=31536000, immutable"
	// soon is for what changes with the next final block.
	soon = "public, max-age=1, must-revalidate"

	checkpointName = "checkpoint"
	maxCheckpoint  = 64 << 10
)

// serveCheckpoint serves what was published last.
func (a *API) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	note, _, err := a.published()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		newProblem(problemPending, http.StatusServiceUnavailable, "No checkpoint yet",
			"No block of this ledger has become final since it was founded, or none was published.",
			"Ask again in a moment. If it stays so, /readyz on the operator's side says why.").after(1).serve(w)
		return
	case err != nil:
		a.inside(w, "reading the published checkpoint", err)
		return
	}
	a.write(w, r, answer{kind: "text/plain; charset=utf-8", cache: soon, body: note})
}

// published reads the checkpoint in the directory of tiles.
func (a *API) published() ([]byte, block.Checkpoint, error) {
	note, err := os.ReadFile(filepath.Join(a.cfg.Tiles, checkpointName))
	if err != nil {
		return nil, block.Checkpoint{}, err
	}
	if len(note) > maxCheckpoint {
		return nil, block.Checkpoint{}, fmt.Errorf("%d bytes, over the limit of %d", len(note), maxCheckpoint)
	}
	c, err := block.CheckpointOf(note)
	return note, c, err
}

// parseTile reads what stands behind /tile/ in the one form that it has.
func parseTile(path string) (tlog.Tile, error) {
	level, rest, _ := strings.Cut(path, "/")
	switch level {
	case "data":
		return tlog.Tile{}, fmt.Errorf("%q is no level of tiles", level)
	case entriesLevel:
		level = "data" // as the library calls it
	}
	return tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s/%s", tileHeight, level, rest))
}

const entriesLevel = "entries"

// tilePath is the inverse of parseTile.
func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	if t.L < 0 {
		return entriesLevel + strings.TrimPrefix(path, "data")
	}
	return path
}

// endOf returns the leaf behind the last one that a tile is about; false if that is
// beyond what any ledger has.
func endOf(t tlog.Tile) (uint64, bool) {
	shift := tileHeight * max(t.L, 0)
	const most = 1 << 60
	n := uint64(t.N)
	if shift >= 60 || n > most>>tileHeight {
		return 0, false
	}
	n = n<<tileHeight + uint64(t.W)
	return n << shift, n <= most>>shift
}

func (a *API) serveTile(w http.ResponseWriter, r *http.Request) {
	t, err := parseTile(r.PathValue("path"))
	if err != nil {
		newProblem(problemForm, http.StatusBadRequest, "Not a tile",
			strconv.Quote(shorten(r.URL.Path))+" is not the path of a tile.",
			"Tiles are at /tile/<level>/<number> and entries at /tile/entries/<number>, with .p/<width> behind a partial one: c2sp.org/tlog-tiles.").serve(w)
		return
	}
	body, err := a.tile(t)
	switch {
	case errors.Is(err, store.ErrNotFound):
		newProblem(problemTile, http.StatusNotFound, "Not published",
			"This tile reaches beyond the last final block.",
			"Read /checkpoint: only leaves before its size have tiles.").serve(w)
		return
	case err != nil:
		a.inside(w, "reading a tile", err)
		return
	}
	a.write(w, r, answer{kind: "application/octet-stream", cache: forever, body: body, compress: t.L < 0})
}

// serveHandover serves what shows that one oracle set handed over to the next: by
// height, and an index of the heights.
func (a *API) serveHandover(w http.ResponseWriter, r *http.Request) {
	name, cache, kind := r.PathValue("name"), forever, "application/cbor"
	if name == handoverIndex {
		cache, kind = soon, "text/plain; charset=utf-8"
	} else if n, err := strconv.ParseUint(name, 10, 60); err != nil || strconv.FormatUint(n, 10) != name {
		newProblem(problemForm, http.StatusBadRequest, "Not a handover", strconv.Quote(shorten(name))+" is neither a height nor \"index\".",
			"Read /handover/index: it lists the heights, one a line.").serve(w)
		return
	}
	body, err := os.ReadFile(filepath.Join(a.cfg.Tiles, handoverDir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		newProblem(problemTile, http.StatusNotFound, "No handover", "The oracles did not change at this height, or never did.",
			"Read /handover/index, which is not there either while they never changed: the policy of the charter holds then.").serve(w)
	case err != nil:
		a.inside(w, "reading a handover", err)
	default:
		a.write(w, r, answer{kind: kind, cache: cache, body: body})
	}
}

const (
	handoverDir   = "handover"
	handoverIndex = "index"
)

// tile returns a tile's bytes: from the file, if the published checkpoint covers it,
// else from the store, if a final one does. A file beyond the checkpoint may be what a
// crash has left of a publication, and nobody may keep it for ever.
func (a *API) tile(t tlog.Tile) ([]byte, error) {
	end, ok := endOf(t)
	if !ok {
		return nil, store.ErrNotFound
	}
	_, c, err := a.published()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if end <= c.Size {
		b, err := os.ReadFile(filepath.Join(a.cfg.Tiles, "tile", filepath.FromSlash(tilePath(t))))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	if _, final, err := a.final(); err != nil || end > max(final.Size, c.Size) {
		return nil, errors.Join(store.ErrNotFound, err)
	}
	s := a.cfg.Ledger.Store()
	first := uint64(t.N) * tileWidth
	if t.L < 0 {
		var bundle []byte
		err := s.Leaves(first, first+uint64(t.W), func(_ uint64, leaf []byte) error {
			bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...)
			return nil
		})
		return bundle, err
	}
	tile := make([]byte, 0, t.W*len(block.Hash{}))
	for i := range uint64(t.W) {
		h, err := s.Node(tileHeight*t.L, first+i)
		if err != nil {
			return nil, err
		}
		tile = append(tile, h[:]...)
	}
	return tile, nil
}

// answer is a file on its way out.
type answer struct {
	kind, cache string
	name        string // to save it under; empty for what is read by programs
	body        []byte
	compress    bool // it is worth while
}

// write sends a file with a validator of its content, or says that the client has it.
func (a *API) write(w http.ResponseWriter, r *http.Request, f answer) {
	sum := sha256.Sum256(f.body)
	tag := hex.EncodeToString(sum[:16])
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", f.cache)
	if f.name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
	}
	if f.compress {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			// Two forms of one thing have two validators.
			if known(r, tag+"-gzip") {
				h.Set("ETag", `"`+tag+`-gzip"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			if small, ok := a.gzip(f.body); ok {
				f.body, tag = small, tag+"-gzip"
				h.Set("Content-Encoding", "gzip")
				h.Set("Content-Length", strconv.Itoa(len(small)))
			}
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// known reports whether the client says that it has the very thing.
func known(r *http.Request, tag string) bool {
	return r.Header.Get("If-None-Match") == `"`+tag+`"`
}

// gzip compresses, unless others are being compressed on all the cores it may use.
func (a *API) gzip(b []byte) ([]byte, bool) {
	select {
	case a.compressing <- struct{}{}:
		defer func() { <-a.compressing }()
	default:
		return nil, false
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	z.Write(b) // into memory: no error
	z.Close()
	return out.Bytes(), out.Len() < len(b)
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3), without weighing: a
// client that takes gzip at all gets it.
func acceptsGzip(values []string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			name, q, ok := strings.Cut(strings.TrimSpace(weight), "=")
			if !ok || !strings.EqualFold(name, "q") {
				return true
			}
			n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			return err == nil && n > 0
		}
	}
	return false
}

// shorten keeps what others wrote from filling an answer.
func shorten(s string) string {
	if len(s) > 120 {
		return s[:120] + "..."
	}
	return s
}
