package oracle_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
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
