//go:build generated

// Command ask puts the questions of the API to a running ledger through the generated client, and
// prints what it got as JSON. It says so where an answer is not what the description says.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	client "wattmark/deploy/tools/client/generated"
)

// Answers are what the test looks at.
type Answers struct {
	Origin    string   `json:"origin"`
	Height    int64    `json:"height"`
	Blocks    []int64  `json:"blocks"` // heights, the newest first
	Leaves    int      `json:"leaves"` // of the first block
	Evidence  int      `json:"evidence_bytes"`
	Zones     []string `json:"zones"`
	Intervals int      `json:"intervals"`
	Periods   int      `json:"periods"`
	Found     []string `json:"found"`
	Problem   string   `json:"problem"` // of a block that is not there
	Hint      string   `json:"hint"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ask URL GATEWAY")
		os.Exit(2)
	}
	a, err := ask(context.Background(), os.Args[1], os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(a)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
}

func ask(ctx context.Context, url, gateway string) (*Answers, error) {
	c, err := client.NewClientWithResponses(url)
	if err != nil {
		return nil, err
	}
	var a Answers
	head, err := c.LedgerWithResponse(ctx)
	if err != nil || head.JSON200 == nil {
		return nil, unexpected("the ledger", head, err)
	}
	a.Origin, a.Height = head.JSON200.Ledger, head.JSON200.Height

	limit := int64(3)
	var cursor *string
	for {
		p, err := c.BlocksWithResponse(ctx, &client.BlocksParams{Cursor: cursor, Limit: &limit})
		if err != nil || p.JSON200 == nil {
			return nil, unexpected("blocks", p, err)
		}
		for _, b := range p.JSON200.Items {
			a.Blocks = append(a.Blocks, b.Height)
		}
		if cursor = p.JSON200.Next; cursor == nil {
			break
		}
	}
	leaves, err := c.BlockLeavesWithResponse(ctx, 0, &client.BlockLeavesParams{})
	if err != nil || leaves.JSON200 == nil {
		return nil, unexpected("leaves", leaves, err)
	}
	a.Leaves = len(leaves.JSON200.Items)
	if l := leaves.JSON200.Items[0]; l.Final && l.Evidence != nil {
		f, err := c.LeafFileWithResponse(ctx, fmt.Sprint(l.Index), "evidence")
		if err != nil || f.StatusCode() != http.StatusOK {
			return nil, unexpected("evidence", f, err)
		}
		a.Evidence = len(f.Body)
	}
	zones, err := c.ZonesWithResponse(ctx, &client.ZonesParams{})
	if err != nil || zones.JSON200 == nil {
		return nil, unexpected("zones", zones, err)
	}
	for _, z := range zones.JSON200.Items {
		a.Zones = append(a.Zones, z.Zone)
		p, err := c.IntervalsWithResponse(ctx, z.Zone, &client.IntervalsParams{})
		if err != nil || p.JSON200 == nil {
			return nil, unexpected("intervals", p, err)
		}
		a.Intervals += len(p.JSON200.Items)
	}
	periods, err := c.CarbonPeriodsWithResponse(ctx, &client.CarbonPeriodsParams{})
	if err != nil || periods.JSON200 == nil {
		return nil, unexpected("periods", periods, err)
	}
	a.Periods = len(periods.JSON200.Items)
	found, err := c.SearchWithResponse(ctx, &client.SearchParams{Q: gateway})
	if err != nil || found.JSON200 == nil {
		return nil, unexpected("search", found, err)
	}
	for _, f := range found.JSON200.Items {
		a.Found = append(a.Found, f.Is)
	}
	missing, err := c.BlockWithResponse(ctx, 1<<40)
	if err != nil || missing.ApplicationproblemJSON404 == nil {
		return nil, unexpected("a block that is not there", missing, err)
	}
	a.Problem, a.Hint = missing.ApplicationproblemJSON404.Type, *missing.ApplicationproblemJSON404.Hint
	return &a, nil
}

// unexpected says that an answer is none of those that the description has.
func unexpected(what string, answer interface{ Status() string }, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %s", what, answer.Status())
}
