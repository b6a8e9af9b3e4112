//go:build pkcs11 && cgo

package gateway_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"wattmark/gateway"
	"wattmark/signer"
	"wattmark/signer/pkcs11"
)

// softHSM is where Debian puts SoftHSM's library.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// tokenFile is a configuration whose key is in a new token.
func tokenFile(t *testing.T) *gateway.File {
	t.Helper()
	tool, err := exec.LookPath("softhsm2-util")
	if _, missing := os.Stat(softHSM); err != nil || missing != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("SoftHSM is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("SoftHSM is not installed: no token to test against")
	}
	dir := t.TempDir()
	conf, pin := filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	t.Setenv("SOFTHSM2_CONF", conf)
	err = errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700), os.WriteFile(pin, []byte("1234\n"), 0o600),
		os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nlog.level = ERROR\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "--module", softHSM, "--init-token", "--free", "--label", "site", "--pin", "1234", "--so-pin", "12345678").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	f := new(gateway.File)
	f.Key.Backend, f.Key.Module, f.Key.Token, f.Key.Label, f.Key.PINFile = "pkcs11", softHSM, "site", "gateway", pin
	return f
}

// TestAKeyInATokenIsRotated replaces a key in a token as the ceremony does, and opens one
// whose replacement was cut short between its two steps.
func TestAKeyInATokenIsRotated(t *testing.T) {
	f := tokenFile(t)
	public := func(what string, key signer.Signer, err error) signer.PublicKey {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := key.(io.Closer).Close(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return key.Public()
	}
	first, made, err := f.OpenOrMakeKey()
	if err != nil || !made {
		t.Fatalf("making the key: %v, %v", made, err)
	}
	defer first.(io.Closer).Close() // it is open while the next takes its place
	key, err := f.NextKey()
	next := public("making the next key", key, err)
	key, err = f.NextKey()
	if again := public("opening the next key", key, err); again != next || next == first.Public() {
		t.Errorf("the next key is %v, then %v, and the first %v", next.ID(), again.ID(), first.Public().ID())
	}
	if err := f.AdvanceKey(); err != nil {
		t.Fatal(err)
	}
	key, err = f.OpenKey()
	if now := public("after the rotation", key, err); now != next {
		t.Errorf("the key is %v, want %v", now.ID(), next.ID())
	}

	f.Key.Label = "cut"
	for _, label := range []string{"cut.replaced", "cut.next"} {
		k, err := pkcs11.Create(pkcs11.Config{Module: f.Key.Module, Token: f.Key.Token, Label: label, PINFile: f.Key.PINFile})
		if err != nil {
			t.Fatal(err)
		}
		next = public(label, k, nil)
	}
	key, err = f.OpenKey()
	if now := public("cut short", key, err); now != next {
		t.Errorf("the key is %v, want %v", now.ID(), next.ID())
	}
}
