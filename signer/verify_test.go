package signer_test

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"wattmark/signer"
)

func TestVerifyUnderAnotherKey(t *testing.T) {
	a, b := key(t, signer.EdDSA, 1), key(t, signer.EdDSA, 2)
	m, err := signer.Parse(sign(t, a, plain, []byte("pack")))
	if err != nil {
		t.Fatal(err)
	}
	o, err := signer.Verify(m, b.Public())
	if !errors.Is(err, signer.ErrSignature) || !strings.Contains(err.Error(), "names key "+a.Public().ID().String()) {
		t.Errorf("got %v", err)
	}
	if !o.IsZero() {
		t.Error("a message was opened that does not verify")
	}
	if _, err := signer.Verify(m, signer.PublicKey{}); !errors.Is(err, signer.ErrSignature) {
		t.Errorf("under no key: %v", err)
	}
}

func TestVerifyRaw(t *testing.T) {
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		sig, err := k.Sign([]byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		if !signer.VerifyRaw(k.Public(), []byte("message"), sig) {
			t.Errorf("%v: a right signature does not verify", alg)
		}
		for name, wrong := range map[string]bool{
			"another message": signer.VerifyRaw(k.Public(), []byte("massage"), sig),
			"another key":     signer.VerifyRaw(key(t, alg, 2).Public(), []byte("message"), sig),
			"no key":          signer.VerifyRaw(signer.PublicKey{}, []byte("message"), sig),
			"no signature":    signer.VerifyRaw(k.Public(), []byte("message"), nil),
			"too long":        signer.VerifyRaw(k.Public(), []byte("message"), append(bytes.Clone(sig), 0)),
			"zeros":           signer.VerifyRaw(k.Public(), []byte("message"), make([]byte, 64)),
		} {
			if wrong {
				t.Errorf("%v: %s verifies", alg, name)
			}
		}
	}
}

func TestHighSIsRefused(t *testing.T) {
	k := key(t, signer.ES256, 1)
	sig, err := k.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	s := new(big.Int).SetBytes(sig[32:])
	if s.Cmp(new(big.Int).Rsh(n, 1)) > 0 {
		t.Fatal("Sign made a high s")
	}
	high := bytes.Clone(sig)
	s.Sub(n, s).FillBytes(high[32:])
	if signer.VerifyRaw(k.Public(), []byte("message"), high) {
		t.Error("a signature with a high s verifies")
	}

	b := sign(t, k, plain, []byte("pack"))
	copy(b[len(b)-32:], new(big.Int).Sub(n, new(big.Int).SetBytes(b[len(b)-32:])).FillBytes(make([]byte, 32)))
	if err := check(b, k.Public()); !errors.Is(err, signer.ErrSignature) {
		t.Errorf("a message with a high s: %v", err)
	}
}

func TestEd25519WithLargeSIsRefused(t *testing.T) {
	// S + L is a second encoding of S (RFC 8032 section 5.1.7); ZIP-215 refuses it too.
	k := key(t, signer.EdDSA, 1)
	sig, err := k.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	s := reversed(sig[32:])
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order)
	large := append(bytes.Clone(sig[:32]), reversed(sum.FillBytes(make([]byte, 32)))...)
	if signer.VerifyRaw(k.Public(), []byte("message"), large) {
		t.Error("a signature with S above the group's order verifies")
	}
}

func reversed(b []byte) []byte {
	r := bytes.Clone(b)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return r
}

// jobs makes n jobs of several keys of both algorithms, all right.
func jobs(tb testing.TB, n int) []signer.Job {
	tb.Helper()
	list := make([]signer.Job, n)
	for i := range list {
		alg := signer.EdDSA
		if i%7 == 3 {
			alg = signer.ES256
		}
		k := key(tb, alg, i%5)
		m, err := signer.Parse(sign(tb, k, plain, fmt.Appendf(nil, "pack %d", i)))
		if err != nil {
			tb.Fatal(err)
		}
		list[i] = signer.Job{Message: m, Key: k.Public()}
	}
	return list
}

// forge makes job i's last byte of the signature wrong.
func forge(tb testing.TB, list []signer.Job, i int) {
	tb.Helper()
	b := bytes.Clone(list[i].Message.Bytes())
	b[len(b)-33] ^= 0x40
	m, err := signer.Parse(b)
	if err != nil {
		tb.Fatal(err)
	}
	list[i].Message = m
}

func TestBatchesFindTheWrongOnes(t *testing.T) {
	v := signer.NewVerifier()
	for _, test := range []struct {
		n     int
		wrong []int
	}{
		{0, nil}, {1, nil}, {1, []int{0}}, {2, []int{1}}, {40, nil}, {40, []int{17}}, {40, []int{0, 3, 39}},
		{200, nil}, {200, []int{100}}, {300, []int{0, 101, 299}},
	} {
		list := jobs(t, test.n)
		wrong := make([]bool, test.n)
		for _, i := range test.wrong {
			wrong[i] = true
			forge(t, list, i)
		}
		v.VerifyAll(list)
		for i := range list {
			j := &list[i]
			switch {
			case wrong[i] && (!errors.Is(j.Err, signer.ErrSignature) || !j.Opened.IsZero()):
				t.Errorf("batch of %d: job %d is forged, got %v", test.n, i, j.Err)
			case !wrong[i] && (j.Err != nil || j.Opened.Message() != j.Message || j.Opened.Key() != j.Key):
				t.Errorf("batch of %d: job %d is right, got %v", test.n, i, j.Err)
			}
		}
	}
}

func TestBatchesPassOverWhatFailedBefore(t *testing.T) {
	list := jobs(t, 3)
	known := errors.New("unknown key")
	list[1] = signer.Job{Err: known} // no message, no key
	signer.NewVerifier().VerifyBatch(list)
	if list[0].Err != nil || list[2].Err != nil {
		t.Errorf("neighbours: %v, %v", list[0].Err, list[2].Err)
	}
	if list[1].Err != known || !list[1].Opened.IsZero() {
		t.Errorf("got %v, want the error that was there", list[1].Err)
	}
}

func TestBatchesCheckTheNamedKey(t *testing.T) {
	list := jobs(t, 4)
	list[2].Key = key(t, signer.EdDSA, 99).Public()
	signer.NewVerifier().VerifyBatch(list)
	for i, j := range list {
		if bad := i == 2; bad != errors.Is(j.Err, signer.ErrSignature) {
			t.Errorf("job %d: %v", i, j.Err)
		}
	}
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	v := signer.NewVerifier()
	list := jobs(t, 60)
	var wg sync.WaitGroup
	for range 4 {
		mine := append([]signer.Job(nil), list...)
		wg.Go(func() {
			v.VerifyAll(mine)
			for i := range mine {
				if mine[i].Err != nil {
					t.Errorf("job %d: %v", i, mine[i].Err)
				}
			}
		})
	}
	wg.Wait()
}
