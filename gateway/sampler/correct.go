package sampler

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// Correction is what a calibration makes of one channel's values.
type Correction struct {
	Channel string // as records have it behind the base name
	entry.Factors
	// Record is the identity of the signed calibration, which packs name; zero where
	// there is none.
	Record [32]byte
}

// Correct applies corrections to the channels of a device from the next sample on, in
// place of those before; a channel that is not among them is left as it is. The
// window at hand ends, so that one pack names one calibration. A register takes a
// ratio alone: a reversed clamp swaps its two registers, and differences do not see an
// offset.
func (s *Sampler) Correct(subject, device string, list []Correction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, m := s.find(subject, device)
	fresh, err := m.corrections(subject, device, list)
	if err != nil {
		return err
	}
	s.close(p)
	for i, c := range fresh {
		// A register's last value was made with other factors: it is no fall.
		m.channels[i].correction, m.channels[i].counter.known = c, false
	}
	return nil
}

// CanCorrect returns the error that Correct would return, and changes nothing.
func (s *Sampler) CanCorrect(subject, device string, list []Correction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, m := s.find(subject, device)
	_, err := m.corrections(subject, device, list)
	return err
}

// corrections checks a list and puts it into the order of m's channels. m is nil
// where there is no such device.
func (m *member) corrections(subject, device string, list []Correction) ([]*Correction, error) {
	if m == nil {
		return nil, fmt.Errorf("metering point %q has no device %q", subject, device)
	}
	out := make([]*Correction, len(m.channels))
	for _, c := range list {
		i := slices.IndexFunc(m.channels, func(k channel) bool { return k.name == c.Channel })
		switch {
		case i < 0:
			return nil, fmt.Errorf("device %q has no channel %q", device, c.Channel)
		case out[i] != nil:
			return nil, fmt.Errorf("device %q: channel %q is corrected twice", device, c.Channel)
		case c.Ratio.Mantissa <= 0 || c.Sign != 1 && c.Sign != -1:
			return nil, fmt.Errorf("device %q: channel %q: ratio %s and sign %d: the ratio is above 0, and the sign 1 or -1", device, c.Channel, c.Ratio, c.Sign)
		case m.channels[i].kind == hardware.Counter && (c.Sign != 1 || c.Offset.Mantissa != 0):
			return nil, fmt.Errorf("device %q: channel %q is a register and takes a ratio alone", device, c.Channel)
		}
		out[i] = &c
	}
	return out, nil
}

// Device returns a device as it was given, and whether there is one.
func (s *Sampler) Device(subject, device string) (Device, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, m := s.find(subject, device)
	if m == nil {
		return Device{}, false
	}
	return *m.device, true
}

// Prefix is what stands before the channels of a device in records: its name and a dot
// where its point has several devices, else nothing.
func (s *Sampler) Prefix(subject, device string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, m := s.find(subject, device)
	if m == nil || len(m.channels) == 0 {
		return ""
	}
	return strings.TrimSuffix(m.channels[0].name, m.about.Channels[0].Name)
}

// find returns a device and its point, nil if there is none.
func (s *Sampler) find(subject, device string) (*point, *member) {
	for _, p := range s.points {
		for _, m := range p.members {
			if p.subject == subject && m.device.Name == device && m.derived == nil {
				return p, m
			}
		}
	}
	return nil, nil
}

// correct returns a driver's number as records have it: corrected, and exactly so as
// long as it fits, else rounded half away from zero. It is false for what does not.
func (c *channel) correct(v hardware.Value) (entry.Decimal, bool) {
	if c.correction == nil {
		return decimal(v)
	}
	k := c.correction
	// Sign x Ratio x said, then Offset at the finer exponent of the two.
	n := new(big.Int).Mul(big.NewInt(v.Mantissa), big.NewInt(k.Ratio.Mantissa))
	if k.Sign < 0 {
		n.Neg(n)
	}
	e, offset, at := int(v.Exponent)+int(k.Ratio.Exponent), big.NewInt(k.Offset.Mantissa), int(k.Offset.Exponent)
	for ; offset.Sign() != 0 && at > e; at-- {
		offset.Mul(offset, ten)
	}
	for ; offset.Sign() != 0 && e > at; e-- {
		n.Mul(n, ten)
	}
	return fit(n.Add(n, offset), big.NewInt(1), e)
}
