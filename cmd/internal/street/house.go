package street

// house is one home's energy: a real home's, spread over each hour by a draw
// from the seed. It implements source.
type house struct {
	seed    uint64
	number  uint64 // from 0
	profile *profile
	solar   bool  // whether what the sun gives is used
	scale   int64 // in thousandths of the real home's
	shift   int   // whole hours by which the load comes later than the real home's
}

// fill implements source.
func (h *house) fill(hour int, t *hourTable) {
	if h.profile.quarters != nil {
		h.fillQuarters(hour, t)
		return
	}
	var load, sun [stepsPerHour + 1]int64
	h.loadWeights(hour, &load)
	spread(&load, h.micro(h.profile.load[wrap(hour-h.shift)]))
	if h.solar {
		h.sunWeights(hour, &sun)
		spread(&sun, h.micro(h.profile.solar[hour]))
	}
	for i := range stepsPerHour {
		made := sun[i+1] - sun[i]
		net := load[i+1] - load[i] - made
		t[i+1] = t[i].plus(flows{imported: max(net, 0), exported: max(-net, 0), generated: made})
	}
}

// micro scales Wh of the real home to µWh of this one, exactly.
func (h *house) micro(wh int64) int64 { return wh * h.scale * (microPerWh / 1000) }

func wrap(hour int) int { return (hour%hoursPerWeek + hoursPerWeek) % hoursPerWeek }

// spread turns weights, each in the place after its step, into a running total
// that starts at 0, ends at exactly total, and never falls.
func spread(w *[stepsPerHour + 1]int64, total int64) {
	for i := range stepsPerHour {
		w[i+1] += w[i]
	}
	sum := w[stepsPerHour]
	if sum == 0 {
		return
	}
	for i := range w {
		// At most 10^10 µWh x 10^6, within int64.
		w[i] = total * w[i] / sum
	}
}

// loadWeights draws how a home's use varies: a floor, appliances that run for
// five minutes at a time, now and then a large one, and small change between.
func (h *house) loadWeights(hour int, w *[stepsPerHour + 1]int64) {
	for block := range stepsPerHour / 30 {
		at := uint64(hour*stepsPerHour + block)
		draw := hash(h.seed, drawSpike, h.number, at)
		level := within(60, 130, draw>>8)
		if draw%8 == 0 {
			level += 180
		}
		for i := range 30 {
			small := hash(h.seed, drawLoad, h.number, at, uint64(i)/3)
			w[1+block*30+i] = level + within(-12, 12, small)
		}
	}
}

// sunWeights follows the sun from the hour before to the hour after, with small
// clouds of a minute that are everybody's.
func (h *house) sunWeights(hour int, w *[stepsPerHour + 1]int64) {
	s := h.profile.solar
	before, now, after := s[wrap(hour-1)], s[hour], s[wrap(hour+1)]
	top := max(before, now, after)
	if now == 0 {
		return
	}
	const half = stepsPerHour / 2
	for i := range stepsPerHour {
		// Twice the mean of two hours at the ends, twice this hour's in the middle.
		var v int64
		if i < half {
			v = ((before+now)*int64(half-i) + 2*now*int64(i)) / half
		} else {
			v = ((now+after)*int64(i-half) + 2*now*int64(stepsPerHour-i)) / half
		}
		cloud := within(85, 100, hash(h.seed, drawCloud, uint64(hour), uint64(i/6)))
		w[i+1] = v * cloud * 10 / top
	}
}

// fillQuarters lets a measured house import in the first part of a quarter and
// export in the rest, in proportion to both, since a meter does one at a time.
func (h *house) fillQuarters(hour int, t *hourTable) {
	const steps = stepsPerHour / 4
	for q := range 4 {
		e := h.profile.quarters[hour%hoursPerDay*4+q]
		imported, exported, generated := h.micro(e.imported), h.micro(e.exported), h.micro(e.generated)
		split := int64(steps)
		if exported > 0 {
			split = steps * imported / (imported + exported)
			if imported > 0 {
				split = min(max(split, 1), steps-1)
			}
		}
		start := t[q*steps]
		for i := int64(1); i <= steps; i++ {
			f := flows{generated: generated * i / steps}
			if split > 0 {
				f.imported = imported * min(i, split) / split
			}
			if i > split {
				f.exported = exported * (i - split) / (steps - split)
			}
			t[q*steps+int(i)] = start.plus(f)
		}
	}
}
