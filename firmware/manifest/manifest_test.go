package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/firmware/manifest"
	"wattmark/firmware/manifest/manifesttest"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// release is a release for tests.
func release(version uint64) *entry.Release {
	return &entry.Release{
		Origin: manifesttest.ReleaseOrigin, Board: "rpi", Version: version, Commit: strings.Repeat("0a", 20),
		Root: sha256.Sum256(fmt.Append(nil, version)), Size: 4096 * version, Kernel: "6.12.47-v8+", After: version / 2,
	}
}

var releases = rapid.Custom(func(t *rapid.T) *entry.Release {
	version := rapid.Uint64Range(1, 1<<31).Draw(t, "version")
	return &entry.Release{
		Origin: rapid.StringMatching(`[a-z]{1,20}\.example(/[a-z]{1,20})?`).Draw(t, "origin"), Board: rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(t, "board"),
		Version: version, Commit: rapid.StringMatching(`[0-9a-f]{40}`).Draw(t, "commit"),
		Root: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")), Size: rapid.Uint64Range(1, 500<<20).Draw(t, "size"),
		Kernel: rapid.StringMatching(`[0-9]\.[0-9]{1,3}\.[0-9]{1,3}[a-z0-9+-]{0,20}`).Draw(t, "kernel"), After: rapid.Uint64Range(0, version-1).Draw(t, "after"),
	}
})

func TestManifestsRoundTrip(t *testing.T) {
	key := manifesttest.Key(t, "release")
	rapid.Check(t, func(rt *rapid.T) {
		r := releases.Draw(rt, "release")
		b, err := manifest.Sign(key, r)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := manifest.Open(b, []block.VerifierKey{manifest.Key(r.Origin, key.Public())})
		if err != nil {
			rt.Fatalf("%s: %v", b, err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			rt.Fatalf("read back (-made +read):\n%s", diff)
		}
		// Nobody takes a manifest for a checkpoint.
		if c, err := block.CheckpointOf(b); err == nil {
			rt.Fatalf("a checkpoint is read in a manifest: %v", c)
		}
	})
}

func TestEveryChangedByteOfAManifestIsRefused(t *testing.T) {
	l := manifesttest.New(t)
	b := l.Manifest(release(7))
	for i := range b {
		for _, x := range []byte{0x01, 0x20, 0x80} {
			c := bytes.Clone(b)
			c[i] ^= x
			if r, err := manifest.Open(c, l.Trust().Keys); err == nil {
				t.Fatalf("byte %d changed from %q to %q, and it opens as %+v", i, b[i], c[i], r)
			}
		}
	}
}

func TestWhoseSignatureCounts(t *testing.T) {
	l := manifesttest.New(t)
	r := release(7)
	ours, keys := l.Manifest(r), l.Trust().Keys
	other := manifesttest.Key(t, "other")
	others, err := manifest.Sign(other, r)
	if err != nil {
		t.Fatal(err)
	}
	_, ourLine, _ := strings.Cut(string(ours), "\n\n")
	_, otherLine, _ := strings.Cut(string(others), "\n\n")
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	// Our key's id over somebody else's signature.
	raw := append(idOf(t, ourLine)[:4:4], idOf(t, otherLine)[4:]...)
	forged := fmt.Appendf(nil, "%s\n— %s %s\n", text, r.Origin, base64.StdEncoding.EncodeToString(raw))
	foreign := *r
	foreign.Origin = "other.example"
	ofOther, err := manifest.Sign(manifesttest.Key(t, "release"), &foreign)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		note []byte
		want error
	}{
		{"ours", ours, nil},
		{"another's", others, manifest.ErrSignature},
		{"another's before ours", []byte(text + "\n" + otherLine + ourLine), nil},
		{"a wrong one of ours", forged, manifest.ErrSignature},
		{"a wrong one of ours, and a right one of another that is trusted", append(bytes.Clone(forged), otherLine...), manifest.ErrSignature},
		{"our key under another origin", ofOther, manifest.ErrSignature},
		{"none", []byte(text + "\n"), manifest.ErrForm},
	} {
		trusted := keys
		if strings.Contains(c.name, "that is trusted") {
			trusted = append(trusted[:1:1], manifest.Key(r.Origin, other.Public()))
		}
		if _, err := manifest.Open(c.note, trusted); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// idOf returns the key id and the signature of a signature line.
func idOf(t *testing.T, line string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.Fields(line)[2])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReleasesThatAreNotMade(t *testing.T) {
	key := manifesttest.Key(t, "release")
	for name, change := range map[string]func(*entry.Release){
		"no version":         func(r *entry.Release) { r.Version = 0 },
		"follows itself":     func(r *entry.Release) { r.After = r.Version },
		"a space in origin":  func(r *entry.Release) { r.Origin = "a b" },
		"a line in origin":   func(r *entry.Release) { r.Origin = "a\nboard b" },
		"a path as board":    func(r *entry.Release) { r.Board = "../rpi" },
		"short commit":       func(r *entry.Release) { r.Commit = "0a" },
		"capitals in commit": func(r *entry.Release) { r.Commit = strings.Repeat("0A", 20) },
		"empty root":         func(r *entry.Release) { r.Size = 0 },
		"too large a root":   func(r *entry.Release) { r.Size = 500<<20 + 1 },
		"no kernel":          func(r *entry.Release) { r.Kernel = "" },
		"a space in kernel":  func(r *entry.Release) { r.Kernel = "6 12" },
	} {
		r := release(7)
		change(r)
		if b, err := manifest.Sign(key, r); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	p256, err := signer.Generate(signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Sign(p256, release(7)); err == nil {
		t.Error("signed with P-256, which no signed note knows")
	}
}

func TestKeysThatAreRead(t *testing.T) {
	a, b := manifest.Key("a.example", manifesttest.Key(t, "a").Public()), manifest.Key("a.example", manifesttest.Key(t, "b").Public())
	cosigner := block.VerifierKey{Name: "a.example", Cosigner: true, Key: a.Key}
	keys, err := manifest.ParseKeys(fmt.Appendf(nil, "# whose releases this gateway takes\n\n%s\n  %s\n", a, b))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].String() != a.String() || keys[1].String() != b.String() {
		t.Errorf("read %v", keys)
	}
	for name, text := range map[string]string{
		"none": "# none\n", "twice": a.String() + "\n" + a.String(), "a cosigner's": cosigner.String(), "words": "release key",
		"of two origins": a.String() + "\n" + manifest.Key("b.example", b.Key).String(),
	} {
		if keys, err := manifest.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key := manifesttest.Key(f, "release")
	b, err := manifest.Sign(key, release(7))
	if err != nil {
		f.Fatal(err)
	}
	keys := []block.VerifierKey{manifest.Key(manifesttest.ReleaseOrigin, key.Public())}
	f.Add(b)
	f.Add(bytes.Replace(b, []byte("version 7"), []byte("version 07"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := manifest.Read(b); err == nil {
			text, err := r.Text()
			if err != nil || !strings.HasPrefix(string(b), text+"\n") {
				t.Fatalf("%q is read, and written as %q, %v", b, text, err)
			}
		}
		if r, err := manifest.Open(b, keys); err == nil {
			again, err := manifest.Sign(key, r)
			if text, _, _ := strings.Cut(string(b), "\n\n"); err != nil || !bytes.HasPrefix(again, []byte(text+"\n\n")) {
				t.Fatalf("%q opens, and is not what was signed: %q, %v", b, again, err)
			}
		}
	})
}
