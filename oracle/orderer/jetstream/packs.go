package jetstream

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/orderer"
)

// ErrNoPack says that no pack is kept under a hash: never put, deleted, or older than 72 hours.
var ErrNoPack = errors.New("no pack under this hash")

// errTakenPack is the cause of a retry when other bytes stood under the hash and were deleted.
var errTakenPack = errors.New("other bytes stood under this hash")

// errCodeStoreFailed is the server's code for a message that the stream's limits refuse: here, a second one for its subject.
const errCodeStoreFailed jetstream.ErrorCode = 10077

// Packs keeps the packs of committed statements, with their salts, apart from the order: 72 hours, and deletable, so that every oracle
// can move them to its vault and nothing personal sits in the order. It is safe for concurrent use.
type Packs struct {
	link
	stream, prefix string
	packs          jetstream.Stream
}

// OpenPacks finds or creates the ledger's store of packs over nc. Errors are those of Open.
func OpenPacks(ctx context.Context, nc *nats.Conn, cfg Config) (*Packs, error) {
	l, err := newLink(nc, cfg)
	if err != nil {
		return nil, err
	}
	p := &Packs{link: l, stream: "PACKS-" + cfg.Ledger, prefix: "packs." + cfg.Ledger + "."}
	p.packs, err = p.ensure(ctx, jetstream.StreamConfig{
		Name:        p.stream,
		Description: "packs of committed statements on their way to the oracles' vaults",
		Subjects:    []string{p.prefix + "*"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		// A second pack under one hash is refused rather than stored: replacing leaves the first one's bytes in the file, where no
		// secure delete reaches them.
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		Replicas:             p.cfg.Replicas,
		MaxAge:               packsAge,
		MaxMsgs:              -1,
		MaxBytes:             -1,
		MaxMsgSize:           maxStored,
		Duplicates:           dedupeWindow,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// MaxSize is the length of the largest pack Put takes, in bytes.
func (p *Packs) MaxSize() int { return maxStored - headerRoom }

// Put keeps pack under hash and returns nil once it is durable. What hash covers is the caller's business; Put does not compute it. The
// same pack may be put again; other bytes under the same hash are replaced. Errors are those of orderer.Orderer's Submit.
func (p *Packs) Put(ctx context.Context, hash [32]byte, pack []byte) error {
	if len(pack) == 0 {
		return orderer.ErrEmpty
	}
	if len(pack) > p.MaxSize() {
		return fmt.Errorf("%w: %d bytes, at most %d", orderer.ErrTooLarge, len(pack), p.MaxSize())
	}
	return p.retry(ctx, func(ctx context.Context) error {
		ack, err := p.js.PublishMsg(ctx, &nats.Msg{Subject: p.subject(hash), Data: pack})
		if err == nil {
			if ack.Stream != p.stream {
				return final{fmt.Errorf("%w: subject %s is taken by stream %s", ErrSettings, p.subject(hash), ack.Stream)}
			}
			return nil
		}
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != errCodeStoreFailed {
			return err
		}
		held, err := p.held(ctx, hash)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return errTakenPack
		case err != nil:
			return err
		case bytes.Equal(held.Data, pack):
			return nil
		}
		if err := p.packs.SecureDeleteMsg(ctx, held.Sequence); err != nil {
			return err
		}
		return errTakenPack
	})
}

// Get returns the pack under hash, or ErrNoPack. Any oracle may have put it: check it against the statement that commits to it, and treat
// a wrong one as absent.
func (p *Packs) Get(ctx context.Context, hash [32]byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AckWait)
	defer cancel()
	m, err := p.held(ctx, hash)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: %x", ErrNoPack, hash)
	}
	if err != nil {
		return nil, fmt.Errorf("reading pack %x: %w", hash, err)
	}
	return m.Data, nil
}

// Delete removes the pack under hash and overwrites its bytes on the servers' disks. A pack that is not there is no error.
func (p *Packs) Delete(ctx context.Context, hash [32]byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AckWait)
	defer cancel()
	m, err := p.held(ctx, hash)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err == nil {
		err = p.packs.SecureDeleteMsg(ctx, m.Sequence)
	}
	if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	// All oracles delete at once, and the server says of the later ones no more than
	// that it did not.
	if _, gone := p.held(ctx, hash); errors.Is(gone, jetstream.ErrMsgNotFound) {
		return nil
	}
	return fmt.Errorf("deleting pack %x: %w", hash, err)
}

func (p *Packs) held(ctx context.Context, hash [32]byte) (*jetstream.RawStreamMsg, error) {
	return p.packs.GetLastMsgForSubject(ctx, p.subject(hash))
}

func (p *Packs) subject(hash [32]byte) string { return p.prefix + hex.EncodeToString(hash[:]) }
