package dashboard

import (
	"html/template"
	"math/big"
	"slices"
	"sync"
	"time"

	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/chart"
)

// today is the market's newest day as / shows it: the day (UTC) of the newest interval that
// was cleared.
type today struct {
	l     language
	Zone  string
	Begun time.Time
	Sum   string // in a sentence
	Chart template.HTML
	Price *api.IntervalItem // the newest that is settled and told of, nil for none
	Terms *api.TariffItem
	// CO2e is what a kWh that homes took in the interval of Price caused at the grid, and Grid
	// the grid's own; both are empty where no factor is in force.
	CO2e, Grid, Pack string
}

// Row is the interval of the price.
func (t today) Row() intervalRow { return intervalRow{t.l, *t.Price} }

// todayCache keeps what was computed last in a language, for as long as the ledger stands still.
type todayCache struct {
	mu   sync.Mutex // guards what follows
	mark string     // of the ledger
	is   *today
}

// today returns the market's newest day, nil where there is no market.
func (d *Dashboard) today(l language) (*today, error) {
	if d.options.API == nil {
		return nil, nil
	}
	mark, kept := d.ledgerMark(), &d.todays[l.Index()]
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if mark != "" && mark == kept.mark {
		return kept.is, nil
	}
	t, err := newestDay(l, d.options.API)
	if err != nil {
		return nil, err
	}
	kept.mark, kept.is = mark, t
	return t, nil
}

func newestDay(l language, a *api.API) (*today, error) {
	zones := a.Zones()
	if len(zones) == 0 {
		return nil, nil
	}
	t := &today{l: l, Zone: zones[0].Zone, Terms: zones[0].Tariff, Sum: l.Say("No quarter hour of today is settled yet.")}
	newest, _, err := a.Intervals(t.Zone, 0, 0, 1)
	if err != nil || len(newest) == 0 {
		return t, err
	}
	t.Begun = intervalRow{l, newest[0]}.Start().Truncate(24 * time.Hour)
	day, _, err := a.Intervals(t.Zone, unit.Interval(t.Begun.Unix()), 0, chartedIntervals)
	if err != nil {
		return nil, err
	}
	var local, fromGrid, toGrid int64
	var until time.Time
	// The whole day, so that it fills from the left.
	bars := []chart.Bar{{At: t.Begun.Add((chartedIntervals - 1) * interval), Unknown: true}}
	for i := range day {
		row := intervalRow{l, day[i]}
		b := chart.Bar{At: row.Start(), Unknown: row.Totals == nil}
		if k := row.Totals; k != nil {
			b.Shared, b.FromGrid, b.ToGrid = k.LocalWh, k.GridImportWh, k.GridExportWh
			local, fromGrid, toGrid = local+k.LocalWh, fromGrid+k.GridImportWh, toGrid+k.GridExportWh
			if t.Price == nil {
				t.Price, until = &day[i], row.End()
			}
		}
		bars = append(bars, b)
	}
	if t.Price == nil {
		return t, nil
	}
	bars = append(bars, chart.Bar{At: t.Begun, Unknown: true})
	slices.Reverse(bars)
	t.Sum = l.Say("On %s until %s UTC neighbours shared %s; %s came from the grid and %s went to it.",
		l.DayMonth(t.Begun), l.Minute(until), l.energy(local), l.energy(fromGrid), l.energy(toGrid))
	t.Chart = template.HTML(chart.Energy(bars, interval, l.Locale, l.Say("Energy of the day by quarter hour: shared among neighbours, from the grid and to the grid.")+" "+t.Sum))
	t.emitted(a.Accounts().Grid)
	return t, nil
}

// emitted says what a kWh that homes took caused: of the share that came from the grid what
// the grid's factor says, of what neighbours gave nothing.
func (t *today) emitted(grid []api.GridItem) {
	k := t.Price.Totals
	if len(grid) == 0 || k.DeficitWh <= 0 {
		return
	}
	factor, err := unit.ParseMass(grid[0].PerKWh)
	if err != nil {
		return
	}
	share := big.NewInt(min(k.GridImportWh, k.DeficitWh))
	mg, err := unit.Half.Quo(share.Mul(share, big.NewInt(int64(factor))), big.NewInt(k.DeficitWh))
	if err != nil {
		return
	}
	t.CO2e, t.Grid, t.Pack = t.l.mass(unit.Mass(mg.Int64()).String()), t.l.mass(grid[0].PerKWh), grid[0].Pack
}
