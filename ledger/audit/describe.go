package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Description is a leaf in words, for people. It says what the leaf says and
// verifies nothing.
type Description struct {
	Index   uint64
	Kind    entry.LeafKind
	Hash    block.Hash // the leaf hash
	Bytes   int
	Summary string // one line
	Fields  []Field
	// Type is the word for a statement's type or an outcome's kind, else empty.
	Type string
	// Of a statement: who signed it, what it is about, and its number, where it has them.
	Issuer, Subject string
	Sequence        entry.Sequence
	// Code says why, in a word that programs compare, of an outcome that has one.
	Code string
	// Records are the readings of an open pack, without their base name.
	Records []entry.Record
	// Hidden is the digest that stands for a committed pack, else nil.
	Hidden []byte
	// Err says why the leaf does not read; Summary then says so too.
	Err error
}

// Field is a fact with its name. Times are RFC 3339 in UTC, numbers plain digits.
type Field struct{ Name, Value string }

// Describe puts a leaf into words. It never fails: what does not read is described
// as that.
func Describe(index uint64, leaf []byte) *Description {
	d := &Description{Index: index, Kind: entry.KindOf(leaf), Hash: block.LeafHash(leaf), Bytes: len(leaf)}
	switch d.Kind {
	case entry.LeafHeader:
		d.Err = d.header(leaf)
	case entry.LeafCharter:
		d.Err = d.charter(leaf)
	case entry.LeafOutcome:
		d.Err = d.outcome(leaf)
	case entry.LeafStatement:
		d.Err = d.statement(leaf)
	default:
		d.Err = errors.New("no kind of leaf starts like this")
	}
	if d.Err != nil {
		d.Summary = "does not read: " + d.Err.Error()
	}
	return d
}

func (d *Description) add(name string, value any) {
	d.Fields = append(d.Fields, Field{name, fmt.Sprint(value)})
}

func (d *Description) header(leaf []byte) error {
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return err
	}
	d.Summary = fmt.Sprintf("header of block %d", h.Height)
	d.add("ledger", h.Origin)
	d.add("height", h.Height)
	d.add("time of the block", instant(h.Time))
	d.add("leaves before it", fmt.Sprintf("%d to %d", h.First, h.Size))
	d.add("root before it", hex.EncodeToString(h.Root[:]))
	d.add("header before", hex.EncodeToString(h.Prev[:]))
	return nil
}

func (d *Description) charter(leaf []byte) error {
	c, err := entry.ParseCharter(leaf)
	if err != nil {
		return err
	}
	d.Summary = "charter of " + c.Origin
	d.add("ledger", c.Origin)
	d.add("time", instant(c.Time))
	d.add("oracles that make a block final", fmt.Sprintf("%d of %d", c.Quorum, len(c.Oracles)))
	d.add("oracles that make a change", fmt.Sprintf("%d of %d", c.Governance, len(c.Oracles)))
	if c.Simulated {
		d.add("simulated", "yes: clock and sensors are not the world's")
	}
	for _, o := range c.Oracles {
		d.add("oracle", o.Name)
	}
	for _, p := range c.Parameters {
		d.add("parameter "+p.Name, p.Value)
	}
	return nil
}

func (d *Description) outcome(leaf []byte) error {
	o, err := entry.ParseOutcome(leaf)
	if err != nil {
		return err
	}
	d.Type, d.Code = o.Kind, o.Code
	if o.Body != nil {
		body, err := o.ParseBody()
		switch b := body.(type) {
		case *entry.Cleared:
			d.cleared(b)
		case *entry.Settled:
			d.settled(b)
		default:
			if !d.carbonOutcome(body) {
				d.Summary = o.Kind
			}
		}
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
		d.add("about leaf", o.Leaf)
	case entry.OutcomeRefused:
		d.add("statement", hex.EncodeToString(o.Hash[:]))
		d.add("remedy", entry.Reason(o.Code).Remedy())
	case entry.OutcomeQuarantined:
		d.add("payload of the conflict", hex.EncodeToString(o.Hash[:]))
		d.add("means", "statements of this key are refused from the next block on, until the oracles restore it")
	default: // adopted: a proposal, or the payload of an enrolment or a revocation
		d.add("what was agreed on", hex.EncodeToString(o.Hash[:]))
	}
	return nil
}

func (d *Description) statement(leaf []byte) error {
	m, err := signer.Parse(leaf)
	if err != nil {
		return err
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return err
	}
	d.Type, d.Issuer, d.Subject, d.Sequence = shortType(m.Type), c.Issuer, c.Subject, c.Sequence
	d.Summary = d.Type + " by " + c.Issuer
	d.add("statement", d.Type)
	d.add("signed by", c.Issuer)
	d.add("key", m.KeyID)
	d.add("algorithm", m.Algorithm)
	d.add("signed at", time.Unix(c.IssuedAt, 0).UTC().Format(time.RFC3339))
	if c.Sequence.Count > 0 {
		if c.Subject != "" {
			d.add("metering point", c.Subject)
		}
		d.add("sequence number", c.Sequence)
	}
	if c.Skipped != nil {
		d.add("numbers never signed", fmt.Sprintf("%d to %d", c.Skipped.First, c.Skipped.Last))
	}
	if c.Time != nil {
		d.add("clock", c.Time.Quality)
	}
	if len(c.Firmware) > 0 {
		d.add("firmware", hex.EncodeToString(c.Firmware))
	}
	if m.Hidden() {
		d.Hidden = m.Payload
		return nil
	}
	return d.payload(m)
}

func (d *Description) payload(m *signer.Message) error {
	if known, err := d.trade(m); known || err != nil {
		return err
	}
	if known, err := d.account(m); known || err != nil {
		return err
	}
	switch m.Type {
	case entry.TypeReading:
		p, err := entry.ParsePack(m.Payload)
		if err != nil {
			return err
		}
		d.Records = p.Records
		for i := range d.Records {
			d.Records[i].Name = strings.TrimPrefix(d.Records[i].Name, p.Base)
		}
	case entry.TypeClock:
		c, err := entry.ParseClock(m.Payload)
		if err != nil {
			return err
		}
		d.add("wishes to close block", c.Height)
		d.add("its clock shows", instant(c.Time))
	case entry.TypeEnrolment, entry.TypeProvenEnrolment:
		return d.enrolment(m)
	case entry.TypeCalibration:
		return d.calibration(m)
	case entry.TypeClockMap:
		return d.clockMap(m.Payload)
	case entry.TypeRevocation:
		r, err := entry.ParseRevocation(m.Payload)
		if err != nil {
			return err
		}
		d.add("ends key", hex.EncodeToString(r.KeyID))
		d.add("because", r.Reason)
	case entry.TypeRelease:
		r, err := ReadRelease(m)
		if err != nil {
			return err
		}
		d.add("releases", fmt.Sprintf("version %d for %s, of %s", r.Version, r.Board, r.Origin))
		d.add("root", fmt.Sprintf("%x, %d bytes", r.Root, r.Size))
		d.add("commit", r.Commit)
		d.add("kernel", r.Kernel)
	case entry.TypeConflict:
		return d.conflict(m.Payload)
	case entry.TypeMotion:
		if k, err := entry.ParseMotion(m.Payload); err == nil && k.Kind == entry.MotionRestore {
			return d.restoration(k)
		}
	case entry.TypeVote:
		v, err := entry.ParseVote(m.Payload)
		if err != nil {
			return err
		}
		d.add("votes for", fmt.Sprintf("%s = %d from block %d", v.Proposal.Parameter, v.Proposal.Value, v.Proposal.Height))
	}
	return nil
}

func (d *Description) enrolment(m *signer.Message) error {
	c, err := ReadKeyChange(m)
	if err != nil {
		return err
	}
	d.add("enrols gateway", c.Gateway)
	d.add("with key", fmt.Sprintf("%v (%v)", c.Begins.ID(), c.Begins.Algorithm()))
	if c.Proven {
		r, err := openedRequest(m)
		if err != nil {
			return err
		}
		d.add("proof of possession", "the key has signed the request, "+time.Unix(r.IssuedAt, 0).UTC().Format(time.RFC3339))
		if r.Rotation {
			d.add("in place of key", fmt.Sprintf("%x, which has signed it too", r.Replaces))
		}
		if r.Model != "" || r.Serial != "" {
			d.add("machine", strings.TrimSpace(r.Model+" "+r.Serial))
		}
		for _, p := range r.Devices {
			d.add("device", words(p.Model, p.Serial, p.Where, p.Subject))
		}
	} else {
		d.add("proof of possession", "none: an oracle vouches for the key")
	}
	for _, p := range c.Points {
		d.add("metering point", fmt.Sprintf("%s, %s, %d channels", p.Subject, p.Mode, len(p.Channels)))
	}
	return nil
}

func (d *Description) calibration(m *signer.Message) error {
	c, err := entry.ParseCalibration(m.Payload)
	if err != nil {
		return err
	}
	h := m.Hash()
	d.add("readings name it", hex.EncodeToString(h[:]))
	d.add("device", words(c.Device, c.Model, c.Serial))
	for _, k := range c.Corrections {
		line := fmt.Sprintf("%s: %s, before %s", k.Channel, factors(k.After), factors(k.Before))
		if k.Uncertainty.Mantissa > 0 {
			line += fmt.Sprintf("; uncertain by %v of the value", k.Uncertainty)
		}
		d.add("corrects", line)
	}
	d.add("found by", c.Method)
	if r := c.Reference; r != nil {
		d.add("reference", words(r.Maker, r.Model, r.Serial))
		if r.Certificate != "" {
			d.add("its certificate", r.Certificate)
		}
	}
	d.add("person", c.Person)
	d.add("calibrated at", instant(c.Time))
	if len(c.Data) > 0 {
		d.add("digest of the samples", hex.EncodeToString(c.Data))
	}
	if len(c.Undoes) > 0 {
		d.add("undoes", hex.EncodeToString(c.Undoes))
	}
	return nil
}

func (d *Description) clockMap(payload []byte) error {
	m, err := entry.ParseClockMap(payload)
	if err != nil {
		return err
	}
	d.add("boot", m.Boot)
	d.add("since boot", time.Duration(m.Monotonic))
	d.add("it was", instant(m.Time)+", from "+m.Quality)
	if m.Uncertainty > 0 {
		d.add("uncertain by", time.Duration(m.Uncertainty))
	}
	if m.Step != 0 {
		d.add("clock was moved by", time.Duration(m.Step)*time.Millisecond)
	}
	return nil
}

// factors writes a correction as it is applied: "1.010 x said + 0.5".
func factors(f entry.Factors) string {
	s := f.Ratio.String() + " x"
	if f.Sign < 0 {
		s = "-" + s
	}
	if f.Offset.Mantissa != 0 {
		s += " + " + f.Offset.String()
	}
	return s
}

// words joins what there is.
func words(s ...string) string {
	return strings.Join(slices.DeleteFunc(s, func(w string) bool { return w == "" }), ", ")
}

// instant writes Unix milliseconds.
func instant(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
