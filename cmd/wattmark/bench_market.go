package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/account"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// marketResult is what bench market prints: medians of the rounds. Milliseconds are
// those of the clock; ratios are of what was measured in the same round.
type marketResult struct {
	Orders int     `json:"orders"`
	Rounds int     `json:"rounds"`
	Clear  float64 `json:"clear_ms"`
	Sort   float64 `json:"sort_ms"`
	Ratio  float64 `json:"ratio_to_sorting"`
	Worst  float64 `json:"worst_ratio_to_sorting"`
	// Prices is the ratio to sorting prices and places alone, without the orders.
	Prices float64 `json:"ratio_to_sorting_prices"`
	// CPU is the ratio of processor time, which a busy machine disturbs less.
	CPU        float64 `json:"cpu_ratio_to_sorting"`
	ManyOrders int     `json:"many_orders"`
	ClearMany  float64 `json:"many_clear_ms"`
	// Growth is how many times as long the many orders take, Linear that over the
	// growth of n log n, and CPULinear the same of processor time.
	Growth    float64 `json:"growth"`
	Linear    float64 `json:"growth_over_n_log_n"`
	CPULinear float64 `json:"cpu_growth_over_n_log_n"`
	Homes     int     `json:"homes"`
	Intervals int     `json:"intervals"`
	Year      float64 `json:"year_s"`
	YearCPU   float64 `json:"year_cpu_s"`
	YearRSS   float64 `json:"year_peak_rss_mb"`
	Load      string  `json:"load_average"`
}

// marketFlags are the sizes of bench market.
type marketFlags struct {
	orders, many, rounds, homes, intervals int
	asJSON                                 bool
}

func (f *marketFlags) check() error {
	switch {
	case f.orders < 2 || f.orders > f.many:
		return fmt.Errorf("--orders %d is not between 2 and --many", f.orders)
	case f.many > 2*market.MaxOrders:
		return fmt.Errorf("--many %d is more than an auction's %d", f.many, 2*market.MaxOrders)
	case f.rounds < 1 || f.rounds > 100:
		return fmt.Errorf("--rounds %d is not between 1 and 100", f.rounds)
	case f.homes < 2 || f.homes > 10_000:
		return fmt.Errorf("--homes %d is not between 2 and 10000", f.homes)
	case f.intervals < 1 || f.intervals > 1_000_000:
		return fmt.Errorf("--intervals %d is not between 1 and 1000000", f.intervals)
	}
	return nil
}

func newBenchMarket() *cobra.Command {
	var f marketFlags
	c := &cobra.Command{
		Use:   "market",
		Short: "Measure clearing against sorting, its growth, and a year of a street",
		Long: `Market clears auctions at one price, without pairing, in turns with sorting the
same orders by price, then ten times as many, and prints the ratios. Then it
runs a year of a street of 100 homes: each interval an auction with its pairs,
the pool, and the postings of both. Signatures and files are no part of it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := benchMarket(cmd.Context(), &f)
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), f.asJSON, r, r.text))
		},
	}
	c.Flags().IntVar(&f.orders, "orders", 100_000, "orders of an auction, half of them bids")
	c.Flags().IntVar(&f.many, "many", 1_000_000, "orders of the large auction")
	c.Flags().IntVar(&f.rounds, "rounds", 7, "rounds; clearing and sorting alternate, and the median is printed")
	c.Flags().IntVar(&f.homes, "homes", 100, "homes of the street")
	c.Flags().IntVar(&f.intervals, "intervals", 365*unit.IntervalsPerDay, "intervals of 15 minutes that are settled")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return c
}

func (r *marketResult) text(w io.Writer) {
	fmt.Fprintf(w, "clearing %d orders: %.1f ms\n", r.Orders, r.Clear)
	fmt.Fprintf(w, "  to sorting them         %6.2f   (%.1f ms; worst round %.2f, CPU %.2f)\n", r.Ratio, r.Sort, r.Worst, r.CPU)
	fmt.Fprintf(w, "  to sorting their prices %6.2f\n", r.Prices)
	fmt.Fprintf(w, "clearing %d orders: %.1f ms\n", r.ManyOrders, r.ClearMany)
	fmt.Fprintf(w, "  to the fewer            %6.2f   (%.2f of n log n, CPU %.2f)\n", r.Growth, r.Linear, r.CPULinear)
	fmt.Fprintf(w, "%d intervals of %d homes: %.1f s, %.1f s CPU, %.0f MB at most\n", r.Intervals, r.Homes, r.Year, r.YearCPU, r.YearRSS)
	fmt.Fprintf(w, "load average %s\n", r.Load)
}

// benchMarket measures. It says at the end what it found, and nothing meanwhile.
func benchMarket(ctx context.Context, f *marketFlags) (*marketResult, error) {
	r := &marketResult{Orders: f.orders, Rounds: f.rounds, ManyOrders: f.many, Homes: f.homes, Intervals: f.intervals}
	few, many := benchAuction(f.orders), benchAuction(f.many)
	var clears, sorts, manies, ratios, overPrices, cpus, growths, cpuGrowths []float64
	for range f.rounds {
		clearing := func(a *market.Auction) func() error {
			return func() error { _, err := market.Clear(a); return err }
		}
		one, err := timed(clearing(few))
		if err != nil {
			return nil, err
		}
		bids, offers := slices.Clone(few.Bids), slices.Clone(few.Offers)
		sorting, _ := timed(func() error {
			slices.SortFunc(bids, func(x, y market.Bid) int { return cmp.Compare(y.Price, x.Price) })
			slices.SortFunc(offers, func(x, y market.Offer) int { return cmp.Compare(x.Price, y.Price) })
			return nil
		})
		least, _ := timed(func() error { sortPrices(few); return nil })
		large, err := timed(clearing(many))
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, errors.New("interrupted: nothing was measured")
		}
		clears, sorts, manies = append(clears, one.ms), append(sorts, sorting.ms), append(manies, large.ms)
		ratios, overPrices, growths = append(ratios, one.ms/sorting.ms), append(overPrices, one.ms/least.ms), append(growths, large.ms/one.ms)
		if sorting.cpu > 0 && one.cpu > 0 { // as little as a tick may not be counted
			cpus, cpuGrowths = append(cpus, one.cpu/sorting.cpu), append(cpuGrowths, large.cpu/one.cpu)
		}
	}
	r.Clear, r.Sort, r.Ratio, r.Worst = median(clears), median(sorts), median(ratios), slices.Max(ratios)
	r.Prices, r.CPU = median(overPrices), median(cpus)
	nLogN := func(n int) float64 { return float64(n) * math.Log2(float64(n)) }
	r.ClearMany, r.Growth = median(manies), median(growths)
	r.Linear = r.Growth / (nLogN(f.many) / nLogN(f.orders))
	r.CPULinear = median(cpuGrowths) / (nLogN(f.many) / nLogN(f.orders))

	few, many = nil, nil
	startPeak()
	year, err := timed(func() error { return benchYear(ctx, f.homes, f.intervals) })
	if err != nil {
		return nil, err
	}
	r.Year, r.YearCPU, r.YearRSS, r.Load = year.ms/1e3, year.cpu/1e3, peakRSS(), loadAverage()
	return r, nil
}

// sortPrices is the least that sorting an auction can come to: prices, and the places
// of their orders.
func sortPrices(a *market.Auction) {
	type priced struct {
		price unit.Price
		index int32
	}
	bids, offers := make([]priced, len(a.Bids)), make([]priced, len(a.Offers))
	for i := range a.Bids {
		bids[i] = priced{-a.Bids[i].Price, int32(i)}
	}
	for i := range a.Offers {
		offers[i] = priced{a.Offers[i].Price, int32(i)}
	}
	for _, side := range [][]priced{bids, offers} {
		slices.SortFunc(side, func(x, y priced) int { return cmp.Compare(x.price, y.price) })
	}
}

// spent is the time that something took, by the clock and of the processor, in ms.
type spent struct{ ms, cpu float64 }

func timed(work func() error) (spent, error) {
	runtime.GC()
	cpu, start := cpuTime(), time.Now()
	err := work()
	return spent{float64(time.Since(start).Nanoseconds()) / 1e6, float64((cpuTime() - cpu).Nanoseconds()) / 1e6}, err
}

// benchAuction draws n orders, half of them bids, at distinct prices.
func benchAuction(n int) *market.Auction {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	prices := random.Perm(n)
	a := &market.Auction{Rule: market.Uniform, Fee: 20_000, Bids: make([]market.Bid, n/2), Offers: make([]market.Offer, n-n/2)}
	quantity := func() unit.Energy { return unit.Energy(1 + random.Int64N(5000)) }
	for i := range a.Bids {
		a.Bids[i] = market.Bid{ID: fmt.Sprint("b", i), Member: fmt.Sprint("m", i), Price: unit.Price(prices[i] * 400), Quantity: quantity()}
	}
	for i := range a.Offers {
		a.Offers[i] = market.Offer{ID: fmt.Sprint("o", i), Member: fmt.Sprint("n", i), Price: unit.Price(prices[n/2+i] * 400), Quantity: quantity()}
	}
	return a
}

// benchYear settles one interval after the other, and keeps nothing but balances.
// Every third home has the sun, and every other home places orders.
func benchYear(ctx context.Context, homes, intervals int) error {
	random := rand.New(rand.NewPCG(2, uint64(homes)))
	tariff := market.Tariff{FeedIn: 50_000, Retail: 250_000, Fee: 20_000, Loss: 40_000}
	lossFee, err := tariff.LossFee()
	if err != nil {
		return err
	}
	a := &market.Auction{Rule: market.Uniform, Fee: tariff.Fee + lossFee}
	p := &market.Pool{Rule: market.MidMarket, Tariff: tariff, Deviation: 100_000, Members: make([]market.Meter, homes)}
	var book account.Book
	names := make([]string, homes)
	for i := range names {
		names[i] = fmt.Sprint("home", i)
	}
	for n := range intervals {
		if ctx.Err() != nil {
			return errors.New("interrupted: nothing was measured")
		}
		a.Beacon[0], a.Beacon[1], a.Beacon[2] = byte(n), byte(n>>8), byte(n>>16)
		p.Beacon = a.Beacon
		a.Bids, a.Offers = a.Bids[:0], a.Offers[:0]
		sun := max(0, math.Sin(float64(n%unit.IntervalsPerDay)/unit.IntervalsPerDay*2*math.Pi-math.Pi/2))
		for i, name := range names {
			m := &p.Members[i]
			*m = market.Meter{Member: name, Import: unit.Energy(50 + random.Int64N(400))}
			if i%3 == 0 {
				m.Export = unit.Energy(sun * float64(random.Int64N(1500)))
			}
			id := fmt.Sprintf("%d-%d", n, i)
			price, near := unit.Price(80_000+random.Int64N(140_000)), unit.Energy(random.Int64N(100))
			switch net := m.Export - m.Import; {
			case i%2 == 1:
			case net > 0:
				a.Offers = append(a.Offers, market.Offer{ID: id, Member: name, Price: price, Quantity: net + near, Class: market.Green})
			default:
				a.Bids = append(a.Bids, market.Bid{ID: id, Member: name, Price: price + 50_000, Quantity: 1 + near - net, Class: market.GreenFirst, Premium: 10_000})
			}
		}
		c, err := market.Clear(a)
		if err != nil {
			return err
		}
		if _, err := c.Trades(); err != nil {
			return err
		}
		at := 0
		for _, pos := range c.Positions() {
			for p.Members[at%homes].Member != pos.Member {
				at++
			}
			p.Members[at%homes].Sold, p.Members[at%homes].Bought = pos.Sold, pos.Bought
		}
		p.AuctionPrice = nil
		if c.Open.Volume > 0 {
			p.AuctionPrice = &c.Open.Price
		}
		s, err := market.Settle(p)
		if err != nil {
			return err
		}
		ahead, err := c.Postings(lossFee)
		if err != nil {
			return err
		}
		for _, postings := range [][]market.Posting{ahead, s.Postings()} {
			if err := book.Post(market.Legs("EUR", postings)...); err != nil {
				return err
			}
		}
	}
	return book.Check()
}
