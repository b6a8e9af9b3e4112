package keyfile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"wattmark/signer"
	"wattmark/signer/keyfile"
	"wattmark/signer/signertest"
)

func TestKeysAreKept(t *testing.T) {
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		path := filepath.Join(t.TempDir(), "key.pem")
		k, err := keyfile.LoadOrCreate(path, alg)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%v: mode %04o, want 0600", alg, mode)
		}
		again, err := keyfile.LoadOrCreate(path, alg)
		if err != nil || again.Public() != k.Public() {
			t.Errorf("%v: loaded another key: %v", alg, err)
		}
		sig, err := again.Sign([]byte("message"))
		if err != nil || !signer.VerifyRaw(k.Public(), []byte("message"), sig) {
			t.Errorf("%v: the loaded key does not sign for the created one: %v", alg, err)
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(left) != 1 {
			t.Errorf("%v: the directory holds %v, %v", alg, left, err)
		}
	}
}

func TestAKeyIsNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	k, err := keyfile.LoadOrCreate(path, signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	other, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Save(path, other); !errors.Is(err, fs.ErrExist) {
		t.Errorf("saving over a key: %v", err)
	}
	if _, err := keyfile.LoadOrCreate(path, signer.ES256); err == nil || !strings.Contains(err.Error(), "holds a key for EdDSA, not ES256") {
		t.Errorf("asking for another algorithm: %v", err)
	}
	if again, err := keyfile.Load(path); err != nil || again.Public() != k.Public() {
		t.Errorf("the key is not what it was: %v", err)
	}
}

func TestOfTwoCreatorsOneWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	var wg sync.WaitGroup
	keys := make([]*signer.PrivateKey, 8)
	for i := range keys {
		wg.Go(func() {
			if k, err := keyfile.LoadOrCreate(path, signer.EdDSA); err == nil {
				keys[i] = k
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	kept, err := keyfile.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k != nil && k.Public() != kept.Public() {
			t.Error("a creator holds a key that is not in the file")
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	good, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	der, err := good.PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for _, test := range []struct {
		name string
		data []byte
		mode fs.FileMode
		want string
	}{
		{"open to the group", encode("PRIVATE KEY", der), 0o640, "chmod 600"},
		{"open to all", encode("PRIVATE KEY", der), 0o604, "mode 0604"},
		{"empty", nil, 0o600, "PEM block"},
		{"not PEM", []byte("secret"), 0o600, "PEM block"},
		{"a certificate", encode("CERTIFICATE", der), 0o600, "PEM block"},
		{"two keys", append(encode("PRIVATE KEY", der), encode("PRIVATE KEY", der)...), 0o600, "nothing else"},
		{"damaged", encode("PRIVATE KEY", der[:len(der)-1]), 0o600, "damaged"},
		{"P-384", encode("PRIVATE KEY", other), 0o600, "P-384"},
		{"too large", make([]byte, 20000), 0o600, "20000 bytes"},
	} {
		path := filepath.Join(dir, test.name)
		if err := os.WriteFile(path, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		k, err := keyfile.Load(path)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", test.name, k, err, test.want)
		}
		if _, err := keyfile.LoadOrCreate(path, signer.EdDSA); err == nil {
			t.Errorf("%s: a new key took the place of a bad file", test.name)
		}
		if test.name != "not PEM" && err != nil && len(test.data) > 0 && strings.Contains(err.Error(), string(test.data)) {
			t.Errorf("%s: the error shows the key", test.name)
		}
	}
	if _, err := keyfile.Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := keyfile.Load(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := keyfile.Save(filepath.Join(dir, "no such directory", "key"), good); err == nil {
		t.Error("saved into a directory that is not there")
	}
}

func TestConformance(t *testing.T) {
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		t.Run(alg.String(), func(t *testing.T) {
			k, err := keyfile.LoadOrCreate(filepath.Join(t.TempDir(), "key.pem"), alg)
			if err != nil {
				t.Fatal(err)
			}
			signertest.Run(t, k, 200)
		})
	}
}

// TestCredential reads a key where the service manager lays it, with the mode that a
// file with an access control list shows.
func TestCredential(t *testing.T) {
	dir := t.TempDir()
	key, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "wattmark-key.pem")
	if err := keyfile.Save(path, key); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mode      fs.FileMode
		directory string
		ok        bool
	}{
		{0o440, dir, true},
		{0o440, dir + "/", true},
		{0o440, "", false},
		{0o440, filepath.Dir(dir), false},
		{0o460, dir, false},
		{0o444, dir, false},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", test.directory)
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		if k, err := keyfile.Load(path); (err == nil) != test.ok || err == nil && k.Public() != key.Public() {
			t.Errorf("mode %04o with the credentials in %q: %v", test.mode, test.directory, err)
		}
	}
}
