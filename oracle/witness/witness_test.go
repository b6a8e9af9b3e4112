package witness_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/witness"
	"wattmark/signer"
)

// post sends a body as any log does.
func post(t *testing.T, url string, body []byte) (status int, kind, answer string) {
	t.Helper()
	resp, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(b)
}

// TestProtocol goes through the answers of C2SP tlog-witness, one state after another.
func TestProtocol(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	s, other := tell(60, 60, 0), tell(60, 10, 1)
	w := open(t, t.TempDir(), c)
	defer w.Close()
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	// transparency-dev verifies cosignatures for us.
	cosigned, err := tnote.NewVerifierForCosignatureV1(w.Key().String())
	if err != nil {
		t.Fatal(err)
	}
	encode := func(r *witness.Request) []byte { return r.Encode() }
	sum := sha256.Sum256([]byte(ledgertest.Origin))
	monitor := server.URL + "/" + hex.EncodeToString(sum[:]) + "/checkpoint"
	if resp, err := http.Get(monitor); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("before the first checkpoint a monitor gets %v, %v", resp, err)
	}
	wrongProof := s.request(t, c, 20, 40)
	wrongProof.Proof[0][0] ^= 1
	withProof := s.request(t, c, 0, 20)
	withProof.Proof = []block.Hash{{1}}
	missing := s.request(t, c, 20, 40)
	missing.Proof = nil
	empty := block.Checkpoint{Origin: ledgertest.Origin, Root: block.Hash{1}}
	foreign := bytes.ReplaceAll(encode(s.request(t, c, 0, 20)), []byte(ledgertest.Origin), []byte("elsewhere.example/street"))
	forged := encode(s.request(t, c, 0, 20))
	forged[len(forged)-10] ^= 1
	long := append(encode(s.request(t, c, 0, 20)), make([]byte, 100<<10)...)
	extended := bytes.Replace(encode(s.request(t, c, 0, 20)), []byte("\n\n\u2014"), []byte("\nmore\n\n\u2014"), 1)
	for _, tt := range []struct {
		what   string
		body   []byte
		status int
		answer string // what it has to be, where it says more than a reason
	}{
		{"nothing", nil, 400, ""},
		{"no old line", []byte("new 0\n\n"), 400, ""},
		{"a size with zeros", []byte("old 007\n\n" + string(c.Sign(t, s.at(20)))), 400, ""},
		{"64 hashes", []byte("old 1\n" + strings.Repeat("jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n", 64) + "\n"), 400, ""},
		{"extension lines", extended, 400, ""},
		{"too much", long, 413, ""},
		{"an unknown origin", foreign, 404, ""},
		{"two oracles of four", encode(s.request(t, c, 0, 20, 0, 1)), 403, ""},
		{"a signature that does not verify", forged, 403, ""},
		{"a larger old size than the tree has", encode(s.request(t, c, 30, 20)), 400, ""},
		{"an old size that never was", encode(s.request(t, c, 10, 20)), 409, "0\n"},
		{"a proof from nothing", encode(withProof), 422, ""},
		{"an empty tree with a root", encode(&witness.Request{Checkpoint: c.Sign(t, empty)}), 422, ""},
		{"the first checkpoint", encode(s.request(t, c, 0, 20)), 200, "cosigned"},
		{"the first checkpoint of another story", encode(other.request(t, c, 0, 20)), 409, "20\n"},
		{"the same once more", encode(s.request(t, c, 20, 20)), 200, "cosigned"},
		{"another root of the same size", encode(other.request(t, c, 20, 20)), 422, ""},
		{"a wrong proof", encode(wrongProof), 422, ""},
		{"no proof", encode(missing), 422, ""},
		{"another story", encode(other.request(t, c, 20, 40)), 422, ""},
		{"a smaller tree", encode(s.request(t, c, 20, 10)), 400, ""},
		{"the next one", encode(s.request(t, c, 20, 40)), 200, "cosigned"},
		{"one that others have gone past", encode(s.request(t, c, 20, 30)), 409, "40\n"},
		{"all four oracles", encode(s.request(t, c, 40, 60, 0, 1, 2, 3)), 200, "cosigned"},
	} {
		status, kind, answer := post(t, server.URL, tt.body)
		if status != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.what, status, tt.status, answer)
			continue
		}
		switch {
		case tt.answer == "cosigned":
			r, err := witness.ParseRequest(tt.body)
			if err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(string(r.Checkpoint), "\n\n")
			if _, err := note.Open([]byte(text+"\n\n"+answer), note.VerifierList(cosigned)); err != nil {
				t.Errorf("%s: the cosignature: %v", tt.what, err)
			}
		case tt.answer != "" && (answer != tt.answer || kind != "text/x.tlog.size"):
			t.Errorf("%s: %q of type %q, want %q", tt.what, answer, kind, tt.answer)
		case len(strings.TrimSpace(answer)) == 0:
			t.Errorf("%s: no word of why", tt.what)
		}
	}
	resp, err := http.Get(monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if signed, err := c.Policy.Verify(b); err != nil || signed.Size != 60 {
		t.Errorf("what monitors get, by the oracles: %+v, %v", signed, err)
	}
	if _, lines, err := block.OpenSigned(b, w.Key()); err != nil || len(lines) != 1 {
		t.Errorf("what monitors get, by the witness: %d lines, %v", len(lines), err)
	}
}

// TestClient: an oracle that knows nothing finds out where the witness is, proves from
// there, and never takes a cosignature that is not one.
func TestClient(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	s, other := tell(300, 300, 0), tell(300, 10, 1)
	w := open(t, t.TempDir(), c)
	defer w.Close()
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	client := func() *witness.Client {
		k, err := witness.NewClient(w.Key(), server.URL+"/", server.Client())
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	policy, err := block.NewWitnessedPolicy(logsOf(c), cosignersOf(c), 3, []block.VerifierKey{w.Key()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	one, two := client(), client()
	for _, ask := range []struct {
		k    *witness.Client
		s    *story
		size uint64
		err  error
	}{
		{one, s, 1, nil}, {one, s, 100, nil}, {two, s, 101, nil}, {one, s, 200, nil}, {two, s, 200, nil}, {two, s, 150, witness.ErrAhead},
		{client(), other, 210, witness.ErrRefused}, {client(), s, 10, witness.ErrAhead}, {one, s, 300, nil},
	} {
		note := c.Sign(t, ask.s.at(ask.size))
		line, err := ask.k.Cosign(t.Context(), note, ask.s.at(ask.size), ask.s)
		if !errors.Is(err, ask.err) {
			t.Fatalf("size %d: %v, want %v", ask.size, err, ask.err)
		}
		if err != nil {
			continue
		}
		if signed, err := policy.Verify(append(note, line...)); err != nil || len(signed.Witnesses) != 4 {
			t.Errorf("size %d: with the witness's line: %v", ask.size, err)
		}
		if _, err := policy.Verify(note); !errors.Is(err, block.ErrQuorum) {
			t.Errorf("size %d: without it: %v", ask.size, err)
		}
	}
	for what, answer := range map[string]http.HandlerFunc{
		"nothing":       func(w http.ResponseWriter, r *http.Request) {},
		"a page":        func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") },
		"too much":      func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) },
		"an error":      func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) },
		"the same size": sizes("text/x.tlog.size", "0\n"),
		"sizes for ever": func() http.HandlerFunc {
			n := 0
			return func(w http.ResponseWriter, r *http.Request) {
				n++
				sizes("text/x.tlog.size", string(rune('0'+n))+"\n")(w, r)
			}
		}(),
		"no size":          sizes("text/x.tlog.size", "7 leaves"),
		"a size as a word": sizes("text/plain", "7\n"),
		"a cosignature of another tree": func(w http.ResponseWriter, r *http.Request) {
			line, _ := block.Cosign(key(t), name, s.at(9), 1)
			io.WriteString(w, line)
		},
		"somebody else's cosignature": func(w http.ResponseWriter, r *http.Request) {
			line, _ := block.Cosign(c.Oracles[0].Cosigner, name, s.at(20), 1)
			io.WriteString(w, line)
		},
	} {
		bad := httptest.NewServer(answer)
		k, err := witness.NewClient(w.Key(), bad.URL, bad.Client())
		if err != nil {
			t.Fatal(err)
		}
		if line, err := k.Cosign(t.Context(), c.Sign(t, s.at(20)), s.at(20), s); err == nil {
			t.Errorf("a witness that answers with %s: %q", what, line)
		}
		bad.Close()
	}
	for _, bad := range []string{"", "witness.example", "ftp://witness.example", "https://"} {
		if _, err := witness.NewClient(w.Key(), bad, nil); err == nil {
			t.Errorf("%q is taken for a URL", bad)
		}
	}
}

func sizes(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, body)
	}
}

func logsOf(c *ledgertest.Consortium) (out []block.VerifierKey) {
	for i := range c.Oracles {
		out = append(out, block.VerifierKey{Name: ledgertest.Origin, Key: c.Oracles[i].Log.Public()})
	}
	return out
}

func cosignersOf(c *ledgertest.Consortium) (out []block.VerifierKey) {
	for i := range c.Oracles {
		out = append(out, block.VerifierKey{Name: c.Oracles[i].Name, Cosigner: true, Key: c.Oracles[i].Cosigner.Public()})
	}
	return out
}

// TestOneStory: whatever oracles that all lie ask, in whatever order, and however often
// the witness is started again, all that it cosigns is one story that grows.
func TestOneStory(t *testing.T) {
	c := ledgertest.NewConsortium(t, 1)
	stories := []*story{tell(40, 40, 0), tell(40, 12, 1), tell(40, 25, 2), tell(40, 0, 3)}
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp("", "witness")
		if err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := open(t, dir, c)
		defer func() { w.Close() }()
		var last block.Checkpoint
		on := make([]bool, len(stories)) // stories that all so far fits
		for i := range on {
			on[i] = true
		}
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			if rapid.IntRange(0, 5).Draw(r, "restart") == 0 {
				w.Close()
				w = open(t, dir, c)
			}
			k := rapid.IntRange(0, len(stories)-1).Draw(r, "story")
			size := rapid.Uint64Range(0, 40).Draw(r, "size")
			old := last.Size
			if rapid.IntRange(0, 3).Draw(r, "guess") == 0 {
				old = rapid.Uint64Range(0, 40).Draw(r, "old")
			}
			_, err := w.Add(stories[k].request(t, c, old, size))
			if err == nil {
				if size < last.Size {
					r.Fatalf("cosigned %d leaves after %d", size, last.Size)
				}
				any := false
				for i := range on {
					on[i] = on[i] && stories[i].roots[size] == stories[k].roots[size]
					any = any || on[i]
				}
				if !any {
					r.Fatalf("cosigned two stories: %d leaves of story %d after %d", size, k, last.Size)
				}
				last = stories[k].at(size)
			} else if on[k] && old == last.Size && size >= old {
				r.Fatalf("story %d, %d leaves from %d: %v", k, size, old, err)
			}
		}
	})
}

// TestRaces: requests for different sizes at once never roll the witness back.
func TestRaces(t *testing.T) {
	c := ledgertest.NewConsortium(t, 1)
	s := tell(200, 200, 0)
	w := open(t, t.TempDir(), c)
	defer w.Close()
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	var wg sync.WaitGroup
	var requests []*witness.Client
	for range 8 {
		k, err := witness.NewClient(w.Key(), server.URL, server.Client())
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, k)
	}
	for i, k := range requests {
		wg.Go(func() {
			for size := uint64(i + 1); size <= 200; size += 8 {
				_, err := k.Cosign(context.Background(), c.Sign(t, s.at(size)), s.at(size), s)
				var conflict *witness.Conflict
				if err != nil && !errors.Is(err, witness.ErrAhead) && !errors.As(err, &conflict) {
					t.Errorf("size %d: %v", size, err)
				}
			}
		})
	}
	wg.Wait()
	k := requests[7]
	if _, err := k.Cosign(t.Context(), c.Sign(t, s.at(200)), s.at(200), s); err != nil || k.Size() != 200 {
		t.Errorf("in the end: %d, %v", k.Size(), err)
	}
}

// TestRecords: what is damaged or not the witness's own is not gone on from, and two
// processes never share a directory.
func TestRecords(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	s := tell(30, 30, 0)
	dir := t.TempDir()
	w := open(t, dir, c)
	config := witness.Config{Name: name, Key: key(t), Dir: dir, Ledgers: []*block.Policy{c.Policy}, Now: time.Now}
	if _, err := witness.Open(config); err == nil {
		t.Error("a directory is used twice")
	}
	if _, err := w.Add(s.request(t, c, 0, 20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(ledgertest.Origin))
	path := filepath.Join(dir, hex.EncodeToString(sum[:]), "checkpoint")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stranger := config
	stranger.Key = ledgertest.Key(t, signer.EdDSA, "another witness")
	if _, err := witness.Open(stranger); err == nil {
		t.Error("another key goes on where this one was")
	}
	for _, bad := range [][]byte{{}, good[:len(good)-5], []byte("x"), bytes.Replace(good, []byte("\n20\n"), []byte("\n10\n"), 1)} {
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if w, err := witness.Open(config); err == nil {
			w.Close()
			t.Errorf("it goes on from the record %q", bad)
		} else if !strings.Contains(err.Error(), "new key") {
			t.Errorf("no remedy: %v", err)
		}
	}
	// A kill between the file and its name leaves the old record.
	if err := os.WriteFile(path, good, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte("half of"), 0o644); err != nil {
		t.Fatal(err)
	}
	w = open(t, dir, c)
	defer w.Close()
	var conflict *witness.Conflict
	if _, err := w.Add(s.request(t, c, 0, 30)); !errors.As(err, &conflict) || conflict.Size != 20 {
		t.Errorf("after a kill: %v", err)
	}
	if _, err := w.Add(s.request(t, c, 20, 30)); err != nil {
		t.Error(err)
	}
}

// TestKeepsWhatProvesAFork: a signed checkpoint that does not follow is kept.
func TestKeepsWhatProvesAFork(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	dir := t.TempDir()
	w := open(t, dir, c)
	defer w.Close()
	if _, err := w.Add(tell(30, 30, 0).request(t, c, 0, 20)); err != nil {
		t.Fatal(err)
	}
	fork := tell(30, 5, 1).request(t, c, 20, 30)
	for range 3 {
		if _, err := w.Add(fork); !errors.Is(err, witness.ErrInconsistent) {
			t.Fatalf("a fork: %v", err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*", "conflict-*.request"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %q, %v", kept, err)
	}
	b, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := witness.ParseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	if signed, err := c.Policy.Verify(r.Checkpoint); err != nil || signed.Size != 30 {
		t.Errorf("what was kept: %v", err)
	}
}

func FuzzRequest(f *testing.F) {
	c := ledgertest.NewConsortium(f, 1)
	s := tell(30, 30, 0)
	f.Add(s.request(f, c, 0, 20).Encode())
	f.Add(s.request(f, c, 20, 30).Encode())
	f.Add([]byte("old 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := witness.ParseRequest(b)
		if err != nil {
			return
		}
		if again := r.Encode(); !bytes.Equal(again, b) {
			t.Errorf("%q is read as %q", b, again)
		}
	})
}
