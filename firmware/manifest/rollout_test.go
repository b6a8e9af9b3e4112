package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/firmware/manifest"
	"wattmark/firmware/manifest/manifesttest"
	"wattmark/ledger/block"
)

func rollout(percent uint64) *manifest.Rollout {
	return &manifest.Rollout{Origin: manifesttest.ReleaseOrigin, Board: "rpi", Version: 7, Percent: percent, Issued: 1_790_000_000}
}

func TestRolloutsRoundTrip(t *testing.T) {
	key := manifesttest.Key(t, "release")
	keys := []block.VerifierKey{manifest.Key(manifesttest.ReleaseOrigin, key.Public())}
	for percent := range uint64(101) {
		b, err := manifest.SignRollout(key, rollout(percent))
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.OpenRollout(b, keys)
		if diff := cmp.Diff(rollout(percent), got); err != nil || diff != "" {
			t.Fatalf("%d: %v\n%s", percent, err, diff)
		}
		for i := range b {
			c := bytes.Clone(b)
			c[i] ^= 1
			if r, err := manifest.OpenRollout(c, keys); err == nil {
				t.Fatalf("byte %d changed, and it opens as %+v", i, r)
			}
		}
	}
	for name, r := range map[string]manifest.Rollout{
		"more than all": {Origin: "a", Board: "rpi", Version: 1, Percent: 101}, "no version": {Origin: "a", Board: "rpi", Percent: 1},
		"a line in a name": {Origin: "a\nboard b", Board: "rpi", Version: 1},
	} {
		if b, err := manifest.SignRollout(key, &r); !errors.Is(err, manifest.ErrForm) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// A manifest's signature is none of a roll-out, nor the other way round.
func TestRolloutsAreNoManifests(t *testing.T) {
	l := manifesttest.New(t)
	b, err := manifest.SignRollout(manifesttest.Key(t, "release"), rollout(10))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := manifest.Open(b, l.Trust().Keys); !errors.Is(err, manifest.ErrForm) {
		t.Errorf("a roll-out opens as %+v, %v", r, err)
	}
	if r, err := manifest.OpenRollout(l.Manifest(release(7)), l.Trust().Keys); !errors.Is(err, manifest.ErrForm) {
		t.Errorf("a manifest opens as %+v, %v", r, err)
	}
}

func TestWhoIsInStaysIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(rt, "gateway")
		was := false
		for percent := range uint64(101) {
			in := rollout(percent).Includes(name)
			if was && !in || percent == 0 && in || percent == 100 && !in {
				rt.Fatalf("%s at %d percent: %v, before %v", name, percent, in, was)
			}
			was = in
		}
	})
	in := 0
	for i := range 10_000 {
		if rollout(20).Includes(fmt.Sprint("gateway-", i)) {
			in++
		}
	}
	if in < 1800 || in > 2200 {
		t.Errorf("20 percent of 10,000 gateways are %d", in)
	}
}

func FuzzOpenRollout(f *testing.F) {
	key := manifesttest.Key(f, "release")
	b, err := manifest.SignRollout(key, rollout(10))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	keys := []block.VerifierKey{manifest.Key(manifesttest.ReleaseOrigin, key.Public())}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := manifest.OpenRollout(b, keys)
		if err != nil {
			return
		}
		again, err := manifest.SignRollout(key, r)
		if text, _, _ := bytes.Cut(b, []byte("\n\n")); err != nil || !bytes.HasPrefix(again, append(text, "\n\n"...)) {
			t.Fatalf("%q opens as %+v, written as %q, %v", b, r, again, err)
		}
	})
}
