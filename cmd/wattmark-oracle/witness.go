package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/oracle/api"
	"wattmark/oracle/witness"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// witnessFlags are what a witness works with. It has no configuration file: it is run
// by somebody who runs no oracle.
type witnessFlags struct {
	dir, name, listen, url      string
	certificate, certificateKey string
	policies                    []string
	show, asJSON                bool
}

func newWitness() *cobra.Command {
	var f witnessFlags
	c := &cobra.Command{
		Use:   "witness --dir DIR --name NAME --policy FILE...",
		Short: "Watch that the oracles of other ledgers tell everybody one story",
		Long: `Witness cosigns the checkpoints of the ledgers whose policies it is given, and only
those that follow from the last one that it cosigned (C2SP tlog-witness). It keeps
no copy of a ledger: its directory holds its key, which it makes, and one
checkpoint a ledger. That directory belongs to the key. Where it is lost the
witness must begin again under a new key: never restore it from a copy that is
older than the last signature.

Give the members the line that it prints: they put it into their policies, or into
the oracle set by a motion, and with a URL behind it oracles ask there.

Exit status: 0 ended as asked, 1 could not start or had to stop, 2 wrong usage.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.dir == "" || f.name == "" {
				return errors.New("give --dir DIR and --name NAME")
			}
			if len(f.policies) == 0 && !f.show {
				return errors.New("give --policy FILE for each ledger to be watched")
			}
			if (f.certificate == "") != (f.certificateKey == "") {
				return errors.New("give --certificate and --certificate-key, or neither")
			}
			return cobra.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return failed(f.run(cmd.Context(), cmd.OutOrStdout(), log))
		},
	}
	c.Flags().StringVar(&f.dir, "dir", "", "`DIR` of the witness's key and of what it cosigned")
	c.Flags().StringVar(&f.name, "name", "", "`NAME` of the witness: its URL without https:// is best")
	c.Flags().StringArrayVar(&f.policies, "policy", nil, "C2SP policy `FILE` of a ledger to be watched; may be given again")
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8481", "`ADDRESS` to listen on")
	c.Flags().StringVar(&f.certificate, "certificate", "", "certificate `FILE` (PEM) for HTTPS")
	c.Flags().StringVar(&f.certificateKey, "certificate-key", "", "its key `FILE` (PEM)")
	c.Flags().StringVar(&f.url, "url", "", "`URL` at which oracles reach it, for the line that it prints")
	c.Flags().BoolVar(&f.show, "show", false, "print the witness's line and what it cosigned last, and end")
	c.Flags().BoolVar(&f.asJSON, "json", false, "with --show, print one JSON object")
	return c
}

// shownWitness is what --show prints.
type shownWitness struct {
	Name    string          `json:"name"`
	Key     string          `json:"key"` // as policies have it
	Ledgers []shownCosigned `json:"ledgers"`
}

// shownCosigned is what a witness cosigned last of a ledger.
type shownCosigned struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"` // 0 for none
	Root   string `json:"root,omitempty"`
}

func (f *witnessFlags) run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	key, err := f.key()
	if err != nil {
		return err
	}
	cfg := witness.Config{Name: f.name, Key: key, Dir: f.dir, Now: time.Now, Log: log}
	for _, name := range f.policies {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading a policy: %w", err)
		}
		p, err := block.ParsePolicy(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		cfg.Ledgers = append(cfg.Ledgers, p)
	}
	w, err := witness.Open(cfg)
	if err != nil {
		return err
	}
	defer w.Close()
	if f.show {
		return f.print(out, w, cfg.Ledgers)
	}
	l, err := f.open()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "witness %s %s %s\n", filepath.Base(f.name), w.Key(), f.address(l)); err != nil {
		l.Close()
		return err
	}
	log.Info("watching", "ledgers", len(cfg.Ledgers), "address", l.Addr().String())
	srv := api.NewServer(w.Handler(), log)
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// key loads the witness's key, and makes it where there is no directory yet: a key that
// is made beside what another one cosigned would begin again in silence.
func (f *witnessFlags) key() (signer.Signer, error) {
	path := filepath.Join(f.dir, "witness.pem")
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if had, err := filepath.Glob(filepath.Join(f.dir, "*", "checkpoint")); err == nil && len(had) > 0 {
			return nil, fmt.Errorf("%s holds what a witness cosigned and no key: put its key back, or begin in a new directory", f.dir)
		}
		if err := os.MkdirAll(f.dir, 0o700); err != nil {
			return nil, fmt.Errorf("the witness's directory: %w", err)
		}
	}
	key, err := keyfile.LoadOrCreate(path, signer.EdDSA)
	if err != nil {
		return nil, fmt.Errorf("the witness's key: %w", err)
	}
	return key, nil
}

// open listens: on a border with TLS, or behind something that has it.
func (f *witnessFlags) open() (net.Listener, error) {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %q is not an address such as 127.0.0.1:8481", f.listen)
	}
	ip := net.ParseIP(host)
	if f.certificate == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--listen %s is not on the loopback: give --certificate and --certificate-key, or listen on 127.0.0.1 behind a proxy that has them", f.listen)
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil || f.certificate == "" {
		return l, err
	}
	c, err := tls.LoadX509KeyPair(f.certificate, f.certificateKey)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the certificate: %w", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}), nil
}

// address is where oracles ask.
func (f *witnessFlags) address(l net.Listener) string {
	switch {
	case f.url != "":
		return f.url
	case f.certificate != "":
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

func (f *witnessFlags) print(out io.Writer, w *witness.Witness, ledgers []*block.Policy) error {
	s := shownWitness{Name: f.name, Key: w.Key().String(), Ledgers: []shownCosigned{}}
	for _, p := range ledgers {
		l := shownCosigned{Origin: p.Origin()}
		if note := w.LastOf(p.Origin()); note != nil {
			c, err := block.CheckpointOf(note)
			if err != nil {
				return err
			}
			l.Size, l.Root = c.Size, c.Root.String()
		}
		s.Ledgers = append(s.Ledgers, l)
	}
	if f.asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	line := fmt.Sprintf("witness %s %s", filepath.Base(f.name), w.Key())
	if f.url != "" {
		line += " " + f.url
	}
	if _, err := fmt.Fprintln(out, line); err != nil {
		return err
	}
	for _, l := range s.Ledgers {
		what := fmt.Sprintf("# %s: cosigned %d leaves last, root %s", l.Origin, l.Size, l.Root)
		if l.Size == 0 {
			what = fmt.Sprintf("# %s: nothing cosigned yet", l.Origin)
		}
		if _, err := fmt.Fprintln(out, what); err != nil {
			return err
		}
	}
	return nil
}
