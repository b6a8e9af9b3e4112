package survey

import (
	"context"
	"errors"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// presence is what questions to a unit came to.
type presence byte

const (
	nobody   presence = iota
	somebody          // a frame came back
	garbled           // what came back was none
)

// identify asks a unit, and if it answers what it is. ask is what is asked first; nil
// leaves it at the parts.
func (r *Report) identify(ctx context.Context, requester modbus.Requester, unit byte, ask []modbus.Request, parts []unitPart) (*Find, presence, error) {
	met := nobody
	var last error
	for _, q := range ask {
		var t hardware.Transcript
		_, err := requester.Exchange(ctx, q, &t)
		if ctx.Err() != nil {
			return nil, met, ctx.Err()
		}
		last = err
		if met = max(met, present(err)); err == nil || errors.Is(err, hardware.ErrDevice) {
			met = somebody
			break
		}
	}
	if len(ask) > 0 && met != somebody {
		return nil, met, last
	}
	var found []candidate
	for _, p := range parts {
		d, err := p.open(requester, unit)
		c, err := probe(ctx, p.model, d, err)
		if ctx.Err() != nil {
			return nil, met, ctx.Err()
		}
		last = err
		if err == nil {
			met = somebody
			found = append(found, c)
		} else if len(ask) == 0 {
			met = max(met, present(err))
		}
		if c.confidence == hardware.Certain {
			break
		}
	}
	f, ok := best(found)
	if !ok || f.Confidence < hardware.Likely && len(ask) > 0 {
		// It answers as any unit would.
		if len(ask) == 0 {
			return nil, met, last
		}
		f = Find{Models: []string{"modbus"}, Confidence: hardware.Possible}
	}
	f.Address = uint16(unit)
	return &f, somebody, nil
}

// present tells what an error of an exchange says of the unit.
func present(err error) presence {
	switch {
	case err == nil, errors.Is(err, hardware.ErrDevice):
		return somebody
	case missing(err):
		return nobody
	case errors.Is(err, hardware.ErrChecksum), errors.Is(err, hardware.ErrMalformed), errors.Is(err, hardware.ErrStale):
		return garbled
	}
	return nobody
}
