package market

import (
	"fmt"

	"wattmark/ledger/unit"
)

// Run is one settlement of an interval. Each is posted as the difference from the
// one before.
type Run uint8

// The runs of an interval.
const (
	// R0 is the preliminary statement, a day later.
	R0 Run = iota
	// R1 computes everything again, a week later, and is invoiced.
	R1
	// RF is after R1: corrections of single members.
	RF
)

var runNames = [...]string{R0: "R0", R1: "R1", RF: "RF"}

// String returns the run's name: R0, R1 or RF.
func (r Run) String() string { return nameOf(runNames[:], r, "Run") }

// Calendar is when what happens to an interval: parameters of the community. All
// durations are seconds, and all times that methods take and return Unix milliseconds,
// as blocks have them: a deadline is met in the first block whose time is at or behind
// it, and replay needs no clock.
type Calendar struct {
	// Ahead is how long before an interval orders for it are taken.
	Ahead int64
	// Lead is how long before an interval its gate closes.
	Lead int64
	// Sealed says that orders are hidden until the gate, and Reveal how long behind
	// it they may be opened.
	Sealed bool
	Reveal int64
	// Runs are the deadlines of R0, R1 and RF, counted from the start of the
	// interval's UTC day, or where Rolling from the start of the interval itself.
	Runs    [RF + 1]int64
	Rolling bool
}

const day = unit.IntervalSeconds * unit.IntervalsPerDay

// DefaultCalendar returns the parameters of a community that has not chosen any.
func DefaultCalendar() Calendar {
	const noon = day / 2
	return Calendar{Ahead: 7 * day, Lead: 900, Reveal: 600, Runs: [...]int64{R0: 1*day + noon, R1: 7*day + noon, RF: 90*day + noon}}
}

// Check returns the first [*Fault] of the calendar: its parameters must follow one
// another in time, and none is longer than ten years.
func (c *Calendar) Check() error {
	const most = 3653 * day
	last := int64(day) // the last interval of the day must be over before R0
	if c.Rolling {
		last = unit.IntervalSeconds
	}
	for i, at := range c.Runs {
		name := where{"runs", i}.String()
		if err := within(top, name, at, last, most); err != nil {
			return err
		}
		last = at + 1
	}
	return first(within(top, "lead", c.Lead, 0, most), within(top, "ahead", c.Ahead, c.Lead+1, most), within(top, "reveal", c.Reveal, 0, most))
}

// Opens returns the time from which on orders are taken.
func (c *Calendar) Opens(i unit.Interval) int64 { return (i.Start() - c.Ahead) * 1000 }

// Gate returns the time of the gate: an order counts in a block before it.
func (c *Calendar) Gate(i unit.Interval) int64 { return (i.Start() - c.Lead) * 1000 }

// Beacon returns the time of the block whose header gives the interval its beacon: the
// first at or behind it. The next block holds the clearing.
func (c *Calendar) Beacon(i unit.Interval) int64 {
	if c.Sealed {
		return c.Gate(i) + c.Reveal*1000
	}
	return c.Gate(i)
}

// Due returns the deadline of a run.
func (c *Calendar) Due(i unit.Interval, r Run) int64 {
	from := i.Day()
	if c.Rolling {
		from = i
	}
	return (from.Start() + c.Runs[r]) * 1000
}

// Takes returns a [*Fault] of the field interval unless a block of that time may hold
// an order for the interval, or where orders are sealed, the seal of one.
func (c *Calendar) Takes(i unit.Interval, blockTime int64) error {
	if err := i.Check(); err != nil {
		return &Fault{"interval", fmt.Sprintf("%d is not the start of an interval", int64(i))}
	}
	if blockTime < c.Opens(i) {
		return &Fault{"interval", fmt.Sprintf("orders for %s are taken from %d s before it", i, c.Ahead)}
	}
	if blockTime >= c.Gate(i) {
		return &Fault{"interval", fmt.Sprintf("the gate of %s has closed, %d s before it", i, c.Lead)}
	}
	return nil
}

// TakesOpened returns a [*Fault] of the field interval unless a block of that time may
// open a sealed order for the interval.
func (c *Calendar) TakesOpened(i unit.Interval, blockTime int64) error {
	if err := i.Check(); err != nil {
		return &Fault{"interval", fmt.Sprintf("%d is not the start of an interval", int64(i))}
	}
	if !c.Sealed || blockTime < c.Gate(i) || blockTime >= c.Beacon(i) {
		return &Fault{"interval", fmt.Sprintf("sealed orders for %s are opened within %d s behind its gate", i, c.Reveal)}
	}
	return nil
}
