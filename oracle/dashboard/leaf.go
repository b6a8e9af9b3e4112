package dashboard

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// described is a leaf in words.
type described struct {
	Index   uint64
	Kind    string
	Hash    string
	Bytes   int
	Summary string
	Fields  []field
	Records []entry.Record // of an open pack
	Hidden  string         // digest of a committed pack
}

// field is a fact with its name.
type field struct{ Name, Value string }

// hexLine is a stretch of bytes: where it starts, the bytes by eights, and what of
// them is ASCII.
type hexLine struct {
	At    string
	Bytes []string
	Text  string
}

// describe puts a leaf into words. What does not read says so, and why.
func describe(index uint64, leaf []byte) described {
	kind := entry.KindOf(leaf)
	d := described{Index: index, Kind: kind.String(), Hash: hexOf(block.LeafHash(leaf)), Bytes: len(leaf)}
	var err error
	switch kind {
	case entry.LeafHeader:
		err = d.header(leaf)
	case entry.LeafCharter:
		err = d.charter(leaf)
	case entry.LeafOutcome:
		err = d.outcome(leaf)
	case entry.LeafStatement:
		err = d.statement(leaf)
	default:
		err = fmt.Errorf("no kind of leaf starts like this")
	}
	if err != nil {
		d.Summary = "does not read: " + err.Error()
	}
	return d
}

func (d *described) add(name, value string) { d.Fields = append(d.Fields, field{name, value}) }

func (d *described) header(leaf []byte) error {
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return err
	}
	d.Summary = "header of block " + count(h.Height)
	d.add("ledger", h.Origin)
	d.add("height", count(h.Height))
	d.add("time of the block", stamp(time.UnixMilli(h.Time)))
	d.add("leaves before this header", fmt.Sprintf("%s to %s", count(h.First), count(h.Size)))
	d.add("root of the tree before this header", hexOf(h.Root))
	d.add("hash of the header before", hexOf(h.Prev))
	return nil
}

func (d *described) charter(leaf []byte) error {
	c, err := entry.ParseCharter(leaf)
	if err != nil {
		return err
	}
	d.Summary = "charter of " + c.Origin
	d.add("ledger", c.Origin)
	d.add("time", stamp(time.UnixMilli(c.Time)))
	d.add("oracles that make a block final", fmt.Sprintf("%d of %d", c.Quorum, len(c.Oracles)))
	d.add("oracles that make a change", fmt.Sprintf("%d of %d", c.Governance, len(c.Oracles)))
	if c.Simulated {
		d.add("simulated", "yes: clock and sensors are not the world's")
	}
	for _, o := range c.Oracles {
		d.add("oracle", o.Name)
	}
	for _, p := range c.Parameters {
		d.add("parameter "+p.Name, fmt.Sprint(p.Value))
	}
	return nil
}

func (d *described) outcome(leaf []byte) error {
	o, err := entry.ParseOutcome(leaf)
	if err != nil {
		return err
	}
	d.Summary = strings.TrimSpace(o.Kind + ": " + o.Code + " " + o.Detail)
	d.add("outcome", o.Kind)
	d.add("code", o.Code)
	if o.Detail != "" {
		d.add("concerns", o.Detail)
	}
	switch o.Kind {
	case entry.OutcomeFlagged:
		d.add("about leaf", count(o.Leaf))
	case entry.OutcomeRefused:
		d.add("about the statement with hash", hex.EncodeToString(o.Hash[:]))
		d.add("remedy", entry.Reason(o.Code).Remedy())
	default:
		d.add("about the proposal with hash", hex.EncodeToString(o.Hash[:]))
	}
	return nil
}

func (d *described) statement(leaf []byte) error {
	m, err := signer.Parse(leaf)
	if err != nil {
		return err
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return err
	}
	typ := strings.TrimSuffix(strings.TrimPrefix(m.Type, "application/vnd.wattmark."), "+cose")
	d.Summary = typ + " by " + c.Issuer
	d.add("statement", typ)
	d.add("signed by", c.Issuer)
	d.add("key", m.KeyID.String())
	d.add("algorithm", m.Algorithm.String())
	d.add("signed at", stamp(time.Unix(c.IssuedAt, 0)))
	if c.Sequence.Count > 0 {
		d.add("metering point", c.Subject)
		d.add("sequence number", c.Sequence.String())
	}
	if c.Time != nil {
		d.add("clock", c.Time.Quality)
	}
	if m.Hidden() {
		d.Hidden = hex.EncodeToString(m.Payload)
		return nil
	}
	return d.payload(m)
}

func (d *described) payload(m *signer.Message) error {
	switch m.Type {
	case entry.TypeReading:
		p, err := entry.ParsePack(m.Payload)
		if err != nil {
			return err
		}
		d.Records = p.Records
	case entry.TypeClock:
		c, err := entry.ParseClock(m.Payload)
		if err != nil {
			return err
		}
		d.add("wishes to close block", count(c.Height))
		d.add("its clock shows", stamp(time.UnixMilli(c.Time)))
	case entry.TypeEnrolment:
		e, err := entry.ParseEnrolment(m.Payload)
		if err != nil {
			return err
		}
		d.add("enrols gateway", e.Gateway)
		if k, err := signer.NewPublicKey(signer.Algorithm(e.Algorithm), e.Key); err == nil {
			d.add("with key", k.ID().String())
		}
		for _, p := range e.Points {
			d.add("metering point", fmt.Sprintf("%s, %s, %d channels", p.Subject, p.Mode, len(p.Channels)))
		}
	case entry.TypeRevocation:
		r, err := entry.ParseRevocation(m.Payload)
		if err != nil {
			return err
		}
		d.add("ends key", hex.EncodeToString(r.KeyID))
		d.add("because", r.Reason)
	case entry.TypeVote:
		v, err := entry.ParseVote(m.Payload)
		if err != nil {
			return err
		}
		d.add("votes for", fmt.Sprintf("%s = %d from block %s", v.Proposal.Parameter, v.Proposal.Value, count(v.Proposal.Height)))
	}
	return nil
}

// reading writes a record's value with its unit, or its remark.
func reading(r entry.Record) string {
	if r.Text != "" {
		return r.Text
	}
	return strings.ReplaceAll(r.Value.String(), "-", minus) + thinSpace + r.Unit
}

func hexOf(h block.Hash) string { return hex.EncodeToString(h[:]) }

// hexDump writes bytes by sixteens, for people.
func hexDump(b []byte) []hexLine {
	var out []hexLine
	for at := 0; at < len(b); at += 16 {
		part := b[at:min(at+16, len(b))]
		text := make([]byte, len(part))
		for i, c := range part {
			text[i] = '.'
			if c >= 0x20 && c < 0x7f {
				text[i] = c
			}
		}
		line := hexLine{At: fmt.Sprintf("%05x", at), Text: string(text)}
		for eight := range slices.Chunk(part, 8) {
			line.Bytes = append(line.Bytes, fmt.Sprintf("% x", eight))
		}
		out = append(out, line)
	}
	return out
}
