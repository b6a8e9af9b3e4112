package signer_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"wattmark/signer"
)

// order is the order of Ed25519's group (RFC 8032 section 5.1).
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// withS returns a message with delta added to S of its Ed25519 signature.
func withS(tb testing.TB, m *signer.Message, delta int64) *signer.Message {
	tb.Helper()
	b := bytes.Clone(m.Bytes())
	s := new(big.Int).SetBytes(reversed(b[len(b)-32:]))
	s.Add(s, big.NewInt(delta)).Mod(s, order)
	copy(b[len(b)-32:], reversed(s.FillBytes(make([]byte, 32))))
	altered, err := signer.Parse(b)
	if err != nil {
		tb.Fatal(err)
	}
	return altered
}

func TestErrorsThatCancelAreFound(t *testing.T) {
	// One S too large by one and one too small by one add up to what is right, under one
	// key and under two. Only the random factors tell.
	for _, other := range []int{0, 5} { // jobs has five keys
		list := jobs(t, 12)
		a, b := &list[1], &list[1+5+other/5]
		if same := a.Key == b.Key; same != (other == 0) {
			t.Fatalf("jobs 1 and %d have one key: %v", 1+5+other/5, same)
		}
		a.Message, b.Message = withS(t, a.Message, 1), withS(t, b.Message, -1)
		signer.NewVerifier().VerifyBatch(list)
		for i := range list {
			j := &list[i]
			if forged := j == a || j == b; forged != errors.Is(j.Err, signer.ErrSignature) {
				t.Errorf("job %d: forged %v, got %v", i, forged, j.Err)
			}
		}
	}
}

func TestSwappedSignaturesOfOneKeyAreFound(t *testing.T) {
	k := key(t, signer.EdDSA, 1)
	a, b := sign(t, k, plain, []byte("pack a")), sign(t, k, plain, []byte("pack b"))
	n := len(a) - 64
	mixed := [][]byte{append(bytes.Clone(a[:n]), b[n:]...), append(bytes.Clone(b[:n]), a[n:]...)}
	var list []signer.Job
	for _, m := range mixed {
		parsed, err := signer.Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, signer.Job{Message: parsed, Key: k.Public()})
	}
	signer.NewVerifier().VerifyBatch(list)
	for i := range list {
		if !errors.Is(list[i].Err, signer.ErrSignature) {
			t.Errorf("job %d: %v", i, list[i].Err)
		}
	}
}

// TestBatchesSayWhatVerifySays draws batches in which keys come again, some of what is
// signed is altered and some signatures have no form.
func TestBatchesSayWhatVerifySays(t *testing.T) {
	v := signer.NewVerifier() // keeps keys and memory from batch to batch
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(rt, "statements")
		list := make([]signer.Job, n)
		for i := range list {
			k := key(t, signer.EdDSA, rapid.IntRange(0, 3).Draw(rt, "key"))
			b := bytes.Clone(sign(t, k, plain, fmt.Appendf(nil, "pack %d", i)))
			switch rapid.SampledFrom([]string{"right", "right", "right", "payload", "R", "S", "large S"}).Draw(rt, "what") {
			case "payload":
				b[len(b)-67] ^= 1 // before the signature's head of two bytes
			case "R":
				b[len(b)-rapid.IntRange(33, 64).Draw(rt, "byte")] ^= 1
			case "S":
				b[len(b)-rapid.IntRange(2, 32).Draw(rt, "byte")] ^= 1
			case "large S":
				b[len(b)-1] |= 0xe0
			}
			m, err := signer.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			list[i] = signer.Job{Message: m, Key: k.Public()}
		}
		v.VerifyBatch(list)
		for i := range list {
			j := &list[i]
			opened, err := signer.Verify(j.Message, j.Key)
			if fmt.Sprint(err) != fmt.Sprint(j.Err) || opened != j.Opened {
				t.Fatalf("statement %d: singly %v, in a batch %v", i, err, j.Err)
			}
		}
	})
}
