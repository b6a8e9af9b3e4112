package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"wattmark/firmware/update"
	"wattmark/gateway/console"
	"wattmark/gateway/settings"
	"wattmark/oracle/wire"
)

// UpdateTable is [update]: where a gateway that runs from an image gets its releases.
type UpdateTable struct {
	URL    string        `toml:"url"`   // the folder above those of boards; empty looks for none
	Keys   string        `toml:"keys"`  // whose releases are taken: a file of verifier keys
	Roots  string        `toml:"roots"` // for the server's certificate; empty are the machine's
	Every  time.Duration `toml:"every"`
	Within time.Duration `toml:"within"` // a release on trial must prove to work
}

// DefaultTrial is how long a release on trial has to prove to work.
const DefaultTrial = 10 * time.Minute

func defaultUpdate() UpdateTable { return UpdateTable{Every: time.Hour, Within: DefaultTrial} }

// Told is the outcome of an update as a birth has it, nil for none.
func Told(o *update.Outcome) *wire.Update {
	if o == nil {
		return nil
	}
	return &wire.Update{Version: o.Version, Result: string(o.Result), Reason: string(o.Reason), Detail: o.Detail, At: o.At}
}

// UpdateSource is where releases are offered, nil for nowhere.
func (f *File) UpdateSource() (update.Source, error) {
	u := &f.Update
	if u.URL == "" {
		return nil, nil
	}
	base, err := url.Parse(u.URL)
	if err != nil {
		return nil, fmt.Errorf("update.url: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("update.url: %q is no address that begins with https://", u.URL)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if u.Roots != "" {
		b, err := settings.ReadLimited(f.Path(u.Roots))
		if err != nil {
			return nil, fmt.Errorf("update.roots: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("update.roots: there is no certificate in PEM in %s", f.Path(u.Roots))
		}
	}
	return &update.Web{Base: base, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: config, ResponseHeaderTimeout: time.Minute}}}, nil
}

// Health is how the gateway fares, for the update on trial.
func (g *Gateway) Health() update.Health {
	stats := g.Stats()
	h := update.Health{
		Key: stats.Sign.Failure == "" && stats.Sign.Signed > 0, Outbox: stats.Outbox.State.String() == "disk",
		Signed: stats.Sign.Signed, Receipts: stats.Uplink.Receipts,
	}
	for _, d := range g.deviceStatus(stats) {
		if d.State == console.StateGood && d.Samples > 0 {
			h.Read = append(h.Read, d.Point+"/"+d.Name)
		}
	}
	return h
}

// Announce says again what the gateway is, with what became of the last update.
func (g *Gateway) Announce() { g.uplink.Announce() }
