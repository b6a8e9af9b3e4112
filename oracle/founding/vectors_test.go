package founding_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"wattmark/oracle/founding"
)

// TestVectors holds the program to the bytes of FORMAT.md, in testdata/vectors.txt: what
// it makes of the same keys, and what it reads.
func TestVectors(t *testing.T) {
	k, a := member(t, 1)
	_, b := member(t, 2)
	p := propose(t, a, b)
	file, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	said, err := founding.Accept(k.Statement, name(1), origin, p.Digest(), at)
	if err != nil {
		t.Fatal(err)
	}
	digest := p.Digest()
	made := map[string]string{
		"request":    hex.EncodeToString(a.Statement()),
		"proposal":   hex.EncodeToString(file),
		"digest":     hex.EncodeToString(digest[:]),
		"words":      strings.Join(p.Words(), " "),
		"acceptance": hex.EncodeToString(said),
	}
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatalf("%v; made:\n%v", err, made)
	}
	read := 0
	for line := range strings.Lines(string(text)) {
		name, want, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		read++
		if made[name] != want {
			t.Errorf("%s: made\n%s\nwant\n%s", name, made[name], want)
		}
	}
	if read != len(made) {
		t.Errorf("%d vectors, want %d", read, len(made))
	}
	if got, err := founding.OpenProposal(file); err != nil || got.Digest() != p.Digest() {
		t.Errorf("the proposal: %v", err)
	}
	if err := founding.OpenAcceptance(said, &a.Oracle, origin, p.Digest()); err != nil {
		t.Error(err)
	}
}

func FuzzOpenRequest(f *testing.F) {
	_, r := member(f, 1)
	f.Add(r.Statement())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := founding.OpenRequest(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Statement(), b) {
			t.Error("it is not what was read")
		}
	})
}

func FuzzOpenProposal(f *testing.F) {
	_, a := member(f, 1)
	_, b := member(f, 2)
	for _, p := range []*founding.Proposal{propose(f, a), propose(f, a, b)} {
		file, err := p.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := founding.OpenProposal(b)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("it is not what was read: %v", err)
		}
	})
}

func FuzzOpenAcceptance(f *testing.F) {
	k, a := member(f, 1)
	p := propose(f, a)
	said, err := founding.Accept(k.Statement, name(1), origin, p.Digest(), at)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(said)
	f.Fuzz(func(t *testing.T, b []byte) {
		// One key signs one acceptance of a charter at a time, and Ed25519 is deterministic.
		if founding.OpenAcceptance(b, &a.Oracle, origin, p.Digest()) == nil && !bytes.Equal(b, said) {
			t.Errorf("another acceptance than the one signed: %x", b)
		}
	})
}
