package state

import (
	"wattmark/ledger/entry"
)

// judgeCalibration lets a gateway correct channels that are registered with its key,
// and take back what is in force and nothing else.
func (s *State) judgeCalibration(p *plan, now int64) entry.Reason {
	if reason := s.judgeGateway(p, now); reason != "" {
		return reason
	}
	if reason := s.ownPoint(p); reason != "" {
		return reason
	}
	c, err := entry.ParseCalibration(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	if s.future(c.Time, now) {
		return entry.ReasonFuture
	}
	for _, k := range c.Corrections {
		sr, _ := p.point.find(k.Channel, 0)
		if sr == nil {
			return entry.ReasonUnknownChannel
		}
		if len(c.Undoes) > 0 && string(sr.Calibration) != string(c.Undoes) {
			return entry.ReasonUnknownCalibration
		}
	}
	p.calibration = c
	return ""
}

// calibrate puts a calibration in force. One that does not begin where the last one
// ended is doubted: there is one between them that the ledger was not told of.
func (s *State) calibrate(p *plan, leaf uint64) [][]byte {
	var flags []flag
	identity := p.opened.Message().Hash()
	for _, k := range p.calibration.Corrections {
		sr, _ := p.point.find(k.Channel, 0)
		if sr.Factors != nil && !k.Before.Equal(*sr.Factors) && len(flags) < entry.MaxFlags {
			flags = append(flags, flag{entry.FlagCalibrationGap, k.Channel})
		}
		sr.Calibration, sr.Factors = identity[:], &k.After
	}
	s.touch(p.point)
	return flagged(leaf, flags)
}

// judgeClockMap takes a gateway's word for what time it was, of this boot or one
// before.
func (s *State) judgeClockMap(p *plan, now int64) entry.Reason {
	if reason := s.judgeGateway(p, now); reason != "" {
		return reason
	}
	m, err := entry.ParseClockMap(p.opened.Message().Payload)
	if err != nil || !p.plain() || m.Boot > p.claims.Sequence.Boot || p.claims.Subject != "" {
		return entry.ReasonBadPayload
	}
	if s.future(m.Time, now) {
		return entry.ReasonFuture
	}
	return ""
}
