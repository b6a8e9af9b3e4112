package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// Statement is what a member's intervals came to over a period.
type Statement struct {
	Ledger    string // its origin
	Simulated bool   // a demonstration's
	Height    uint64 // of the block that the figures rest on
	Time      int64  // of that block, Unix milliseconds
	Rules     uint64 // version of the market's rules
	Member    string
	Zone      string
	Currency  string
	Points    []string // the member's metering points
	From, To  unit.Interval
	Invoice   market.Invoice
	Lines     []market.Line // in the order of a statement
	Spots     []Spot        // in order
	// Disputed are the intervals whose payment waits.
	Disputed []unit.Interval
	// Opaque is how many packs were not at hand: what rests on them is not in it.
	Opaque uint64
}

// Spot is one interval of a member.
type Spot struct {
	Interval unit.Interval
	Run      market.Run
	Version  uint64 // of the settlement, from 1
	Block    uint64 // height of the block with the settlement
	Root     [32]byte
	Quality  market.Quality
	Import   unit.Energy
	Export   unit.Energy
	// FromNeighbours and ToNeighbours are auction and pool together.
	FromNeighbours, ToNeighbours unit.Energy
	FromGrid, ToGrid             unit.Energy
	Corrected                    bool
	// Evidence is the SHA-256 of the file that proves the interval, nil where none was made.
	Evidence []byte
}

// ErrNoMember is wrapped where the ledger does not know a member.
var ErrNoMember = errors.New("no member of this ledger")

// MaxIntervals bounds a statement: a year and a day.
const MaxIntervals = 366 * unit.IntervalsPerDay

// Of returns a member's statement over the intervals from one to another, as the state
// has them.
func Of(st *state.State, member string, from, to unit.Interval) (*Statement, error) {
	about, ok := st.Member(member)
	if !ok {
		return nil, fmt.Errorf("%q is %w: look at 'wattmark member list'", member, ErrNoMember)
	}
	lines, alone, err := st.Bill(member, from, to)
	if err != nil {
		return nil, err
	}
	s := &Statement{Ledger: st.Charter().Origin, Simulated: st.Charter().Simulated, Height: st.Height() - 1, Time: st.Time(), Rules: st.RuleVersion("market"),
		Member: member, Zone: about.Zone, From: from, To: to, Lines: lines}
	if s.Invoice, err = market.Bill(lines, alone, 0); err != nil {
		return nil, err
	}
	for _, c := range about.Connections {
		s.Points = append(s.Points, c.Subject)
	}
	for _, z := range st.Zones() {
		if z.Zone == about.Zone {
			s.Currency = z.Tariffs[0].Currency
		}
	}
	for _, spot := range st.Spots(about.Zone, from, to) {
		parts := st.Parts(about.Zone, spot.Interval)
		i, ok := slices.BinarySearchFunc(parts, member, func(l entry.Line, id string) int { return compareText(l.Member, id) })
		if !ok || spot.Version == 0 {
			continue
		}
		l := &parts[i]
		s.Spots = append(s.Spots, Spot{Interval: spot.Interval, Run: market.Run(spot.Run), Version: spot.Version, Block: spot.Height, Root: spot.Root,
			Quality: market.Quality(l.Quality), Import: l.Import, Export: l.Export,
			FromNeighbours: l.AuctionBought + l.Bought, ToNeighbours: l.AuctionSold + l.Sold, FromGrid: l.GridImport, ToGrid: l.GridExport, Corrected: l.Corrected})
	}
	if len(s.Spots) > MaxIntervals {
		return nil, fmt.Errorf("a statement of %d intervals is longer than a year: ask for a month", len(s.Spots))
	}
	for _, d := range st.Disputes() {
		if d.Member == member && d.Ended == 0 && from <= d.Interval && d.Interval < to {
			s.Disputed = append(s.Disputed, d.Interval)
		}
	}
	return s, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Preliminary counts the intervals that are not invoiced yet.
func (s *Statement) Preliminary() (n int) {
	for i := range s.Spots {
		if s.Spots[i].Run == market.R0 {
			n++
		}
	}
	return n
}

// CSV returns the lines as comma-separated values.
func (s *Statement) CSV() []byte { return market.AppendCSV(nil, s.Lines) }

// Digest is the SHA-256 of the lines as comma-separated values, in hexadecimal: by it
// two statements are told to be one, whatever they are printed on.
func (s *Statement) Digest() string {
	sum := sha256.Sum256(s.CSV())
	return hex.EncodeToString(sum[:])
}

// Period is the statement's period in words: a month, or from and to.
func (s *Statement) Period() string {
	from, to := time.Unix(s.From.Start(), 0).UTC(), time.Unix(s.To.Start(), 0).UTC()
	if from.Day() == 1 && from.Equal(from.Truncate(24*time.Hour)) && to.Equal(from.AddDate(0, 1, 0)) {
		return from.Format("January 2006")
	}
	if n := len(s.Spots); n > 0 { // an open period ends with what there is
		first, last := s.Spots[0].Interval, s.Spots[n-1].Interval
		from, to = time.Unix(max(first, s.From).Start(), 0).UTC(), time.Unix(min(last+unit.IntervalSeconds, s.To).Start(), 0).UTC()
	}
	return from.Format("2006-01-02 15:04") + " to " + to.Format("2006-01-02 15:04") + " UTC"
}

// Sum is what the lines of one kind come to.
type Sum struct {
	Kind   market.LineKind
	Lines  int
	Energy unit.Energy
	Amount unit.Money
}

// Sums adds the lines up by kind, in order of kinds.
func (s *Statement) Sums() (out []Sum) {
	by := make(map[market.LineKind]*Sum)
	for i := range s.Lines {
		l := &s.Lines[i]
		sum := by[l.Kind]
		if sum == nil {
			sum = &Sum{Kind: l.Kind}
			by[l.Kind] = sum
		}
		sum.Lines++
		sum.Energy += l.Energy // market.Bill has found that the sums fit
		sum.Amount += l.Amount
	}
	for kind := market.GreenBuy; kind <= market.CorrectionLine; kind++ {
		if sum := by[kind]; sum != nil {
			out = append(out, *sum)
		}
	}
	return out
}

var kindWords = map[market.LineKind]string{
	market.GreenBuy: "bought green from neighbours, by order", market.GreenSell: "sold green to neighbours, by order",
	market.AuctionBuy: "bought from neighbours, by order", market.AuctionSell: "sold to neighbours, by order",
	market.PoolBuy: "bought from neighbours, pool", market.PoolSell: "sold to neighbours, pool",
	market.GridImport: "bought from the grid", market.GridExport: "sold to the grid",
	market.FeeLine: "network fee for what neighbours shared", market.DeviationLine: "charge for what was promised and not kept",
	market.CorrectionLine: "corrected after the invoice",
}

// Words say what the lines are for.
func (s Sum) Words() string { return kindWords[s.Kind] }

// Bar is what went in and out over a stretch of the period, in Wh.
type Bar struct {
	Label                        string
	FromNeighbours, FromGrid     unit.Energy
	ToNeighbours, ToGrid         unit.Energy
	Missing, Estimated, Measured int // intervals
}

// maxBars is how many intervals are drawn one by one; longer periods are drawn by day.
const maxBars = unit.IntervalsPerDay

// Bars are the period by the interval, or by the day of UTC.
func (s *Statement) Bars() (out []Bar) {
	byDay := len(s.Spots) > maxBars
	var last string
	for i := range s.Spots {
		spot := &s.Spots[i]
		at := time.Unix(spot.Interval.Start(), 0).UTC()
		label := at.Format("15:04")
		if byDay {
			label = at.Format("2 Jan")
		}
		if label != last || !byDay {
			out, last = append(out, Bar{Label: label}), label
		}
		b := &out[len(out)-1]
		b.FromNeighbours += spot.FromNeighbours
		b.FromGrid += spot.FromGrid
		b.ToNeighbours += spot.ToNeighbours
		b.ToGrid += spot.ToGrid
		switch spot.Quality {
		case market.Measured:
			b.Measured++
		case market.Estimated:
			b.Estimated++
		default:
			b.Missing++
		}
	}
	return out
}

// cents rounds an amount as an invoice does.
func cents(m unit.Money) unit.Cents {
	c, _ := m.Cents()
	return c
}

// Headline says in a sentence what the period came to.
func (s *Statement) Headline() string {
	total, alone, saving := s.Invoice.Total, s.Invoice.Counterfactual, s.Invoice.Saving
	verb := "You earned " + amount(cents(total), s.Currency)
	if total < 0 {
		verb = "You paid " + amount(cents(-total), s.Currency)
	}
	with := "you would have earned " + amount(cents(alone), s.Currency)
	if alone < 0 {
		with = "you would have paid " + amount(cents(-alone), s.Currency)
	}
	end := "that is " + amount(cents(saving), s.Currency) + " better"
	switch c := cents(saving); {
	case c == 0:
		end = "that is the same"
	case c < 0:
		end = "that is " + amount(-c, s.Currency) + " worse"
	}
	return fmt.Sprintf("%s. With the supplier alone %s: %s.", verb, with, end)
}

// amount writes cents with their currency, with a minus sign that is one.
func amount(c unit.Cents, currency string) string {
	if c < 0 {
		return "\u2212" + (-c).String() + " " + currency
	}
	return c.String() + " " + currency
}

// Exact writes an amount of the statement to its last digit, with as many decimals as the
// finest of them needs and two at least.
func (s *Statement) Exact(m unit.Money) string {
	text := m.String() // of nine decimals
	if m < 0 {
		text = "\u2212" + (-m).String()
	}
	return text[:len(text)-s.zeros()]
}

// zeros is how many decimals all amounts of the statement end in zero with.
func (s *Statement) zeros() int {
	n := 7
	for i := range s.Lines {
		for v := int64(s.Lines[i].Amount); n > 0 && v%power(n) != 0; {
			n--
		}
	}
	return n
}

func power(n int) int64 {
	v := int64(1)
	for range n {
		v *= 10
	}
	return v
}

// kWh writes energy in kWh, to the Wh.
func kWh(e unit.Energy) string {
	sign, v := "", int64(e)
	if v < 0 {
		sign, v = "\u2212", -v
	}
	return fmt.Sprintf("%s%d.%03d", sign, v/1000, v%1000)
}

// Notes are what a reader must know besides.
func (s *Statement) Notes() (out []string) {
	if n := s.Preliminary(); n > 0 {
		out = append(out, fmt.Sprintf("%s preliminary (run R0): settled again before the invoice.", count(n, "interval is", "intervals are")))
	}
	corrected, estimated, missing := 0, 0, 0
	for i := range s.Spots {
		if s.Spots[i].Corrected {
			corrected++
		}
		switch s.Spots[i].Quality {
		case market.Estimated:
			estimated++
		case market.Missing:
			missing++
		}
	}
	if estimated > 0 {
		out = append(out, fmt.Sprintf("%s estimated: the register was read before and behind, and the difference spread.", count(estimated, "interval is", "intervals are")))
	}
	if missing > 0 {
		out = append(out, fmt.Sprintf("%s without a reading, and settled with nothing in and out.", count(missing, "interval is", "intervals are")))
	}
	if corrected > 0 {
		out = append(out, fmt.Sprintf("%s corrected after the invoice; neighbours' figures stand.", count(corrected, "interval was", "intervals were")))
	}
	for i, at := range s.Disputed {
		if i == 5 {
			out = append(out, fmt.Sprintf("%d more intervals are in dispute.", len(s.Disputed)-5))
			break
		}
		out = append(out, fmt.Sprintf("In dispute: %s. Its payment waits.", at))
	}
	if s.Opaque > 0 {
		out = append(out, fmt.Sprintf("%s not at hand: what rests on them is not in this statement.", count(int(s.Opaque), "pack is", "packs are")))
	}
	if s.Simulated {
		out = append(out, "Simulated: the ledger of a demonstration, whose meters are not there.")
	}
	return out
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// Basis says what the figures rest on, and how each line is proved.
func (s *Statement) Basis() []string {
	return []string{
		fmt.Sprintf("Ledger %s, up to block %d, market rules version %d.", s.Ledger, s.Height, s.Rules),
		"SHA-256 of the lines as CSV: " + s.Digest(),
		fmt.Sprintf("Any line is proved down to the meter's signature: wattmark member prove %s --interval TIME --out bill.evidence, then wattmark verify.", s.Member),
	}
}
