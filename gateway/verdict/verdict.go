package verdict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wattmark/gateway/console"
)

// Sentence is one thing to say about a device.
type Sentence struct {
	Code string `json:"code"` // lower case with underscores, never reused
	Text string `json:"text"` // begins in lower case, without a full stop
	// Remedy says what to do next; empty where all is well.
	Remedy string `json:"remedy,omitempty"`
	// Fault: something is, or looks, wrong.
	Fault bool `json:"fault"`
}

// What separates a measurement from nothing, and an odd one from a usual one.
const (
	// idle is the power below which nothing is said to flow, in W: meters show a few
	// tenths of a watt at rest.
	idle = 5
	// loaded is the apparent power above which a power factor tells something, in VA:
	// chargers at rest are below it, and have any power factor.
	loaded = 200
	// reversed is the least power of a phase that looks reversed, in W.
	reversed = 20
	// poor is the power factor below which current and voltage belong to different
	// phases rather than to a motor: those 120 degrees apart give 0.5 on a heater.
	poor = 0.55
	// live and dead tell a phase with a voltage from one without, in V.
	live, dead = 90, 45
	// stray is the neutral current that is still no load's, in A.
	stray = 0.5
	// freshAir is what CO2 sensors show least outdoors, in ppm (about 425 in 2025, less
	// their usual error of 50).
	freshAir = 370
)

// values are numbers by channel.
type values map[string]float64

func read(list []console.Value) values {
	v := make(values, len(list))
	for i := range list {
		if x, err := strconv.ParseFloat(list[i].Value, 64); err == nil {
			v[list[i].Channel] = x
		}
	}
	return v
}

// phases returns a quantity of all phases that have it, by number from 1.
func (v values) phases(name string) map[int]float64 {
	all := make(map[int]float64)
	for i := 1; i <= 3; i++ {
		if x, ok := v[fmt.Sprintf("%s_l%d", name, i)]; ok {
			all[i] = x
		}
	}
	return all
}

// power returns the power from the grid: as it is, or of its two directions, or of its
// phases.
func (v values) power() (watts float64, ok bool) {
	if p, ok := v["active_power"]; ok {
		return p, true
	}
	in, ok1 := v["active_power_import"]
	out, ok2 := v["active_power_export"]
	if ok1 || ok2 {
		return in - out, true
	}
	all := v.phases("active_power")
	for _, p := range all {
		watts += p
	}
	return watts, len(all) > 0
}

// Of says what the newest values of a device come to: what flows first, then what looks
// wrong, the gravest first. A device that measures no power has no first sentence.
func Of(list []console.Value) []Sentence {
	v := read(list)
	var all []Sentence
	add := func(s Sentence, ok bool) {
		if ok {
			all = append(all, s)
		}
	}
	add(v.flow(unsigned(list)))
	for _, rule := range []func(values) []Sentence{values.voltages, values.clamps, values.factors, values.neutral, values.sum, values.air} {
		all = append(all, rule(v)...)
	}
	for _, s := range qualities(list) {
		add(s, true)
	}
	return all
}

// unsigned reports whether the part cannot tell import from export.
func unsigned(list []console.Value) bool {
	return slices.ContainsFunc(list, func(v console.Value) bool {
		return strings.HasPrefix(v.Channel, "active_power") && hasQuality(v.Quality, "no_sign")
	})
}

func hasQuality(set, name string) bool { return slices.Contains(strings.Split(set, ","), name) }

// flow says where the power goes.
func (v values) flow(unsigned bool) (Sentence, bool) {
	if p, ok := v.power(); ok {
		switch {
		case math.Abs(p) < idle:
			return Sentence{Code: "idle", Text: "nothing flows"}, true
		case unsigned:
			return Sentence{Code: "using", Text: Power(math.Abs(p)) + " flow; this part cannot tell import from export"}, true
		case p > 0:
			return Sentence{Code: "importing", Text: "importing " + Power(p)}, true
		}
		return Sentence{Code: "exporting", Text: "exporting " + Power(-p)}, true
	}
	if p, ok := v["active_power_generated"]; ok {
		if math.Abs(p) < idle {
			return Sentence{Code: "idle", Text: "generating nothing"}, true
		}
		return Sentence{Code: "generating", Text: "generating " + Power(p)}, true
	}
	if p, ok := v["power_dc"]; ok {
		return Sentence{Code: "direct", Text: "direct current, " + Power(p)}, true
	}
	return Sentence{}, false
}

// voltages looks for a phase without one.
func (v values) voltages() []Sentence {
	var all []Sentence
	volts := v.phases("voltage")
	someLive := false
	for _, u := range volts {
		someLive = someLive || u > live
	}
	for i := 1; i <= 3; i++ {
		u, ok := volts[i]
		if ok && u < dead && someLive && len(volts) == 3 {
			all = append(all, Sentence{Code: "phase_dead", Fault: true, Text: fmt.Sprintf("L%d has no voltage", i),
				Remedy: "check the fuse and the voltage wire of this phase; on a single-phase supply it is right"})
		}
	}
	return all
}

// clamps looks for one phase that goes against the two others.
func (v values) clamps() []Sentence {
	watts, volts, amperes := v.phases("active_power"), v.phases("voltage"), v.phases("current")
	if len(watts) != 3 {
		return nil
	}
	for i := 1; i <= 3; i++ {
		others := others(i)
		a, b := watts[others[0]], watts[others[1]]
		apparent := volts[i] * amperes[i]
		if u, ok := volts[i]; ok && u < live || apparent >= loaded && math.Abs(watts[i]) < poor*apparent {
			continue // without its voltage, or with another phase's, the sign tells nothing of the clamp
		}
		if watts[i] <= -reversed && a >= reversed && b >= reversed {
			return []Sentence{{Code: "clamp_reversed", Fault: true,
				Text:   fmt.Sprintf("L%d clamp looks reversed: voltage in phase, power negative while L%d and L%d import", i, others[0], others[1]),
				Remedy: fmt.Sprintf("turn the clamp on L%d around, or swap its two wires; if something feeds in on L%d alone, it is right", i, i)}}
		}
	}
	return nil
}

func others(i int) [2]int {
	return [3][2]int{{2, 3}, {1, 3}, {1, 2}}[i-1]
}

// factors looks for current and voltage that do not belong together.
func (v values) factors() []Sentence {
	var bad []string
	worst := 1.0
	judge := func(name string, watts, volts, amperes float64) {
		apparent := volts * amperes
		if apparent < loaded {
			return
		}
		if f := math.Abs(watts) / apparent; f < poor {
			bad, worst = append(bad, name), min(worst, f)
		}
	}
	volts, amperes, watts := v.phases("voltage"), v.phases("current"), v.phases("active_power")
	for i := 1; i <= 3; i++ {
		w, ok := watts[i]
		if u, lit := volts[i]; ok && lit {
			judge(fmt.Sprintf("L%d ", i), w, u, amperes[i])
		}
	}
	if len(watts) == 0 {
		if w, ok := v["active_power"]; ok && len(volts) == 1 {
			judge("", w, volts[1], amperes[1])
		}
	}
	switch {
	case len(bad) == 0:
		return nil
	case len(bad) == 1:
		return []Sentence{{Code: "power_factor", Fault: true,
			Text:   fmt.Sprintf("%spower factor %.2f: current and voltage of different phases?", bad[0], worst),
			Remedy: "put the clamp on the wire of the phase that its voltage comes from; idle motors and chargers can be like this"}}
	}
	return []Sentence{{Code: "phases_swapped", Fault: true,
		Text:   fmt.Sprintf("%spower factors down to %.2f: current and voltage of different phases?", strings.Join(bad, "and "), worst),
		Remedy: "swap the clamps of these phases until each is on the wire that its voltage comes from"}}
}

// neutral looks for a current that no phase sends.
func (v values) neutral() []Sentence {
	n, ok := v["current_n"]
	if !ok {
		return nil
	}
	sum := 0.0
	amperes := v.phases("current")
	for _, i := range amperes {
		sum += math.Abs(i)
	}
	// The neutral carries at most what the phases send.
	if len(amperes) == 0 || math.Abs(n) < stray || math.Abs(n) <= 1.1*sum+stray {
		return nil
	}
	return []Sentence{{Code: "neutral_current", Fault: true, Text: fmt.Sprintf("neutral current without load: %.1f A, and the phases send %.1f A", math.Abs(n), sum),
		Remedy: "check that the clamps are on this supply's phases, and whether another circuit shares the neutral"}}
}

// sum looks whether the total is that of its phases.
func (v values) sum() []Sentence {
	total, ok := v["active_power"]
	watts := v.phases("active_power")
	if !ok || len(watts) != 3 {
		return nil
	}
	sum := watts[1] + watts[2] + watts[3]
	if math.Abs(total-sum) <= 20+math.Abs(total)/20 { // phases are read one after the other
		return nil
	}
	return []Sentence{{Code: "sum_differs", Fault: true, Text: fmt.Sprintf("the total of %s is not the sum of the phases, %s", Power(total), Power(sum)),
		Remedy: "read again; if it stays, the meter adds its phases without their signs (see its settings), or a phase alone was calibrated"}}
}

// air looks at CO2.
func (v values) air() []Sentence {
	ppm, ok := v["co2"]
	if !ok || ppm >= freshAir {
		return nil
	}
	return []Sentence{{Code: "co2_low", Fault: true, Text: fmt.Sprintf("CO2 of %.0f ppm is less than outdoors", ppm),
		Remedy: "recalibrate the sensor in fresh air: wattmark-gateway calibrate DEVICE --fresh-air"}}
}

// qualities tell what the driver doubts, each once.
func qualities(list []console.Value) []Sentence {
	var all []Sentence
	for _, q := range []struct {
		name, text, remedy string
		fault              bool
	}{
		{"saturated", "at full scale: the truth is larger", "take a part, clamp or shunt with a larger range", true},
		{"overflow", "the part's arithmetic overflowed", "take a part with a larger range", true},
		{"stale", "the part repeats an old result", "check the part's supply; switch it off and on", true},
		{"out_of_range", "outside of the part's stated range", "check the part and what it measures", true},
		{"uncalibrated", "the part says that it was never adjusted", "calibrate it: wattmark-gateway calibrate DEVICE", true},
		{"warming_up", "the part is warming up", "", false},
		{"coarse", "steps above 100 Wh or 1 %", "meters show finer steps once their PIN is entered", false},
	} {
		var channels []string
		for _, v := range list {
			if hasQuality(v.Quality, q.name) {
				channels = append(channels, v.Channel)
			}
		}
		if len(channels) > 0 {
			all = append(all, Sentence{Code: "quality_" + q.name, Fault: q.fault, Text: few(channels) + ": " + q.text, Remedy: q.remedy})
		}
	}
	return all
}

// few names some channels.
func few(channels []string) string {
	if n := len(channels); n > 2 {
		return fmt.Sprintf("%s and %d more", channels[0], n-1)
	}
	return strings.Join(channels, ", ")
}

// Flow is a direction in which power is expected.
type Flow string

// The directions.
const (
	Import Flow = "import"
	Export Flow = "export"
)

// Expect says whether power flows as it should while a known load or source runs. The
// sentence is a fault if it does not, or if nothing tells.
func Expect(list []console.Value, want Flow) Sentence {
	v := read(list)
	p, ok := v.power()
	doing := map[Flow]string{Import: "importing", Export: "exporting"}
	switch {
	case !ok:
		return Sentence{Code: "expected_unknown", Fault: true, Text: "no channel tells which way power flows", Remedy: "read a meter of the grid with active_power"}
	case unsigned(list):
		return Sentence{Code: "expected_unknown", Fault: true, Text: "this part cannot tell import from export", Remedy: "check the direction on another meter"}
	case math.Abs(p) < idle:
		return Sentence{Code: "expected_idle", Fault: true, Text: fmt.Sprintf("expected %s, and nothing flows", want), Remedy: "switch on a load that is known, such as a kettle, and check that the clamp is closed"}
	case (p > 0) != (want == Import):
		other := Import
		if want == Import {
			other = Export
		}
		return Sentence{Code: "expected_reversed", Fault: true, Text: fmt.Sprintf("expected %s, and it is %s %s", want, doing[other], Power(math.Abs(p))),
			Remedy: "turn the clamp around, or swap its two wires"}
	}
	for i, w := range v.phases("active_power") {
		if (w > 0) != (want == Import) && math.Abs(w) >= reversed {
			return Sentence{Code: "expected_phase", Fault: true, Text: fmt.Sprintf("expected %s, and L%d goes the other way with %s", want, i, Power(math.Abs(w))),
				Remedy: fmt.Sprintf("turn the clamp on L%d around, or swap its two wires", i)}
		}
	}
	return Sentence{Code: "expected", Text: fmt.Sprintf("%s, as expected", doing[want])}
}

// Power writes watts for people, with three significant digits: "412 W", "1.2 kW".
func Power(watts float64) string {
	unit := "W"
	for _, larger := range []string{"kW", "MW"} {
		if math.Abs(watts) < 999.5 {
			break
		}
		watts, unit = watts/1000, larger
	}
	digits := 0
	for limit := 99.95; digits < 2 && math.Abs(watts) < limit; limit /= 10 {
		digits++
	}
	if unit == "W" {
		digits = min(digits, 1)
	}
	s := strconv.FormatFloat(watts, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	return s + " " + unit
}
