package oracle_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
	"wattmark/oracle/witness"
	"wattmark/signer"
)

// outsider starts a witness of the street's ledger, and returns its key and URL. While
// away it answers nobody.
func (s *street) outsider(away *atomic.Bool) (block.VerifierKey, string) {
	s.t.Helper()
	w, err := witness.Open(witness.Config{
		Name: "witness.example/w", Key: ledgertest.Key(s.t, signer.EdDSA, "witness"), Dir: s.t.TempDir(),
		Ledgers: []*block.Policy{s.Policy}, Now: time.Now,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { w.Close() })
	h := w.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(rw, "away", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	}))
	s.t.Cleanup(server.Close)
	return w.Key(), server.URL
}

func parsePolicy(t *testing.T, text string) *block.Policy {
	t.Helper()
	p, err := block.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asks is the street's policy with a witness: beside the quorum, or part of it.
func (s *street) asks(key block.VerifierKey, url string, quorum bool) *block.Policy {
	text := s.Policy.String() + fmt.Sprintf("witness outside %v %s\n", key, url)
	if quorum {
		text = strings.Replace(text, "quorum oracles\n", "", 1) + "group witnesses 1 outside\ngroup both all oracles witnesses\nquorum both\n"
	}
	return parsePolicy(s.t, text)
}

// Where nobody asks for a witness blocks are final without, and whoever wants its
// cosignature finds it on what is published, and in proofs.
func TestWitnessSignsWhatIsPublished(t *testing.T) {
	s := newStreet(t, 4)
	var away atomic.Bool
	key, url := s.outsider(&away)
	strict := s.asks(key, url, true)
	s.Policy = s.asks(key, url, false)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	for range 3 {
		g.deliver(g.read(5)...)
	}
	s.level(0, 1, 2, 3)
	for i, n := range s.nodes {
		size := n.Final().Size
		s.until(fmt.Sprintf("a published checkpoint of oracle %d with the witness's line", i+1), func() bool {
			note, err := os.ReadFile(filepath.Join(s.oracleDir(i), "tiles", "checkpoint"))
			if err != nil {
				return false
			}
			signed, err := strict.Verify(note)
			return err == nil && signed.Size == size
		})
		s.until("the same of what proofs are made from", func() bool {
			note, _, ok := n.Ledger().Store().Final()
			if !ok {
				return false
			}
			_, err := strict.Verify(note)
			return err == nil
		})
		if got := s.figures(i)["wattmark_witness_leaves witness.example/w"]; got != float64(size) {
			t.Errorf("oracle %d tells of %v leaves at the witness, want %d", i+1, got, size)
		}
	}
}

// Where the members ask for a witness nothing is final without it, and nothing is lost
// while it is away.
func TestFinalityWaitsForTheWitness(t *testing.T) {
	s := newStreet(t, 4)
	var away atomic.Bool
	away.Store(true)
	key, url := s.outsider(&away)
	s.Policy = s.asks(key, url, true)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	g.publish(g.read(5)...)
	s.until("five readings that are durable", func() bool {
		h, _, _ := s.nodes[0].Ledger().Last()
		return h.Height >= 2 && s.nodes[0].Ledger().Store().Size() > 10
	})
	s.until("a witness that was asked in vain", func() bool { return s.figures(0)["wattmark_witness_failures_total witness.example/w"] > 0 })
	for i, n := range s.nodes {
		if f := n.Final(); f != nil {
			t.Errorf("oracle %d: %+v is final without the witness", i+1, f.Checkpoint)
		}
	}
	away.Store(false)
	s.until("receipts", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.places) == 5
	})
	g.deliver(g.read(3)...)
	s.level(0, 1, 2, 3)
	for i, n := range s.nodes {
		if signed, err := s.Policy.Verify(n.Final().Note); err != nil || len(signed.Witnesses) < 4 {
			t.Errorf("oracle %d: %+v, %v", i+1, signed, err)
		}
	}
}

// The members vote for a witness while the ledger runs: from the height on no block is
// final without it, and a verifier who follows the sets sees its line.
func TestMembersVoteForAWitness(t *testing.T) {
	s := newStreet(t, 4)
	var away atomic.Bool
	key, url := s.outsider(&away)
	s.Policy = s.asks(key, url, false)
	s.start(0, 1, 2, 3)
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(2)...)
	set := s.nextSet(0, 1, 2, 3)
	set.Witnesses, set.WitnessQuorum = []string{key.String()}, 1
	strict := s.expect(set)
	body, err := set.Encode()
	height := s.adopt(g, entry.MotionOracles, encoded(t, body, err), 0, 1, 2)
	for i, n := range s.nodes {
		s.until(fmt.Sprintf("a final block of the new set at oracle %d", i+1), func() bool {
			f := n.Final()
			return f != nil && f.Height >= height
		})
		if signed, err := strict.Verify(n.Final().Note); err != nil || len(signed.Witnesses) < 4 {
			t.Errorf("oracle %d: %+v, %v", i+1, signed, err)
		}
	}
}

func TestWitnessLines(t *testing.T) {
	key := block.VerifierKey{Name: "witness.example/w", Cosigner: true, Key: ledgertest.Key(t, signer.EdDSA, "witness").Public()}
	w, err := oracle.ParseWitness(fmt.Sprintf("witness w %v https://witness.example/w", key))
	if err != nil || w != (block.PolicyWitness{Name: "w", Key: key, URL: "https://witness.example/w"}) {
		t.Errorf("got %+v, %v", w, err)
	}
	log := block.VerifierKey{Name: "witness.example/w", Key: key.Key}
	for _, bad := range []string{"", "witness w " + key.String(), "witness w " + key.String() + " nowhere", "witness w " + log.String() + " https://w.example",
		"log w " + key.String() + " https://w.example", "witness w x https://w.example"} {
		if w, err := oracle.ParseWitness(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, w)
		}
	}
}
