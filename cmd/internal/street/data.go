package street

import (
	"embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"
)

//go:embed data/citylearn.csv data/opsd.csv data/LICENSE.citylearn data/PROVENANCE.md
var data embed.FS

const (
	hoursPerWeek    = 168
	hoursPerDay     = 24
	quartersPerDay  = 96
	citylearnHomes  = 17
	measuredProfile = 11 // position of the house whose registers were measured
)

// profile is one real home's energy. Either load and solar hold Wh of each hour
// of a week from Monday 00:00, or quarters holds Wh of each quarter of a day.
type profile struct {
	source      string
	load, solar []int64
	quarters    []quarter
}

// quarter is what a measured house's registers advanced by in 900 s, in Wh.
type quarter struct{ imported, exported, generated int64 }

// nightQuarter is the import of each quarter hour of the night, in Wh, which the
// data leaves out: about the mean of the eight quarters before 06:00 UTC (43 Wh)
// and of the four before 20:00 UTC (49 Wh).
const nightQuarter = 46

// profiles returns the real homes, the measured house as the twelfth so that a
// street of twelve homes has both kinds.
func profiles() ([]profile, error) {
	all, err := readCitylearn()
	if err != nil {
		return nil, err
	}
	house, err := readMeasuredHouse()
	if err != nil {
		return nil, err
	}
	all = append(all, profile{})
	copy(all[measuredProfile+1:], all[measuredProfile:])
	all[measuredProfile] = house
	return all, nil
}

func readTable(name string, rows int) ([][]string, error) {
	b, err := data.ReadFile("data/" + name)
	if err != nil {
		return nil, fmt.Errorf("reading embedded data: %w", err)
	}
	table, err := csv.NewReader(strings.NewReader(string(b))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("embedded %s: %w", name, err)
	}
	if len(table) != rows+1 {
		return nil, fmt.Errorf("embedded %s has %d rows instead of %d", name, len(table)-1, rows)
	}
	return table[1:], nil
}

// readCitylearn reads load and solar of the 17 homes. A row's place in the week
// follows from its day type and hour, so that the data's Monday falls on Mondays.
func readCitylearn() ([]profile, error) {
	table, err := readTable("citylearn.csv", hoursPerWeek)
	if err != nil {
		return nil, err
	}
	homes := make([]profile, citylearnHomes)
	for i := range homes {
		homes[i] = profile{
			source: fmt.Sprintf("CityLearn building %d", i+1),
			load:   make([]int64, hoursPerWeek),
			solar:  make([]int64, hoursPerWeek),
		}
	}
	seen := make([]bool, hoursPerWeek)
	for line, row := range table {
		n, err := numbers(row)
		if err != nil {
			return nil, fmt.Errorf("embedded citylearn.csv, row %d: %w", line+1, err)
		}
		hour := (n[2]-1)*hoursPerDay + n[1] - 1
		if hour < 0 || hour >= hoursPerWeek || seen[hour] {
			return nil, fmt.Errorf("embedded citylearn.csv, row %d: hour %d of day %d is twice in the week or not in it", line+1, n[1], n[2])
		}
		seen[hour] = true
		for i := range homes {
			homes[i].load[hour], homes[i].solar[hour] = n[3+2*i], n[4+2*i]
		}
	}
	return homes, nil
}

func numbers(row []string) ([]int64, error) {
	out := make([]int64, len(row))
	for i, s := range row {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return nil, err
		}
		out[i] = int64(n)
	}
	return out, nil
}

// readMeasuredHouse turns cumulative kWh into Wh of each quarter hour of a day.
func readMeasuredHouse() (profile, error) {
	const rows = 65
	table, err := readTable("opsd.csv", rows)
	if err != nil {
		return profile{}, err
	}
	house := profile{source: "OPSD residential4", quarters: make([]quarter, quartersPerDay)}
	for i := range house.quarters {
		house.quarters[i].imported = nightQuarter
	}
	var last [3]int64
	for line, row := range table {
		at, err := time.Parse(time.RFC3339, row[0])
		if err != nil {
			return profile{}, fmt.Errorf("embedded opsd.csv, row %d: %w", line+1, err)
		}
		var now [3]int64
		for i := range now {
			// Three decimals each, so that kWh without the point are Wh.
			if now[i], err = strconv.ParseInt(strings.Replace(row[i+1], ".", "", 1), 10, 64); err != nil {
				return profile{}, fmt.Errorf("embedded opsd.csv, row %d: %w", line+1, err)
			}
		}
		if line > 0 {
			ended := (at.Hour()*60 + at.Minute()) / 15
			house.quarters[ended-1] = quarter{exported: now[0] - last[0], imported: now[1] - last[1], generated: now[2] - last[2]}
		}
		last = now
	}
	return house, nil
}
