package street

// feeder is what flows through the street's one connection: the homes' net, what
// the cables lose, and the lamps. It implements source.
type feeder struct{ homes []*registers }

const (
	// lossShare of what each home imports and exports is lost on its way, one part
	// in so many: 2 %.
	lossShare = 50
	// lampWatts is the street's six lamps of 24 W, which nobody meters, from 18:00
	// to 06:00 UTC.
	lampWatts     = 144
	lampsOn       = 18
	lampsOff      = 6
	lampStepMicro = lampWatts * microPerWh / stepsPerHour
)

// fill implements source. Import and export are told apart after the sum, as a
// meter does: what one home exports and another uses does not pass the feeder.
func (f *feeder) fill(hour int, t *hourTable) {
	var net, gross [stepsPerHour]int64
	var home hourTable
	for _, r := range f.homes {
		r.steps(hour, &home)
		for i := range stepsPerHour {
			step := home[i+1].minus(home[i])
			net[i] += step.imported - step.exported
			gross[i] += step.imported + step.exported
		}
	}
	lamps := int64(0)
	if h := hour % hoursPerDay; h >= lampsOn || h < lampsOff {
		lamps = lampStepMicro
	}
	for i := range stepsPerHour {
		n := net[i] + gross[i]/lossShare + lamps
		t[i+1] = t[i].plus(flows{imported: max(n, 0), exported: max(-n, 0)})
	}
}
