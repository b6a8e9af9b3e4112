package doctor

import (
	"context"
	"slices"
	"strings"

	"wattmark/gateway/console"
	"wattmark/gateway/verdict"
)

// deviceAnswers tells which parts are silent: by the running gateway's count, or by
// one attempt.
func deviceAnswers(_ context.Context, x *exam) ([]Finding, error) {
	const remedy = "check supply, wires, address and speed; wattmark-gateway scan finds what answers"
	s, err := x.running()
	if err != nil {
		live, err := x.values()
		if err != nil {
			return nil, err
		}
		var all []Finding
		for i := range live.Devices {
			d := &live.Devices[i]
			if x.portless(d.Name) {
				continue
			}
			found := ok("answers")
			if d.Error != "" {
				found = fault(or(d.Remedy, remedy), "no values: %s", cause(d.Error, d.Remedy))
			}
			all = append(all, of(d.Name, found)...)
		}
		return all, nil
	}
	var all []Finding
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.State != console.StateDisabled && x.portless(d.Name) {
			continue
		}
		var found []Finding
		switch d.State {
		case console.StateSilent:
			found = fault(or(d.Remedy, remedy), "no values any more: %s", cause(d.Error, d.Remedy))
		case console.StateFailing:
			found = warn(or(d.Remedy, remedy), "the last attempt gave no values: %s", cause(d.Error, d.Remedy))
		case console.StateDisabled:
			found = warn("take disabled = true out of the configuration once it is repaired", "disabled: it is not read")
		case console.StateWaiting:
			found = ok("not due yet")
		default:
			found = ok("answers")
		}
		all = append(all, of(d.Name, found)...)
	}
	return all, nil
}

// cause is an error of a driver without the remedy at its end, which is said beside it.
func cause(text, remedy string) string {
	return strings.TrimSuffix(text, " ("+remedy+")")
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// eachValue calls look with the newest values of each device that has some.
func (x *exam) eachValue(look func(d *console.DeviceValue) []Finding) ([]Finding, error) {
	live, err := x.values()
	if err != nil {
		return nil, err
	}
	var all []Finding
	for i := range live.Devices {
		if d := &live.Devices[i]; len(d.Values) > 0 && d.Error == "" {
			all = append(all, of(d.Name, look(d))...)
		}
	}
	return all, nil
}

// deviceQuality tells values that their parts doubt.
func deviceQuality(_ context.Context, x *exam) ([]Finding, error) {
	return x.verdicts("no doubtful values", "", "quality_", "co2_low")
}

// clamp tells clamps that look reversed.
func clamp(_ context.Context, x *exam) ([]Finding, error) {
	return x.verdicts("all phases agree in sign", "active_power_l", "clamp_reversed")
}

// wiring tells currents and voltages that do not belong together.
func wiring(_ context.Context, x *exam) ([]Finding, error) {
	return x.verdicts("currents and voltages belong together", "voltage_l", "phase_dead", "power_factor", "phases_swapped", "neutral_current", "sum_differs")
}

// verdicts tells what looks wrong of devices that have a channel whose name begins with
// having: the first sentence whose code begins with one of codes.
func (x *exam) verdicts(well, having string, codes ...string) ([]Finding, error) {
	return x.eachValue(func(d *console.DeviceValue) []Finding {
		if !slices.ContainsFunc(d.Values, func(v console.Value) bool { return strings.HasPrefix(v.Channel, having) }) {
			return nil
		}
		for _, s := range verdict.Of(d.Values) {
			if s.Fault && slices.ContainsFunc(codes, func(code string) bool { return strings.HasPrefix(s.Code, code) }) {
				found := warn(s.Remedy, "%s", s.Text)
				found[0].plain = strings.ReplaceAll(s.Code, "_", " ")
				return found
			}
		}
		return ok("%s", well)
	})
}

// A device is stuck when it said the very same for so many samples and so long.
const (
	stuckSamples = 20
	stuckSeconds = 300
)

// restless are units of what never stands still in a real part.
var restless = []string{"V", "Hz", "ppm", "Cel", "Pa", "%RH", "ug/m3"}

func deviceStuck(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	if err != nil {
		return nil, err
	}
	return x.eachValue(func(v *console.DeviceValue) []Finding {
		moves := slices.ContainsFunc(v.Values, func(v console.Value) bool {
			return slices.Contains(restless, v.Unit) && strings.Trim(v.Value, "-0.") != ""
		})
		i := slices.IndexFunc(s.Devices, func(d console.Device) bool { return d.Name == v.Name && d.Point == v.Point })
		if !moves || i < 0 {
			return nil
		}
		if d := &s.Devices[i]; d.Unchanged >= stuckSamples && float64(d.Unchanged)*d.PeriodS >= stuckSeconds {
			return warn("power the part off and on; if it goes on, replace it", "it said the very same %d times in a row: it looks stuck", d.Unchanged)
		}
		return ok("its values move")
	})
}
