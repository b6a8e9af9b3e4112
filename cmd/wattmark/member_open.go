package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/oracle/api"
	"wattmark/signer/keyfile"
)

// opened is what member open prints.
type opened struct {
	Member  string `json:"member"`
	Ledger  string `json:"ledger"`
	URL     string `json:"url"`
	Expires string `json:"expires"`
}

func newMemberOpen() *cobra.Command {
	var key, address, ca string
	var asJSON bool
	c := &cobra.Command{
		Use:   "open --key FILE --url URL",
		Short: "Sign in to an oracle's pages, and print the link to one's own",
		Long: `Open signs one request with the member's key and prints a link. Opened in a
browser within two minutes, and once, it begins a session of 12 hours there: what
the own home bought, sold and saved, and its statements as files. The key stays in
its file.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Example: "  wattmark member open --key home-01.pem --url https://oracle.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if key == "" || address == "" {
				return errors.New("give --key FILE and --url URL")
			}
			base, err := oracleURL("url", address)
			if err != nil {
				return err
			}
			o, err := openMember(cmd.Context(), base, key, ca)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(o))
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "Open this within two minutes; it shows %s's own page:", o.Member)
			p.line(0, "%s", o.URL)
			return failed(p.err)
		},
	}
	c.Flags().StringVar(&key, "key", "", "`FILE` with the member's key, as 'wattmark member join' made it")
	c.Flags().StringVar(&address, "url", "", "`URL` of an oracle's pages")
	c.Flags().StringVar(&ca, "ca", "", "`FILE` with the authority of its certificate, where it is the ledger's own")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func openMember(ctx context.Context, base *url.URL, keyFile, ca string) (*opened, error) {
	key, err := keyfile.Load(keyFile)
	if err != nil {
		return nil, err
	}
	o, err := newOracleClient(base, ca)
	if err != nil {
		return nil, err
	}
	defer o.client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String()+"/api/v1/session", http.NoBody)
	if err != nil {
		return nil, err
	}
	if err := api.SignRequest(r, key, time.Now()); err != nil {
		return nil, err
	}
	b, err := o.do(r, 1<<16)
	if err != nil {
		return nil, err
	}
	var s api.SessionItem
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s answers what no oracle does: %w", base, err)
	}
	if !strings.HasPrefix(s.Enter, "/") {
		return nil, fmt.Errorf("%s answers with no link", base)
	}
	return &opened{s.Member, s.Ledger, base.String() + s.Enter, s.Expires}, nil
}
