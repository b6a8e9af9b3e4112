package block_test

import (
	"bytes"
	"testing"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// same checks what a parser promises of bytes that it took: written again they
// are the same.
func same(t *testing.T, b, again []byte) {
	t.Helper()
	if !bytes.Equal(b, again) {
		t.Fatalf("%q is written again as %q", b, again)
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(header().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := block.ParseHeader(b); err == nil {
			same(t, b, h.Encode())
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(checkpoint().Text())
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := block.ParseCheckpoint(s); err == nil {
			same(t, []byte(s), []byte(c.Text()))
		}
	})
}

func FuzzParseVerifierKey(f *testing.F) {
	f.Add(logVerifier(f, 0).String())
	f.Add(cosignerVerifier(f, 0).String())
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := block.ParseVerifierKey(s); err == nil {
			same(t, []byte(s), []byte(k.String()))
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(policy(f).String()))
	f.Add(lines(f, "# nested", "group a 2 w0 w1 w2", "group b any w3 w4", "group both all a b", "quorum both"))
	good := signed(f, checkpoint(), []int{0}, []int{0, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := block.ParsePolicy(b)
		if err != nil {
			return
		}
		// A policy may be written in many ways: it is what it says that is stable.
		again, err := block.ParsePolicy([]byte(p.String()))
		if err != nil {
			t.Fatalf("%q is written as %q, which is refused: %v", b, p, err)
		}
		same(t, []byte(p.String()), []byte(again.String()))
		_, first := p.Verify(good)
		_, second := again.Verify(good)
		if (first == nil) != (second == nil) {
			t.Fatalf("%q: %v, written again: %v", b, first, second)
		}
	})
}

func FuzzVerifyCheckpoint(f *testing.F) {
	good := signed(f, checkpoint(), []int{0}, []int{0, 1, 2})
	f.Add(good)
	f.Add(signed(f, checkpoint(), []int{0, 1, 2, 3}, []int{0, 1, 2, 3}))
	p := policy(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := p.Verify(b)
		if err == nil && s.Checkpoint != checkpoint() {
			t.Fatalf("nobody signed %+v", s.Checkpoint)
		}
		if shown, err := block.CheckpointOf(b); err == nil && s != nil && shown != s.Checkpoint {
			t.Fatalf("shown as %+v, verified as %+v", shown, s.Checkpoint)
		}
	})
}

func FuzzParseReceipt(f *testing.F) {
	l := newLedger(f, signer.EdDSA)
	f.Add(l.receipts(f, 0)[0].Encode())
	k := cosignerKey(f, 0).Public()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := block.ParseReceipt(b)
		if err != nil {
			return
		}
		same(t, b, r.Encode())
		if root, err := r.Verify(k, l.leaf); err == nil && (root != l.Root || r.Proof.Size != l.Size || r.Proof.Index != l.proof.Index) {
			t.Fatalf("nobody signed %+v", r)
		}
	})
}

func FuzzDetachReceipts(f *testing.F) {
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		f.Add(newLedger(f, alg).transparent(f, 0, 1, 2))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		statement, receipts, err := block.DetachReceipts(b)
		if err != nil {
			return
		}
		again, err := block.AttachReceipts(statement, receipts)
		if err != nil {
			t.Fatalf("%x comes apart and not together: %v", b, err)
		}
		same(t, b, again)
	})
}

func FuzzParseLogProof(f *testing.F) {
	l := newLedger(f, signer.EdDSA)
	f.Add(l.logProof(f, []int{0}, []int{0, 1, 2}).Encode())
	p := policy(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := block.ParseLogProof(b)
		if err != nil {
			return
		}
		same(t, b, q.Encode())
		if s, err := q.Verify(p); err == nil && (s.Checkpoint != l.Checkpoint || !bytes.Equal(q.Extra, l.statement) || q.Index != l.proof.Index) {
			t.Fatalf("nobody signed %+v", q)
		}
	})
}
