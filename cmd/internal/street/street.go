package street

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"wattmark/ledger/unit"
)

// MaxHomes is the most homes a street has.
const MaxHomes = 500

// Config says which street it is.
type Config struct {
	// Homes is the number of homes, 1 to [MaxHomes].
	Homes int
	// Seed is from which everything that is invented is drawn.
	Seed uint64
	// Clock is the street's time.
	Clock *Clock
	// Epoch is when the meters were installed, at a Monday's 00:00 UTC and not
	// after the clock's time; zero means the package's [Epoch]. A street that goes
	// on from an earlier run needs the same one.
	Epoch time.Time
}

// Home is one home of the street.
type Home struct {
	Name   string // "home-01"
	Source string // the real home whose energy this is
	Solar  bool   // whether it has a generator, with a meter of its own
	Phases int    // 1: an SDM120; 3: an SDM630

	number    uint64
	registers *registers
}

// Street is a neighbourhood that is not there. All its methods are safe for
// concurrent use.
type Street struct {
	seed   uint64
	clock  *Clock
	homes  []*Home
	feeder *registers

	lines []*line // of the homes in their order, and of the feeder
	stack *stack

	mu    sync.Mutex // guards shown, and that meters are set in order
	shown time.Time  // what the meters show; they never go back
}

// New opens the street's meters and sensors, and sets them to the clock's time.
// They answer while Run runs; Close removes them.
func New(c Config) (*Street, error) {
	s, err := model(c)
	if err != nil {
		return nil, err
	}
	for _, h := range s.homes {
		l, err := openLine(s.seed, h.number, h.Phases, h.Solar)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening the line of %s: %w", h.Name, err), closeAll(s.lines))
		}
		s.lines = append(s.lines, l)
	}
	l, err := openLine(s.seed, feederMeter, 3, false)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the line of %s: %w", feederName, err), closeAll(s.lines))
	}
	s.lines = append(s.lines, l)
	if s.stack, err = newStack(s.seed, c.Clock); err != nil {
		return nil, errors.Join(err, closeAll(s.lines))
	}
	s.show(c.Clock.Now())
	c.Clock.follow(s.show)
	return s, nil
}

// Close removes the emulated ports and buses. A program that has one open sees it
// vanish.
func (s *Street) Close() error {
	return errors.Join(closeAll(s.lines), s.stack.close())
}

// solarOf says which of each twelve homes have a generator: seven, as in the
// data all but two have one, which would leave nobody to sell to.
var solarOf = [12]bool{0: true, 1: true, 3: true, 4: true, 7: true, 9: true, 11: true}

// leastSolar is the least Wh in the data's week that count as having a generator.
const leastSolar = 10_000

// model makes the homes and the feeder, and weighs the week: what flows in each
// of its hours.
func model(c Config) (*Street, error) {
	switch {
	case c.Homes < 1 || c.Homes > MaxHomes:
		return nil, fmt.Errorf("a street of %d homes: it has 1 to %d", c.Homes, MaxHomes)
	case c.Clock == nil:
		return nil, fmt.Errorf("a street needs a clock")
	}
	if c.Epoch.IsZero() {
		c.Epoch = Epoch
	}
	epoch := c.Epoch.UTC()
	if epoch.Weekday() != time.Monday || epoch.UnixMilli()%(hoursPerDay*msPerHour) != 0 {
		return nil, fmt.Errorf("the street's meters start at %s, which is not a Monday's 00:00 UTC", epoch)
	}
	if now := c.Clock.Now(); now.Before(epoch) {
		return nil, fmt.Errorf("the clock shows %s, before the street's meters were installed on %s: set the clock, or an earlier epoch",
			now.Format(time.RFC3339), epoch.Format(time.DateOnly))
	}
	all, err := profiles()
	if err != nil {
		return nil, err
	}
	s := &Street{seed: c.Seed, clock: c.Clock}
	var meters []*registers
	for i := range c.Homes {
		h := newHome(c.Seed, epoch, i, all)
		s.homes = append(s.homes, h)
		meters = append(meters, h.registers)
	}
	s.feeder = newRegisters(&feeder{meters}, epoch, flows{
		imported: within(0, 900_000, hash(c.Seed, drawBase, feederMeter)) * microPerWh,
		exported: within(0, 100_000, hash(c.Seed, drawBase, feederMeter, 1)) * microPerWh,
	})
	for hour := range hoursPerWeek {
		for _, r := range meters {
			r.weigh(hour)
		}
		s.feeder.weigh(hour)
	}
	return s, nil
}

// Numbers of meters in draws: homes from 0, their generators from solarMeter.
const (
	solarMeter  = 1 << 20
	feederMeter = 1 << 21
	stackMeter  = 1 << 22
)

func newHome(seed uint64, epoch time.Time, i int, all []profile) *Home {
	n := uint64(i)
	p := &all[i%len(all)]
	h := &house{seed: seed, number: n, profile: p, scale: 1000}
	if i >= len(all) {
		h.scale = within(700, 1300, hash(seed, drawScale, n))
		h.shift = int(within(-2, 2, hash(seed, drawShift, n)))
	}
	h.solar = p.quarters != nil // its registers were measured with the sun in them
	if p.quarters == nil && solarOf[i%len(solarOf)] {
		var week int64
		for _, wh := range p.solar {
			week += wh
		}
		h.solar = week >= leastSolar
	}
	exported := int64(0)
	if h.solar {
		exported = within(50_000, 400_000, hash(seed, drawBase, n, 1))
	}
	base := flows{
		imported: within(200_000, 1_000_000, hash(seed, drawBase, n)) * microPerWh,
		exported: exported * microPerWh,
		// More is made than is sold.
		generated: exported * 3 / 2 * microPerWh,
	}
	return &Home{
		Name: fmt.Sprintf("home-%02d", i+1), Source: p.source, Solar: h.solar, Phases: 1 + i%2*2,
		number: n, registers: newRegisters(h, epoch, base),
	}
}

// State is what the meters of one home, or of the feeder, show at one instant.
type State struct {
	Name      string
	Imported  unit.Energy // register, whole Wh
	Exported  unit.Energy // register
	Generated unit.Energy // register of the generator's own meter
	Grid      Electrical  // at the connection
	Sun       Electrical  // at the generator, power negative as it gives; zero without one
}

// Snapshot is the whole street at one instant.
type Snapshot struct {
	At     time.Time
	Homes  []State
	Feeder State
	Stack  Air
}

// Homes returns the homes in order of their names.
func (s *Street) Homes() []Home {
	out := make([]Home, len(s.homes))
	for i, h := range s.homes {
		out[i] = *h
	}
	return out
}

// At returns the street at a time of its clock, past or future: it is a pure
// function of time, seed and number of homes.
func (s *Street) At(t time.Time) Snapshot {
	ms := t.UnixMilli()
	out := Snapshot{At: t, Homes: make([]State, len(s.homes)), Feeder: s.feederState(ms), Stack: air(s.seed, ms)}
	for i, h := range s.homes {
		out.Homes[i] = s.homeState(h, ms)
	}
	return out
}

func (s *Street) homeState(h *Home, ms int64) State {
	total, step := h.registers.at(ms)
	st := State{
		Name: h.Name, Imported: wh(total.imported), Exported: wh(total.exported), Generated: wh(total.generated),
		Grid: electrical(s.seed, h.number, h.Phases, milliwatts(step.imported-step.exported), ms),
	}
	if h.Solar {
		st.Sun = electrical(s.seed, h.number+solarMeter, 1, -milliwatts(step.generated), ms)
	}
	return st
}

func (s *Street) feederState(ms int64) State {
	total, step := s.feeder.at(ms)
	return State{
		Name: feederName, Imported: wh(total.imported), Exported: wh(total.exported),
		Grid: electrical(s.seed, feederMeter, 3, milliwatts(step.imported-step.exported), ms),
	}
}

const (
	feederName = "feeder-01"
	stackName  = "stack-01"
)

// wh rounds down, as a register does.
func wh(micro int64) unit.Energy { return unit.Energy(micro / microPerWh) }
