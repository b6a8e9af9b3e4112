package founding_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/oracle/founding"
	"wattmark/signer"
)

const (
	origin = "wattmark.example/founded"
	at     = 1_772_366_400 // 2026-03-01T12:00:00Z
)

type fataler interface {
	Helper()
	Fatal(...any)
}

func key(t fataler, seed ...byte) *signer.PrivateKey {
	t.Helper()
	var s [32]byte
	copy(s[:], seed)
	k, err := signer.FromSeed(signer.EdDSA, s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// member returns the keys of member i, from 1, and its request.
func member(t fataler, i byte) (founding.Keys, *founding.Request) {
	t.Helper()
	k := founding.Keys{Statement: key(t, i, 1), Log: key(t, i, 2), Cosigner: key(t, i, 3)}
	r, err := founding.NewRequest(k, name(i), origin, tlsKey(t, i), at)
	if err != nil {
		t.Fatal(err)
	}
	return k, r
}

func name(i byte) string { return fmt.Sprintf("member-%d.example/oracle", i) }

// tlsKey is the SubjectPublicKeyInfo of an Ed25519 key: RFC 8410 section 4.
func tlsKey(t fataler, i byte) []byte {
	prefix := []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}
	return append(prefix, key(t, i, 4).Public().Bytes()...)
}

func charter(requests ...*founding.Request) *entry.Charter {
	c := &entry.Charter{Origin: origin, Time: at * 1000, Quorum: uint64(2*len(requests)/3 + 1), Governance: uint64(2*len(requests)/3 + 1)}
	for _, r := range requests {
		c.Oracles = append(c.Oracles, r.Oracle)
	}
	return c
}

func propose(t fataler, requests ...*founding.Request) *founding.Proposal {
	t.Helper()
	p, err := founding.Propose(charter(requests...), requests)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFounding goes through the ceremony of four members.
func TestFounding(t *testing.T) {
	var requests []*founding.Request
	var keys []founding.Keys
	for i := range byte(4) {
		k, r := member(t, i+1)
		keys, requests = append(keys, k), append(requests, r)
	}
	p := propose(t, requests...)
	p.Roots, p.Certificates = []byte("root"), [][]byte{{1}, {2}, {3}, {4}}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		got, err := founding.OpenProposal(b)
		if err != nil {
			t.Fatal(err)
		}
		own, err := founding.OpenRequest(requests[i].Statement())
		if err != nil {
			t.Fatal(err)
		}
		place, err := got.Place(own)
		if err != nil || place != i || !bytes.Equal(got.Certificates[place], []byte{byte(i + 1)}) {
			t.Errorf("member %d is at %d: %v", i+1, place, err)
		}
		if diff := cmp.Diff(p.Words(), got.Words()); diff != "" {
			t.Errorf("member %d reads other words: %s", i+1, diff)
		}
		said, err := founding.Accept(keys[i].Statement, own.Oracle.Name, origin, got.Digest(), at)
		if err != nil {
			t.Fatal(err)
		}
		for k := range got.Charter.Oracles {
			err := founding.OpenAcceptance(said, &got.Charter.Oracles[k], origin, got.Digest())
			if (err == nil) != (k == i) {
				t.Errorf("member %d's acceptance as that of member %d: %v", i+1, k+1, err)
			}
		}
		other := got.Digest()
		other[31] ^= 1
		if err := founding.OpenAcceptance(said, &got.Charter.Oracles[i], origin, other); !errors.Is(err, founding.ErrAcceptance) {
			t.Errorf("an acceptance of another charter: %v", err)
		}
	}
}

// TestRequestsProvePossession lets a member ask with a key that is not its own.
func TestRequestsProvePossession(t *testing.T) {
	k, good := member(t, 1)
	foreign, _ := member(t, 2)
	for what, r := range map[string]func() (*founding.Request, error){
		"the statement key twice": func() (*founding.Request, error) {
			return founding.NewRequest(founding.Keys{Statement: k.Statement, Log: k.Statement, Cosigner: k.Cosigner}, name(1), origin, nil, at)
		},
		"the log key twice": func() (*founding.Request, error) {
			return founding.NewRequest(founding.Keys{Statement: k.Statement, Log: k.Log, Cosigner: k.Log}, name(1), origin, nil, at)
		},
		"another's log key": func() (*founding.Request, error) {
			return founding.NewRequest(founding.Keys{Statement: k.Statement, Log: claiming{k.Log, foreign.Log.Public()}, Cosigner: k.Cosigner}, name(1), origin, nil, at)
		},
		"another's cosigner": func() (*founding.Request, error) {
			return founding.NewRequest(founding.Keys{Statement: k.Statement, Log: k.Log, Cosigner: claiming{k.Cosigner, foreign.Cosigner.Public()}}, name(1), origin, nil, at)
		},
		"no TLS key": func() (*founding.Request, error) {
			return founding.NewRequest(k, name(1), origin, []byte("key"), at)
		},
		"a name with a space": func() (*founding.Request, error) { return founding.NewRequest(k, "an oracle", origin, nil, at) },
	} {
		if _, err := r(); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	b := good.Statement()
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if _, err := founding.OpenRequest(changed); !errors.Is(err, founding.ErrRequest) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

// claiming signs with one key and names another.
type claiming struct {
	signer.Signer
	public signer.PublicKey
}

func (c claiming) Public() signer.PublicKey { return c.public }

// TestOtherCharters gives a member charters that it did not ask for.
func TestOtherCharters(t *testing.T) {
	_, a := member(t, 1)
	k, b := member(t, 2)
	c := charter(a, b)
	c.Oracles[1].Key = key(t, 9, 9).Public().Bytes()
	if _, err := founding.Propose(c, []*founding.Request{a, b}); err == nil || !strings.Contains(err.Error(), "other keys than it asked with") {
		t.Errorf("a charter with another's key: %v", err)
	}
	if _, err := founding.Propose(charter(a, b), []*founding.Request{b, a}); err == nil {
		t.Error("a charter in another order than the requests was taken")
	}
	if _, err := founding.Propose(charter(a, b), []*founding.Request{a}); err == nil {
		t.Error("a charter with an oracle that did not ask was taken")
	}
	elsewhere, err := founding.NewRequest(k, name(2), "wattmark.example/elsewhere", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := founding.Propose(charter(a, elsewhere), []*founding.Request{a, elsewhere}); err == nil {
		t.Error("a request for another ledger was taken")
	}
	if _, err := propose(t, a).Place(b); err == nil || !strings.Contains(err.Error(), "not in the charter") {
		t.Errorf("a charter without it: %v", err)
	}
	again, err := founding.NewRequest(k, name(2), origin, nil, at+1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := propose(t, a, again).Place(b); err == nil {
		t.Error("a charter with a request that this member did not make was taken for its own")
	}
}

// TestAnyChangeIsHeard changes something of a founding: it is refused, or the words are
// others, or it is a thing of which the words do not speak, the certificates.
func TestAnyChangeIsHeard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "members")
		var requests []*founding.Request
		for i := range n {
			_, r := member(t, byte(i+1))
			requests = append(requests, r)
		}
		p := propose(t, requests...)
		c := *p.Charter
		c.Oracles = append([]entry.OracleKeys(nil), c.Oracles...)
		switch rapid.IntRange(0, 4).Draw(t, "change") {
		case 0:
			c.Time++
		case 1:
			c.Governance = c.Governance%uint64(n) + 1
			if c.Governance == p.Charter.Governance {
				c.Simulated = true
			}
		case 2:
			c.Parameters = []entry.Parameter{{Name: entry.ParamCutLeaves, Value: rapid.Int64().Draw(t, "value")}}
		case 3:
			i := rapid.IntRange(0, n-1).Draw(t, "whose")
			_, stranger := member(t, byte(100+i))
			c.Oracles[i] = stranger.Oracle
			requests[i] = stranger
		case 4:
			c.Origin += "x"
		}
		other, err := founding.Propose(&c, requests)
		if err == nil && other.Digest() == p.Digest() {
			t.Fatal("a changed charter has the same digest")
		}
		if err == nil && strings.Join(other.Words(), " ") == strings.Join(p.Words(), " ") {
			t.Fatal("a changed charter has the same words")
		}
	})
}
