package oracle_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle/wire"
)

// What a running oracle serves of a reading verifies with a verifier's own policy: by
// its sequence number, as soon as its receipt is there.
func TestServedFilesVerify(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(5)...)
	s.level(0, 1, 2, 3)
	id := s.GatewayKey("home-1").Public().ID()
	for i, n := range s.nodes {
		h := n.API().Handler()
		get := func(path string) []byte {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != http.StatusOK {
				t.Fatalf("oracle %d: %s: %d: %s", i+1, path, w.Code, w.Body)
			}
			return w.Body.Bytes()
		}
		s.until("what proofs are made from", func() bool {
			_, height, ok := n.Ledger().Store().Final()
			return ok && height == n.Final().Height
		})
		keys, err := audit.ParseKeys(get("/keys.jwks"))
		if err != nil {
			t.Fatal(err)
		}
		for count := 1; count <= 5; count++ {
			for _, kind := range []string{"cose", "tlog-proof", "evidence"} {
				name := fmt.Sprintf("1-%d.%s", count, kind)
				r := audit.Verify(name, get(fmt.Sprintf("/api/v1/key/%v/%s", id, name)), audit.Trust{Policy: s.Policy, Keys: keys})
				if r.Exit() != audit.ExitHolds {
					b, _ := json.Marshal(r)
					t.Errorf("oracle %d: %s: %s", i+1, name, b)
				}
			}
		}
	}
}

// TestEntryOverHTTP posts a signed entry to another oracle than the one that signed it: it
// becomes a leaf, counts once, and what the rules do not take is refused with the reason.
func TestEntryOverHTTP(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	h := s.nodes[1].API().Handler()
	post := func(b []byte) (status int, answer struct {
		State, Type, Hint string
		Hash              string `json:"leaf_sha256"`
		Leaf              *uint64
	}) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/api/v1/entries", bytes.NewReader(b))
		r.Header.Set("Content-Type", "application/cose")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return w.Code, answer
	}
	parameter := entry.Parameter{Name: entry.ParamCutLeaves, Value: 900}
	m := entry.Motion{Kind: entry.MotionParameter, Body: parameter.Encode()}
	s.nodes[0].Ledger().View(func(st *state.State) { m.Height = st.Height() + 50 })
	payload, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.nodes[0].Sign(entry.TypeMotion, payload)
	if err != nil {
		t.Fatal(err)
	}
	status, a := post(b)
	if status != http.StatusAccepted || a.State != "submitted" {
		t.Fatalf("the entry: %d %+v", status, a)
	}
	g.deliver(g.read(1)...) // a block is made of it
	s.until("the entry as a leaf", func() bool {
		_, found := s.find(0, a.Hash)
		return found
	})
	reading, err := wire.ParseFrame(g.read(1)[0])
	if err != nil {
		t.Fatal(err)
	}
	bent := bytes.Clone(b)
	bent[len(bent)-1] ^= 1
	for name, test := range map[string]struct {
		b      []byte
		status int
		kind   string
	}{
		"the same again":      {b, http.StatusUnprocessableEntity, "refused-already_known"},
		"another signature":   {bent, http.StatusUnprocessableEntity, "refused-bad_signature"},
		"no statement":        {[]byte("hello"), http.StatusBadRequest, "bad-request"},
		"nothing":             {nil, http.StatusBadRequest, "bad-request"},
		"more than is taken":  {make([]byte, 1<<20), http.StatusRequestEntityTooLarge, "bad-request"},
		"a gateway's reading": {reading.Statement, http.StatusBadRequest, "bad-request"},
	} {
		if status, a := post(test.b); status != test.status || !strings.HasSuffix(a.Type, test.kind) || a.Hint == "" {
			t.Errorf("%s: %d %+v, want %d %s", name, status, a, test.status, test.kind)
		}
	}
}

// find looks for a leaf by its hash in a node's ledger.
func (s *street) find(i int, hash string) (index uint64, found bool) {
	l := s.nodes[i].Ledger().Store()
	if err := l.Leaves(0, l.Size(), func(i uint64, leaf []byte) error {
		if h := block.LeafHash(leaf); hex.EncodeToString(h[:]) == hash {
			index, found = i, true
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return index, found
}
