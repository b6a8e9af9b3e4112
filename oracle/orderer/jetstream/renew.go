package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Renew deletes the ledger's order and begins another one whose first message has the
// sequence first: the last step of the ceremony after an order was rewound or diverged,
// when all oracles stand at one block that rests on a message before. It is not undone.
func Renew(ctx context.Context, nc *nats.Conn, cfg Config, first uint64) (*Orderer, error) {
	if first == 0 {
		return nil, errors.New("an order begins at 1")
	}
	l, err := newLink(nc, cfg)
	if err != nil {
		return nil, err
	}
	o := &Orderer{link: l, stream: "ORDER-" + cfg.Ledger, subject: "order." + cfg.Ledger}
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	if err := o.js.DeleteStream(ctx, o.stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("deleting the order: %w", err)
	}
	want := o.settings()
	want.FirstSeq = first
	if _, err := o.js.CreateStream(ctx, want); err != nil {
		return nil, fmt.Errorf("beginning an order at %d: %w", first, err)
	}
	return Open(ctx, nc, cfg)
}
