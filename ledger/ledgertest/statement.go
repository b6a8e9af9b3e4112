package ledgertest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Statement is a statement about to be signed. Tests change what they like.
type Statement struct {
	Key    signer.Signer
	Type   string
	Claims entry.Claims
	// Content is the media type of Payload. Of a Hidden statement Payload is the
	// preimage, which goes beside it.
	Content string
	Payload []byte
	Hidden  bool
}

// Sign returns the signed statement and, of a hidden one, the pack beside it.
func (s *Statement) Sign(tb testing.TB) (statement, pack []byte) {
	tb.Helper()
	claims, err := s.Claims.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	h := signer.Header{Type: s.Type, ContentType: s.Content, Claims: claims}
	payload := s.Payload
	if s.Hidden {
		h.ContentType, h.PreimageType = "", s.Content
		sum := sha256.Sum256(s.Payload)
		payload, pack = sum[:], s.Payload
	}
	b, err := signer.Sign(s.Key, h, payload)
	if err != nil {
		tb.Fatal(err)
	}
	return b, pack
}

// gateway is a gateway that was enrolled at least once.
type gateway struct {
	name      string
	key       *signer.PrivateKey
	keys      int // how many it had
	committed bool
	next      entry.Sequence
	previous  []byte
}

// Subject returns the pseudonym of a gateway's metering point.
func Subject(gateway string) string { return "p-" + gateway }

// Channels are those of every drawn metering point: a register in Wh that may
// rise by 100 kWh an hour, and a gauge in W.
func Channels() []entry.Channel {
	return []entry.Channel{
		{Name: "energy", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000_000), PerHour: entry.Int(100_000)},
		{Name: "power", Unit: "W", Kind: entry.KindGauge, Least: entry.Int(-20_000), Most: entry.Int(20_000)},
	}
}

// Enrolment returns the statement by which the first oracle admits a new key of
// a gateway, whose older keys are known to the chain no more. The second key of a
// gateway needs others to state the same: Stated with the payload of this one.
func (c *Chain) Enrolment(name string, alg signer.Algorithm, mode string) *Statement {
	c.tb.Helper()
	g := c.gateways[name]
	if g == nil {
		g = &gateway{name: name}
		c.gateways[name] = g
	}
	g.turn(c, alg)
	g.committed = mode == entry.ModeCommitted
	g.next, g.previous = entry.Sequence{Boot: 1, Count: 1}, nil
	e := &entry.Enrolment{
		Algorithm: int(alg), Key: g.key.Public().Bytes(), Gateway: name,
		Points: []entry.Point{{Subject: Subject(name), Mode: mode, Channels: Channels()}},
	}
	return c.Stated(0, entry.TypeEnrolment, c.encoded(e.Encode()))
}

func (c *Chain) encoded(b []byte, err error) []byte {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatal(err)
	}
	return b
}

// Stated returns a statement of the oracle at position i.
func (c *Chain) Stated(i int, typ string, payload []byte) *Statement {
	return &Statement{
		Key: c.Oracles[i].Statement, Type: typ, Content: entry.ContentCBOR, Payload: payload,
		Claims: entry.Claims{Issuer: "urn:wattmark:oracle:" + fmt.Sprint(i+1), Audience: Origin, IssuedAt: c.State.Time() / 1000},
	}
}

// Clock returns the clock of the oracle at position i in Unix milliseconds, for
// the next block.
func (c *Chain) Clock(i int, time int64) *Statement {
	k := entry.Clock{Height: c.State.Height(), Time: time}
	return c.Stated(i, entry.TypeClock, k.Encode())
}

// Revocation returns the statement by which a gateway ends its own newest key; of
// a key that is not one, by which the first oracle wants to.
func (c *Chain) Revocation(id signer.KeyID) *Statement {
	s := c.Ending(0, id)
	for _, g := range c.gateways {
		if g.key.Public().ID() == id {
			s.Key, s.Claims.Issuer = g.key, "urn:wattmark:gateway:"+g.name
		}
	}
	return s
}

// Ending returns the statement by which the oracle at position i wants to end a
// key. It does when as many oracles state it as change a rule.
func (c *Chain) Ending(i int, id signer.KeyID) *Statement {
	r := entry.Revocation{KeyID: id[:], Reason: "drawn"}
	return c.Stated(i, entry.TypeRevocation, r.Encode())
}

// Vote returns the vote of the oracle at position i.
func (c *Chain) Vote(i int, p entry.Proposal) *Statement {
	v := entry.Vote{Proposal: p}
	return c.Stated(i, entry.TypeVote, v.Encode())
}

// GatewayKey returns the newest key of a gateway.
func (c *Chain) GatewayKey(name string) *signer.PrivateKey {
	c.tb.Helper()
	g := c.gateways[name]
	if g == nil {
		c.tb.Fatalf("no gateway %q was enrolled", name)
		return nil
	}
	return g.key
}

// Record returns a record of a gateway's metering point at a time in Unix
// milliseconds.
func Record(gateway, channel string, value, time int64) entry.Record {
	unit := "Wh"
	if channel == "power" {
		unit = "W"
	}
	return entry.Record{Name: Subject(gateway) + "/" + channel, Unit: unit, Time: time, Value: entry.Int(value)}
}

// Reading returns a reading of a gateway with its next sequence number, issued
// at the chain's time, open or committed as its point is registered.
func (c *Chain) Reading(name string, records ...entry.Record) *Statement {
	c.tb.Helper()
	c.GatewayKey(name)
	g := c.gateways[name]
	s := &Statement{
		Key: g.key, Type: entry.TypeReading,
		Claims: entry.Claims{
			Issuer: "urn:wattmark:gateway:" + name, Subject: Subject(name), Audience: Origin,
			IssuedAt: c.State.Time() / 1000, Uptime: 60 * g.next.Count, Sequence: g.next, Previous: g.previous,
			Time: &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 5_000_000, Monotonic: g.next.Count},
		},
	}
	c.SetPack(s, g.committed, &entry.Pack{Base: Subject(name) + "/", Records: records})
	g.next.Count++
	return s
}

// SetPreimage makes s a committed reading of a gateway whose preimage is of remarks
// and has exactly size bytes, also more than the rules take; size is at least 1,000.
func (c *Chain) SetPreimage(s *Statement, gateway string, size int) {
	c.tb.Helper()
	remark := func(n int) entry.Record {
		return entry.Record{Name: Subject(gateway) + "/r", Time: Start, Text: strings.Repeat("r", n)}
	}
	committed := func(p *entry.Pack, salt int) []byte { // Encode would refuse what is too large
		b := append([]byte{0x82, 0x58, byte(salt)}, make([]byte, salt)...)
		return append(b, c.encoded(p.Encode())...)
	}
	p := &entry.Pack{Base: Subject(gateway) + "/", Records: []entry.Record{remark(200)}}
	for len(committed(p, 24)) < size-300 {
		p.Records = append(p.Records, remark(200))
	}
	p.Records = append(p.Records, remark(24))
	last := min(size-len(committed(p, 24))+24-1, 255) // one byte more for the remark's length
	p.Records[len(p.Records)-1] = remark(last)
	b := committed(p, 24+size-len(committed(p, 24)))
	if len(b) != size {
		c.tb.Fatalf("internal error: a preimage of %d bytes instead of %d", len(b), size)
	}
	s.Hidden, s.Content, s.Payload = true, entry.ContentSalted, b
}

// SetPack makes p the statement's payload, open or committed.
func (c *Chain) SetPack(s *Statement, committed bool, p *entry.Pack) {
	c.tb.Helper()
	pack := c.encoded(p.Encode())
	s.Hidden = committed
	if !committed {
		s.Content, s.Payload = entry.ContentSenML, pack
		return
	}
	q := s.Claims.Sequence
	salt := sha256.Sum256(fmt.Appendf(nil, "salt %s %v %s", s.Claims.Issuer, q, s.Key.Public().ID()))
	k := entry.Committed{Salt: salt[:16], Pack: pack}
	s.Content, s.Payload = entry.ContentSalted, c.encoded(k.Encode())
}
