package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wattmark/hardware"
)

// Find is a part that answered.
type Find struct {
	// Models are the names of what it may be, the likeliest first: one where the part
	// told it. "modbus" is a unit of which nothing is known but that it answers.
	Models []string
	// Address is the Modbus unit or I2C address, 0 for a part that is alone on its bus.
	Address uint16
	// Mode is how the serial line was set, as in "9600 8N1"; empty on other buses.
	Mode       string
	Identity   hardware.Identity
	Confidence hardware.Confidence
	// Settings are keys of the device's table that it needs, with their values.
	Settings []Setting
}

// Setting is a key of a device's table and its value, as the file writes it.
type Setting struct{ Key, Value string }

// same reports whether both finds are of one part, as far as they tell.
func (f *Find) same(g *Find) bool {
	return slices.Equal(f.Models, g.Models) && f.Identity == g.Identity
}

// Report is what a survey of one bus came to.
type Report struct {
	Finds []Find // in the order in which they answered
	// Notes are sentences about what somebody should look at: two parts at one address,
	// an answer at two speeds.
	Notes []string
	// Asked and Of count the steps done and planned; fewer were done where it was stopped.
	Asked, Of int
	// Framing is what a server on the network speaks, "modbus-tcp" or "rtu-over-tcp".
	Framing string
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Progress tells how far a survey is.
type Progress struct {
	Step  string // what is being asked: "9600 8N1 unit 3"
	Done  int    // steps
	Of    int
	Spent time.Duration // of the plan
	Left  time.Duration // if nobody answers
}

// Share is how much of the plan is done, 0 to 1.
func (p Progress) Share() float64 {
	if all := p.Spent + p.Left; all > 0 {
		return float64(p.Spent) / float64(all)
	}
	return 1
}

// step is one question of a survey.
type step struct {
	what string
	cost time.Duration // when it is not answered
	do   func(ctx context.Context) error
}

// run does the steps in order until ctx ends, and counts them.
func (r *Report) run(ctx context.Context, steps []step, tell func(Progress)) error {
	var spent, all time.Duration
	for _, s := range steps {
		all += s.cost
	}
	r.Of = len(steps)
	for i, s := range steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tell != nil {
			tell(Progress{Step: s.what, Done: i, Of: len(steps), Spent: spent, Left: all - spent})
		}
		if err := s.do(ctx); err != nil {
			return err
		}
		r.Asked++
		spent += s.cost
	}
	return nil
}

// missing reports whether an error says that nobody answered.
func missing(err error) bool {
	return errors.Is(err, hardware.ErrAbsent) || errors.Is(err, hardware.ErrTimeout)
}

// candidate is a part that a probe found, or not.
type candidate struct {
	model      string
	identity   hardware.Identity
	confidence hardware.Confidence
}

// best makes a find of the candidates that a place has: those of the highest confidence.
// It is false when there are none.
func best(list []candidate) (Find, bool) {
	var f Find
	for _, c := range list {
		switch {
		case c.confidence == hardware.NotFound || c.confidence < f.Confidence:
		case c.confidence > f.Confidence:
			f = Find{Models: []string{c.model}, Identity: c.identity, Confidence: c.confidence}
		default:
			f.Models = append(f.Models, c.model)
			f.Identity.Model = "" // which of them it is is not known
		}
	}
	return f, len(f.Models) > 0
}
