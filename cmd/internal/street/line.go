package street

import (
	"errors"
	"fmt"

	"wattmark/hardware/emulated"
	"wattmark/ledger/unit"
)

// Addresses of the meters on a line.
const (
	gridUnit = 1
	sunUnit  = 2
)

// line is an RS-485 line of its own with the meters on it.
type line struct {
	terminal *emulated.Terminal
	model    string
	grid     *emulated.Meter
	sun      *emulated.Meter // nil without a generator
}

func openLine(seed, number uint64, phases int, solar bool) (*line, error) {
	t, err := emulated.OpenLine()
	if err != nil {
		return nil, err
	}
	l := &line{terminal: t, model: "sdm120"}
	if phases == 3 {
		l.model = "sdm630"
	}
	l.grid = emulated.NewMeter(l.model, serial(seed, number))
	t.Attach(gridUnit, l.grid)
	if solar {
		l.sun = emulated.NewMeter("sdm120", serial(seed, number+solarMeter))
		t.Attach(sunUnit, l.sun)
	}
	return l, nil
}

// serial draws an eight-digit serial number.
func serial(seed, meter uint64) uint32 {
	return uint32(within(10_000_000, 99_999_999, hash(seed, drawSerial, meter)))
}

// show makes the meters measure what s says.
func (l *line) show(s *State) {
	l.grid.Set(supply(&s.Grid, s.Imported, s.Exported))
	if l.sun != nil {
		// What the sun gives flows towards the grid: the generator's meter exports.
		l.sun.Set(supply(&s.Sun, 0, s.Generated))
	}
}

// supply is what an emulated meter is told. Reactive energy follows from active
// energy and the meter's power factor, which is always the same.
func supply(e *Electrical, imported, exported unit.Energy) emulated.Supply {
	s := emulated.Supply{
		Frequency: thousandths(e.Frequency),
		ImportWh:  int64(imported), ExportWh: int64(exported),
	}
	for i := range e.Phases {
		s.Phases[i] = emulated.Phase{
			Voltage: thousandths(e.Voltage[i]), Current: thousandths(e.Current[i]),
			Power: thousandths(e.Power[i]), Reactive: thousandths(e.Reactive[i]),
		}
	}
	factor := max(e.Factor[0], -e.Factor[0])
	s.ImportVarh = int64(imported+exported) * sine(factor) / factor
	return s
}

func thousandths(n int64) float64 { return float64(n) / 1000 }

func (l *line) close() error {
	if err := l.terminal.Close(); err != nil {
		return fmt.Errorf("closing an emulated line: %w", err)
	}
	return nil
}

func closeAll(lines []*line) error {
	var errs []error
	for _, l := range lines {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}
