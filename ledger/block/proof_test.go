package block_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	tproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"wattmark/ledger/block"
	"wattmark/signer"
)

func (l *ledger) logProof(tb testing.TB, logs, cosigners []int) *block.LogProof {
	return &block.LogProof{Extra: l.statement, Index: l.proof.Index, Path: l.proof.Path, Checkpoint: signed(tb, l.Checkpoint, logs, cosigners)}
}

func TestLogProofsRoundTrip(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	want := l.logProof(t, []int{0}, []int{0, 1, 2})
	b := want.Encode()
	got, err := block.ParseLogProof(b)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(*got) != fmt.Sprint(*want) || !bytes.Equal(got.Encode(), b) {
		t.Errorf("read as %+v, want %+v", got, want)
	}
	s, err := got.Verify(policy(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.Checkpoint != l.Checkpoint || len(s.Logs) != 1 || len(s.Witnesses) != 3 {
		t.Errorf("verified as %+v", s)
	}
	none := &block.LogProof{Checkpoint: want.Checkpoint}
	if back, err := block.ParseLogProof(none.Encode()); err != nil || back.Extra != nil || back.Path != nil {
		t.Errorf("without leaf and path: %+v, %v", back, err)
	}
	if _, err := none.Verify(policy(t)); !errors.Is(err, block.ErrProof) || !strings.Contains(err.Error(), "extra line") {
		t.Errorf("without a leaf: %v", err)
	}
}

func TestOthersVerifyOurLogProofs(t *testing.T) {
	l := newLedger(t, signer.ES256)
	b := l.logProof(t, []int{0}, []int{0, 1, 2}).Encode()
	var p tproof.TLogProof
	if err := p.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	if p.Index != l.proof.Index || !bytes.Equal(p.ExtraData, l.statement) {
		t.Errorf("transparency-dev reads index %d and %d bytes of extra data", p.Index, len(p.ExtraData))
	}
	n, err := note.Open(p.Checkpoint, note.VerifierList(verifiers(t, []int{0}, []int{0, 1, 2})...))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := block.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	path := make(tlog.RecordProof, len(p.Hashes))
	for i, h := range p.Hashes {
		path[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(path, int64(tree.Size), tree.Root, int64(p.Index), tlog.RecordHash(p.ExtraData)); err != nil {
		t.Error(err)
	}
}

// With one log's signature and exactly a quorum of cosignatures there is
// nothing to spare: every byte counts.
func TestEveryChangedByteOfALogProofIsRefused(t *testing.T) {
	p := policy(t)
	l := newLedger(t, signer.EdDSA)
	b := l.logProof(t, []int{0}, []int{0, 1, 2}).Encode()
	check := func(b []byte) error {
		q, err := block.ParseLogProof(b)
		if err == nil {
			_, err = q.Verify(p)
		}
		return err
	}
	if err := check(b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for _, change := range []byte{0x01, 0x02, 0x04, 0x08, 0x20, 0x80, b[i] ^ '\n', b[i] ^ '='} {
			if change == 0 {
				continue
			}
			c := bytes.Clone(b)
			c[i] ^= change
			if check(c) == nil {
				t.Errorf("byte %d of %d, %q changed to %q, and it verifies", i, len(b), b[i], c[i])
			}
		}
		if check(append(bytes.Clone(b[:i]), b[i+1:]...)) == nil {
			t.Errorf("byte %d of %d, %q, left out, and it verifies", i, len(b), b[i])
		}
		if check(b[:i]) == nil {
			t.Errorf("the first %d of %d bytes verify", i, len(b))
		}
	}
	if check(append(bytes.Clone(b), 'x')) == nil {
		t.Error("it verifies with a byte behind it")
	}
}

func TestLogProofsOfAnotherPlace(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	for index := range uint64(40) {
		p := l.logProof(t, []int{0}, []int{0, 1, 2})
		p.Index = index
		if _, err := p.Verify(policy(t)); (err == nil) != (index == 20) || err != nil && !errors.Is(err, block.ErrProof) {
			t.Errorf("at index %d: %v", index, err)
		}
	}
	p := l.logProof(t, []int{0}, []int{0, 1})
	if _, err := p.Verify(policy(t)); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("two cosignatures: %v", err)
	}
}

func TestLogProofsThatAreRefused(t *testing.T) {
	l := newLedger(t, signer.EdDSA)
	good := string(l.logProof(t, []int{0}, []int{0, 1, 2}).Encode())
	line := strings.SplitAfter(good, "\n")
	hash := line[3]
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, s := range map[string]string{
		"nothing":             "",
		"another version":     swap("proof@v1", "proof@v2"),
		"no magic":            good[len(line[0]):],
		"no empty line":       strings.ReplaceAll(good, "\n\n", "\n"),
		"no index":            swap("index 20\n", ""),
		"index first":         swap(line[1]+line[2], line[2]+line[1]),
		"index with zeros":    swap("index 20\n", "index 020\n"),
		"index with a plus":   swap("index 20\n", "index +20\n"),
		"index too large":     swap("index 20\n", "index 9223372036854775808\n"),
		"negative index":      swap("index 20\n", "index -1\n"),
		"two spaces":          swap("index 20\n", "index  20\n"),
		"two extra lines":     swap(line[1], line[1]+line[1]),
		"empty extra line":    swap(line[1], "extra \n"),
		"extra not base64":    swap(line[1], "extra ****\n"),
		"extra unpadded":      swap(line[1], "extra AA\n"),
		"extra loose":         swap(line[1], "extra AB==\n"),
		"extra with a return": swap(line[1], strings.TrimSuffix(line[1], "\n")+"\r\n"),
		"short hash":          swap(hash, "AAAA\n"),
		"hash with a space":   swap(hash, " "+hash),
		"65 hashes":           swap(hash, strings.Repeat(hash, 65)),
		"unknown line":        swap(hash, "more x\n"),
		"too many bytes":      good + strings.Repeat("x", 256<<10),
	} {
		if p, err := block.ParseLogProof([]byte(s)); !errors.Is(err, block.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, p, err)
		}
	}
}
