package ledgertest

import (
	"bytes"

	"wattmark/ledger/entry"
)

// Vote puts the value of a parameter in force for the next block.
func (h *Hood) Vote(name string, value int64) {
	h.tb.Helper()
	p := entry.Parameter{Name: name, Value: value}
	m := entry.Motion{Kind: entry.MotionParameter, Height: h.State.Height() + 1, Body: p.Encode()}
	h.At(0, h.Deliver(h.Stated(0, entry.TypeMotion, h.encoded(m.Encode())).Sign(h.tb)))
	if got := h.State.Setting(name); got != value {
		h.tb.Fatalf("%s is %d, want %d", name, got, value)
	}
}

// Salt is one that is nothing but b, and no secret.
func Salt(b byte) []byte { return bytes.Repeat([]byte{b}, entry.SealSalt) }

// Seal is the seal of an order with [Salt] of b.
func (h *Hood) Seal(o *entry.Order, b byte) Message {
	h.tb.Helper()
	s, err := o.Seal(Salt(b))
	if err != nil {
		h.tb.Fatal(err)
	}
	return h.Signed(o.Member, entry.TypeSealedOrder, h.encoded(s.Encode()))
}

// Unseal opens an order that was sealed with [Salt] of b.
func (h *Hood) Unseal(o *entry.Order, b byte) Message {
	h.tb.Helper()
	s, err := o.Open(Salt(b))
	if err != nil {
		h.tb.Fatal(err)
	}
	return h.Signed(o.Member, entry.TypeOpenedOrder, h.encoded(s.Encode()))
}
