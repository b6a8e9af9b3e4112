package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/founding"
	"wattmark/oracle/wire"
)

func newCertificate() *cobra.Command {
	var hosts []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "certificate (node | site | oracle | gateway | bootstrap) [NAME]",
		Short: "Make a certificate for the broker's servers, a site or a gateway",
		Long: `Certificate makes a key and a certificate by the authority in this oracle's state
directory, which it makes where there is none, or says where the one is that was
made before and is good for a month yet:

  node NAME     a server of a cluster, with --host for each name it is reached by
  site NAME     the leaf node at a site
  oracle FILE   the oracle of a request ('init --join'), for the key that it made;
                written beside FILE
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
				return errors.New("give node, site or gateway and a NAME, oracle and a FILE, or bootstrap")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := configured(cmd)
			if err != nil {
				return err
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
			case "oracle":
				files, err = certifyRequest(pki, own.Origin, args[1])
			case "gateway":
				files, err = pki.Gateway(time.Now(), ledger, args[1])
			case "bootstrap":
				if files, err = pki.Bootstrap(time.Now(), ledger); err == nil {
					err = bundle(f.state().file("bootstrap.pem"), files)
					files.Certificate, files.Key = f.state().file("bootstrap.pem"), f.state().file("bootstrap.pem")
				}
			default:
				return fmt.Errorf("no certificate is made for a %q: it is node, site, oracle, gateway or bootstrap", args[0])
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

// certifyRequest certifies the TLS key of an oracle's request, and writes certificate and
// roots beside it. The key stays where the oracle made it.
func certifyRequest(pki *broker.PKI, origin, name string) (files broker.Files, err error) {
	b, err := read(name)
	if err != nil {
		return files, err
	}
	r, err := founding.OpenRequest(b)
	if err != nil {
		return files, fmt.Errorf("%s: %w", name, err)
	}
	if r.Origin != origin || r.TLS == nil {
		return files, fmt.Errorf("%s asks for the ledger %q, this one is %q, or has no TLS key", name, r.Origin, origin)
	}
	der, err := pki.CertifyOracle(time.Now(), wire.ShortName(origin), oracle.CertificateName(r.Oracle.Name), r.TLS)
	if err != nil {
		return files, err
	}
	files = broker.Files{Certificate: name + ".pem", Roots: name + ".roots.pem"}
	return files, errors.Join(writePEM(files.Certificate, der), writePEM(files.Roots, pki.RootDER()))
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
