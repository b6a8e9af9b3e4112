package street

import "time"

// Model makes a street without meters, for the tests of its energy.
var Model = model

// Profile is a real home as the data has it, in Wh.
type Profile struct {
	Source      string
	Load, Solar []int64    // of each hour of the week
	Quarters    [][3]int64 // imported, exported, generated in each quarter of a day
}

// Profiles returns the real homes.
func Profiles() ([]Profile, error) {
	all, err := profiles()
	out := make([]Profile, len(all))
	for i, p := range all {
		out[i] = Profile{Source: p.source, Load: p.load, Solar: p.solar}
		for _, q := range p.quarters {
			out[i].Quarters = append(out[i].Quarters, [3]int64{q.imported, q.exported, q.generated})
		}
	}
	return out, err
}

// Totals returns a home's registers in µWh: imported, exported, generated; of
// the feeder for home -1.
func (s *Street) Totals(home int, t time.Time) [3]int64 {
	r := s.feeder
	if home >= 0 {
		r = s.homes[home].registers
	}
	f, _ := r.at(t.UnixMilli())
	return [3]int64{f.imported, f.exported, f.generated}
}

// Scale returns the thousandths by which a home differs from the real one, and
// the hours by which its load comes later.
func (s *Street) Scale(home int) (int64, int) {
	h := s.homes[home].registers.source.(*house)
	return h.scale, h.shift
}
