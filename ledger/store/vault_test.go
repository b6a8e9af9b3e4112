package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"wattmark/ledger/store"
)

func pack(subject string, i int) store.Pack {
	p := store.Pack{Subject: subject, Preimage: fmt.Appendf(nil, "salt of %s number %d and what was read", subject, i)}
	p.Digest = sha256.Sum256(p.Preimage)
	return p
}

func openVault(t testing.TB, dir string) *store.Vault {
	t.Helper()
	v, _, err := store.OpenVault(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func checkPacks(t testing.TB, v *store.Vault, there bool, packs ...store.Pack) {
	t.Helper()
	for _, p := range packs {
		got, err := v.Get(p.Digest)
		has, hasErr := v.Has(p.Digest)
		switch {
		case there && (err != nil || !bytes.Equal(got, p.Preimage) || !has || hasErr != nil):
			t.Fatalf("pack %q of %s: %q, %v; has: %v, %v", p.Preimage, p.Subject, got, err, has, hasErr)
		case !there && (!errors.Is(err, store.ErrNotFound) || has || hasErr != nil):
			t.Fatalf("pack of %s is still there: %q, %v; has: %v, %v", p.Subject, got, err, has, hasErr)
		}
	}
}

func TestVaultKeepsAndForgets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	v := openVault(t, dir)
	var anna, bert []store.Pack
	for i := range 30 {
		day := fmt.Sprintf("2026-11-%02d", 20+i/10)
		a, b := pack("anna", i), pack("bert", i)
		if err := v.Put(day, []store.Pack{a, b, a}); err != nil {
			t.Fatal(err)
		}
		anna, bert = append(anna, a), append(bert, b)
	}
	checkPacks(t, v, true, append(anna, bert...)...)
	if err := v.Put("2026-11-25", []store.Pack{anna[3]}); err != nil { // there already
		t.Fatal(err)
	}
	v.Close()
	v = openVault(t, dir)
	checkPacks(t, v, true, append(anna, bert...)...)
	r, _, err := store.OpenVaultReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checkPacks(t, r, true, append(anna, bert...)...)

	n, err := v.Forget("anna")
	if err != nil || n != len(anna) {
		t.Fatalf("forgot %d packs, want %d: %v", n, len(anna), err)
	}
	checkPacks(t, v, false, anna...)
	checkPacks(t, v, true, bert...)
	for _, p := range anna {
		if _, err := r.Get(p.Digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a reader still finds what was forgotten: %v", err)
		}
	}
	for _, p := range bert {
		if got, err := r.Get(p.Digest); err != nil || !bytes.Equal(got, p.Preimage) {
			t.Errorf("a reader does not find %q: %q, %v", p.Preimage, got, err)
		}
	}
	noBytes(t, dir, "anna")
	if n, err := v.Forget("anna"); n != 0 || err != nil {
		t.Errorf("forgot %d more packs: %v", n, err)
	}
	if err := v.Put("2026-11-22", []store.Pack{pack("carl", 1)}); err != nil {
		t.Fatal(err)
	}
	v.Close()
	v = openVault(t, dir)
	checkPacks(t, v, false, anna...)
	checkPacks(t, v, true, append(bert, pack("carl", 1))...)
	noBytes(t, dir, "anna")
}

// noBytes checks that no file below dir contains a word.
func noBytes(t testing.TB, dir, word string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if i := bytes.Index(b, []byte(word)); i >= 0 {
			t.Errorf("%s still holds %q at byte %d", path, word, i)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVaultRefuses(t *testing.T) {
	v := openVault(t, t.TempDir())
	good := pack("anna", 1)
	if err := v.Put("2026-11-24", []store.Pack{good}); err != nil {
		t.Fatal(err)
	}
	wrong := good
	wrong.Preimage = []byte("other")
	other := good
	other.Subject = "bert"
	nobody := good
	nobody.Subject = ""
	long := store.Pack{Subject: "anna", Preimage: make([]byte, store.MaxPreimage+1)}
	long.Digest = sha256.Sum256(long.Preimage)
	fresh := pack("anna", 2)
	for name, p := range map[string]store.Pack{"digest": wrong, "subject": other, "no subject": nobody, "too long": long} {
		if err := v.Put("2026-11-24", []store.Pack{fresh, p}); !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, day := range []string{"", "..", "a/b", "-", "2026.11.24", "\x00", string(make([]byte, 40))} {
		if err := v.Put(day, []store.Pack{fresh}); !errors.Is(err, store.ErrRefused) {
			t.Errorf("day %q: %v", day, err)
		}
	}
	checkPacks(t, v, false, fresh)
}

// TestVaultAfterACrash cuts a file of packs at each byte of the last Put, and
// changes each of its bytes.
func TestVaultAfterACrash(t *testing.T) {
	const day = "2026-11-24"
	dir := t.TempDir()
	v := openVault(t, dir)
	name := filepath.Join(dir, day+".packs")
	before := []store.Pack{pack("anna", 1), pack("bert", 1)}
	if err := v.Put(day, before); err != nil {
		t.Fatal(err)
	}
	v.Close()
	index, err := os.ReadFile(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	small, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	v = openVault(t, dir)
	last := pack("anna", 2)
	if err := v.Put(day, []store.Pack{last}); err != nil {
		t.Fatal(err)
	}
	v.Close()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	reopen := func(content, index []byte) (*store.Vault, store.VaultReport, error) {
		t.Helper()
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "index.db"), index, 0o600); err != nil {
			t.Fatal(err)
		}
		return store.OpenVault(dir, store.Options{}.OnDisk(&faultyDisk{}).Unsynced())
	}
	for n := len(small); n < len(whole); n++ {
		for _, index := range [][]byte{index, nil} {
			v, report, err := reopen(whole[:n], index)
			if err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			if (len(report.Torn) > 0) != (n > len(small)) {
				t.Errorf("cut at %d of %d: reported %+v", n, len(whole), report)
			}
			checkPacks(t, v, true, before...)
			checkPacks(t, v, false, last)
			v.Close()
		}
	}
	for i := range whole {
		content := bytes.Clone(whole)
		content[i] ^= 0x10
		v, report, err := reopen(content, nil)
		var fault *store.Fault
		switch {
		case errors.As(err, &fault):
		case err != nil:
			t.Fatalf("byte %d changed: %v", i, err)
		case len(report.Torn) == 0:
			t.Errorf("byte %d changed: nothing is reported", i)
		case i < len(small):
			t.Errorf("byte %d changed: packs before the last Put were cut off", i)
		}
		if v != nil {
			v.Close()
		}
	}
}

func TestVaultIndexIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir)
	p := pack("anna", 1)
	if err := v.Put("2026-11-24", []store.Pack{p}); err != nil {
		t.Fatal(err)
	}
	v.Close()
	for name, content := range map[string][]byte{"garbage": bytes.Repeat([]byte("garbage!"), 4096), "short": []byte("x")} {
		if err := os.WriteFile(filepath.Join(dir, "index.db"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		v, report, err := store.OpenVault(dir, store.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if report.IndexRebuilt == "" {
			t.Errorf("%s: not reported", name)
		}
		checkPacks(t, v, true, p)
		v.Close()
	}
}
