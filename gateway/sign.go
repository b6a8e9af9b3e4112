package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"wattmark/gateway/outbox"
	"wattmark/gateway/sampler"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

const (
	// signAgain is how long after a failure the key and the outbox are tried again.
	signAgain = time.Second
	// retryOutbox is how often an outbox in memory is asked to go back to its disk;
	// it waits a minute between two tries itself.
	retryOutbox = 10 * time.Second
	// maxGaps bounds the gaps of the outbox that one statement tells, and a pack's
	// growth with them; the next one tells more.
	maxGaps = 32
	// saltBytes is the length of a committed pack's salt.
	saltBytes = 32
)

// sign makes statements of packs until sampling has ended and none is left. A pack
// that cannot be signed stays at the head of the sampler's bounded queue.
func (g *Gateway) sign(ctx context.Context) error {
	retry := time.NewTicker(retryOutbox)
	defer retry.Stop()
	flush := time.NewTimer(g.cfg.FlushAfter)
	flush.Stop()
	defer flush.Stop()
	waiting := false // a statement waits to become durable
	for {
		p, more := g.sampler.Head()
		if p == nil && !more {
			return g.flush()
		}
		if p != nil {
			err := g.signPack(p)
			if errors.Is(err, errPack) {
				g.cfg.Log.Error("a pack cannot be signed, its readings become gaps", "error", err)
				g.sampler.Forfeit(p)
				continue
			}
			if err == nil {
				g.sampler.Done(p)
				switch next, _ := g.sampler.Head(); {
				case p.EndsInterval() && next == nil:
					err = g.flush()
					flush.Stop()
					waiting = false
				case !waiting:
					flush.Reset(g.cfg.FlushAfter)
					waiting = true
				}
			}
			g.note(err)
			if err == nil {
				continue
			}
			if ctx.Err() != nil {
				// Nobody waits for a key that fails now: the next start tells of the
				// time without readings.
				g.cfg.Log.Error("ended with unsigned packs", "error", err)
				return g.flush()
			}
		}
		var again <-chan time.Time
		if p != nil {
			again = time.After(signAgain)
		}
		select {
		case <-g.sampler.Ready():
			if p != nil { // it is still the head; what came after it waits with it
				<-again
			}
		case <-again:
		case <-flush.C:
			waiting = false
			if err := g.flush(); err != nil {
				g.cfg.Log.Warn("did not make statements durable", "error", err)
			}
		case <-retry.C:
			if err := g.outbox.Retry(time.Now()); err != nil {
				g.cfg.Log.Warn("the outbox is in memory", "error", err)
			}
		}
	}
}

// flush makes durable what was signed. A disk that refuses is no end: the outbox
// keeps what it can in memory and says so.
func (g *Gateway) flush() error {
	if err := g.outbox.Flush(); err != nil {
		if state, _ := g.outbox.State(); state == outbox.InMemory {
			return nil
		}
		return err
	}
	return nil
}

// note counts the outcome of an attempt, and logs the first of a row of failures.
func (g *Gateway) note(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.stats.Signed++
		g.stats.Failure = ""
		return
	}
	g.stats.Failures++
	if g.stats.Failure == "" {
		g.cfg.Log.Error("did not sign", "error", err, "remedy", "check the key and the disk of the outbox; readings wait in memory and are then told as gaps")
	}
	g.stats.Failure = err.Error()
}

// signPack makes one statement of a pack and logs it.
func (g *Gateway) signPack(p *sampler.Pack) error {
	gaps := g.outbox.Gaps()
	gaps = gaps[:min(len(gaps), maxGaps)]
	payload, err := g.payload(p, gaps)
	if err != nil {
		return err
	}
	header := signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML}
	var preimage []byte
	if g.modes[p.Subject] == entry.ModeCommitted {
		preimage, payload, err = commit(payload)
		if err != nil {
			return err
		}
		header.ContentType, header.PreimageType = "", entry.ContentSalted
	}
	boot, seq, skipped, err := g.outbox.NextSeq()
	if err != nil {
		return err
	}
	header.Claims, err = g.claims(p.Subject, boot, seq, skipped)
	if err != nil {
		return err
	}
	statement, err := signer.Sign(g.cfg.Key, header, payload)
	if err != nil {
		return fmt.Errorf("signing statement %d-%d: %w", boot, seq, err)
	}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: statement, Pack: preimage, Covers: gaps}
	if err := g.outbox.Append(rec); err != nil {
		return err
	}
	if g.cfg.OnSigned != nil {
		g.cfg.OnSigned(Signed{Number: rec.Number(), Subject: p.Subject, Statement: statement, Pack: preimage})
	}
	return nil
}

// errPack is wrapped by what is wrong with a pack itself: trying again is no use.
var errPack = errors.New("pack cannot be encoded")

// payload encodes a pack with the gaps of the outbox.
func (g *Gateway) payload(p *sampler.Pack, gaps []outbox.Gap) ([]byte, error) {
	pack := entry.Pack{Base: p.Base, Records: slices.Clip(p.Records)}
	now := g.cfg.Clock.Now().UnixMilli()
	for _, gap := range gaps {
		pack.Records = append(pack.Records, entry.Record{
			Name: p.Base + "outbox.gap", Time: now,
			Text: fmt.Sprintf("%d %d %d %d %s", gap.Boot, gap.First, gap.Last, gap.Count, gap.Reason),
		})
	}
	b, err := pack.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: metering point %q: %w", errPack, p.Subject, err)
	}
	return b, nil
}

// commit hides a pack behind a salt: what is kept beside the statement, and the
// digest that is signed.
func commit(pack []byte) (preimage, digest []byte, err error) {
	c := entry.Committed{Salt: make([]byte, saltBytes), Pack: pack}
	if _, err := rand.Read(c.Salt); err != nil {
		return nil, nil, fmt.Errorf("drawing a salt: %w", err)
	}
	if preimage, err = c.Encode(); err != nil {
		return nil, nil, fmt.Errorf("%w: committing: %w", errPack, err)
	}
	sum := sha256.Sum256(preimage)
	return preimage, sum[:], nil
}

func (g *Gateway) claims(subject string, boot, seq uint64, skipped *outbox.Range) ([]byte, error) {
	mono := g.cfg.Clock.Monotonic()
	c := entry.Claims{
		Issuer: "urn:wattmark:gateway:" + g.cfg.Name, Subject: subject, Audience: g.cfg.Origin,
		IssuedAt: g.cfg.Clock.Now().Unix(), Uptime: uint64(mono / time.Second),
		Sequence: entry.Sequence{Boot: boot, Count: seq},
		Time: &entry.TimeQuality{
			Quality: g.cfg.Clock.Quality(), Uncertainty: uint64(g.cfg.Clock.Uncertainty()), Monotonic: uint64(mono),
		},
	}
	if _, hash, ok := g.outbox.Last(); ok {
		c.Previous = hash[:]
	}
	if skipped != nil {
		c.Skipped = &entry.Range{First: skipped.First, Last: skipped.Last}
	}
	b, err := c.Encode()
	if err != nil {
		return nil, fmt.Errorf("encoding the claims of statement %d-%d: %w", boot, seq, err)
	}
	return b, nil
}
