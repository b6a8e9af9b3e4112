package oracle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/state"
)

const (
	packsAtOnce  = 16                     // packs being fetched
	firstLook    = 10 * time.Millisecond  // until a missing pack is looked for again; doubles
	lastLook     = time.Second            // up to this, and then it is logged each time
	peersMayTake = 500 * time.Millisecond // to answer with a pack
)

// fetchPacks gets the packs of committed readings that are not at hand and may make
// a difference: whatever the rules refuse in any case, such as what an oracle signed
// or what was said before, is not waited for. Of what they may accept a pack is
// durable before the statement is ordered, so waiting for it ends; the block is not
// executed without it.
func (n *Node) fetchPacks(ctx context.Context, items []item) error {
	var wanted []*item
	n.ledger.View(func(s *state.State) {
		for i := range items {
			if s.WantsPack(&items[i].input) {
				wanted = append(wanted, &items[i])
			}
		}
	})
	var wg sync.WaitGroup
	limit := make(chan struct{}, packsAtOnce)
	for _, it := range wanted {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			if pack := n.fetchPack(ctx, &it.input); pack != nil {
				it.input.SetPack(pack)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// fetchPack gets the pack of a committed reading, from where packs wait, from this
// oracle's vault, or from another's; nil only when ctx ends, or when blocks that were
// executed meanwhile have made the pack useless. Whatever else somebody gives for it is
// as good as none: oracles that took it would differ from those that have the right
// one.
func (n *Node) fetchPack(ctx context.Context, in *state.Input) []byte {
	digest := [32]byte(in.Opened.Message().Payload)
	for wait := firstLook; ctx.Err() == nil; wait = min(2*wait, lastLook) {
		pack, err := n.cfg.Packs.Get(ctx, digest)
		if err == nil && sha256.Sum256(pack) == digest {
			return pack
		}
		if err == nil {
			err = errors.New("another pack stands there under its digest")
		}
		if pack := n.ledger.Pack(digest[:]); pack != nil && sha256.Sum256(pack) == digest {
			return pack
		}
		if pack := n.askForPack(ctx, digest); pack != nil {
			return pack
		}
		wanted := false
		n.ledger.View(func(s *state.State) { wanted = s.WantsPack(in) })
		if !wanted {
			return nil
		}
		if wait >= lastLook && ctx.Err() == nil {
			n.cfg.Log.Warn("waiting for a committed pack", "digest", fmt.Sprintf("%x", digest[:8]), "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// askForPack asks the other oracles for a pack that is in their vaults, and
// returns the first right answer, or nil.
func (n *Node) askForPack(ctx context.Context, digest [32]byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, peersMayTake)
	defer cancel()
	inbox := n.cfg.Conn.NewInbox()
	answers, err := n.cfg.Conn.SubscribeSync(inbox)
	if err != nil {
		return nil
	}
	defer answers.Unsubscribe()
	if err := n.cfg.Conn.PublishRequest(n.subjects.Pack(), inbox, digest[:]); err != nil {
		return nil
	}
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return nil
		}
		if sha256.Sum256(m.Data) == digest {
			return m.Data
		}
	}
}

// givePack answers another oracle that asks for a pack, if the vault has it.
func (n *Node) givePack(m *nats.Msg) {
	if len(m.Data) != sha256.Size || m.Reply == "" {
		return
	}
	pack := n.ledger.Pack(m.Data)
	if pack == nil {
		return
	}
	if err := m.Respond(pack); err != nil {
		n.cfg.Log.Warn("did not give a pack", "error", err)
	}
}
