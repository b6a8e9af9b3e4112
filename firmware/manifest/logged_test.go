package manifest_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/firmware/manifest"
	"wattmark/firmware/manifest/manifesttest"
	"wattmark/ledger/block"
)

func TestReleasesOnTheLedger(t *testing.T) {
	l := manifesttest.New(t)
	trust := l.Trust()
	for version := range uint64(20) {
		want := release(version + 1)
		note := l.Manifest(want)
		p := l.Log(note, manifesttest.Quorum)
		got, err := trust.Verify(p.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*want, got.Release); diff != "" || !bytes.Equal(got.Manifest, note) || got.Leaf != p.Index || got.Size != p.Index+2 {
			t.Fatalf("version %d: leaf %d of %d, want %d:\n%s", version, got.Leaf, got.Size, p.Index, diff)
		}
	}
}

func TestReleasesThatAreNotShownToBeLogged(t *testing.T) {
	l := manifesttest.New(t)
	trust := l.Trust()
	good := l.Manifest(release(7))
	stranger, err := manifest.Sign(manifesttest.Key(t, "stranger"), release(7))
	if err != nil {
		t.Fatal(err)
	}
	change := func(p *block.LogProof, f func(*block.LogProof)) []byte {
		f(p)
		return p.Encode()
	}
	for _, c := range []struct {
		name  string
		proof []byte
		want  error
	}{
		{"no proof", []byte("wattmark"), manifest.ErrForm},
		{"a proof of no statement", l.LogLeaf([]byte("a leaf"), manifesttest.Quorum).Encode(), manifest.ErrForm},
		{"no leaf", change(l.Log(good, manifesttest.Quorum), func(p *block.LogProof) { p.Extra = nil }), manifest.ErrForm},
		{"a stranger's release", l.Log(stranger, manifesttest.Quorum).Encode(), manifest.ErrSignature},
		{"one oracle less than a quorum", l.Log(good, manifesttest.Quorum-1).Encode(), manifest.ErrQuorum},
		{"no cosignature", l.Log(good, 0).Encode(), manifest.ErrQuorum},
		{"another place", change(l.Log(good, manifesttest.Quorum), func(p *block.LogProof) { p.Index-- }), manifest.ErrNotLogged},
		{"a release that was never logged, with another's proof", change(l.Log(good, manifesttest.Quorum), func(p *block.LogProof) {
			p.Extra = l.Statement(l.Manifest(release(8)))
		}), manifest.ErrNotLogged},
	} {
		if got, err := trust.Verify(c.proof); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// A file that somebody changed on its way gives another answer or none, and never
// another release.
func TestEveryChangedByteOfAProofIsRefused(t *testing.T) {
	l := manifesttest.New(t)
	trust := l.Trust()
	b := l.Log(l.Manifest(release(7)), manifesttest.Quorum).Encode()
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x01
		if got, err := trust.Verify(c); err == nil {
			t.Fatalf("byte %d changed, and it verifies as %+v", i, got.Release)
		}
	}
}
