package pulse

import "wattmark/hardware"

// SnapshotOf returns the snapshot of a count.
func SnapshotOf(count int64) []byte {
	d := &Dev{}
	d.tally.set(count)
	return d.Snapshot()
}

// Energy returns the energy of a count at so many pulses per kWh.
func Energy(constant string, count int64) (hardware.Value, bool, error) {
	r, err := parseRate(constant)
	if err != nil {
		return hardware.Value{}, false, err
	}
	v, ok := r.energy(count)
	return v, ok, nil
}
