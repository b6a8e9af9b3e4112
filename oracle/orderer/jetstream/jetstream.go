// Package jetstream keeps an order, and the packs of committed statements beside it, in two NATS JetStream streams.
//
// The order is a stream that refuses deletes and purges and is trimmed by age only. A message's id is the SHA-256 of its bytes, so that
// a repeated publish is ordered once within two minutes. One embedded server or three replicas use the same code. The servers must run
// with sync_interval: always, else an acknowledged message is not durable; package broker starts one that does. ../DESIGN.md tells the
// traps.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxStored is the largest message a stream takes with its headers, in bytes: the servers' default limit for any message.
	maxStored = 1 << 20
	// headerRoom is kept free of it for headers, in bytes.
	headerRoom = 4 << 10

	// orderAge is how long the order keeps a message unless Config says otherwise. Blocks hold everything for ever.
	orderAge = 30 * 24 * time.Hour
	// packsAge is how long a pack waits for the oracles to move it to their vaults.
	packsAge = 72 * time.Hour
	// dedupeWindow is how long the server remembers message ids.
	dedupeWindow = 2 * time.Minute
	// retryFor bounds a Submit: a retry later than the window would order the message twice.
	retryFor = dedupeWindow / 2
)

// ErrSettings says that a stream exists under the wanted name with settings that would not keep its promise.
var ErrSettings = errors.New("stream exists with other settings")

// Config says which streams to use and how.
type Config struct {
	// Ledger is the ledger's short name, as it stands in subjects: 1 to 64 of A-Z, a-z, 0-9, '-' and '_'.
	Ledger string
	// Replicas is the number of servers that keep each stream: 1 (or 0, the same), 3 or 5. An existing stream is raised, never lowered.
	Replicas int
	// MaxAge is how long the order keeps messages; 0 is 30 days.
	MaxAge time.Duration
	// AckWait is how long at most one publish waits for its acknowledgement before it is repeated; 0 is two seconds.
	AckWait time.Duration
	// Log gets what an operator must know: lost and resumed delivery. Nil drops it.
	Log *slog.Logger
}

// withDefaults checks c and fills what was left empty.
func (c Config) withDefaults() (Config, error) {
	if !validName(c.Ledger) {
		return c, fmt.Errorf("ledger name %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", c.Ledger)
	}
	switch c.Replicas {
	case 0:
		c.Replicas = 1
	case 1, 3, 5:
	default:
		return c, fmt.Errorf("%d replicas: want 1, 3 or 5", c.Replicas)
	}
	if c.MaxAge == 0 {
		c.MaxAge = orderAge
	}
	if c.MaxAge < dedupeWindow {
		return c, fmt.Errorf("maximum age %v is shorter than the window for duplicates, %v", c.MaxAge, dedupeWindow)
	}
	if c.AckWait == 0 {
		c.AckWait = 2 * time.Second
	}
	if c.AckWait < 0 || c.AckWait > retryFor {
		return c, fmt.Errorf("acknowledgement wait %v: want at most %v", c.AckWait, retryFor)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func validName(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// link is what the order and the packs share: a connection and how long to wait on it.
type link struct {
	js  jetstream.JetStream
	cfg Config
}

func newLink(nc *nats.Conn, cfg Config) (link, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return link{}, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return link{}, fmt.Errorf("opening JetStream: %w", err)
	}
	return link{js: js, cfg: cfg}, nil
}

// ensure creates the stream, or checks that the one that is there keeps the same promises.
func (l link) ensure(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	stream, err := l.js.CreateStream(ctx, want)
	if err == nil {
		return stream, nil
	}
	if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, fmt.Errorf("creating stream %s: %w", want.Name, err)
	}
	if stream, err = l.js.Stream(ctx, want.Name); err != nil {
		return nil, fmt.Errorf("looking up stream %s: %w", want.Name, err)
	}
	got := stream.CachedInfo().Config
	if diff := broken(got, want); diff != "" {
		return nil, fmt.Errorf("%w: %s: %s", ErrSettings, want.Name, diff)
	}
	if got.Replicas >= want.Replicas {
		return stream, nil
	}
	got.Replicas = want.Replicas
	if stream, err = l.js.UpdateStream(ctx, got); err != nil {
		return nil, fmt.Errorf("raising stream %s to %d replicas: %w", want.Name, want.Replicas, err)
	}
	return stream, nil
}

// broken names the first setting of got that breaks a promise of want, or is empty.
func broken(got, want jetstream.StreamConfig) string {
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"storage", got.Storage, want.Storage},
		{"retention", got.Retention, want.Retention},
		{"discard", got.Discard, want.Discard},
		{"discard_new_per_subject", got.DiscardNewPerSubject, want.DiscardNewPerSubject},
		{"deny_delete", got.DenyDelete, want.DenyDelete},
		{"deny_purge", got.DenyPurge, want.DenyPurge},
		{"allow_rollup_hdrs", got.AllowRollup, want.AllowRollup},
		{"allow_msg_ttl", got.AllowMsgTTL, want.AllowMsgTTL},
		{"persist_mode", got.PersistMode, want.PersistMode},
		{"max_age", got.MaxAge, want.MaxAge},
		{"max_msgs", got.MaxMsgs, want.MaxMsgs},
		{"max_bytes", got.MaxBytes, want.MaxBytes},
		{"max_msgs_per_subject", got.MaxMsgsPerSubject, want.MaxMsgsPerSubject},
		{"max_msg_size", got.MaxMsgSize, want.MaxMsgSize},
		{"duplicate_window", got.Duplicates, want.Duplicates},
		{"subjects", fmt.Sprint(got.Subjects), fmt.Sprint(want.Subjects)},
	} {
		if c.got != c.want {
			return fmt.Sprintf("%s is %v, want %v", c.name, c.got, c.want)
		}
	}
	return ""
}

// patience is how long an attempt waits for an answer after others in vain: a quarter of AckWait at first, as what was asked of a server
// that was killed is answered by nobody and has to be asked again soon; all of it where that was not what was wrong.
func (c Config) patience(tries int) time.Duration {
	if tries < 4 {
		return c.AckWait / 4
	}
	return c.AckWait
}
