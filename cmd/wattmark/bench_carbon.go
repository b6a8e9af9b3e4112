package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/carbon"
	"wattmark/ledger/unit"
)

type carbonBench struct {
	// A year of hourly CO2 by F-2/CO2 for each channel: rate, mass, CO2e, and the line
	// of the channel's inventory.
	Channels     int     `json:"channels"`
	ChannelHours int     `json:"channel_hours"`
	Accounting   float64 `json:"accounting_s"`
	PerHour      float64 `json:"cpu_us_per_channel_hour"`
	// Integers is the same formula in 64-bit integers, which it just fits, on one core:
	// the floor. Both come to the same mg, or the bench fails.
	Integers      float64 `json:"integers_s"`
	AgainstFloor  float64 `json:"cpu_against_integers"`
	CO2e          string  `json:"co2e_t"`
	Blocks        int     `json:"blocks"`
	Overlaps      float64 `json:"overlap_check_s"`
	SortOnly      float64 `json:"sort_only_s"`
	AgainstSort   float64 `json:"against_sort"`
	PlantedFound  int     `json:"overlaps_found"`
	Processors    int     `json:"processors"`
	LoadAverage   string  `json:"load_average"`
	accountedMass unit.Mass
}

type carbonBenchFlags struct {
	channels, hours, blocks int
	seed                    uint64
	asJSON                  bool
}

func newBenchCarbon() *cobra.Command {
	var f carbonBenchFlags
	c := &cobra.Command{
		Use:   "carbon",
		Short: "Measure carbon accounting and the check for overlapping units",
		Long: `Carbon accounts for a year of hourly stack readings from many channels, on all
cores, and looks for overlaps among blocks of carbon units that were planted
there. Beside each stands the cheapest program that could do the same.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := benchCarbon(cmd.Context(), f)
			if err != nil {
				return failed(err)
			}
			return failed(printResult(cmd.OutOrStdout(), f.asJSON, r, r.print))
		},
	}
	c.Flags().IntVar(&f.channels, "channels", 1000, "channels that report each hour")
	c.Flags().IntVar(&f.hours, "hours", 8760, "hours of each")
	c.Flags().IntVar(&f.blocks, "blocks", 1_000_000, "blocks of units to check")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "what readings and blocks are drawn from")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return c
}

func (f carbonBenchFlags) check() error {
	switch {
	case f.channels < 1 || f.channels > 100_000:
		return fmt.Errorf("--channels %d is not between 1 and 100000", f.channels)
	case f.hours < 1 || f.hours > 87_600:
		return fmt.Errorf("--hours %d is not between 1 and 87600", f.hours)
	case f.blocks < 1 || f.blocks > 10_000_000:
		return fmt.Errorf("--blocks %d is not between 1 and 10000000", f.blocks)
	}
	return nil
}

func (r *carbonBench) print(w io.Writer) {
	fmt.Fprintf(w, "accounting      %8.2f s for %d channel-hours, %.2f µs of CPU each\n", r.Accounting, r.ChannelHours, r.PerHour)
	fmt.Fprintf(w, "  in integers   %8.2f s on one core; the CPU is %.1f times that\n", r.Integers, r.AgainstFloor)
	fmt.Fprintf(w, "  they agree on %s t of CO2e\n", r.CO2e)
	fmt.Fprintf(w, "overlap check   %8.2f s for %d blocks, %d overlaps found, all that were planted\n", r.Overlaps, r.Blocks, r.PlantedFound)
	fmt.Fprintf(w, "  sorting them  %8.2f s; the check is %.1f times that\n", r.SortOnly, r.AgainstSort)
	fmt.Fprintf(w, "processors      %8d, load average %s\n", r.Processors, r.LoadAverage)
}

func benchCarbon(ctx context.Context, f carbonBenchFlags) (*carbonBench, error) {
	r := &carbonBench{
		Channels: f.channels, ChannelHours: f.channels * f.hours, Blocks: f.blocks,
		Processors: runtime.GOMAXPROCS(0), LoadAverage: loadAverage(),
	}
	if err := r.account(ctx, f); err != nil {
		return nil, err
	}
	if err := r.integers(f); err != nil {
		return nil, err
	}
	return r, r.overlaps(f)
}

// stackHour is one drawn reading: CO2 dry and moisture in tenths of a percent, and
// wet flow in scf/h.
type stackHour struct {
	co2, h2o, flow int64
}

// draw returns a channel's readings one by one, the same for the same channel.
func drawStack(seed uint64, channel int) func() stackHour {
	r := rand.New(rand.NewPCG(seed, uint64(channel)))
	return func() stackHour {
		return stackHour{80 + r.Int64N(60), 50 + r.Int64N(100), 10_000_000 + r.Int64N(50_000_000)}
	}
}

// account computes all channels, each processor its part of them.
func (r *carbonBench) account(ctx context.Context, f carbonBenchFlags) error {
	lines := make([]carbon.Line, f.channels)
	errs := make([]error, r.Processors)
	before, start := cpuTime(), time.Now()
	var wg sync.WaitGroup
	for p := range r.Processors {
		wg.Go(func() {
			for c := p; c < f.channels && ctx.Err() == nil && errs[p] == nil; c += r.Processors {
				errs[p] = accountChannel(&lines[c], f, c)
			}
		})
	}
	wg.Wait()
	r.Accounting = time.Since(start).Seconds()
	cpu := cpuTime() - before
	r.PerHour = cpu.Seconds() * 1e6 / float64(r.ChannelHours)
	r.AgainstFloor = cpu.Seconds()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return err
	}
	for i := range lines {
		var err error
		if r.accountedMass, err = unit.Add(r.accountedMass, lines[i].Equivalence.Mass); err != nil {
			return err
		}
	}
	r.CO2e = r.accountedMass.String()
	return nil
}

func accountChannel(line *carbon.Line, f carbonBenchFlags, channel int) error {
	next, whole := drawStack(f.seed, channel), big.NewRat(1, 1)
	for range f.hours {
		h := next()
		rate, err := carbon.Stack{
			Equation: "F-2/CO2", Places: -1,
			In: []*big.Rat{big.NewRat(h.co2, 10), new(big.Rat).SetInt64(h.flow), big.NewRat(h.h2o, 10)},
		}.Rate()
		if err != nil {
			return err
		}
		mass, err := rate.Mass(whole)
		if err != nil {
			return err
		}
		if err := line.Add(carbon.AR5, carbon.Measured, mass); err != nil {
			return err
		}
	}
	return nil
}

// integers is the floor.
func (r *carbonBench) integers(f carbonBenchFlags) error {
	before, start := cpuTime(), time.Now()
	var total int64
	for c := range f.channels {
		next := drawStack(f.seed, c)
		for range f.hours {
			h := next()
			// 57e-8 (C/10) Q (1000-m)/1000 is n / 10^12 short tons: in tenths, rounded
			// half, and a tenth of a short ton is 90,718,474 mg.
			n := 57 * h.co2 * h.flow * (1000 - h.h2o)
			const tenth = 100_000_000_000
			total += (n + tenth/2) / tenth * 90_718_474
		}
	}
	r.Integers = time.Since(start).Seconds()
	r.AgainstFloor /= (cpuTime() - before).Seconds()
	if unit.Mass(total) != r.accountedMass {
		return fmt.Errorf("fractions come to %s t and integers to %s t", r.accountedMass, unit.Mass(total))
	}
	return nil
}

// plantedOverlaps is how many pairs of blocks share serials on purpose.
const plantedOverlaps = 100

// overlaps checks blocks of 50 registries, shuffled, and wants what was planted.
func (r *carbonBench) overlaps(f carbonBenchFlags) error {
	blocks := make([]carbon.Block, f.blocks)
	next := make([]int64, 50)
	random := rand.New(rand.NewPCG(f.seed, 0))
	planted := min(plantedOverlaps, f.blocks/200)
	for i := range blocks {
		registry := i % len(next)
		size := 1 + random.Int64N(10_000)
		start := next[registry] + 1
		if i >= len(next) && i < len(next)*2*planted && (i/len(next))%2 == 1 && registry == 0 {
			start-- // the last serial of the block before
		}
		next[registry] = start + size - 1
		blocks[i] = carbon.Block{
			ID: fmt.Sprintf("b%d", i), Registry: fmt.Sprintf("registry %d", registry), Program: "P", Issuance: "i", Vintage: 2025,
			Prefix: fmt.Sprintf("W %d", registry), Serials: carbon.Serials{Start: start, End: next[registry]}, Status: carbon.Held,
		}
	}
	random.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	sorted := slices.Clone(blocks)
	start := time.Now()
	slices.SortFunc(sorted, func(a, b carbon.Block) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Start, b.Start))
	})
	r.SortOnly = time.Since(start).Seconds()
	var found carbon.Findings
	start = time.Now()
	carbon.CheckBlocks(blocks, &found)
	r.Overlaps = time.Since(start).Seconds()
	r.AgainstSort = r.Overlaps / r.SortOnly
	list, _ := found.Sorted()
	if r.PlantedFound = len(list); r.PlantedFound != planted {
		return fmt.Errorf("%d overlaps found of %d", r.PlantedFound, planted)
	}
	return nil
}
