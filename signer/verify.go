package signer

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"runtime"
	"sync"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Opened is a message whose signature verified under a key. Nothing outside
// this package can make one that holds a message. It is a small value: copy it
// freely.
type Opened struct {
	m   *Message
	key PublicKey
}

// Message returns the verified message, which must not be changed.
func (o Opened) Message() *Message { return o.m }

// Key returns the key under which the signature verified.
func (o Opened) Key() PublicKey { return o.key }

// IsZero reports whether o holds no message.
func (o Opened) IsZero() bool { return o.m == nil }

var zip215 = &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}

// Verify checks m's signature under key and opens it. The key must be the one
// that m names and be registered with the algorithm that m states.
func Verify(m *Message, key PublicKey) (Opened, error) {
	if err := matches(m, key); err != nil {
		return Opened{}, err
	}
	if !VerifyRaw(key, SigStructure(nil, m.protected, m.Payload), m.signature) {
		return Opened{}, fmt.Errorf("%w under key %v", ErrSignature, key.ID())
	}
	return Opened{m, key}, nil
}

func matches(m *Message, key PublicKey) error {
	if m.KeyID != key.ID() {
		return fmt.Errorf("%w: the statement names key %v, not %v", ErrSignature, m.KeyID, key.ID())
	}
	if m.Algorithm != key.Algorithm() {
		return fmt.Errorf("%w: key %v is registered for %v, the statement says %v", ErrSignature, key.ID(), key.Algorithm(), m.Algorithm)
	}
	return nil
}

// VerifyRaw reports whether sig is key's raw signature of message.
func VerifyRaw(key PublicKey, message, sig []byte) bool {
	if len(sig) != 64 {
		return false
	}
	switch key.Algorithm() {
	case EdDSA:
		return ed25519.VerifyWithOptions(ed25519.PublicKey(key.raw), message, sig, zip215)
	case ES256:
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		if s.Cmp(p256HalfOrder) > 0 {
			return false
		}
		pub, err := key.ecdsa()
		if err != nil {
			return false
		}
		digest := sha256.Sum256(message)
		return ecdsa.Verify(pub, digest[:], r, s)
	}
	return false
}

// Job is one verification of a batch: Message and Key go in, Opened and Err
// come out.
type Job struct {
	Message *Message
	Key     PublicKey
	Opened  Opened
	Err     error
}

// Verifier verifies many messages at once. It keeps the expanded form of the
// Ed25519 keys it has seen, which makes a verification about a third cheaper.
// It is safe for concurrent use.
type Verifier struct {
	mu       sync.RWMutex // guards expanded
	expanded map[PublicKey]*curve.ExpandedEdwardsPoint

	batches sync.Pool // of *batch: a large one takes some hundred kilobytes
}

// maxExpanded bounds the cache: about 1.5 kB a key.
const maxExpanded = 4096

// minShare is the least number of signatures that is worth a goroutine, and
// the size below which a batch saves little (measured: bench_test.go).
const minShare = 64

// NewVerifier returns a Verifier with an empty key cache.
func NewVerifier() *Verifier {
	return &Verifier{expanded: make(map[PublicKey]*curve.ExpandedEdwardsPoint)}
}

// VerifyAll verifies every job, on all cores when there are enough of them, and
// fills in Opened or Err of each. A wrong signature costs the share it is in a
// second, single pass; it never changes another job's result.
func (v *Verifier) VerifyAll(jobs []Job) {
	shares := min(runtime.GOMAXPROCS(0), len(jobs)/minShare)
	if shares <= 1 {
		v.VerifyBatch(jobs)
		return
	}
	var wg sync.WaitGroup
	for i := range shares {
		share := jobs[i*len(jobs)/shares : (i+1)*len(jobs)/shares]
		wg.Go(func() { v.VerifyBatch(share) })
	}
	wg.Wait()
}

// VerifyBatch is VerifyAll on the calling goroutine alone. A job whose Err is set
// already is passed over.
func (v *Verifier) VerifyBatch(jobs []Job) {
	b, _ := v.batches.Get().(*batch)
	if b == nil {
		b = newBatch()
	}
	defer func() { b.reset(); v.batches.Put(b) }()
	added := make([]*Job, 0, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		if j.Err != nil {
			continue
		}
		j.Opened, j.Err = Opened{}, matches(j.Message, j.Key)
		if j.Err != nil {
			continue
		}
		if j.Key.Algorithm() != EdDSA {
			j.Opened, j.Err = Verify(j.Message, j.Key)
			continue
		}
		structure := func(to []byte) []byte { return SigStructure(to, j.Message.protected, j.Message.Payload) }
		if j.Err = v.add(b, j.Key, j.Message.signature, structure); j.Err == nil {
			added = append(added, j)
		}
	}
	if len(added) == 0 {
		return
	}
	if b.holds() {
		for _, j := range added {
			j.Opened = Opened{j.Message, j.Key}
		}
		return
	}
	for _, j := range added {
		j.Opened, j.Err = Verify(j.Message, j.Key)
	}
}

// add adds a signature to a batch, or says why it cannot be right.
func (v *Verifier) add(b *batch, key PublicKey, sig []byte, structure func([]byte) []byte) error {
	expanded, err := v.expand(key)
	if err == nil && !b.add(expanded, []byte(key.raw), sig, structure) {
		err = fmt.Errorf("%w under key %v", ErrSignature, key.ID())
	}
	return err
}

func (v *Verifier) expand(key PublicKey) (*curve.ExpandedEdwardsPoint, error) {
	v.mu.RLock()
	e := v.expanded[key]
	v.mu.RUnlock()
	if e != nil {
		return e, nil
	}
	var encoded curve.CompressedEdwardsY
	var p curve.EdwardsPoint
	_, err := encoded.SetBytes([]byte(key.raw))
	if err == nil {
		_, err = p.SetCompressedY(&encoded)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: key %v is no point of the curve", ErrSignature, key.ID())
	}
	e = curve.NewExpandedEdwardsPoint(&p)
	v.mu.Lock()
	defer v.mu.Unlock()
	if known := v.expanded[key]; known != nil {
		return known, nil // a batch knows a key by its pointer
	}
	if len(v.expanded) >= maxExpanded {
		clear(v.expanded)
	}
	v.expanded[key] = e
	return e, nil
}
