package street

import (
	"sync"
	"time"
)

// Energy is counted in µWh here, so that a power of 0.36 mW still moves a
// register within one step. int64 holds nine billion kWh of it.
const microPerWh = 1_000_000

const (
	stepMilli    = 10_000 // within a step power is constant
	stepsPerHour = 360
	msPerHour    = 3_600_000
	msPerWeek    = hoursPerWeek * msPerHour
)

// Epoch is when the street's meters were installed unless a configuration says
// otherwise: a Monday, from which the week of the data repeats. It is as late as
// can be, since a float32 in kWh counts the coarser the more it has counted.
var Epoch = time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)

// flows are energies in µWh: out of the grid, into it, and made by the sun.
type flows struct{ imported, exported, generated int64 }

func (f flows) plus(g flows) flows {
	return flows{f.imported + g.imported, f.exported + g.exported, f.generated + g.generated}
}

func (f flows) minus(g flows) flows {
	return flows{f.imported - g.imported, f.exported - g.exported, f.generated - g.generated}
}

// part returns the share n/of of f, rounded down.
func (f flows) part(n, of int64) flows {
	return flows{f.imported * n / of, f.exported * n / of, f.generated * n / of}
}

// hourTable is what has flowed at the start of each step of an hour, and at its end.
type hourTable [stepsPerHour + 1]flows

// source fills in how the energy of an hour of the week, 0 to 167, flows. It
// gives the same table for the same hour each time.
type source interface {
	fill(hour int, t *hourTable)
}

// registers is a meter's running totals: a pure function of time, in which the
// same week follows upon itself. Safe for concurrent use.
type registers struct {
	source source
	epoch  int64 // Unix ms
	base   flows // at the epoch

	prefix [hoursPerWeek + 1]flows // since the week's start, at each hour; constant once weighed

	mu    sync.Mutex // guards hour and table
	hour  int        // of table, -1 for none
	table hourTable
}

func newRegisters(s source, epoch time.Time, base flows) *registers {
	return &registers{source: s, epoch: epoch.UnixMilli(), base: base, hour: -1}
}

// weigh adds hour to the sums; the hours come in order, once each.
func (r *registers) weigh(hour int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load(hour)
	r.prefix[hour+1] = r.prefix[hour].plus(r.table[stepsPerHour])
}

// load makes table the one of hour. The caller holds mu.
func (r *registers) load(hour int) {
	if r.hour != hour {
		r.table = hourTable{}
		r.source.fill(hour, &r.table)
		r.hour = hour
	}
}

// steps copies the table of an hour.
func (r *registers) steps(hour int, t *hourTable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load(hour)
	*t = r.table
}

// at returns the totals at a time, and what flows within its step of 10 s.
func (r *registers) at(ms int64) (total, step flows) {
	since := ms - r.epoch
	week := floorDiv(since, msPerWeek)
	rest := since - week*msPerWeek
	hour := int(rest / msPerHour)
	rest %= msPerHour
	n, rest := rest/stepMilli, rest%stepMilli

	r.mu.Lock()
	defer r.mu.Unlock()
	r.load(hour)
	all := r.prefix[hoursPerWeek]
	total = r.base.plus(flows{all.imported * week, all.exported * week, all.generated * week})
	step = r.table[n+1].minus(r.table[n])
	total = total.plus(r.prefix[hour]).plus(r.table[n]).plus(step.part(rest, stepMilli))
	return total, step
}

// milliwatts is the power of an energy of µWh that flows within a step.
func milliwatts(micro int64) int64 { return micro * stepsPerHour / 1000 }
