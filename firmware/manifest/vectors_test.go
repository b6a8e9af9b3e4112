package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/firmware/manifest"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

var update = flag.Bool("update", false, "write the vector files that are missing; none is ever written twice")

// signedVector is a manifest, who signed it, and what the ledger has of it.
type signedVector struct {
	Name     string `json:"name"`
	Seed     string `json:"seed"` // of the Ed25519 key, hexadecimal
	Key      string `json:"key"`  // as gateways hold it
	Manifest string `json:"manifest"`
	Payload  string `json:"payload"` // of the statement, hexadecimal
}

// refusedVector is a manifest that must be refused.
type refusedVector struct {
	Name     string `json:"name"`
	Why      string `json:"why"` // form or signature
	Manifest string `json:"manifest"`
}

// sameVectors compares what the code makes with the file, or writes the file where
// there is none and -update is given.
func sameVectors(t *testing.T, file string, made any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(made); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	want, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && *update:
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %s: review it", path)
		return b.Bytes()
	case err != nil:
		t.Fatal(err)
	case *update:
		t.Errorf("%s exists and is not rewritten: a changed format is a new version with vectors of its own", path)
	default:
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("the code does not give the vectors of %s (-file +code):\n%s", path, diff)
		}
	}
	return want
}

func vectorKey(t *testing.T) (*signer.PrivateKey, [32]byte) {
	t.Helper()
	seed := sha256.Sum256([]byte("wattmark release vector"))
	key, err := signer.FromSeed(signer.EdDSA, seed)
	if err != nil {
		t.Fatal(err)
	}
	return key, seed
}

// vectorReleases are the releases of the vectors, by name.
func vectorReleases() (names []string, of map[string]*entry.Release) {
	first := &entry.Release{
		Origin: "wattmark.example/firmware", Board: "rpi", Version: 1, Commit: strings.Repeat("0123456789abcdef0123", 2),
		Root: sha256.Sum256([]byte("root 1")), Size: 41_943_040, Kernel: "6.12.47-v8+",
	}
	later := *first
	later.Version, later.After, later.Root = 12, 9, sha256.Sum256([]byte("root 12"))
	largest := *first
	largest.Board, largest.Version, largest.After, largest.Size = "zero-2-w", 1<<31, 1<<31-1, 500<<20
	return []string{"first", "later", "largest numbers"}, map[string]*entry.Release{"first": first, "later": &later, "largest numbers": &largest}
}

func TestVectors(t *testing.T) {
	key, seed := vectorKey(t)
	names, of := vectorReleases()
	var made []signedVector
	for _, name := range names {
		b, err := manifest.Sign(key, of[name])
		if err != nil {
			t.Fatal(err)
		}
		l := entry.LoggedRelease{Manifest: b}
		payload, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, signedVector{name, hex.EncodeToString(seed[:]), manifest.Key(of[name].Origin, key.Public()).String(), string(b), hex.EncodeToString(payload)})
	}
	var read []signedVector
	if err := json.Unmarshal(sameVectors(t, "manifests.json", made), &read); err != nil {
		t.Fatal(err)
	}
	for _, v := range read {
		keys, err := manifest.ParseKeys([]byte(v.Key))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		got, err := manifest.Open([]byte(v.Manifest), keys)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if diff := cmp.Diff(of[v.Name], got); diff != "" {
			t.Errorf("%s (-want +read):\n%s", v.Name, diff)
		}
		payload, err := hex.DecodeString(v.Payload)
		if err != nil {
			t.Fatal(err)
		}
		l, r, err := entry.ParseLoggedRelease(payload)
		if err != nil || string(l.Manifest) != v.Manifest || !cmp.Equal(r, got) {
			t.Errorf("%s: the ledger reads %+v, %v", v.Name, r, err)
		}
	}
}

func TestRefusedVectors(t *testing.T) {
	key, _ := vectorKey(t)
	_, of := vectorReleases()
	b, err := manifest.Sign(key, of["later"])
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	root := strings.Index(good, "root ") + len("root ")
	made := []refusedVector{
		{"no signature", "form", strings.Split(good, "\n\n")[0] + "\n\n"},
		{"another first line", "form", strings.Replace(good, "release v1", "release v2", 1)},
		{"a leading zero", "form", strings.Replace(good, "version 12", "version 012", 1)},
		{"two lines exchanged", "form", strings.Replace(good, "board rpi\nversion 12\n", "version 12\nboard rpi\n", 1)},
		{"a line more", "form", strings.Replace(good, "after 9\n", "after 9\nnote none\n", 1)},
		{"base64 without padding", "form", strings.Replace(good, "=\nsize", "\nsize", 1)},
		{"it may follow itself", "form", strings.Replace(good, "after 9", "after 12", 1)},
		{"carriage returns", "form", strings.ReplaceAll(good, "\n", "\r\n")},
		{"another version under the same signature", "signature", strings.Replace(good, "version 12", "version 13", 1)},
		{"another root under the same signature", "signature", good[:root] + "A" + good[root+1:]},
	}
	var read []refusedVector
	if err := json.Unmarshal(sameVectors(t, "refused.json", made), &read); err != nil {
		t.Fatal(err)
	}
	want := map[string]error{"form": manifest.ErrForm, "signature": manifest.ErrSignature}
	for _, v := range read {
		_, err := manifest.Open([]byte(v.Manifest), []block.VerifierKey{manifest.Key("wattmark.example/firmware", key.Public())})
		if err == nil || !errors.Is(err, want[v.Why]) {
			t.Errorf("%s: %v, want one of %s", v.Name, err, v.Why)
		}
	}
}
