package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"wattmark/ledger/block"
	"wattmark/oracle/api"
)

// askedLedger shows a ledger as a running oracle tells it.
type askedLedger struct {
	*oracleClient
	w      io.Writer
	asJSON bool
}

// shownBlocks is how many of the newest blocks show has.
const shownBlocks = 10

func (a *askedLedger) show(ctx context.Context) error {
	const path = "/api/v1/ledger"
	var head api.Head
	if err := a.ask(ctx, path, &head); err != nil {
		return err
	}
	if head.Kind != "ledger" || head.Ledger == "" || head.Size == 0 {
		return a.stranger(path, "it tells of no ledger")
	}
	// The ledger grows between two questions. The checkpoint comes first, so that the blocks
	// that are told of then have all of its leaves.
	final, root, err := a.checkpoint(ctx, head.Ledger)
	if err != nil {
		return err
	}
	newest, err := a.newest(ctx)
	if err != nil {
		return err
	}
	last := newest[len(newest)-1]
	s := shownLedger{From: a.base.String(), Origin: head.Ledger, Simulated: head.Simulated, Oracles: head.Oracles, Quorum: uint64(max(head.Quorum, 0)), Height: last.Height, Leaves: last.LastLeaf + 1}
	switch {
	case final > s.Leaves:
		return a.stranger(path, fmt.Sprintf("a checkpoint of %d leaves, where it has %d", final, s.Leaves))
	case final > 0:
		s.Final, s.FinalRoot = final, root
		if final == s.Leaves {
			s.Root = root
		}
	case head.FinalHeight != nil: // and not published yet
		b, err := a.block(ctx, *head.FinalHeight)
		if err != nil {
			return err
		}
		s.Final = b.LastLeaf + 1
	}
	for _, b := range newest {
		header := shownLeaf{Index: b.LastLeaf}
		if a.asJSON { // which says more of a header than people are shown
			l, err := a.leaf(ctx, b.LastLeaf)
			if err != nil {
				return err
			}
			header = inWords(l)
		}
		header.Summary = blockLine(b.Height, b.Time, b.FirstLeaf, b.LastLeaf)
		s.LastBlocks = append(s.LastBlocks, header)
	}
	return printLedger(a.w, &s, a.asJSON)
}

// checkpoint returns how many leaves are final and their root, as the oracle has published
// them; 0 where it has published none.
func (a *askedLedger) checkpoint(ctx context.Context, origin string) (size uint64, root string, err error) {
	const path = "/checkpoint"
	note, err := a.get(ctx, path)
	if _, ok := errors.AsType[*refusal](err); ok {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	c, err := block.CheckpointOf(note)
	if err != nil || c.Origin != origin {
		return 0, "", a.stranger(path, fmt.Sprintf("it is no checkpoint of %q", origin))
	}
	return c.Size, hex.EncodeToString(c.Root[:]), nil
}

// newest returns the newest blocks, the last one last.
func (a *askedLedger) newest(ctx context.Context) ([]api.BlockItem, error) {
	path := fmt.Sprintf("/api/v1/blocks?limit=%d", shownBlocks)
	var list api.Page[api.BlockItem]
	if err := a.ask(ctx, path, &list); err != nil {
		return nil, err
	}
	if n := len(list.Items); n == 0 || n > shownBlocks {
		return nil, a.stranger(path, fmt.Sprintf("%d blocks", n))
	}
	slices.Reverse(list.Items)
	for i, b := range list.Items {
		if b.Height != list.Items[0].Height+uint64(i) || b.Time == "" || b.FirstLeaf > b.LastLeaf {
			return nil, a.stranger(path, "its blocks do not follow one another")
		}
	}
	return list.Items, nil
}

// block returns the block at a height.
func (a *askedLedger) block(ctx context.Context, height uint64) (*api.BlockItem, error) {
	path := fmt.Sprintf("/api/v1/blocks/%d", height)
	var b api.BlockItem
	if err := a.ask(ctx, path, &b); err != nil {
		return nil, err
	}
	if b.Height != height || b.Time == "" || b.FirstLeaf > b.LastLeaf {
		return nil, a.stranger(path, "it is not that block")
	}
	return &b, nil
}

// leaf returns the leaf with an index.
func (a *askedLedger) leaf(ctx context.Context, index uint64) (*api.LeafItem, error) {
	path := fmt.Sprintf("/api/v1/leaves/%d", index)
	var l api.LeafItem
	if err := a.ask(ctx, path, &l); err != nil {
		return nil, err
	}
	if !isLeaf(&l, index) {
		return nil, a.stranger(path, "it is not that leaf")
	}
	return &l, nil
}

func isLeaf(l *api.LeafItem, index uint64) bool {
	hash, err := hex.DecodeString(l.Hash)
	return err == nil && len(hash) == len(block.Hash{}) && l.Index == index && slices.Contains([]string{"charter", "statement", "outcome", "header", "unknown"}, l.Type)
}

func (a *askedLedger) showLeaf(ctx context.Context, index uint64) error {
	l, err := a.leaf(ctx, index)
	if err != nil {
		return err
	}
	return printLeaf(a.w, inWords(l), a.asJSON)
}

// askedLeaves is how many leaves one question is for.
const askedLeaves = 200

// showBlock shows the leaves of a block as they come, in their order and no more than the
// block says that it has, whatever cursor the oracle gives.
func (a *askedLedger) showBlock(ctx context.Context, height uint64) error {
	b, err := a.block(ctx, height)
	if err != nil {
		return err
	}
	next, cursor := b.FirstLeaf, ""
	for {
		path := fmt.Sprintf("/api/v1/blocks/%d/leaves?limit=%d&cursor=%s", height, askedLeaves, url.QueryEscape(cursor))
		var part api.Page[api.LeafItem]
		if err := a.ask(ctx, path, &part); err != nil {
			return err
		}
		for i := range part.Items {
			if next > b.LastLeaf || !isLeaf(&part.Items[i], next) {
				return a.stranger(path, fmt.Sprintf("leaf %d does not come next", part.Items[i].Index))
			}
			if err := printLeaf(a.w, inWords(&part.Items[i]), a.asJSON); err != nil {
				return err
			}
			next++
		}
		switch cursor = part.Next; {
		case next > b.LastLeaf:
			return nil
		case cursor == "" || len(part.Items) == 0:
			return a.stranger(path, fmt.Sprintf("leaf %d of the block is missing", next))
		}
	}
}
