package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// answered is a drawn ledger and the receipts for its statements.
type answered struct {
	*ledgertest.Chain
	statements [][]byte
}

func answer(t testing.TB) (*answered, *wire.Receipts) {
	t.Helper()
	a := &answered{Chain: ledgertest.New(t, 4)}
	enrolment, _ := a.Enrolment("home-1", signer.EdDSA, entry.ModeOpen).Sign(t)
	a.Append(append(a.Clocks(60_000), a.Deliver(enrolment, nil))...)
	messages := a.Clocks(60_000)
	first := a.Size() + uint64(len(messages))
	for i := range int64(5) {
		s, pack := a.Reading("home-1", ledgertest.Record("home-1", "energy", 100+i, ledgertest.Start+i)).Sign(t)
		a.statements = append(a.statements, s)
		messages = append(messages, a.Deliver(s, pack))
	}
	b := a.Append(messages...)
	r := a.signed(t, b.Checkpoint, 0, 1, 2)
	prover := block.NewProver(a, b.Checkpoint.Size)
	for i := range a.statements {
		p, err := prover.Prove(first + uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		r.Items = append(r.Items, wire.ReceiptItem{Boot: 1, Count: uint64(i + 1), Index: p.Index, Path: p.Path})
	}
	return a, r
}

// signed is receipts for nothing, signed by some oracles.
func (a *answered) signed(t testing.TB, c block.Checkpoint, oracles ...int) *wire.Receipts {
	t.Helper()
	r := &wire.Receipts{Checkpoint: a.Sign(t, c)}
	for _, i := range oracles {
		k := a.Oracles[i].Cosigner
		sig, err := block.SignReceipts(k, c)
		if err != nil {
			t.Fatal(err)
		}
		r.Signatures = append(r.Signatures, wire.ReceiptSignature{KeyID: k.Public().ID(), Signature: sig})
	}
	return r
}

var unexported = cmpopts.IgnoreUnexported(wire.ReceiptSignature{})

// From receipts as they travel to what a verifier holds.
func TestReceiptsVerify(t *testing.T) {
	a, r := answer(t)
	got, err := wire.ParseReceipts(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got, unexported); diff != "" {
		t.Fatalf("receipts (-want +got):\n%s", diff)
	}
	accepted, err := got.Accept(a.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Items {
		it := &got.Items[i]
		if err := accepted.Check(it, a.statements[i]); err != nil {
			t.Errorf("item %d: %v", i, err)
		}
		transparent, err := accepted.Transparent(it, a.statements[i])
		if err != nil {
			t.Fatal(err)
		}
		statement, receipts, err := block.DetachReceipts(transparent)
		if err != nil || !bytes.Equal(statement, a.statements[i]) || len(receipts) != 3 {
			t.Fatalf("item %d: got %d receipts and error %v, and the statement again: %v", i, len(receipts), err, bytes.Equal(statement, a.statements[i]))
		}
		for _, one := range receipts {
			k, ok := a.Policy.Witness(one.KeyID)
			if !ok {
				t.Fatalf("receipt of key %v, which is no oracle's", one.KeyID)
			}
			if root, err := one.Verify(k.Key, block.LeafHash(statement)); err != nil || root != a.Last().Checkpoint.Root {
				t.Errorf("receipt of %s: root %x and error %v", k.Name, root, err)
			}
		}
		parsed, err := block.ParseLogProof(accepted.LogProof(it, a.statements[i]).Encode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Verify(a.Policy); err != nil {
			t.Errorf("tlog-proof of item %d: %v", i, err)
		}
	}
}

func TestReceiptsOfAnotherStatementDoNotVerify(t *testing.T) {
	a, r := answer(t)
	accepted, err := r.Accept(a.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Items {
		for k := range a.statements {
			if err := accepted.Check(&r.Items[i], a.statements[k]); (err == nil) != (i == k) {
				t.Errorf("item %d for statement %d: got error %v", i, k, err)
			}
		}
	}
	changed := bytes.Clone(a.statements[0])
	changed[len(changed)-1] ^= 1
	moved := r.Items[0]
	moved.Index++
	cut := r.Items[0]
	cut.Path = cut.Path[1:]
	for _, c := range []struct {
		name      string
		item      wire.ReceiptItem
		statement []byte
	}{{"changed statement", r.Items[0], changed}, {"moved item", moved, a.statements[0]}, {"short path", cut, a.statements[0]}} {
		if err := accepted.Check(&c.item, c.statement); !errors.Is(err, block.ErrProof) {
			t.Errorf("%s: got error %v, want ErrProof", c.name, err)
		}
	}
}

// A receipt ends a responsibility, so too little must not pass for one.
func TestAcceptRefuses(t *testing.T) {
	a, _ := answer(t)
	c := a.Last().Checkpoint
	other := c
	other.Root[0] ^= 1
	stranger := ledgertest.Key(t, signer.EdDSA, "a stranger")
	strange, err := block.SignReceipts(stranger, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		name   string
		change func(*wire.Receipts)
		want   error
	}{
		{"two receipt signatures of four", func(r *wire.Receipts) { r.Signatures = r.Signatures[:2] }, block.ErrQuorum},
		{"none", func(r *wire.Receipts) { r.Signatures = nil }, block.ErrQuorum},
		{"one of them thrice", func(r *wire.Receipts) { r.Signatures[1], r.Signatures[2] = r.Signatures[0], r.Signatures[0] }, block.ErrQuorum},
		{"two cosignatures", func(r *wire.Receipts) { r.Checkpoint = a.Sign(t, c, 0, 1) }, block.ErrQuorum},
		{"a checkpoint of another root", func(r *wire.Receipts) { r.Checkpoint = a.Sign(t, other) }, signer.ErrSignature},
		{"receipts of another root", func(r *wire.Receipts) { r.Signatures = a.signed(t, other, 0, 1, 2).Signatures }, signer.ErrSignature},
		{"a changed signature", func(r *wire.Receipts) { r.Signatures[2].Signature[7] ^= 1 }, signer.ErrSignature},
		{"a signature of no bytes", func(r *wire.Receipts) { r.Signatures[2].Signature = nil }, signer.ErrSignature},
		{"a stranger's signature", func(r *wire.Receipts) {
			r.Signatures = append(r.Signatures, wire.ReceiptSignature{KeyID: stranger.Public().ID(), Signature: strange})
		}, block.ErrQuorum},
		{"no checkpoint", func(r *wire.Receipts) { r.Checkpoint = nil }, block.ErrForm},
	} {
		r := a.signed(t, c, 0, 1, 2)
		k.change(r)
		if _, err := r.Accept(a.Policy); !errors.Is(err, k.want) {
			t.Errorf("%s: got error %v, want %v", k.name, err, k.want)
		}
	}
}

func TestReceiptsLimits(t *testing.T) {
	_, r := answer(t)
	r.Items = make([]wire.ReceiptItem, wire.MaxItems)
	for i := range r.Items {
		r.Items[i] = wire.ReceiptItem{Boot: 1 << 53, Count: 1 << 53, Index: 1 << 62, Path: make([]block.Hash, 48)}
		r.Items[i].Path[47] = block.Hash{byte(i), byte(i >> 8)} // nothing is shared
	}
	b := r.Encode()
	if _, err := wire.ParseReceipts(b); err != nil {
		t.Errorf("%d items, %d bytes, in a tree of 2^48: %v", len(r.Items), len(b), err)
	}
	if len(b) > 1<<20 {
		t.Errorf("a full message has %d bytes, over what the broker takes", len(b))
	}
	r.Items = append(r.Items[:0:0], make([]wire.ReceiptItem, wire.MaxItems+1)...)
	if _, err := wire.ParseReceipts(r.Encode()); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("%d items: got error %v, want ErrMessage", len(r.Items), err)
	}
	if _, err := wire.ParseReceipts(make([]byte, 1<<20+1)); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("more than a MiB: got error %v, want ErrMessage", err)
	}
}

// There is one encoding, whatever else a CBOR decoder would take for the same.
func TestReceiptsHaveOneForm(t *testing.T) {
	_, r := answer(t)
	good := r.Encode()
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"truncated", good[:len(good)-1]},
		{"a byte more", append(bytes.Clone(good), 0)},
		{"another version", append([]byte{0x84, 0x03}, good[2:]...)},
		{"the version before", append([]byte{0x84, 0x01}, good[2:]...)},
		{"a long version", append([]byte{0x84, 0x18, 0x02}, good[2:]...)},
		{"null instead of a checkpoint", []byte{0x84, 0x01, 0xf6, 0x80, 0x80}},
		{"null instead of items", []byte{0x84, 0x01, 0x40, 0x80, 0xf6}},
		{"indefinite length", []byte{0x84, 0x01, 0x40, 0x80, 0x9f, 0xff}},
		{"a short hash", []byte{0x84, 0x01, 0x40, 0x80, 0x81, 0x84, 0x01, 0x01, 0x01, 0x81, 0x41, 0x00}},
		{"shared with nothing", []byte{0x84, 0x02, 0x40, 0x80, 0x81, 0x85, 0x01, 0x01, 0x01, 0x01, 0x80}},
		{"shared and written", sharedAndWritten()},
		{"a path of 65", (&wire.Receipts{Items: []wire.ReceiptItem{{Path: make([]block.Hash, 65)}}}).Encode()},
	} {
		if _, err := wire.ParseReceipts(c.b); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%s: got error %v, want ErrMessage", c.name, err)
		}
	}
	if _, err := wire.ParseReceipts(good); err != nil {
		t.Error(err)
	}
}

// sharedAndWritten has two items of one hash, which the second writes again.
func sharedAndWritten() []byte {
	r := &wire.Receipts{Items: []wire.ReceiptItem{{Boot: 1, Path: make([]block.Hash, 1)}, {Boot: 2, Path: make([]block.Hash, 1)}}}
	b := r.Encode()
	item := append([]byte{0x85, 2, 0, 0, 0, 0x81, 0x58, 0x20}, make([]byte, 32)...)
	return append(b[:len(b)-6], item...)
}

// message has the form of receipts on the wire, for the general encoder.
type message struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Checkpoint []byte
	Signatures []wire.ReceiptSignature
	Items      []any
}

type item struct {
	_                          struct{} `cbor:",toarray"`
	Boot, Count, Index, Shared uint64
	Own                        []block.Hash
}

type wholeItem struct {
	_                  struct{} `cbor:",toarray"`
	Boot, Count, Index uint64
	Path               []block.Hash
}

var deterministic = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// generally writes receipts of a version with the general encoder.
func generally(t interface{ Fatal(...any) }, version uint64, r *wire.Receipts) []byte {
	m := message{Version: version, Checkpoint: r.Checkpoint, Signatures: r.Signatures, Items: []any{}}
	var before []block.Hash
	for _, it := range r.Items {
		if version == 1 {
			m.Items = append(m.Items, wholeItem{Boot: it.Boot, Count: it.Count, Index: it.Index, Path: it.Path})
			continue
		}
		own := len(it.Path)
		for own > 0 && len(it.Path)-own < len(before) && it.Path[own-1] == before[len(before)-1-(len(it.Path)-own)] {
			own--
		}
		m.Items = append(m.Items, item{Boot: it.Boot, Count: it.Count, Index: it.Index, Shared: uint64(len(it.Path) - own), Own: it.Path[:own]})
		before = it.Path
	}
	b, err := deterministic.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReceiptsRoundTrip(t *testing.T) {
	number := rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64Range(1<<15, 1<<17), rapid.Uint64())
	rapid.Check(t, func(t *rapid.T) {
		some := func(n int, what string) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, what) }
		want := &wire.Receipts{Checkpoint: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "checkpoint")}
		for range rapid.IntRange(0, 3).Draw(t, "signatures") {
			want.Signatures = append(want.Signatures, wire.ReceiptSignature{KeyID: signer.KeyID(some(16, "key")), Signature: some(64, "signature")})
		}
		for range rapid.IntRange(0, 30).Draw(t, "items") {
			it := wire.ReceiptItem{Boot: number.Draw(t, "boot"), Count: number.Draw(t, "count"), Index: number.Draw(t, "index")}
			for range rapid.IntRange(0, 5).Draw(t, "hashes") {
				it.Path = append(it.Path, block.Hash{rapid.ByteRange(0, 1).Draw(t, "hash")}) // often the same
			}
			want.Items = append(want.Items, it)
		}
		b := want.Encode()
		if general := generally(t, 2, want); !bytes.Equal(b, general) {
			t.Fatalf("got %x, the general encoder writes %x", b, general)
		}
		for _, b := range [][]byte{b, generally(t, 1, want)} {
			got, err := wire.ParseReceipts(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, unexported, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("receipts of version %d (-want +got):\n%s", b[1], diff)
			}
		}
	})
}

func FuzzReceipts(f *testing.F) {
	_, r := answer(f)
	f.Add(r.Encode())
	f.Add((&wire.Receipts{}).Encode())
	f.Add(generally(f, 1, r))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := wire.ParseReceipts(b)
		if err != nil {
			return
		}
		version := uint64(b[1])
		if again := got.Encode(); version == 2 && !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
		if general := generally(t, version, got); !bytes.Equal(general, b) {
			t.Fatalf("%x: the general encoder writes %x", b, general)
		}
	})
}

func BenchmarkParseReceipts(b *testing.B) {
	_, r := answer(b)
	r.Items = make([]wire.ReceiptItem, 64)
	for i := range r.Items {
		r.Items[i] = wire.ReceiptItem{Boot: 1, Count: uint64(1000 + i), Index: uint64(1_000_000 + i), Path: make([]block.Hash, 20)}
	}
	message := r.Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseReceipts(message); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(r.Items)), "ns/item")
}

// vector is the receipts of the vectors: three places under something that nobody signed.
func vector() *wire.Receipts {
	hash := func(b byte) (h block.Hash) {
		for i := range h {
			h[i] = b
		}
		return h
	}
	return &wire.Receipts{
		Checkpoint: []byte("wattmark.example/vectors\n7\n"),
		Signatures: []wire.ReceiptSignature{{KeyID: signer.KeyID{0xaa}, Signature: bytes.Repeat([]byte{0xbb}, 64)}},
		Items: []wire.ReceiptItem{
			{Boot: 1, Count: 300, Index: 3, Path: []block.Hash{hash(1), hash(2), hash(3)}},
			{Boot: 1, Count: 301, Index: 2, Path: []block.Hash{hash(4), hash(2), hash(3)}},
			{Boot: 2, Count: 0, Index: 70_000, Path: []block.Hash{hash(2), hash(3)}},
		},
	}
}

// TestReceiptVectors: what is written, and was, is what others were told to read.
func TestReceiptVectors(t *testing.T) {
	want := vector()
	for name, b := range map[string][]byte{"receipts-1.hex": generally(t, 1, want), "receipts-2.hex": want.Encode()} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored, b) {
			t.Errorf("%s: written as\n%x", name, b)
		}
		got, err := wire.ParseReceipts(stored)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got, unexported); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
