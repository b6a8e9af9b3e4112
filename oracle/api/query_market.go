package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// ZoneItem is a zone with its tariff in force.
type ZoneItem struct {
	Zone     string      `json:"zone"`
	Members  int         `json:"members"`
	Next     string      `json:"next_interval,omitempty" format:"date-time" doc:"The interval to be cleared next"`
	Gate     string      `json:"gate_closes,omitempty" format:"date-time" doc:"Until when orders for the next interval whose gate is open are taken"`
	Trading  string      `json:"trading_interval,omitempty" format:"date-time" doc:"That interval"`
	Tariff   *TariffItem `json:"tariff,omitempty" doc:"In force for the next interval; absent where none is yet"`
	Upcoming int         `json:"later_tariffs" doc:"How many tariffs are decided and not in force yet"`
}

// TariffItem is what energy costs in a zone. Prices are of a kWh.
type TariffItem struct {
	From         string `json:"from" format:"date-time"`
	Currency     string `json:"currency"`
	FeedIn       string `json:"feed_in_per_kwh" doc:"What the supplier pays"`
	Retail       string `json:"retail_per_kwh" doc:"What the supplier charges"`
	Fee          string `json:"network_fee_per_kwh" doc:"On purchases from neighbours"`
	LossPPM      int64  `json:"loss_ppm" doc:"Of retail, on purchases from neighbours"`
	DeviationPPM int64  `json:"deviation_ppm" doc:"Of retail, on what was promised and not given"`
	AuctionRule  int    `json:"auction_rule"`
	PoolRule     int    `json:"pool_rule"`
}

// IntervalItem is an interval as it was cleared and settled last. What it says of the zone
// is published; what each member's part is, is not.
type IntervalItem struct {
	Zone          string        `json:"zone"`
	Interval      string        `json:"interval" format:"date-time" doc:"Its start; it is 900 s long"`
	State         string        `json:"state" enum:"cleared,settled" doc:"settled once the first run has been"`
	Run           string        `json:"run,omitempty" enum:"R0,R1,RF" doc:"The newest run"`
	Version       uint64        `json:"version,omitempty" doc:"Of the settlement, from 1: each later one corrects"`
	Currency      string        `json:"currency"`
	AuctionPrice  *string       `json:"auction_price_per_kwh,omitempty" doc:"Absent where nothing was traded at one price"`
	Members       uint64        `json:"members,omitempty"`
	Totals        *TotalsItem   `json:"totals,omitempty"`
	Why           string        `json:"why_no_totals,omitempty"`
	Unaccounted   *int64        `json:"unaccounted_wh,omitempty" doc:"What the feeder's meter shows and no member's does"`
	Alarm         bool          `json:"alarm" doc:"That is more than the tariff tolerates"`
	Void          string        `json:"void,omitempty" doc:"Why nothing was counted"`
	Root          string        `json:"lines_root_sha256,omitempty" doc:"Of the tree of the members' lines"`
	ClearedBlock  uint64        `json:"cleared_block"`
	SettledBlock  uint64        `json:"settled_block,omitempty"`
	ClearedDetail *ClearingItem `json:"clearing,omitempty" doc:"Of a single interval alone"`
	Leaf          *uint64       `json:"settled_leaf,omitempty" doc:"Of a single interval alone"`
}

// TotalsItem are sums over the members of a zone.
type TotalsItem struct {
	SurplusWh    int64  `json:"surplus_wh"`
	DeficitWh    int64  `json:"deficit_wh"`
	LocalWh      int64  `json:"local_wh" doc:"Shared among neighbours"`
	LocalPrice   string `json:"local_price_per_kwh,omitempty" doc:"The seller's; absent where nothing was shared"`
	GridExportWh int64  `json:"grid_export_wh"`
	GridImportWh int64  `json:"grid_import_wh"`
	Network      string `json:"network_amount"`
	Fund         string `json:"fund_amount"`
	Loss         string `json:"loss_amount"`
	Supplier     string `json:"supplier_amount"`
	Measured     uint64 `json:"measured" doc:"Members by the quality of their readings"`
	Estimated    uint64 `json:"estimated"`
	Missing      uint64 `json:"missing"`
}

// ClearingItem is what the auction came to.
type ClearingItem struct {
	Leaf   uint64     `json:"leaf"`
	Rule   int        `json:"auction_rule"`
	Orders uint64     `json:"orders" doc:"Steps that stood at the gate"`
	Open   PassedItem `json:"open"`
	Green  PassedItem `json:"green"`
	Root   string     `json:"fills_root_sha256"`
	Void   string     `json:"void,omitempty"`
}

// PassedItem is what one pass of an auction traded.
type PassedItem struct {
	VolumeWh int64  `json:"volume_wh"`
	Price    string `json:"price_per_kwh,omitempty"`
	Low      string `json:"low_per_kwh,omitempty" doc:"The price could have been from low"`
	High     string `json:"high_per_kwh,omitempty" doc:"to high"`
}

// runNames are those of the runs of a settlement.
var runNames = [...]string{entry.RunPreliminary: "R0", entry.RunInvoiced: "R1", entry.RunCorrection: "RF"}

// fewTotals says why totals are not there.
const fewTotals = "Fewer than five members have readings: their sum would tell of single homes."

// Zones tells of all zones.
func (a *API) Zones() (zones []ZoneItem) {
	a.cfg.Ledger.View(func(s *state.State) { zones = listZones(s) })
	return zones
}

func listZones(s *state.State) []ZoneItem {
	members := make(map[string]int)
	for _, m := range s.Members() {
		if m.Revoked == 0 {
			members[m.Zone]++
		}
	}
	out := []ZoneItem{}
	for _, z := range s.Zones() {
		item := ZoneItem{Zone: z.Zone, Members: members[z.Zone]}
		if z.Next > 0 {
			item.Next = z.Next.String()
			calendar, at := s.Calendar(), z.Next
			for calendar.Gate(at) <= s.Time() {
				at += unit.IntervalSeconds
			}
			item.Gate, item.Trading = second(calendar.Gate(at)/1000), at.String()
		}
		for i := range z.Tariffs {
			t := &z.Tariffs[i]
			if item.Tariff != nil && t.From > z.Next {
				item.Upcoming++
				continue
			}
			item.Tariff = &TariffItem{t.From.String(), t.Currency, t.FeedIn.String(), t.Retail.String(), t.Fee.String(), int64(t.Loss), int64(t.Deviation), t.Auction, t.Pool}
		}
		out = append(out, item)
	}
	return out
}

func listInterval(v *state.SpotInfo) IntervalItem {
	l := IntervalItem{
		Zone: v.Zone, Interval: v.Interval.String(), State: "cleared", Currency: v.Terms.Currency, ClearedBlock: v.Cleared, Void: v.Void,
	}
	if v.AuctionPrice != nil {
		p := v.AuctionPrice.String()
		l.AuctionPrice = &p
	}
	if v.Version == 0 {
		return l
	}
	l.State, l.Run, l.Version, l.Members, l.SettledBlock = "settled", runNames[v.Run], v.Version, v.Members, v.Height
	l.Root = hex.EncodeToString(v.Root[:])
	t := v.Totals
	if t == nil || t.Measured+t.Estimated < entry.LeastTotals {
		l.Why = fewTotals
		return l
	}
	l.Totals = &TotalsItem{
		int64(t.Surplus), int64(t.Deficit), int64(t.Local), "", int64(t.GridExport), int64(t.GridImport),
		t.Network.String(), t.Fund.String(), t.Loss.String(), t.Supplier.String(), t.Measured, t.Estimated, t.Missing,
	}
	if t.Local > 0 {
		l.Totals.LocalPrice = t.LocalPrice.String()
	}
	if v.Unaccounted != nil {
		wh := int64(*v.Unaccounted)
		l.Unaccounted = &wh
	}
	l.Alarm = v.Alarm
	return l
}

func (a *API) queryMarket(h huma.API, m *http.ServeMux) {
	a.tables(m, "/api/v1/zones/{zone}/intervals", "Intervals of a market", func(r *http.Request) (any, error) {
		items, _, err := a.Intervals(r.PathValue("zone"), 0, 0, tableRows)
		return items, err
	})
	get(h, "zones", "/api/v1/zones", "Zones, with their tariffs", "", func(_ context.Context, in *ListInput) (*output[Page[ZoneItem]], error) {
		return page(a, "/api/v1/zones", "zones", in, listZones, func(z *ZoneItem) string { return z.Zone })
	})
	get(h, "intervals", "/api/v1/zones/{zone}/intervals", "Intervals of a zone, the newest first", "Each as it was settled last, those that are not closed for good by their last run: outcomes of older ones stay in the ledger. An auditor computes every one of them again: wattmark ledger audit.",
		func(_ context.Context, in *intervalsInput) (*output[Page[IntervalItem]], error) {
			return a.intervals(in)
		})
	get(h, "interval", "/api/v1/zones/{zone}/intervals/{start}", "One interval, with its auction", "", func(_ context.Context, in *struct {
		Zone  string `path:"zone" maxLength:"64"`
		Start string `path:"start" maxLength:"40" example:"2026-06-17T10:00:00Z"`
	}) (*output[IntervalItem], error) {
		at, err := unit.ParseInterval(in.Start)
		if err != nil {
			return nil, notInterval(in.Start)
		}
		l, err := a.Interval(in.Zone, at)
		if err != nil {
			return nil, err
		}
		return &output[IntervalItem]{CacheControl: fresh, Body: *l}, nil
	})
}

type intervalsInput struct {
	ListInput
	Zone string `path:"zone" maxLength:"64"`
	From string `query:"from" maxLength:"40" doc:"The first interval to be listed"`
	To   string `query:"to" maxLength:"40" doc:"The interval behind the last one to be listed"`
}

func notInterval(text string) error {
	return newProblem(problemForm, http.StatusBadRequest, "No interval", fmt.Sprintf("%q is not the start of an interval.", shorten(text)),
		"Intervals begin at each quarter hour, in UTC, and are written as 2026-06-17T10:00:00Z.")
}

func (a *API) noZone(zone string) error {
	return newProblem(problemThing, http.StatusNotFound, "No such zone", fmt.Sprintf("There is no zone %q on this ledger.", shorten(zone)), "The zones are at /api/v1/zones.")
}

// spots calls for the intervals of a zone from one to another that is not included.
func (a *API) spots(zone string, from, to unit.Interval) (spots []state.SpotInfo, next unit.Interval, err error) {
	found := false
	a.cfg.Ledger.View(func(s *state.State) {
		for _, z := range s.Zones() {
			if z.Zone == zone {
				found, next = true, z.Next
			}
		}
		spots = s.Spots(zone, from, to)
	})
	if !found {
		return nil, 0, a.noZone(zone)
	}
	return spots, next, nil
}

func (a *API) intervals(in *intervalsInput) (*output[Page[IntervalItem]], error) {
	const list = "intervals"
	c, given, err := parseCursor(list, in.Cursor)
	if err != nil {
		return nil, err
	}
	from, to := unit.Interval(0), last
	for _, bound := range []struct {
		text string
		at   *unit.Interval
	}{{in.From, &from}, {in.To, &to}} {
		if bound.text != "" {
			if *bound.at, err = unit.ParseInterval(bound.text); err != nil {
				return nil, notInterval(bound.text)
			}
		}
	}
	if given {
		before, err := unit.ParseInterval(c.After)
		if err != nil {
			return nil, notInterval(c.After)
		}
		to = min(to, before)
	}
	out := &output[Page[IntervalItem]]{CacheControl: fresh, Body: Page[IntervalItem]{About: a.about(list)}}
	var more bool
	if out.Body.Items, more, err = a.Intervals(in.Zone, from, to, in.Limit); err != nil {
		return nil, err
	}
	if more {
		out.Body.Next = cursor{list, out.Body.Height, out.Body.Items[in.Limit-1].Interval}.String()
		out.Link = link("/api/v1/zones/"+in.Zone+"/intervals", out.Body.Next, in.Limit)
	}
	return out, nil
}

// last is behind every interval.
const last = unit.Interval(1 << 40)

// Intervals tells of the intervals of a zone from one to another that is not included, the
// newest first and so many at most, and whether there are more. A to of 0 is no bound.
func (a *API) Intervals(zone string, from, to unit.Interval, limit int) (items []IntervalItem, more bool, err error) {
	_, next, err := a.spots(zone, 0, 0)
	if err != nil {
		return nil, false, err
	}
	if to == 0 || to > next {
		to = next
	}
	// There is one for each quarter hour since a zone's first: as many as are asked for, and
	// one that says whether there are more.
	low := max(from, to-unit.Interval(limit+1)*intervalSeconds, 0)
	spots, _, err := a.spots(zone, low, to)
	if err != nil {
		return nil, false, err
	}
	items = []IntervalItem{}
	for i := len(spots) - 1; i >= 0; i-- {
		if len(items) == limit {
			return items, true, nil
		}
		items = append(items, listInterval(&spots[i]))
	}
	return items, false, nil
}

// intervalSeconds is how long an interval is.
const intervalSeconds = 900

// Interval tells of one interval, with its auction.
func (a *API) Interval(zone string, at unit.Interval) (*IntervalItem, error) {
	spots, next, err := a.spots(zone, at, at+intervalSeconds)
	if err != nil {
		return nil, err
	}
	if len(spots) == 0 {
		if at >= next {
			return nil, newProblem(problemThing, http.StatusNotFound, "No such interval", fmt.Sprintf("The interval %s is not cleared yet.", at),
				fmt.Sprintf("Those that were cleared are at /api/v1/zones/%s/intervals; the next one is %s.", zone, next))
		}
		return nil, newProblem(problemThing, http.StatusNotFound, "No such interval",
			fmt.Sprintf("The interval %s is not at hand: it is closed for good, or the market of %s had not begun.", at, zone),
			"Oracles keep intervals at hand until their last run. The outcomes of closed ones stay in the ledger: wattmark market intervals --dir DIR lists them.")
	}
	l := listInterval(&spots[0])
	if err := a.outcomes(l.ClearedBlock, func(leaf uint64, body entry.Body) {
		if c, ok := body.(*entry.Cleared); ok && c.Zone == zone && c.Interval == at {
			l.ClearedDetail = &ClearingItem{leaf, c.Auction, c.Orders, listPassed(c, &c.Open), listPassed(c, &c.Green), hex.EncodeToString(c.Root[:]), c.Void}
		}
	}); err != nil {
		return nil, err
	}
	if l.State == "settled" {
		err = a.outcomes(l.SettledBlock, func(leaf uint64, body entry.Body) {
			if c, ok := body.(*entry.Settled); ok && c.Zone == zone && c.Interval == at {
				l.Leaf = &leaf
			}
		})
	}
	return &l, err
}

func listPassed(c *entry.Cleared, p *entry.Passed) PassedItem {
	l := PassedItem{VolumeWh: int64(p.Volume)}
	if p.Volume > 0 {
		l.Low, l.High = p.Low.String(), p.High.String()
		if c.Auction == entry.AuctionUniform {
			l.Price = p.Price.String()
		}
	}
	return l
}

// outcomes calls fn with the body of each outcome in a block that has one.
func (a *API) outcomes(height uint64, fn func(leaf uint64, body entry.Body)) error {
	s := a.cfg.Ledger.Store()
	b, err := s.BlockAt(height)
	if err != nil {
		return a.unreadable("a block", err)
	}
	err = s.Leaves(b.First, b.Size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafOutcome {
			return nil
		}
		o, err := entry.ParseOutcome(leaf)
		if err != nil || o.Body == nil {
			return nil // one of a later program
		}
		body, err := o.ParseBody()
		if err == nil {
			fn(i, body)
		}
		return err
	})
	if err != nil {
		return a.unreadable("a block", err)
	}
	return nil
}
