package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
)

func FuzzParseHandover(f *testing.F) {
	c := ledgertest.New(f, 1)
	f.Add(c.HandedOver(ledgertest.NewOracle(f, "ledgertest.example/next")).Encode())
	f.Add((&wire.Receipts{}).Encode())
	f.Add(make([]byte, wire.MaxHandover+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.ParseHandover(b)
		if err != nil {
			if !errors.Is(err, wire.ErrMessage) {
				t.Fatalf("%v is no error of a message", err)
			}
			return
		}
		if !wire.IsHandover(b) || len(b) > wire.MaxHandover || !bytes.Equal(h.Encode(), b) {
			t.Fatalf("%x reads, and is taken for something else or written otherwise", b)
		}
		if _, err := wire.ParseReceipts(b); err == nil {
			t.Fatalf("%x is both a handover and receipts", b)
		}
	})
}
