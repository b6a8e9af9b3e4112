package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"wattmark/ledger/market"
)

func newMarket() *cobra.Command {
	return noun("market", "Trade energy: orders, intervals, and auctions from files",
		newMarketClear(), newMarketSettle(), newMarketIntervals(), newMarketOrders(), newMarketOrder(), newMarketDispute(), newMarketDisputes(), newMarketReplay(), newMarketTariff())
}

func newMarketClear() *cobra.Command {
	return &cobra.Command{
		Use:   "clear FILE",
		Short: "Clear a call auction: bids and offers in, price and fills out",
		Long: `Clear reads the bids and offers of one interval, as JSON, and prints who is
filled with how much, who traded with whom and at which price: one JSON object.
FILE may be - for standard input. Prices are in millionths of the currency unit
per kWh, quantities in Wh, amounts in billionths: integers, all exact.

  {"rule":"uniform","beacon":"00...00","fee":20000,
   "bids":[{"id":"b1","member":"anna","price":300000,"quantity":1000}],
   "offers":[{"id":"o1","member":"eva","price":90000,"quantity":500}]}

rule is uniform or pay-as-bid; beacon is 64 hexadecimal digits that decide
between equals. An order's class is any (the default), green or, of a bid,
green-first. A bid may have a premium for green energy, and prefer, a list of
members to be paired with.

Exit status: 0 done, 1 the file could not be read or the result not written,
2 wrong usage, or a fault in the file: the first one is named with its field.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return marketRun(cmd, args[0], func(file []byte) ([]byte, error) {
				a, err := market.ParseAuction(file)
				if err != nil {
					return nil, err
				}
				c, err := market.Clear(a)
				if err != nil {
					return nil, err
				}
				return c.AppendJSON(nil)
			})
		},
	}
}

func newMarketSettle() *cobra.Command {
	return &cobra.Command{
		Use:   "settle FILE",
		Short: "Settle an interval: meters and tariff in, shares and postings out",
		Long: `Settle reads what the meters of a zone say of one interval, as JSON, shares the
surplus among those who need it, leaves the rest with the supplier, and prints
what each member and account gets: one JSON object. FILE may be - for standard
input. Prices are in millionths of the currency unit per kWh, energy in Wh,
amounts in billionths: integers, all exact.

  {"rule":"mid","beacon":"00...00",
   "tariff":{"feed_in":50000,"retail":250000,"fee":20000},
   "members":[{"member":"anna","import":1200},{"member":"cleo","export":900}]}

rule is mid or sdr. tariff may have loss_ppm; deviation_ppm and auction_price
say what a broken promise costs. A member may have quality M, E or X, what it
sold and bought in the auction, min_sell, max_buy, and a feed_in and retail of
its own.

Exit status: 0 done, 1 the file could not be read or the result not written,
2 wrong usage, or a fault in the file: the first one is named with its field.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			return marketRun(cmd, args[0], func(file []byte) ([]byte, error) {
				p, err := market.ParsePool(file)
				if err != nil {
					return nil, err
				}
				s, err := market.Settle(p)
				if err != nil {
					return nil, err
				}
				return s.AppendJSON(nil), nil
			})
		},
	}
}

// oneFile wants the name of a file, or - for standard input.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give one FILE, or - for standard input, not %d", len(args))
	}
	return nil
}

// marketRun reads a file, works on it, and prints the result once there is all of it.
func marketRun(cmd *cobra.Command, name string, work func([]byte) ([]byte, error)) error {
	file, err := readInput(cmd.InOrStdin(), name)
	if err != nil {
		return failed(err)
	}
	result, err := work(file)
	var fault *market.Fault
	if errors.As(err, &fault) {
		// One line, however narrow the terminal is: programs read it.
		fmt.Fprintf(cmd.ErrOrStderr(), "wattmark: %v\n", fault)
		return &exitError{exitUsage, nil}
	}
	if err != nil {
		return failed(err)
	}
	// A reader that has gone is a failed write like any other: status 1, no signal.
	signal.Ignore(syscall.SIGPIPE)
	if _, err := cmd.OutOrStdout().Write(result); err != nil {
		return failed(fmt.Errorf("writing the result: %w", err))
	}
	return nil
}

// readInput reads a file of the market, or standard input for -, and no more than is
// enough to say that it is too long.
func readInput(stdin io.Reader, name string) ([]byte, error) {
	in, what := stdin, "standard input"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in, what = file, name
	}
	b, err := io.ReadAll(io.LimitReader(in, market.MaxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return b, nil
}
