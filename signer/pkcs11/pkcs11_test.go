//go:build pkcs11 && cgo

package pkcs11_test

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThalesIgnite/crypto11"

	"wattmark/signer"
	"wattmark/signer/pkcs11"
	"wattmark/signer/signertest"
)

// modules are where distributions put SoftHSM's library.
var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
}

const pin = "1234"

// home is SoftHSM's configuration for this process: the library reads it once.
var home string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "softhsm")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		home = dir
		conf := filepath.Join(dir, "softhsm2.conf")
		err = errors.Join(
			os.Mkdir(filepath.Join(dir, "tokens"), 0o700),
			os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nlog.level = ERROR\n"), 0o600),
			os.Setenv("SOFTHSM2_CONF", conf),
		)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// newToken initialises a token for the test and returns where a key in it would be.
func newToken(t *testing.T, name string) pkcs11.Config {
	t.Helper()
	tool, err := exec.LookPath("softhsm2-util")
	module := ""
	for _, m := range modules {
		if _, err := os.Stat(m); err == nil {
			module = m
			break
		}
	}
	if err != nil || module == "" {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("SoftHSM is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("SoftHSM is not installed: no token to test against")
	}
	out, err := exec.Command(tool, "--module", module, "--init-token", "--free", "--label", name, "--pin", pin, "--so-pin", "12345678").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	pinFile := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pinFile, []byte(pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return pkcs11.Config{Module: module, Token: name, Label: "gateway", PINFile: pinFile}
}

func create(t *testing.T, cfg pkcs11.Config) *pkcs11.Key {
	t.Helper()
	k, err := pkcs11.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestConformance(t *testing.T) {
	k := create(t, newToken(t, "conformance"))
	if k.Public().Algorithm() != signer.ES256 {
		t.Errorf("a key for %v", k.Public().Algorithm())
	}
	signertest.Run(t, k, 1000)
}

func TestKeysAreKept(t *testing.T) {
	cfg := newToken(t, "kept")
	if _, err := pkcs11.Open(cfg); !errors.Is(err, pkcs11.ErrAbsent) {
		t.Errorf("opened in an empty token: %v", err)
	}
	k := create(t, cfg)
	if _, err := pkcs11.Create(cfg); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second key of the label: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign([]byte("message")); err == nil {
		t.Error("a closed key signs")
	}
	again, err := pkcs11.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Public() != k.Public() {
		t.Errorf("opened key %v, want %v", again.Public().ID(), k.Public().ID())
	}
	signertest.Check(t, again, []byte("message"))
}

// context opens a token as another program would.
func context(t *testing.T, cfg pkcs11.Config) *crypto11.Context {
	t.Helper()
	c, err := crypto11.Configure(&crypto11.Config{Path: cfg.Module, TokenLabel: cfg.Token, Pin: pin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestThePrivateKeyStaysInTheToken(t *testing.T) {
	cfg := newToken(t, "stays")
	create(t, cfg)
	c := context(t, cfg)
	key, err := c.FindKeyPair(nil, []byte(cfg.Label))
	if err != nil || key == nil {
		t.Fatalf("%v, %v", key, err)
	}
	for attribute, want := range map[crypto11.AttributeType]byte{crypto11.CkaSensitive: 1, crypto11.CkaExtractable: 0} {
		a, err := c.GetAttribute(key, attribute)
		if err != nil || !bytes.Equal(a.Value, []byte{want}) {
			t.Errorf("attribute %#x: %v, %v, want %d", attribute, a, err, want)
		}
	}
	if a, err := c.GetAttribute(key, crypto11.CkaValue); err == nil && len(a.Value) > 0 {
		t.Error("the token gave the private key away")
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	cfg := newToken(t, "refused")
	c := context(t, cfg)
	if _, err := c.GenerateECDSAKeyPairWithLabel([]byte{1}, []byte("p384"), elliptic.P384()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GenerateRSAKeyPairWithLabel([]byte{2}, []byte("rsa"), 2048); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := c.GenerateECDSAKeyPairWithLabel([]byte{3, byte(i)}, []byte("twice"), elliptic.P256()); err != nil {
			t.Fatal(err)
		}
	}
	for label, want := range map[string]string{"p384": "not P-256", "rsa": "not P-256", "twice": "2 keys"} {
		at := cfg
		at.Label = label
		if _, err := pkcs11.Open(at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", label, err, want)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := newToken(t, "configuration")
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("4321"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte(pin), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*pkcs11.Config)
		want   string
	}{
		"no module":     {func(c *pkcs11.Config) { c.Module = "" }, "module's path"},
		"no label":      {func(c *pkcs11.Config) { c.Label = "" }, "key's label"},
		"another token": {func(c *pkcs11.Config) { c.Token = "elsewhere" }, "plugged in"},
		"no library":    {func(c *pkcs11.Config) { c.Module = wrong }, "could not open"},
		"wrong PIN":     {func(c *pkcs11.Config) { c.PINFile = wrong }, "CKR_PIN_INCORRECT"},
		"PIN for all":   {func(c *pkcs11.Config) { c.PINFile = open }, "chmod 600"},
		"empty PIN":     {func(c *pkcs11.Config) { c.PINFile = empty }, "is empty"},
		"no PIN file":   {func(c *pkcs11.Config) { c.PINFile = wrong + "x" }, "no such file"},
	} {
		cfg := good
		test.change(&cfg)
		_, err := pkcs11.Create(cfg)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), pin) {
			t.Errorf("%s: the error shows the PIN", name)
		}
	}
}

func TestATokenThatIsPulled(t *testing.T) {
	cfg := newToken(t, "pulled")
	k := create(t, cfg)
	signertest.Check(t, k, []byte("plugged in"))

	aside := filepath.Join(t.TempDir(), "tokens")
	if err := os.Rename(filepath.Join(home, "tokens"), aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sig, err := k.Sign([]byte("pulled")); err == nil || !strings.Contains(err.Error(), "plugged in") {
			t.Errorf("signed %x without a token, %v", sig, err)
		}
	}

	// Another token of the same label has another key of the same label.
	other := newToken(t, "pulled")
	create(t, other).Close()
	if sig, err := k.Sign([]byte("another")); err == nil || !strings.Contains(err.Error(), "put the token back") {
		t.Errorf("signed %x with another token, %v", sig, err)
	}

	if err := os.RemoveAll(filepath.Join(home, "tokens")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, filepath.Join(home, "tokens")); err != nil {
		t.Fatal(err)
	}
	signertest.Check(t, k, []byte("back"))
}

// A key is replaced by another, which is replaced in turn; those that are open go on.
func TestAdvance(t *testing.T) {
	cfg := newToken(t, "advance")
	named := func(label string) pkcs11.Config {
		c := cfg
		c.Label = label
		return c
	}
	const next, replaced = "gateway.next", "gateway.replaced"
	holds := func(when, label string, want signer.PublicKey) {
		t.Helper()
		k, err := pkcs11.Open(named(label))
		if want.IsZero() {
			if !errors.Is(err, pkcs11.ErrAbsent) {
				t.Errorf("%s: opening %q: %v, want none", when, label, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s: opening %q: %v", when, label, err)
		}
		defer k.Close()
		message := []byte(when)
		sig, err := k.Sign(message)
		if err != nil || k.Public() != want || !signer.VerifyRaw(want, message, sig) {
			t.Errorf("%s: %q is %v, want %v: %v", when, label, k.Public().ID(), want.ID(), err)
		}
	}
	none := signer.PublicKey{}

	first := create(t, cfg)
	if err := pkcs11.Advance(cfg, next, replaced); !errors.Is(err, pkcs11.ErrAbsent) {
		t.Errorf("without a next key: %v", err)
	}
	holds("nothing to replace it", "gateway", first.Public())

	second := create(t, named(next))
	if err := pkcs11.Advance(cfg, next, replaced); err != nil {
		t.Fatal(err)
	}
	holds("first rotation", "gateway", second.Public())
	holds("first rotation", replaced, first.Public())
	holds("first rotation", next, none)
	if sig, err := first.Sign([]byte("open")); err != nil || !signer.VerifyRaw(first.Public(), []byte("open"), sig) {
		t.Errorf("the first, which is open: %v", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}

	third := create(t, named(next))
	if err := third.Close(); err != nil { // nobody holds the module meanwhile
		t.Fatal(err)
	}
	if err := pkcs11.Advance(cfg, next, replaced); err != nil {
		t.Fatal(err)
	}
	holds("second rotation", "gateway", third.Public())
	holds("second rotation", replaced, second.Public())
	holds("second rotation", next, none)
}

// What was cut short between its two steps is finished.
func TestAdvanceThatWasCutShort(t *testing.T) {
	cfg := newToken(t, "cut")
	next := cfg
	next.Label = "gateway.next"
	old := cfg
	old.Label = "gateway.replaced"
	create(t, old)
	coming := create(t, next)
	if err := pkcs11.Advance(cfg, next.Label, old.Label); err != nil {
		t.Fatal(err)
	}
	k, err := pkcs11.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if k.Public() != coming.Public() {
		t.Errorf("the key is %v, want %v", k.Public().ID(), coming.Public().ID())
	}
	if _, err := pkcs11.Open(next); !errors.Is(err, pkcs11.ErrAbsent) {
		t.Errorf("the next key is still there: %v", err)
	}

	cfg.PINFile = filepath.Join(t.TempDir(), "none")
	if err := pkcs11.Advance(cfg, next.Label, old.Label); err == nil {
		t.Error("advanced without a PIN")
	}
}
