package entry_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"wattmark/ledger/entry"
)

func conflictOf(t *testing.T, a, b string) *entry.Conflict {
	t.Helper()
	x, err1 := hex.DecodeString(a)
	y, err2 := hex.DecodeString(b)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return entry.NewConflict(x, y)
}

func TestConflictVectors(t *testing.T) {
	p := &entry.Promise{Height: 7, Size: 71, Root: [32]byte{1, 2, 3}}
	c := conflictOf(t, "d28443a10127a04102", "d28443a10127a04101") // put into order
	r := &entry.Restoration{KeyID: bytes.Repeat([]byte{9}, 16), Reason: "restored from a backup"}
	quarantined := &entry.Outcome{Kind: entry.OutcomeQuarantined, Hash: [32]byte{7}, Code: entry.QuarantinedPromises, Detail: "a.example/oracle"}
	sequence := &entry.Outcome{Kind: entry.OutcomeQuarantined, Hash: [32]byte{8}, Code: entry.QuarantinedSequence, Detail: "home-1"}
	spared := &entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: 12, Code: entry.FlagSpared, Detail: "b.example/oracle"}
	checkVectors(t, "conflicts.json", []example{
		of("promise", p, always(p.Encode), entry.ParsePromise),
		of("conflict", c, c.Encode, entry.ParseConflict),
		of("restoration", r, r.Encode, entry.ParseRestoration),
		of("quarantined for two promises", quarantined, always(quarantined.Encode), entry.ParseOutcome),
		of("quarantined for two statements with one number", sequence, always(sequence.Encode), entry.ParseOutcome),
		of("spared", spared, always(spared.Encode), entry.ParseOutcome),
	})
}

func TestConflictRefused(t *testing.T) {
	long := make([]byte, entry.MaxConflicting+1)
	for name, c := range map[string]*entry.Conflict{
		"one statement twice":  {First: []byte("a"), Second: []byte("a")},
		"out of order":         {First: []byte("b"), Second: []byte("a")},
		"nothing":              {},
		"one statement":        {First: []byte("a")},
		"a statement too long": {First: []byte("a"), Second: append([]byte("b"), long...)},
	} {
		if _, err := c.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, r := range map[string]*entry.Restoration{
		"no key":    {Reason: "r"},
		"no reason": {KeyID: make([]byte, 16)},
		"long key":  {KeyID: make([]byte, 17), Reason: "r"},
	} {
		if _, err := r.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := entry.ParsePromise((&entry.Promise{Height: 1<<60 + 1}).Encode()); !errors.Is(err, entry.ErrForm) {
		t.Errorf("a height out of range: %v", err)
	}
}

func FuzzParseConflict(f *testing.F) {
	f.Add((&entry.Promise{Height: 7, Size: 71, Root: [32]byte{1, 2, 3}}).Encode())
	for _, encode := range []func() ([]byte, error){
		entry.NewConflict([]byte("a"), []byte("b")).Encode,
		(&entry.Restoration{KeyID: bytes.Repeat([]byte{9}, 16), Reason: "restored from a backup"}).Encode,
	} {
		b, err := encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := entry.ParsePromise(b); err == nil {
			reencodes(t, b, always(p.Encode))
		}
		if c, err := entry.ParseConflict(b); err == nil {
			reencodes(t, b, c.Encode)
		}
		if r, err := entry.ParseRestoration(b); err == nil {
			reencodes(t, b, r.Encode)
		}
	})
}
