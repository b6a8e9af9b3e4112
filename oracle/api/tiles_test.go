package api_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tlog2 "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/api"
)

func renameDir(from, to string) error { return os.Rename(from, to) }

// stock is a client of tiled logs that knows nothing of ours: golang.org/x/mod reads
// the tiles, transparency-dev the checkpoint and the proofs.
type stock struct {
	t   *testing.T
	url string
	log note.Verifier
}

func (s stock) fetch(path string) ([]byte, error) {
	resp, err := http.Get(s.url + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, b)
	}
	return b, err
}

func (s stock) Height() int                     { return 8 }
func (s stock) SaveTiles([]tlog.Tile, [][]byte) {}
func (s stock) ReadTiles(list []tlog.Tile) (out [][]byte, err error) {
	for _, t := range list {
		b, err := s.fetch("/tile/" + strings.TrimPrefix(t.Path(), "tile/8/"))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// checkpoint reads the checkpoint as a stranger does.
func (s stock) checkpoint() *tlog2.Checkpoint {
	s.t.Helper()
	b, err := s.fetch("/checkpoint")
	if err != nil {
		s.t.Fatal(err)
	}
	c, _, _, err := tlog2.ParseCheckpoint(b, ledgertest.Origin, s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func hashes(path tlog.RecordProof) (out [][]byte) {
	for _, h := range path {
		out = append(out, h[:])
	}
	return out
}

// TestStockClient verifies inclusion of every leaf and consistency of every two
// published checkpoints against the API, and against a plain file server on the same
// directory: with software that is not ours.
func TestStockClient(t *testing.T) {
	s := newStreet(t, nil)
	files := httptest.NewServer(http.FileServer(http.Dir(s.tiles)))
	defer files.Close()
	key, err := note.NewVerifier(block.VerifierKey{Name: ledgertest.Origin, Key: s.Oracles[0].Log.Public()}.String())
	if err != nil {
		t.Fatal(err)
	}
	var older []*tlog2.Checkpoint
	for _, height := range []uint64{2, 5, s.final.Height} {
		s.publish(t, height)
		for name, url := range map[string]string{"API": s.url, "file server": files.URL} {
			c := stock{t, url, key}
			cp := c.checkpoint()
			if cp.Size != s.Blocks[height].Checkpoint.Size {
				t.Fatalf("%s: checkpoint of %d leaves, want %d", name, cp.Size, s.Blocks[height].Checkpoint.Size)
			}
			tree := tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Hash)}
			reader := tlog.TileHashReader(tree, c)
			for i := uint64(0); i < cp.Size; i += 37 {
				p, err := tlog.ProveRecord(int64(cp.Size), int64(i), reader)
				if err != nil {
					t.Fatalf("%s: leaf %d: %v", name, i, err)
				}
				leaf, _ := s.Leaf(i)
				if err := proof.VerifyInclusion(rfc6962.DefaultHasher, i, cp.Size, rfc6962.DefaultHasher.HashLeaf(leaf), hashes(p), cp.Hash); err != nil {
					t.Errorf("%s: leaf %d: %v", name, i, err)
				}
			}
			for _, old := range older {
				p, err := tlog.ProveTree(int64(cp.Size), int64(old.Size), reader)
				if err != nil {
					t.Fatalf("%s: %d to %d: %v", name, old.Size, cp.Size, err)
				}
				if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old.Size, cp.Size, hashes(tlog.RecordProof(p)), old.Hash, cp.Hash); err != nil {
					t.Errorf("%s: %d to %d: %v", name, old.Size, cp.Size, err)
				}
			}
			c.entries(name, s, cp.Size)
		}
		older = append(older, stock{t, s.url, key}.checkpoint())
	}
}

// entries compares all bundles with the leaves.
func (s stock) entries(name string, street *street, size uint64) {
	s.t.Helper()
	var i uint64
	for n := uint64(0); n < size; n += 256 {
		t := tlog.Tile{H: 8, L: -1, N: int64(n / 256), W: int(min(size-n, 256))}
		b, err := s.fetch("/tile/entries" + strings.TrimPrefix(t.Path(), "tile/8/data"))
		if err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		for ; len(b) >= 2; i++ {
			end := 2 + int(b[0])<<8 + int(b[1])
			if leaf, _ := street.Leaf(i); end > len(b) || !bytes.Equal(leaf, b[2:end]) {
				s.t.Fatalf("%s: leaf %d is another one in its bundle", name, i)
			}
			b = b[end:]
		}
	}
	if i != size {
		s.t.Errorf("%s: the bundles hold %d leaves of %d", name, i, size)
	}
}

func TestHeaders(t *testing.T) {
	s := newStreet(t, nil)
	s.publish(t, s.final.Height)
	resp, full := s.get(t, s.url+"/tile/0/000")
	if len(full) != 8192 || resp.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
		resp.Header.Get("Content-Type") != "application/octet-stream" || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("a full tile of %d bytes has %v", len(full), resp.Header)
	}
	tag := resp.Header.Get("ETag")
	if resp, b := s.get(t, s.url+"/tile/0/000", "If-None-Match", tag); tag == "" || resp.StatusCode != http.StatusNotModified || len(b) > 0 {
		t.Errorf("what the client has comes again: tag %q, %s, %d bytes", tag, resp.Status, len(b))
	}
	resp, note := s.get(t, s.url+"/checkpoint")
	if !strings.Contains(resp.Header.Get("Cache-Control"), "max-age=1,") || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("the checkpoint has %v", resp.Header)
	}
	if _, err := s.Policy.Verify(note); err != nil {
		t.Errorf("the checkpoint: %v", err)
	}
	plain, entries := s.get(t, s.url+"/tile/entries/000")
	packed, small := s.get(t, s.url+"/tile/entries/000", "Accept-Encoding", "br, gzip;q=0.5")
	z, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !bytes.Equal(b, entries) || len(small) >= len(entries) {
		t.Errorf("the bundle of %d bytes has %d compressed, and %d unpacked: %v", len(entries), len(small), len(b), err)
	}
	if plain.Header.Get("ETag") == packed.Header.Get("ETag") || packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("the two forms of a bundle have %v and %v", plain.Header, packed.Header)
	}
	if resp, _ := s.get(t, s.url+"/tile/entries/000", "Accept-Encoding", "gzip", "If-None-Match", packed.Header.Get("ETag")); resp.StatusCode != http.StatusNotModified {
		t.Errorf("a bundle that the client has: %s", resp.Status)
	}
	if resp, b := s.get(t, s.url+"/tile/entries/000", "Accept-Encoding", "gzip;q=0"); resp.Header.Get("Content-Encoding") != "" || !bytes.Equal(b, entries) {
		t.Errorf("who takes no gzip gets %v", resp.Header)
	}
}

// TestNothingBeyondTheFinalCheckpoint: a tile that may still change is never served,
// neither from the store nor from a file that a crash has left.
func TestNothingBeyondTheFinalCheckpoint(t *testing.T) {
	s := newStreet(t, nil)
	s.publish(t, 5)
	size, all := s.final.Size, s.Size()
	if all <= size {
		t.Fatal("every leaf is final")
	}
	path := func(n uint64) string { return fmt.Sprintf("/tile/0/%03d.p/%d", n/256, n%256) }
	if err := os.MkdirAll(filepath.Join(s.tiles, "tile/0", fmt.Sprintf("%03d.p", all/256)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.tiles, path(all)), []byte("left by a crash"), 0o644); err != nil {
		t.Fatal(err)
	}
	if resp, b := s.get(t, s.url+path(all)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a tile beyond the final checkpoint: %s: %s", resp.Status, b)
	}
	// Between two publications the store serves what is final.
	resp, b := s.get(t, s.url+path(size))
	if resp.StatusCode != http.StatusOK || uint64(len(b)) != size%256*32 {
		t.Fatalf("a partial tile of the final checkpoint: %s, %d bytes", resp.Status, len(b))
	}
	last, _ := s.Node(0, size-1)
	if !bytes.Equal(b[len(b)-32:], last[:]) {
		t.Error("its last hash is another leaf's")
	}
	// A file that was left where that one will be is not believed.
	wrong := filepath.Join(s.tiles, filepath.FromSlash(path(size)))
	if err := os.MkdirAll(filepath.Dir(wrong), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wrong, make([]byte, len(b)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, again := s.get(t, s.url+path(size)); !bytes.Equal(again, b) {
		t.Error("a file beyond the published checkpoint was served")
	}
	// Partial tiles whose full one has come go on for whoever has an old checkpoint.
	s.publish(t, s.final.Height)
	if resp, b := s.get(t, s.url+"/tile/0/000.p/7"); resp.StatusCode != http.StatusOK || len(b) != 7*32 {
		t.Errorf("an old partial tile: %s, %d bytes", resp.Status, len(b))
	}
}

func TestTilePathsHaveOneForm(t *testing.T) {
	s := newStreet(t, nil)
	s.publish(t, s.final.Height)
	for _, path := range []string{"/tile/0/0", "/tile/0/000.p/256", "/tile/0/000.p/0", "/tile/0/000.p/01", "/tile/00/000", "/tile/0/x000/000",
		"/tile/data/000", "/tile/8/0/000", "/tile/entries/", "/tile/-1/000", "/tile/entries/000.p/007", "/tile/0/000/"} {
		if resp, b := s.get(t, s.url+path); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s: %s", path, resp.Status, b)
		}
	}
	for _, path := range []string{"/tile/7/000", "/tile/63/000", "/tile/64/000", "/tile/0/x999/x999/x999/999", "/tile/entries/x999/x999/x999/x999/999", "/tile/1/000"} {
		if resp, b := s.get(t, s.url+path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s: %s", path, resp.Status, b)
		}
	}
}

// TestHandovers serves what the store publishes beside the tiles, and nothing else.
func TestHandovers(t *testing.T) {
	s := newStreet(t, nil)
	s.publish(t, s.final.Height)
	if resp, _ := s.get(t, s.url+"/handover/index"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an index of none: %s", resp.Status)
	}
	dir := filepath.Join(s.tiles, "handover")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"index": "7\n", "7": "shown", "07": "hidden", "x": "hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"index": "7\n", "7": "shown"} {
		if resp, b := s.get(t, s.url+"/handover/"+name); resp.StatusCode != http.StatusOK || string(b) != want {
			t.Errorf("%s: %s: %q", name, resp.Status, b)
		}
	}
	for name, want := range map[string]int{"07": 400, "x": 400, "8": 404, "..%2fcheckpoint": 400} {
		if resp, b := s.get(t, s.url+"/handover/"+name); resp.StatusCode != want {
			t.Errorf("%s: %s: %q", name, resp.Status, b)
		}
	}
}

func FuzzTilePath(f *testing.F) {
	for _, s := range []string{"0/000", "0/x001/x234/067.p/7", "entries/000.p/255", "5/999", "data/000", "0/000.p/256"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := api.ParseTile(path)
		if err != nil {
			return
		}
		if again := api.TilePath(tile); again != path {
			t.Errorf("%q is read as %q", path, again)
		}
		end, ok := api.EndOf(tile)
		if ok && (end == 0 || end > 1<<60) {
			t.Errorf("%q ends at leaf %d", path, end)
		}
	})
}
