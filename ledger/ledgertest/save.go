package ledgertest

import (
	"crypto/sha256"
	"path/filepath"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// Save writes the chain into a directory as an oracle's store, with its vault and
// the last block's checkpoint as final, signed by a quorum. The index holds no
// state, as after a crash that lost it: whoever opens the ledger executes it again.
func (c *Chain) Save(dir string) {
	c.tb.Helper()
	SaveLeaves(c, dir, c.leaves)
	s, _, err := store.Open(dir, store.Options{})
	if err == nil {
		err = s.SetFinal(c.Note(), c.Last().Header.Height)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		c.tb.Fatalf("saving chain: %v", err)
	}
	v, _, err := store.OpenVault(filepath.Join(dir, "vault"), store.Options{})
	if err != nil {
		c.tb.Fatalf("saving vault: %v", err)
	}
	for _, b := range c.Blocks {
		if packs := c.kept(b); len(packs) > 0 {
			if err := v.Put(time.UnixMilli(b.Header.Time).UTC().Format(time.DateOnly), packs); err != nil {
				c.tb.Fatalf("saving vault: %v", err)
			}
		}
	}
	if err := v.Close(); err != nil {
		c.tb.Fatalf("saving vault: %v", err)
	}
}

// kept returns the packs of a block's accepted statements.
func (c *Chain) kept(b *Block) []store.Pack {
	var packs []store.Pack
	for _, i := range b.Result.Accepted {
		m := &b.Messages[i]
		if m.Pack == nil || !m.opened.Message().Hidden() {
			continue
		}
		packs = append(packs, store.Pack{Subject: c.subjectOf(m.opened), Digest: sha256.Sum256(m.Pack), Preimage: m.Pack})
	}
	return packs
}

func (c *Chain) subjectOf(o signer.Opened) string {
	k, _ := c.State.Key(o.Key().ID())
	return k.Points[0]
}

// SaveLeaves writes any leaves whose headers chain, tampered ones too, into a
// directory as a store. It fails c's test where the store itself refuses them.
func SaveLeaves(c *Chain, dir string, leaves [][]byte) {
	c.tb.Helper()
	s, _, err := store.Open(dir, store.Options{})
	if err != nil {
		c.tb.Fatalf("saving leaves: %v", err)
	}
	var tree block.Tree
	from := 0
	for i, leaf := range leaves {
		tree.Append(block.LeafHash(leaf), nil)
		h, err := block.ParseHeader(leaf)
		if err != nil {
			continue
		}
		if err := s.Append(leaves[from:i+1], nil, store.Commit{Height: h.Height, Size: tree.Size(), Root: tree.Root()}); err != nil {
			c.tb.Fatalf("saving block %d: %v", h.Height, err)
		}
		from = i + 1
	}
	if err := s.Close(); err != nil {
		c.tb.Fatalf("saving leaves: %v", err)
	}
}
