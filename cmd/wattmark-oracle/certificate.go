package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
)

func newCertificate() *cobra.Command {
	var hosts []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "certificate (node | site | gateway | bootstrap) [NAME]",
		Short: "Make a certificate for the broker's servers, a site or a gateway",
		Long: `Certificate makes a key and a certificate by the authority in this oracle's state
directory, which it makes where there is none, or says where the one is that was
made before and is good for a month yet:

  node NAME     a server of a cluster, with --host for each name it is reached by
  site NAME     the leaf node at a site
  gateway NAME  a gateway that does not make its own key; others get theirs with
                their approval (wattmark member approve)
  bootstrap     the one that gateways share before they are approved, with its
                key in one file, for uplink.bootstrap

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: func(cmd *cobra.Command, args []string) error {
			want := 2
			if len(args) > 0 && args[0] == "bootstrap" {
				want = 1
			}
			if len(args) != want {
				return fmt.Errorf("give node, site or gateway and a NAME, or bootstrap")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			f, err := readFile(name)
			if err != nil {
				return &failure{err}
			}
			own, err := f.state().ownRequest()
			if err != nil {
				return failed(err)
			}
			pki, err := broker.OpenPKI(f.state().file("pki"), time.Now())
			if err != nil {
				return failed(err)
			}
			var files broker.Files
			ledger := wire.ShortName(own.Origin)
			switch args[0] {
			case "node":
				files, err = pki.Node(time.Now(), args[1], hosts...)
			case "site":
				files, err = pki.Site(time.Now(), ledger, args[1], hosts...)
			case "gateway":
				files, err = pki.Gateway(time.Now(), ledger, args[1])
			case "bootstrap":
				if files, err = pki.Bootstrap(time.Now(), ledger); err == nil {
					err = bundle(f.state().file("bootstrap.pem"), files)
					files.Certificate, files.Key = f.state().file("bootstrap.pem"), f.state().file("bootstrap.pem")
				}
			default:
				return fmt.Errorf("no certificate is made for a %q: it is node, site, gateway or bootstrap", args[0])
			}
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(certificateFiles(files)))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "certificate  %s\nkey          %s\nroots        %s\n", files.Certificate, files.Key, files.Roots)
			return failed(err)
		},
	}
	c.Flags().StringArrayVar(&hosts, "host", nil, "`NAME` or address of a server, beside the loopback's")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// bundle puts a certificate and its key into one file, as technicians carry it.
func bundle(path string, files broker.Files) error {
	certificate, err := os.ReadFile(files.Certificate)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(files.Key)
	if err != nil {
		return err
	}
	return writeFile(path, append(certificate, key...), 0o600)
}

// certificateFiles is what certificate prints as JSON.
type certificateFiles struct {
	Roots       string `json:"roots"`
	Certificate string `json:"certificate"`
	Key         string `json:"certificate_key"`
}
