package tpm_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/signer"
	"wattmark/signer/signertest"
	"wattmark/signer/tpm"
)

// Response codes of TPM 2.0 Library Part 2, section 6.6.3.
const (
	rcInitialize   = 0x100
	rcFailure      = 0x101
	rcIntegrity    = 0x1df // TPM_RC_INTEGRITY of parameter 1
	rcBadAuth      = 0x9a2 // TPM_RC_BAD_AUTH of session 1
	rcObjectMemory = 0x902
	rcYielded      = 0x908
	rcTesting      = 0x90a
	rcReferenceH0  = 0x910
	rcLockout      = 0x921
	rcRetry        = 0x922
)

func create(t *testing.T, c *chip) (*tpm.Key, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tpm.key")
	k, err := tpm.Create(c.path, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k, path
}

// patient makes pauses take no time, and counts them.
func patient(t *testing.T) (pauses *int) {
	t.Helper()
	pauses = new(int)
	t.Cleanup(tpm.Pauses(func(time.Duration) { *pauses++ }))
	return pauses
}

func TestConformance(t *testing.T) {
	k, _ := create(t, newChip(t))
	if k.Public().Algorithm() != signer.ES256 {
		t.Errorf("a key for %v", k.Public().Algorithm())
	}
	signertest.Run(t, k, 1000)
}

func TestKeysAreKept(t *testing.T) {
	c := newChip(t)
	k, path := create(t, c)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %04o, want 0600", mode)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign([]byte("message")); err == nil {
		t.Error("a closed key signs")
	}
	c.stop() // the chip loses what was loaded, and keeps its seeds
	c.start()
	again, err := tpm.Open(c.path, path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Public() != k.Public() {
		t.Errorf("opened key %v, want %v", again.Public().ID(), k.Public().ID())
	}
	signertest.Check(t, again, []byte("message"))
}

func TestAKeyIsNeverReplaced(t *testing.T) {
	c := newChip(t)
	k, path := create(t, c)
	k.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Create(c.path, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over a key: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v", left, err)
	}
}

func TestABusyChipIsAskedAgain(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	signertest.Check(t, k, []byte("loaded"))
	pauses := patient(t)
	for name, rc := range map[string]uint32{"retry": rcRetry, "yielded": rcYielded, "testing": rcTesting, "memory": rcObjectMemory} {
		*pauses = 0
		c.next(code(rc), code(rc), code(rc))
		signertest.Check(t, k, []byte(name))
		if *pauses != 3 || c.left() != 0 {
			t.Errorf("%s: %d pauses and %d answers left, want 3 and 0", name, *pauses, c.left())
		}
	}
}

func TestWhatStaysBusyIsAnError(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	signertest.Check(t, k, []byte("loaded"))
	pauses := patient(t)
	busy := make([]answer, 100)
	for i := range busy {
		busy[i] = code(rcRetry)
	}
	c.next(busy...)
	if sig, err := k.Sign([]byte("message")); err == nil || !strings.Contains(err.Error(), "TPM_RC_RETRY") {
		t.Errorf("signed %x, %v", sig, err)
	}
	if asked := 100 - c.left(); asked != tpm.Tries || *pauses != tpm.Tries-1 {
		t.Errorf("asked %d times with %d pauses, want %d and %d", asked, *pauses, tpm.Tries, tpm.Tries-1)
	}
	c.next()
	signertest.Check(t, k, []byte("afterwards"))
}

func TestALoadedKeyThatIsGoneIsLoadedAgain(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	signertest.Check(t, k, []byte("loaded"))
	patient(t)
	for name, a := range map[string]answer{
		"reset, not started":       code(rcInitialize),
		"no such handle":           code(rcReferenceH0),
		"connection cut":           raw(nil),
		"half a header":            raw([]byte{0x80, 1, 0, 0}),
		"half a response":          raw([]byte{0x80, 1, 0, 0, 0, 20, 0, 0, 0, 0}),
		"a size over all limits":   raw([]byte{0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}),
		"a size below the header":  raw([]byte{0x80, 1, 0, 0, 0, 1, 0, 0, 0, 0}),
		"more than the size holds": raw([]byte{0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0, 7}),
	} {
		before := c.reached()
		c.next(a)
		signertest.Check(t, k, []byte(name))
		// Primary, load, flush, sign.
		if n := c.reached() - before; n != 4 {
			t.Errorf("%s: %d commands, want 4", name, n)
		}
	}
}

func TestAChipThatRestartsLosesNoKey(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	pub := k.Public()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 30 {
				signertest.Check(t, k, []byte{byte(i)})
			}
		})
	}
	for range 3 {
		for before := c.reached(); c.reached() < before+10; {
			time.Sleep(time.Millisecond)
		}
		c.stop()
		c.start()
	}
	wg.Wait()
	if k.Public() != pub {
		t.Error("the key is another")
	}
}

func TestAChipThatIsAway(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	patient(t)
	c.stop()
	if sig, err := k.Sign([]byte("message")); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("signed %x, %v", sig, err)
	}
	c.start()
	signertest.Check(t, k, []byte("message"))
}

func TestADamagedSignatureIsRefused(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	signertest.Check(t, k, []byte("loaded"))
	c.next(flip(10)) // in s: the last five bytes are those of the password session
	if sig, err := k.Sign([]byte("message")); err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("signed %x, %v", sig, err)
	}
	signertest.Check(t, k, []byte("message"))
}

func TestErrorsThatStaySayWhatToDo(t *testing.T) {
	c := newChip(t)
	k, _ := create(t, c)
	signertest.Check(t, k, []byte("loaded"))
	pauses := patient(t)
	for rc, want := range map[uint32]string{
		rcFailure:   "self-test",
		rcLockout:   "lockout",
		rcBadAuth:   "tpm2_changeauth",
		rcIntegrity: "enrol a new key",
		0x143:       "TPM_RC_COMMAND_CODE",
	} {
		c.next(code(rc))
		if _, err := k.Sign([]byte("message")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("code %#x: %v, want %q", rc, err, want)
		}
	}
	if *pauses != 0 {
		t.Errorf("%d pauses for errors that do not pass", *pauses)
	}
}

func TestAnotherChipDoesNotSign(t *testing.T) {
	one, two := newChip(t), newChip(t)
	k, path := create(t, one)
	k.Close()
	if _, err := tpm.Open(two.path, path); err == nil || !strings.Contains(err.Error(), "enrol a new key") {
		t.Errorf("opened in another TPM: %v", err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	c := newChip(t)
	k, path := create(t, c)
	k.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	changed := func(change func(*keyASN1)) []byte {
		var a keyASN1
		if _, err := asn1.Unmarshal(block.Bytes, &a); err != nil {
			t.Fatal(err)
		}
		change(&a)
		der, err := asn1.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return encode(block.Type, der)
	}
	for _, test := range []struct {
		name string
		data []byte
		mode fs.FileMode
		want string
	}{
		{"open to others", good, 0o644, "chmod 600"},
		{"a key in the clear", encode("PRIVATE KEY", block.Bytes), 0o600, "TSS2 PRIVATE KEY"},
		{"cut", encode(block.Type, block.Bytes[:20]), 0o600, "no TPM key"},
		{"with something behind", encode(block.Type, append(bytes.Clone(block.Bytes), 0)), 0o600, "1 bytes behind"},
		{"sealed data", changed(func(a *keyASN1) { a.Type[5] = 5 }), 0o600, "loadable"},
		{"with a password", changed(func(a *keyASN1) { a.EmptyAuth = false }), 0o600, "password"},
		{"below another parent", changed(func(a *keyASN1) { a.Parent = 0x81000001 }), 0o600, "owner hierarchy"},
		// Byte 9 of a TPM2B_PUBLIC is the low byte of the attributes: fixedTPM is bit 1.
		{"that can be duplicated", changed(func(a *keyASN1) { a.Public[9] &^= 1 << 1 }), 0o600, "make a new one"},
		{"of another curve", changed(func(a *keyASN1) { a.Public[bytes.Index(a.Public, []byte{0, 3, 0, 0x10})+1] = 4 }), 0o600, ""},
		{"of another private part", changed(func(a *keyASN1) { a.Private[len(a.Private)-1] ^= 1 }), 0o600, "enrol a new key"},
	} {
		p := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(p, test.data, test.mode); err != nil {
			t.Fatal(err)
		}
		k, err := tpm.Open(c.path, p)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v, want an error with %q", test.name, k, err, test.want)
		}
	}
	if _, err := tpm.Open(c.path, filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestDevicesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if _, err := tpm.Create(filepath.Join(dir, "tpmrm0"), path); err == nil || !strings.Contains(err.Error(), "there is no TPM") {
		t.Errorf("no device: %v", err)
	}
	if _, err := tpm.Create(dir, path); err == nil || !strings.Contains(err.Error(), "is no TPM") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key file was left: %v", err)
	}
}

// keyASN1 is the key file of draft-bottomley-tpm2-keys-00, written down again.
type keyASN1 struct {
	Type            asn1.ObjectIdentifier
	EmptyAuth       bool `asn1:"optional,explicit,tag:0"`
	Parent          int64
	Public, Private []byte
}

func BenchmarkSign(b *testing.B) {
	c := newChip(b)
	k, err := tpm.Create(c.path, filepath.Join(b.TempDir(), "tpm.key"))
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	for b.Loop() {
		if _, err := k.Sign([]byte("message")); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	block, _ := pem.Decode([]byte(keyFile))
	f.Add(block.Bytes)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, err := tpm.Reencode(b); err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x is written again as %x", b, again)
		}
	})
}

// keyFile is one that Create wrote with swtpm 0.7.1, for the fuzzer to start from.
const keyFile = `-----BEGIN TSS2 PRIVATE KEY-----
MIHyBgZngQUKAQOgAwEB/wIEQAAAAQRaAFgAIwALAAQEcgAAABAAGAALAAMAEAAg
EbNibhvcNg1RFkwaAMd1N2I4iziBs3XrpGqVAuiqhucAIKUvKrbDGaZvZbAr5v03
Q4y7LqPf2bbkpmIRoXrZgC87BIGAAH4AINzbipdQwI+f3wlxhzgyY9ZjwLgzVnqR
o0nhjZjOtQNeABAGKGf5AsM1m4GBYRNu8uQ9dSozjLNmRlJ/FTdDN+zbj1DhVDNt
5PidWWwG/sHj9a6ACsHBaZoFLhOwAXdj1aS8B9vr00aEyINoTHnSlERyiBwf/Fo1
1jbchrw=
-----END TSS2 PRIVATE KEY-----
`
