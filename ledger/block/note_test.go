package block_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// key returns the Ed25519 key of a name, the same each time.
func key(tb testing.TB, name string) *signer.PrivateKey {
	tb.Helper()
	k, err := signer.FromSeed(signer.EdDSA, sha256.Sum256([]byte(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func logKey(tb testing.TB, i int) *signer.PrivateKey { return key(tb, fmt.Sprint("log ", i)) }

func cosignerKey(tb testing.TB, i int) *signer.PrivateKey { return key(tb, fmt.Sprint("cosigner ", i)) }

func oracleName(i int) string { return fmt.Sprintf("%s/oracle-%d", origin, i) }

func logVerifier(tb testing.TB, i int) block.VerifierKey {
	return block.VerifierKey{Name: origin, Key: logKey(tb, i).Public()}
}

func cosignerVerifier(tb testing.TB, i int) block.VerifierKey {
	return block.VerifierKey{Name: oracleName(i), Cosigner: true, Key: cosignerKey(tb, i).Public()}
}

func checkpoint() block.Checkpoint {
	return block.Checkpoint{Origin: origin, Size: 113, Root: block.LeafHash([]byte("root"))}
}

const seconds = 1_750_000_000

// signed is the checkpoint with lines of the given logs and cosigners.
func signed(tb testing.TB, c block.Checkpoint, logs, cosigners []int) []byte {
	tb.Helper()
	s := c.Text() + "\n"
	for _, i := range logs {
		line, err := block.SignLog(logKey(tb, i), c)
		if err != nil {
			tb.Fatal(err)
		}
		s += line
	}
	for _, i := range cosigners {
		line, err := block.Cosign(cosignerKey(tb, i), oracleName(i), c, seconds+uint64(i))
		if err != nil {
			tb.Fatal(err)
		}
		s += line
	}
	return []byte(s)
}

func TestVerifierKeysOfTheSpecification(t *testing.T) {
	// C2SP signed-note, the example under "Verifier keys".
	const text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	k, err := block.ParseVerifierKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if k.Name != "example.com/foo" || k.Cosigner || k.ID() != 0x530d903a || k.String() != text {
		t.Errorf("read as %+v with id %08x, written as %s", k, k.ID(), k)
	}
}

func TestVerifierKeysRoundTrip(t *testing.T) {
	for _, want := range []block.VerifierKey{logVerifier(t, 1), cosignerVerifier(t, 1)} {
		got, err := block.ParseVerifierKey(want.String())
		if err != nil || got != want {
			t.Errorf("%s: read as %+v, %v", want, got, err)
		}
	}
	ours, err := note.NewVerifier(logVerifier(t, 1).String())
	if err != nil || ours.KeyHash() != logVerifier(t, 1).ID() {
		t.Errorf("x/mod reads our log's key as %v, %v", ours, err)
	}
	theirs, err := fnote.NewVerifierForCosignatureV1(cosignerVerifier(t, 1).String())
	if err != nil || theirs.KeyHash() != cosignerVerifier(t, 1).ID() {
		t.Errorf("transparency-dev reads our cosigner's key as %v, %v", theirs, err)
	}
}

func TestVerifierKeysThatAreRefused(t *testing.T) {
	good := logVerifier(t, 1).String()
	name, rest, _ := strings.Cut(good, "+")
	id, material, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(material)
	if err != nil {
		t.Fatal(err)
	}
	make := func(name string, raw []byte) string {
		sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
		return fmt.Sprintf("%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(raw))
	}
	if make(name, raw) != good {
		t.Fatalf("made %s, want %s", make(name, raw), good)
	}
	for what, s := range map[string]string{
		"nothing":               "",
		"name alone":            name,
		"no id":                 name + "+" + material,
		"no name":               make("", raw),
		"space in name":         make("a b", raw),
		"wide space in name":    make("a\u2003b", raw),
		"line feed in name":     make("a\nb", raw),
		"escape in name":        make("a\x1bb", raw),
		"half a letter in name": make("a\xc3", raw),
		"long name":             make(strings.Repeat("n", 256), raw),
		"another id":            name + "+00000000+" + material,
		"id in capitals":        name + "+" + strings.ToUpper(id) + "+" + material,
		"ECDSA":                 make(name, append([]byte{2}, raw[1:]...)),
		"ML-DSA-44":             make(name, append([]byte{6}, raw[1:]...)),
		"short key":             make(name, raw[:32]),
		"long key":              make(name, append(bytes.Clone(raw), 0)),
		"no key":                make(name, nil),
		"a fourth part":         good + "+x",
		"loose base64":          good + "\n",
	} {
		if k, err := block.ParseVerifierKey(s); err == nil {
			t.Errorf("%s: %q is read as %v", what, s, k)
		}
	}
}

func TestCheckpointsRoundTrip(t *testing.T) {
	for _, want := range []block.Checkpoint{checkpoint(), {Origin: "x"}, {Origin: "é", Size: 1 << 60}} {
		if got, err := block.ParseCheckpoint(want.Text()); err != nil || got != want {
			t.Errorf("%q: read as %+v, %v", want.Text(), got, err)
		}
		if got, err := block.CheckpointOf([]byte(want.Text() + "\n— whatever\n")); err != nil || got != want {
			t.Errorf("%q: displayed as %+v, %v", want.Text(), got, err)
		}
	}
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	root := checkpoint().Root.String()
	for name, text := range map[string]string{
		"nothing":            "",
		"no origin":          "\n5\n" + root + "\n",
		"origin with space":  "our street\n5\n" + root + "\n",
		"extension line":     origin + "\n5\n" + root + "\nmore\n",
		"no line feed":       origin + "\n5\n" + root,
		"leading zero":       origin + "\n05\n" + root + "\n",
		"plus":               origin + "\n+5\n" + root + "\n",
		"negative":           origin + "\n-5\n" + root + "\n",
		"hexadecimal":        origin + "\n0x5\n" + root + "\n",
		"too large":          origin + "\n9223372036854775807\n" + root + "\n",
		"no size":            origin + "\n\n" + root + "\n",
		"short root":         origin + "\n5\nAAAA\n",
		"root with a return": origin + "\n5\n" + root + "\r\n",
	} {
		if c, err := block.ParseCheckpoint(text); !errors.Is(err, block.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, c, err)
		}
	}
	if _, err := block.CheckpointOf([]byte(checkpoint().Text())); !errors.Is(err, block.ErrForm) {
		t.Errorf("displaying a text without signatures: %v", err)
	}
}

// verifiers are other people's verifiers of our keys.
func verifiers(t *testing.T, logs, cosigners []int) []note.Verifier {
	t.Helper()
	var list []note.Verifier
	for _, i := range logs {
		v, err := note.NewVerifier(logVerifier(t, i).String())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	for _, i := range cosigners {
		v, err := fnote.NewVerifierForCosignatureV1(cosignerVerifier(t, i).String())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func TestOthersVerifyOurCheckpoints(t *testing.T) {
	b := signed(t, checkpoint(), []int{0, 1}, []int{0, 1, 2, 3})
	n, err := note.Open(b, note.VerifierList(verifiers(t, []int{0, 1}, []int{0, 1, 2, 3})...))
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Sigs) != 6 || len(n.UnverifiedSigs) != 0 || n.Text != checkpoint().Text() {
		t.Errorf("%d signatures verify and %d do not, of the text %q", len(n.Sigs), len(n.UnverifiedSigs), n.Text)
	}
	for _, s := range n.Sigs[2:] {
		at, err := fnote.CoSigV1Timestamp(s)
		if err != nil || at.Unix() < seconds || at.Unix() > seconds+3 {
			t.Errorf("cosignature of %s is of %v, %v", s.Name, at, err)
		}
	}
}

func TestWeVerifyOthersCheckpoints(t *testing.T) {
	// Keys in the form of C2SP signers, made from the same seeds.
	skey := func(name string, kind byte, seed [32]byte, pub signer.PublicKey) string {
		k := block.VerifierKey{Name: name, Cosigner: kind == 4, Key: pub}
		return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, k.ID(), base64.StdEncoding.EncodeToString(append([]byte{kind}, seed[:]...)))
	}
	logSigner, err := note.NewSigner(skey(origin, 1, sha256.Sum256([]byte("log 0")), logKey(t, 0).Public()))
	if err != nil {
		t.Fatal(err)
	}
	signers := []note.Signer{logSigner}
	for i := range 3 {
		plain := block.VerifierKey{Name: oracleName(i), Key: cosignerKey(t, i).Public()} // the library wants type 1 here
		seed := sha256.Sum256(fmt.Appendf(nil, "cosigner %d", i))
		s, err := fnote.NewSignerForCosignatureV1(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", plain.Name, plain.ID(),
			base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))))
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	b, err := note.Sign(&note.Note{Text: checkpoint().Text()}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := policy(t).Verify(b)
	if err != nil {
		t.Fatal(err)
	}
	if s.Checkpoint != checkpoint() || len(s.Logs) != 1 || len(s.Witnesses) != 3 {
		t.Errorf("got %+v", s)
	}
}

// relabel gives a signature line another name and key id.
func relabel(t *testing.T, line, name string, id [4]byte) string {
	t.Helper()
	fields := strings.Fields(line)
	raw, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	copy(raw, id[:])
	return "— " + name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}
