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
		g.atWork()
		if err := g.signClock(); err != nil {
			g.note(err)
		}
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
					if err = g.flush(); err == nil {
						err = g.thin()
					}
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
		case f := <-g.requests:
			f()
		case <-flush.C:
			waiting = false
			err := g.flush()
			if err == nil {
				err = g.thin()
			}
			if err != nil {
				g.cfg.Log.Warn("did not make statements durable, or room for others", "error", err)
			}
		case <-retry.C:
			if err := g.outbox.Retry(time.Now()); err != nil {
				g.cfg.Log.Warn("the outbox is in memory", "error", err)
			}
		}
	}
}

// atWork notes that signing goes on.
func (g *Gateway) atWork() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beat = time.Now()
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

// took counts the time of an attempt.
func (g *Gateway) took(t time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Took += t
}

// signPack makes one statement of a pack and logs it.
func (g *Gateway) signPack(p *sampler.Pack) error {
	gaps := g.outbox.Gaps()
	gaps = gaps[:min(len(gaps), maxGaps)]
	payload, err := g.payload(p, gaps)
	if err != nil {
		return err
	}
	d := draft{typ: entry.TypeReading, subject: p.Subject, content: entry.ContentSenML, payload: payload, covers: gaps}
	if err := d.commit(g.modes[p.Subject]); err != nil {
		return err
	}
	for _, f := range p.Facts {
		if err := g.outbox.Put(f.Name, f.Value); err != nil {
			return err
		}
	}
	_, err = g.signDraft(&d)
	return err
}

// draft is a statement that is to be signed.
type draft struct {
	typ, subject string
	content      string // type of the payload, or of what it hides
	payload      []byte
	pack         []byte // what a hidden payload hides, else nil
	covers       []outbox.Gap
	replaces     []outbox.Number
}

// commit hides the payload where the metering point's mode asks for it.
func (d *draft) commit(mode string) (err error) {
	if mode == entry.ModeCommitted {
		d.pack, d.payload, err = commit(d.payload)
		d.content = entry.ContentSalted
	}
	return err
}

// signDraft gives a draft the next number, signs it and logs it.
func (g *Gateway) signDraft(d *draft) (Signed, error) {
	header := signer.Header{Type: d.typ, ContentType: d.content}
	if d.pack != nil {
		header.ContentType, header.PreimageType = "", d.content
	}
	boot, seq, skipped, err := g.outbox.NextSeq()
	if err != nil {
		return Signed{}, err
	}
	header.Claims, err = g.claims(d.subject, boot, seq, skipped)
	if err != nil {
		return Signed{}, err
	}
	begin := time.Now()
	statement, err := signer.Sign(g.cfg.Key, header, d.payload)
	g.took(time.Since(begin))
	if err != nil {
		return Signed{}, fmt.Errorf("signing statement %d-%d: %w", boot, seq, err)
	}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: statement, Pack: d.pack, Covers: d.covers, Replaces: d.replaces}
	if err := g.outbox.Append(rec); err != nil {
		return Signed{}, err
	}
	out := Signed{Number: rec.Number(), Subject: d.subject, Type: d.typ, Statement: statement, Pack: d.pack}
	if g.cfg.OnSigned != nil {
		g.cfg.OnSigned(out)
	}
	return out, nil
}

// errPack is wrapped by what is wrong with a pack itself: trying again is no use.
var errPack = errors.New("pack cannot be encoded")

// payload encodes a pack with the gaps of the outbox.
func (g *Gateway) payload(p *sampler.Pack, gaps []outbox.Gap) ([]byte, error) {
	pack := entry.Pack{Base: p.Base, Records: slices.Clip(p.Records)}
	now := g.cfg.Clock.Now().UnixMilli()
	for _, gap := range gaps {
		pack.Records = append(pack.Records, tellGap(p.Base, now, gap))
	}
	b, err := pack.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: metering point %q: %w", errPack, p.Subject, err)
	}
	return b, nil
}

// gapRecord is the name of a record that tells a gap of the outbox.
const gapRecord = "outbox.gap"

func tellGap(base string, now int64, gap outbox.Gap) entry.Record {
	return entry.Record{
		Name: base + gapRecord, Time: now,
		Text: fmt.Sprintf("%d %d %d %d %s", gap.Boot, gap.First, gap.Last, gap.Count, gap.Reason),
	}
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
		Sequence: entry.Sequence{Boot: boot, Count: seq}, Firmware: g.cfg.Root,
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
