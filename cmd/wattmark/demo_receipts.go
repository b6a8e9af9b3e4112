package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"wattmark/gateway"
	"wattmark/gateway/outbox"
	"wattmark/ledger/block"
	"wattmark/oracle/wire"
)

// keptReceipts is how many statements of a gateway have their files in receipts/,
// as many as its outbox keeps.
const keptReceipts = 64

// receiptFiles are the files of one gateway's newest receipts: of each statement
// "<boot>-<seq>.cose" and "<boot>-<seq>.tlog-proof".
type receiptFiles struct {
	dir string

	mu   sync.Mutex      // guards what follows
	kept []outbox.Number // in order
}

func newReceiptFiles(dir string) *receiptFiles { return &receiptFiles{dir: dir} }

const (
	coseSuffix  = ".cose"
	proofSuffix = ".tlog-proof"
)

func (f *receiptFiles) name(n outbox.Number, suffix string) string {
	return filepath.Join(f.dir, n.String()+suffix)
}

// restore takes up what is there, and writes what a killed process had not written:
// the outbox has the receipts.
func (f *receiptFiles) restore(g *gateway.Gateway, policy *block.Policy) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	list, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		var n outbox.Number
		switch stem, ok := strings.CutSuffix(e.Name(), coseSuffix); {
		case strings.HasPrefix(e.Name(), tempPrefix):
			os.Remove(filepath.Join(f.dir, e.Name())) // of a process that was killed
		case ok:
			if _, err := fmt.Sscanf(stem, "%d-%d", &n.Boot, &n.Seq); err == nil {
				f.kept = append(f.kept, n)
			}
		}
	}
	slices.SortFunc(f.kept, outbox.Number.Compare)
	receipts, err := g.Receipts()
	if err != nil {
		return err
	}
	for _, r := range receipts {
		if slices.Contains(f.kept, r.Number()) {
			continue
		}
		if err := f.rewrite(&r, policy); err != nil {
			return fmt.Errorf("receipt of statement %s: %w", r.Record.Number(), err)
		}
	}
	return nil
}

// rewrite makes a statement's files again from the receipt that the outbox kept.
func (f *receiptFiles) rewrite(r *outbox.Receipt, policy *block.Policy) error {
	if len(r.Receipt) == 0 {
		return nil // it was too large to be kept
	}
	m, err := wire.ParseReceipts(r.Receipt)
	if err != nil {
		return err
	}
	a, err := m.Accept(policy)
	if err != nil {
		return err
	}
	for i := range m.Items {
		it := &m.Items[i]
		if err := a.Check(it, r.Statement); err != nil {
			return err
		}
		transparent, err := a.Transparent(it, r.Statement)
		if err != nil {
			return err
		}
		if err := f.write(r.Number(), transparent, a.LogProof(it, r.Statement)); err != nil {
			return err
		}
	}
	return nil
}

// write adds a statement's files and removes the oldest beyond what is kept.
func (f *receiptFiles) write(n outbox.Number, transparent []byte, proof *block.LogProof) error {
	// The proof first: whoever finds the statement finds both.
	err := writeFile(f.name(n, proofSuffix), proof.Encode())
	if err == nil {
		err = writeFile(f.name(n, coseSuffix), transparent)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at, found := slices.BinarySearchFunc(f.kept, n, outbox.Number.Compare)
	if !found {
		f.kept = slices.Insert(f.kept, at, n)
	}
	for len(f.kept) > keptReceipts {
		old := f.kept[0]
		f.kept = f.kept[1:]
		err = errors.Join(err, remove(f.name(old, coseSuffix)), remove(f.name(old, proofSuffix)))
	}
	return err
}

// remove is os.Remove of what may be gone already.
func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// newest returns the number of the newest receipt with files, false if none has.
func (f *receiptFiles) newest() (outbox.Number, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) == 0 {
		return outbox.Number{}, false
	}
	return f.kept[len(f.kept)-1], true
}
