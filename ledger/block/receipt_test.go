package block_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/veraison/go-cose"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// ledger is a log of 37 leaves in which leaf 20 is a statement.
type ledger struct {
	statement []byte
	key       signer.PublicKey // of the statement
	leaf      block.Hash
	proof     block.Proof
	block.Checkpoint
}

func newLedger(tb testing.TB, alg signer.Algorithm) *ledger {
	tb.Helper()
	k, err := signer.FromSeed(alg, [32]byte{42})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := signer.Sign(k, signer.Header{Type: "application/vnd.example+cose", ContentType: "text/plain", Claims: []byte("\xa1\x01\x65urn:a")}, []byte("read"))
	if err != nil {
		tb.Fatal(err)
	}
	const size, index = 37, 20
	f := &forest{}
	for i := range uint64(size) {
		leaf := leafData(i)
		if i == index {
			leaf = s
		}
		f.add(block.LeafHash(leaf))
	}
	prover := block.NewProver(f, size)
	root, err := prover.Root()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := prover.Prove(index)
	if err != nil {
		tb.Fatal(err)
	}
	return &ledger{s, k.Public(), block.LeafHash(s), p, block.Checkpoint{Origin: origin, Size: size, Root: root}}
}

// receipts are those of the given oracles for the statement.
func (l *ledger) receipts(tb testing.TB, oracles ...int) []block.Receipt {
	tb.Helper()
	var list []block.Receipt
	for _, i := range oracles {
		k := cosignerKey(tb, i)
		sig, err := block.SignReceipts(k, l.Checkpoint)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, block.Receipt{KeyID: k.Public().ID(), Proof: l.proof, Signature: sig})
	}
	return list
}

func (l *ledger) transparent(tb testing.TB, oracles ...int) []byte {
	tb.Helper()
	b, err := block.AttachReceipts(l.statement, l.receipts(tb, oracles...))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// verify is what a verifier does with a transparent statement: the statement
// under its key, each receipt under a key of the policy, one root, and a quorum.
func verify(p *block.Policy, b []byte, key signer.PublicKey) error {
	statement, receipts, err := block.DetachReceipts(b)
	if err != nil {
		return err
	}
	m, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	if _, err := signer.Verify(m, key); err != nil {
		return err
	}
	have := make(map[signer.KeyID]bool)
	for i := range receipts {
		r := &receipts[i]
		k, ok := p.Witness(r.KeyID)
		if !ok {
			continue
		}
		if _, err := r.Verify(k.Key, block.LeafHash(statement)); err != nil {
			return err
		}
		have[r.KeyID] = true
	}
	return p.Quorum(have)
}

func TestReceiptsRoundTrip(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	for _, want := range l.receipts(t, 0, 1) {
		got, err := block.ParseReceipt(want.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got.KeyID != want.KeyID || !bytes.Equal(got.Signature, want.Signature) || fmt.Sprint(got.Proof) != fmt.Sprint(want.Proof) {
			t.Errorf("read as %+v, want %+v", got, want)
		}
		if !bytes.Equal(got.Encode(), want.Encode()) {
			t.Error("written again it differs")
		}
	}
	k := cosignerKey(t, 0)
	r := l.receipts(t, 0)[0]
	if root, err := r.Verify(k.Public(), l.leaf); err != nil || root != l.Root {
		t.Errorf("verified: %v, %v, want %v", root, err, l.Root)
	}
	if _, err := r.Verify(cosignerKey(t, 1).Public(), l.leaf); !errors.Is(err, signer.ErrSignature) {
		t.Errorf("under another key: %v", err)
	}
	if _, err := r.Verify(k.Public(), block.LeafHash([]byte("other"))); !errors.Is(err, signer.ErrSignature) {
		t.Errorf("of another leaf: %v", err)
	}
}

func TestAReceiptWithoutAPath(t *testing.T) {
	// A ledger of one leaf does not come about, but its receipt has to be an array.
	c := block.Checkpoint{Origin: origin, Size: 1, Root: block.LeafHash([]byte("x"))}
	sig, err := block.SignReceipts(cosignerKey(t, 0), c)
	if err != nil {
		t.Fatal(err)
	}
	r := block.Receipt{KeyID: cosignerKey(t, 0).Public().ID(), Proof: block.Proof{Size: 1}, Signature: sig}
	got, err := block.ParseReceipt(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if root, err := got.Verify(cosignerKey(t, 0).Public(), c.Root); err != nil || root != c.Root {
		t.Errorf("%v, %v", root, err)
	}
}

// A root verifies under many sizes; the signed size is what forbids the others.
func TestAReceiptIsForOneSize(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	r := l.receipts(t, 0)[0]
	for size := uint64(1); size < 100; size++ {
		for index := range size {
			if size == l.Size && index == r.Proof.Index {
				continue
			}
			q := r
			q.Proof.Size, q.Proof.Index = size, index
			if _, err := q.Verify(cosignerKey(t, 0).Public(), l.leaf); err == nil {
				t.Fatalf("the receipt also verifies as leaf %d of %d", index, size)
			}
		}
	}
}

func TestOthersVerifyOurReceipts(t *testing.T) {
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		l := newLedger(t, alg)
		var m cose.Sign1Message
		if err := m.UnmarshalCBOR(l.transparent(t, 0, 1, 2)); err != nil {
			t.Fatal(err)
		}
		list, ok := m.Headers.Unprotected[int64(394)].([]any)
		if !ok || len(list) != 3 {
			t.Fatalf("label 394 holds %T", m.Headers.Unprotected[int64(394)])
		}
		for i, one := range list {
			if err := othersVerify(one.([]byte), l, cosignerKey(t, i).Public()); err != nil {
				t.Errorf("%v, receipt %d: %v", alg, i, err)
			}
			if err := othersVerify(one.([]byte), l, cosignerKey(t, i+1).Public()); err == nil {
				t.Errorf("%v, receipt %d verifies under another key", alg, i)
			}
		}
	}
}

// othersVerify follows RFC 9942 section 5.2 with go-cose and
// transparency-dev/merkle alone.
func othersVerify(receipt []byte, l *ledger, key signer.PublicKey) error {
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(receipt); err != nil {
		return err
	}
	if vds := m.Headers.Protected[int64(395)]; vds != int64(1) {
		return fmt.Errorf("vds is %v", vds)
	}
	if m.Payload != nil {
		return errors.New("the root is not detached")
	}
	proofs := m.Headers.Unprotected[int64(396)].(map[any]any)[int64(-1)].([]any)
	var p struct {
		_     struct{} `cbor:",toarray"`
		Size  uint64
		Index uint64
		Path  [][]byte
	}
	if err := cbor.Unmarshal(proofs[0].([]byte), &p); err != nil {
		return err
	}
	root, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, p.Index, p.Size, l.leaf[:], p.Path)
	if err != nil {
		return err
	}
	m.Payload = root
	v, err := cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(key.Bytes()))
	if err != nil {
		return err
	}
	return m.Verify(nil, v)
}

func TestStatementsComeBackByteForByte(t *testing.T) {
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		l := newLedger(t, alg)
		want := l.receipts(t, 0, 1, 2)
		statement, got, err := block.DetachReceipts(l.transparent(t, 0, 1, 2))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(statement, l.statement) {
			t.Errorf("%v: the statement comes back as %x, was %x", alg, statement, l.statement)
		}
		for i := range want {
			if !bytes.Equal(got[i].Encode(), want[i].Encode()) {
				t.Errorf("%v: receipt %d differs", alg, i)
			}
		}
		if err := verify(policy(t), l.transparent(t, 0, 1, 2), l.key); err != nil {
			t.Errorf("%v: %v", alg, err)
		}
		if err := verify(policy(t), l.transparent(t, 1, 3), l.key); !errors.Is(err, block.ErrQuorum) {
			t.Errorf("%v, two receipts: %v", alg, err)
		}
		if err := verify(policy(t), l.transparent(t, 1, 1, 1, 3), l.key); !errors.Is(err, block.ErrQuorum) {
			t.Errorf("%v, one receipt three times: %v", alg, err)
		}
		if err := verify(policy(t), l.transparent(t, 0, 1, 2, 9), l.key); err != nil {
			t.Errorf("%v, with a stranger's receipt: %v", alg, err)
		}
	}
}

// With exactly a quorum of receipts there is nothing to spare: every byte counts.
func TestEveryChangedByteOfATransparentStatementIsRefused(t *testing.T) {
	p := policy(t)
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		l := newLedger(t, alg)
		b := l.transparent(t, 0, 1, 2)
		for i := range b {
			for _, change := range []byte{0x01, 0x80, 0xff, b[i]} { // the last makes it 0
				if change == 0 {
					continue
				}
				c := bytes.Clone(b)
				c[i] ^= change
				if verify(p, c, l.key) == nil {
					t.Errorf("%v: byte %d of %d, %#02x changed to %#02x, and it verifies", alg, i, len(b), b[i], c[i])
				}
			}
		}
		for n := range b {
			if verify(p, b[:n], l.key) == nil {
				t.Errorf("%v: the first %d of %d bytes verify", alg, n, len(b))
			}
		}
		if verify(p, append(bytes.Clone(b), 0), l.key) == nil {
			t.Errorf("%v: it verifies with a byte behind it", alg)
		}
	}
}

func TestReceiptsThatAreRefused(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	r := l.receipts(t, 0)[0]
	good := string(r.Encode())
	id := string(r.KeyID[:])
	sig := "\x58\x40" + string(r.Signature)
	head := func(pairs string, n int) string {
		s := string([]byte{0xa0 | byte(n)}) + pairs
		return string([]byte{0x58, byte(len(s))}) + s
	}
	alg, kid, vds, size := "\x01\x27", "\x04\x50"+id, "\x19\x01\x8b\x01", "\x3a\x00\x01\x00\x00\x18\x25"
	protected := head(alg+kid+vds+size, 4)
	var path strings.Builder
	for _, h := range l.proof.Path {
		path.WriteString("\x58\x20" + string(h[:]))
	}
	hashes := string([]byte{0x80 | byte(len(l.proof.Path))}) + path.String()
	wrap := func(p string) string {
		if len(p) < 24 {
			return string([]byte{0x40 | byte(len(p))}) + p
		}
		return "\x58" + string([]byte{byte(len(p))}) + p
	}
	incl := "\x83\x18\x25\x14" + hashes
	vdp := func(m string) string { return "\xa1\x19\x01\x8c" + m }
	unprotected := vdp("\xa1\x20\x81" + wrap(incl))
	if made := "\xd2\x84" + protected + unprotected + "\xf6" + sig; made != good {
		t.Fatalf("made %x, want %x", made, good)
	}
	for name, s := range map[string]string{
		"nothing":              "",
		"no tag":               good[1:],
		"another tag":          "\xd1" + good[1:],
		"root attached":        "\xd2\x84" + protected + unprotected + "\x58\x20" + string(l.Root[:]) + sig,
		"root empty":           "\xd2\x84" + protected + unprotected + "\x40" + sig,
		"short signature":      "\xd2\x84" + protected + unprotected + "\xf6\x41s",
		"no signature":         "\xd2\x84" + protected + unprotected + "\xf6\xf6",
		"ES256":                "\xd2\x84" + head("\x01\x26"+kid+vds+size, 4) + unprotected + "\xf6" + sig,
		"another tree":         "\xd2\x84" + head(alg+kid+"\x19\x01\x8b\x02"+size, 4) + unprotected + "\xf6" + sig,
		"no tree":              "\xd2\x84" + head(alg+kid+size, 3) + unprotected + "\xf6" + sig,
		"no size":              "\xd2\x84" + head(alg+kid+vds, 3) + unprotected + "\xf6" + sig,
		"short key id":         "\xd2\x84" + head(alg+"\x04\x41k"+vds+size, 4) + unprotected + "\xf6" + sig,
		"one label more":       "\xd2\x84" + head(alg+"\x03\x61c"+kid+vds+size, 5) + unprotected + "\xf6" + sig,
		"size unprotected":     "\xd2\x84" + protected + "\xa2\x19\x01\x8c\xa1\x20\x81" + wrap(incl) + size + "\xf6" + sig,
		"no proof":             "\xd2\x84" + protected + "\xa0" + "\xf6" + sig,
		"empty proof":          "\xd2\x84" + protected + vdp("\xa1\x20\x80") + "\xf6" + sig,
		"two proofs":           "\xd2\x84" + protected + vdp("\xa1\x20\x82"+wrap(incl)+wrap(incl)) + "\xf6" + sig,
		"consistency proof":    "\xd2\x84" + protected + vdp("\xa1\x21\x81"+wrap(incl)) + "\xf6" + sig,
		"both proofs":          "\xd2\x84" + protected + vdp("\xa2\x20\x81"+wrap(incl)+"\x21\x81"+wrap(incl)) + "\xf6" + sig,
		"proof not wrapped":    "\xd2\x84" + protected + vdp("\xa1\x20\x81"+incl) + "\xf6" + sig,
		"null path":            "\xd2\x84" + protected + vdp("\xa1\x20\x81"+wrap("\x83\x18\x25\x14\xf6")) + "\xf6" + sig,
		"short hash":           "\xd2\x84" + protected + vdp("\xa1\x20\x81"+wrap("\x83\x18\x25\x14\x81\x41h")) + "\xf6" + sig,
		"endless path":         "\xd2\x84" + protected + vdp("\xa1\x20\x81\x59\x08\xa8\x83\x18\x25\x14\x98\x41"+strings.Repeat("\x58\x20"+strings.Repeat("h", 32), 65)) + "\xf6" + sig,
		"long number":          "\xd2\x84" + protected + vdp("\xa1\x20\x81"+wrap("\x83\x18\x25\x18\x14"+hashes)) + "\xf6" + sig,
		"something behind":     good + "\x00",
		"something in a proof": "\xd2\x84" + protected + vdp("\xa1\x20\x81"+wrap(incl+"\x00")) + "\xf6" + sig,
	} {
		if r, err := block.ParseReceipt([]byte(s)); !errors.Is(err, block.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, r, err)
		}
	}
	other := "\xd2\x84" + head(alg+kid+vds+"\x3a\x00\x01\x00\x00\x18\x26", 4) + unprotected + "\xf6" + sig
	if _, err := block.ParseReceipt([]byte(other)); !errors.Is(err, block.ErrProof) {
		t.Errorf("two sizes: %v, want ErrProof", err)
	}
}

func TestTransparentStatementsThatAreRefused(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	list := l.receipts(t, 0, 1, 2)
	many := make([]block.Receipt, 65)
	for i := range many {
		many[i] = list[0]
	}
	for name, fn := range map[string]func() ([]byte, error){
		"no receipts":       func() ([]byte, error) { return block.AttachReceipts(l.statement, nil) },
		"65 receipts":       func() ([]byte, error) { return block.AttachReceipts(l.statement, many) },
		"to no statement":   func() ([]byte, error) { return block.AttachReceipts([]byte("no statement"), list) },
		"a second time":     func() ([]byte, error) { return block.AttachReceipts(l.transparent(t, 0), list) },
		"to half of one":    func() ([]byte, error) { return block.AttachReceipts(l.statement[:50], list) },
		"to nothing at all": func() ([]byte, error) { return block.AttachReceipts(nil, list) },
	} {
		if b, err := fn(); err == nil {
			t.Errorf("attached %s: %d bytes", name, len(b))
		}
	}
	full, err := block.AttachReceipts(l.statement, many[:64])
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := block.DetachReceipts(full); err != nil || len(got) != 64 {
		t.Errorf("64 receipts come back as %d, %v", len(got), err)
	}
	at := bytes.Index(l.statement, []byte("\xa0\x44read"))
	with := func(unprotected string) []byte {
		return append(append(bytes.Clone(l.statement[:at]), unprotected...), l.statement[at+1:]...)
	}
	one := list[0].Encode()
	wrapped := string([]byte{0x59, byte(len(one) >> 8), byte(len(one))}) + string(one)
	if _, _, err := block.DetachReceipts(with("\xa1\x19\x01\x8a\x81" + wrapped)); err != nil {
		t.Fatalf("the statement that others are derived from: %v", err)
	}
	for name, b := range map[string][]byte{
		"nothing":           nil,
		"no receipts":       l.statement,
		"an empty list":     with("\xa1\x19\x01\x8a\x80"),
		"null":              with("\xa1\x19\x01\x8a\xf6"),
		"not in a list":     with("\xa1\x19\x01\x8a" + wrapped),
		"not wrapped":       with("\xa1\x19\x01\x8a\x81" + string(one)),
		"damaged":           with("\xa1\x19\x01\x8a\x82" + wrapped + "\x41r"),
		"one label more":    with("\xa2\x04\x41k\x19\x01\x8a\x81" + wrapped),
		"one label twice":   with("\xa2\x19\x01\x8a\x81" + wrapped + "\x19\x01\x8a\x81" + wrapped),
		"another label":     with("\xa1\x19\x01\x8b\x81" + wrapped),
		"long label":        with("\xa1\x1a\x00\x00\x01\x8a\x81" + wrapped),
		"too many bytes":    append(l.transparent(t, 0), make([]byte, 300_000)...),
		"indefinite length": with("\xa1\x19\x01\x8a\x9f" + wrapped + "\xff"),
	} {
		if _, list, err := block.DetachReceipts(b); !errors.Is(err, block.ErrForm) {
			t.Errorf("%s: %d receipts, %v, want ErrForm", name, len(list), err)
		}
	}
}
