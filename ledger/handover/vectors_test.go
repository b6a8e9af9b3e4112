package handover_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/handover"
)

// TestVectors follows the oracles of FORMAT.md section 4. The files were written once,
// and are never made again to make a test pass.
func TestVectors(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, err := block.ParsePolicy(read("policy"))
	if err != nil {
		t.Fatal(err)
	}
	at := &handover.Span{Policy: first}
	var list []*handover.Handover
	for _, v := range []struct {
		handover, policy string
		height, from     uint64
	}{
		{"1.handover", "policy.1", 2, 10},
		{"2.handover", "policy.2", 3, 18},
	} {
		h, err := handover.Parse(read(v.handover))
		if err != nil {
			t.Fatalf("%s: %v", v.handover, err)
		}
		if !bytes.Equal(h.Encode(), read(v.handover)) {
			t.Errorf("%s is written again as %x", v.handover, h.Encode())
		}
		next, err := at.Next(h)
		if err != nil {
			t.Fatalf("%s: %v", v.handover, err)
		}
		if next.Height != v.height || next.From != v.from || next.Policy.String() != string(read(v.policy)) {
			t.Errorf("%s leads to block %d from %d leaves on, want %d and %d, with\n%s", v.handover, next.Height, next.From, v.height, v.from, next.Policy)
		}
		list, at = append(list, h), next
	}
	if !bytes.Equal(handover.EncodeHistory(list), read("history")) {
		t.Errorf("the history is written as %x", handover.EncodeHistory(list))
	}
	if again, err := handover.ParseHistory(read("history")); err != nil || len(again) != 2 {
		t.Errorf("the history reads as %d handovers: %v", len(again), err)
	}
}
