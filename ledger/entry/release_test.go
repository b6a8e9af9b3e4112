package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
)

func aRelease() *entry.Release {
	return &entry.Release{
		Origin: "wattmark.example/firmware", Board: "rpi", Version: 12, Commit: strings.Repeat("0a", 20),
		Root: sha256.Sum256([]byte("root")), Size: 41_943_040, Kernel: "6.12.47-v8", After: 9,
	}
}

// signedText is a manifest as far as the ledger reads it.
func signedText(tb testing.TB, r *entry.Release) []byte {
	tb.Helper()
	text, err := r.Text()
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(text + "\n— " + r.Origin + " AAAA\n")
}

func TestLoggedReleasesRoundTrip(t *testing.T) {
	want := aRelease()
	l := entry.LoggedRelease{Manifest: signedText(t, want)}
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, got, err := entry.ParseLoggedRelease(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Manifest, l.Manifest) || !cmp.Equal(got, want) {
		t.Errorf("read back as %+v, want %+v", got, want)
	}
}

func TestLoggedReleasesThatAreRefused(t *testing.T) {
	good := string(signedText(t, aRelease()))
	for name, manifest := range map[string]string{
		"nothing": "", "no signatures": strings.SplitAfter(good, "\n\n")[0], "no text": "\n\n— a AAAA\n",
		"too long": good + strings.Repeat("— a AAAA\n", 500), "a number with a plus": strings.Replace(good, "version 12", "version +12", 1),
		"a digest of 31 bytes": strings.Replace(good, "root ", "root AAAA", 1),
	} {
		l := entry.LoggedRelease{Manifest: []byte(manifest)}
		if b, err := l.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %x, %v", name, b, err)
		}
	}
}

func FuzzParseLoggedRelease(f *testing.F) {
	l := entry.LoggedRelease{Manifest: signedText(f, aRelease())}
	b, err := l.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, r, err := entry.ParseLoggedRelease(b)
		if err != nil {
			return
		}
		reencodes(t, b, l.Encode)
		if text, err := r.Text(); err != nil || !bytes.HasPrefix(l.Manifest, []byte(text+"\n")) {
			t.Fatalf("%q is read, and written as %q, %v", l.Manifest, text, err)
		}
	})
}

func TestFirmwareVectors(t *testing.T) {
	claims := full()
	digest := sha256.Sum256([]byte("root"))
	claims.Firmware = digest[:]
	least := least()
	least.Firmware = digest[:]
	logged := &entry.LoggedRelease{Manifest: signedText(t, aRelease())}
	parseRelease := func(b []byte) (*entry.LoggedRelease, error) {
		l, _, err := entry.ParseLoggedRelease(b)
		return l, err
	}
	checkVectors(t, "firmware.json", []example{
		of("claims with a firmware digest", &claims, claims.Encode, parseClaims),
		of("the least claims with a firmware digest", &least, least.Encode, parseClaims),
		of("a logged release", logged, logged.Encode, parseRelease),
	})
	claims.Firmware = digest[:31]
	if b, err := claims.Encode(); !errors.Is(err, entry.ErrForm) {
		t.Errorf("a digest of 31 bytes: %x, %v", b, err)
	}
}
