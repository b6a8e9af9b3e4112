package oracle

import "context"

// sortHashes keeps the index by which leaves are found by their hash. Nothing waits for it,
// and what it cannot write makes such a search slower and is tried again with what comes.
func (n *Node) sortHashes(ctx context.Context) error {
	s := n.ledger.Store()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.LookupDue():
		}
		if err := s.ExtendLookup(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("leaves are found by their hash more slowly", "error", err)
		}
	}
}
