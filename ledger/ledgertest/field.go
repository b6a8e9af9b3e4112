package ledgertest

import (
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// turn makes the next key of a gateway its newest one.
func (g *gateway) turn(c *Chain, alg signer.Algorithm) {
	g.keys++
	g.key = Key(c.tb, alg, fmt.Sprintf("%s %d", g.name, g.keys))
}

// Proven returns the statement by which the first oracle admits a new key of a
// gateway that has asked for it, as Enrolment does without.
func (c *Chain) Proven(name string, alg signer.Algorithm, mode string) *Statement {
	c.tb.Helper()
	e, err := entry.ParseEnrolment(c.Enrolment(name, alg, mode).Payload)
	if err != nil {
		c.tb.Fatal(err)
	}
	r := entry.EnrolmentRequest{Gateway: name, Points: e.Points}
	return c.Admitting(c.encoded(request.Sign(c.gateways[name].key, r, Origin, c.State.Time()/1000)))
}

// Admitting returns the first oracle's statement around a request or rotation.
func (c *Chain) Admitting(statement []byte) *Statement {
	c.tb.Helper()
	e := &entry.ProvenEnrolment{Request: statement}
	return c.Stated(0, entry.TypeProvenEnrolment, c.encoded(e.Encode()))
}

// Rotation returns the statement by which the first oracle puts a new key of a gateway
// into the place of its newest one, both of which have signed. The gateway's numbers go
// on.
func (c *Chain) Rotation(name string, alg signer.Algorithm) *Statement {
	c.tb.Helper()
	old := c.GatewayKey(name)
	g := c.gateways[name]
	g.turn(c, alg)
	id := old.Public().ID()
	seconds := c.State.Time() / 1000
	asked := c.encoded(request.Sign(g.key, entry.EnrolmentRequest{Gateway: name, Replaces: id[:]}, Origin, seconds))
	return c.Admitting(c.encoded(request.Rotate(old, asked, name, Origin, seconds)))
}

// numbered returns a gateway's statement that is no reading, with its next sequence
// number.
func (c *Chain) numbered(name, subject, typ string, payload []byte) *Statement {
	c.tb.Helper()
	s := c.Reading(name, Record(name, "energy", 0, c.State.Time()))
	s.Type, s.Content, s.Payload, s.Hidden = typ, entry.ContentCBOR, payload, false
	s.Claims.Subject = subject
	return s
}

// Calibrated is a calibration of a gateway's register from nothing to a ratio in
// thousandths, as Calibration takes it.
func (c *Chain) Calibrated(thousandths int64) *entry.Calibration {
	return &entry.Calibration{
		Device: "meter", Model: "sdm120", Method: "comparison", Person: "drawn", Time: c.State.Time(),
		Corrections: []entry.Correction{{
			Channel: "energy", Before: entry.Uncorrected,
			After: entry.Factors{Ratio: entry.Decimal{Mantissa: thousandths, Exponent: -3}, Sign: 1},
		}},
	}
}

// Calibration returns a gateway's calibration with its next sequence number.
func (c *Chain) Calibration(name string, k *entry.Calibration) *Statement {
	c.tb.Helper()
	return c.numbered(name, Subject(name), entry.TypeCalibration, c.encoded(k.Encode()))
}

// ClockMap returns a gateway's clock map with its next sequence number.
func (c *Chain) ClockMap(name string, m *entry.ClockMap) *Statement {
	c.tb.Helper()
	return c.numbered(name, "", entry.TypeClockMap, c.encoded(m.Encode()))
}
