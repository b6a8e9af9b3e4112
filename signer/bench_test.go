package signer_test

import (
	"fmt"
	"testing"

	"wattmark/signer"
)

// batch makes n different messages of about 1 kB, each of another key.
func batch(b *testing.B, alg signer.Algorithm, n int) []signer.Job {
	b.Helper()
	list := make([]signer.Job, n)
	for i := range list {
		k := key(b, alg, i%64)
		m, err := signer.Parse(sign(b, k, plain, fmt.Appendf(make([]byte, 800), "%d", i)))
		if err != nil {
			b.Fatal(err)
		}
		list[i] = signer.Job{Message: m, Key: k.Public()}
	}
	return list
}

// perStatement reports the cost of each of the n statements of an iteration.
func perStatement(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/statement")
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg.String(), func(b *testing.B) {
			k, payload := key(b, alg, 1), make([]byte, 800)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(k, plain, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	message := sign(b, key(b, signer.EdDSA, 1), plain, make([]byte, 800))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.Parse(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg.String(), func(b *testing.B) {
			j := batch(b, alg, 1)[0]
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Verify(j.Message, j.Key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyBatch is one goroutine with the keys expanded already.
func BenchmarkVerifyBatch(b *testing.B) {
	for _, n := range []int{16, 64, 256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v, list := signer.NewVerifier(), batch(b, signer.EdDSA, n)
			v.VerifyBatch(list)
			b.ReportAllocs()
			for b.Loop() {
				v.VerifyBatch(list)
			}
			for i := range list {
				if list[i].Err != nil {
					b.Fatal(list[i].Err)
				}
			}
			perStatement(b, n)
		})
	}
}

// BenchmarkVerifyAll is the same on every core.
func BenchmarkVerifyAll(b *testing.B) {
	for _, n := range []int{256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v, list := signer.NewVerifier(), batch(b, signer.EdDSA, n)
			for b.Loop() {
				v.VerifyAll(list)
			}
			perStatement(b, n)
		})
	}
}

// BenchmarkVerifyBatchWithOneWrong is what one forger costs everybody else.
func BenchmarkVerifyBatchWithOneWrong(b *testing.B) {
	const n = 256
	v, list := signer.NewVerifier(), batch(b, signer.EdDSA, n)
	forge(b, list, 100)
	for b.Loop() {
		for i := range list {
			list[i].Err = nil
		}
		v.VerifyBatch(list)
	}
	perStatement(b, n)
}
