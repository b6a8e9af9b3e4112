package street

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014): every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash draws 64 bits from a seed and what the draw is for. The same draw gives
// the same bits in every run, on every machine.
func hash(seed uint64, draw ...uint64) uint64 {
	h := mix(seed + 0x9e3779b97f4a7c15)
	for _, d := range draw {
		h = mix(h ^ d + 0x9e3779b97f4a7c15)
	}
	return h
}

// What draws are for: the first word after the seed, so that no two are alike.
const (
	drawBase uint64 = iota + 1
	drawLoad
	drawSpike
	drawCloud
	drawScale
	drawShift
	drawSerial
	drawVoltage
	drawFlicker
	drawFrequency
	drawPhase
	drawBurner
	drawSmoke
	drawAir
	drawDraught
)

// within draws a number from low to high, both included.
func within(low, high int64, h uint64) int64 {
	return low + int64(h%uint64(high-low+1))
}

// wander draws a number between -span and span that changes smoothly with time:
// it is drawn anew each period and interpolated in between. All in ms.
func wander(span, ms, period int64, seed uint64, draw ...uint64) int64 {
	bucket := floorDiv(ms, period)
	part := ms - bucket*period
	at := func(b int64) int64 {
		return within(-span, span, hash(seed, append(draw[:len(draw):len(draw)], uint64(b))...))
	}
	from, to := at(bucket), at(bucket+1)
	return from + (to-from)*part/period
}

// floorDiv divides and rounds down, also where a is negative.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
