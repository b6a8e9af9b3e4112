package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"wattmark/gateway/enrol"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
)

func policy(_ context.Context, x *exam) ([]Finding, error) {
	const remedy = "get the ledger's policy from the consortium"
	if x.Policy == "" {
		return nil, skip("the configuration names none")
	}
	b, err := os.ReadFile(x.Policy)
	if err != nil {
		return fault(remedy, "%v", err), nil
	}
	p, err := block.ParsePolicy(b)
	switch {
	case err != nil:
		return fault(remedy, "%s: %v", x.Policy, err), nil
	case p.Origin() != x.Origin:
		return fault(remedy, "the policy is for the ledger %q, the gateway for %q", p.Origin(), x.Origin), nil
	}
	return ok("of %s", p.Origin()), nil
}

// oraclesFollowed looks whether the gateway has come to the oracles that sign now.
func oraclesFollowed(_ context.Context, x *exam) ([]Finding, error) {
	b, err := os.ReadFile(x.Policy)
	if err != nil {
		return nil, skip("there is no policy to begin with")
	}
	from, err := block.ParsePolicy(b)
	if err != nil {
		return nil, skip("there is no policy to begin with")
	}
	_, spans, err := enrol.LoadOracles(x.State, from)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, skip("this user may not read it: run doctor with sudo")
	case err != nil:
		return warn("restart the gateway while it is connected: it asks for the handovers; remove the file if it stays", "%v", err), nil
	}
	if s, err := x.running(); err == nil {
		switch p := &s.Ledger.Policy; {
		case p.Behind != nil && p.Failure != "":
			return fault(remedyBehind, "receipts come from oracles that are not trusted here, since %s: %s", p.Behind.Format(time.DateTime), p.Failure), nil
		case p.Behind != nil:
			return fault(remedyBehind, "receipts come from oracles that are not trusted here, since %s, and no handover came", p.Behind.Format(time.DateTime)), nil
		case p.Unkept != "":
			return warn("check the disk: space, mounting and health; it is tried again each minute", "how the oracles changed is not on disk: %s", p.Unkept), nil
		}
	}
	last := &spans[len(spans)-1]
	if last.Height == 0 {
		return ok("the oracles of the configuration, no change was followed"), nil
	}
	return ok("the oracles since block %d, by %s", last.Height, counted(len(spans)-1, "change", "changes")), nil
}

// remedyBehind is what to do where oracles sign that are not trusted.
const remedyBehind = "leave the gateway running and connected, as readings are kept and it asks the oracles how they changed; after an hour have an operator see that oracles publish the handovers, or put the present policy (wattmark ledger policy) at uplink.policy"

func oracleKeys(_ context.Context, x *exam) ([]Finding, error) {
	n, err := x.OracleKeys()
	if err == nil && n == 0 {
		err = errors.New("there is no oracle's key in the file")
	}
	if err != nil {
		return fault("get the oracles' keys from the consortium", "%v", err), nil
	}
	return ok("%s", counted(n, "key", "keys")), nil
}

// soon is how long before a certificate ends somebody should act. The gateway's own is
// renewed by itself before that.
const soon = 20 * 24 * time.Hour

// certificates reads the certificates of a file in PEM.
func certificates(path string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var p *pem.Block
		if p, b = pem.Decode(b); p == nil {
			break
		}
		if p.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(p.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no certificate in PEM in %s", path)
	}
	return all, nil
}

// dates looks at when a certificate is of use.
func (x *exam) dates(what string, c *x509.Certificate, remedy string) []Finding {
	now := x.now()
	day := c.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(c.NotBefore):
		return fault("set the clock, or wait", "%s is of use from %s on, and the clock says %s", what, c.NotBefore.UTC().Format(time.DateTime), now.Format(time.DateTime))
	case now.After(c.NotAfter):
		return fault(remedy, "%s ended on %s", what, day)
	case c.NotAfter.Sub(now) < soon:
		return warn(remedy, "%s ends on %s", what, day)
	}
	return ok("of use until %s", day)
}

func roots(_ context.Context, x *exam) ([]Finding, error) {
	if x.Uplink.Roots == "" {
		return nil, skip("the configuration names none")
	}
	const remedy = "get the root certificates from the consortium"
	all, err := certificates(x.Uplink.Roots)
	if err != nil {
		return fault(remedy, "%v", err), nil
	}
	last := slices.MaxFunc(all, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return x.dates("the last root certificate", last, remedy), nil
}

func certificate(_ context.Context, x *exam) ([]Finding, error) {
	u := &x.Uplink
	if u.Certificate == "" {
		return nil, skip("the configuration names none")
	}
	const remedy = "leave the gateway connected, as an oracle sends it another a month before the end; where none comes, ask the consortium for one"
	all, err := certificates(u.Certificate)
	if err != nil {
		return fault(remedy, "%v", err), nil
	}
	if _, err := tls.LoadX509KeyPair(u.Certificate, u.CertificateKey); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fault(remedy+", with its key", "certificate and key: %v", err), nil
	}
	return x.dates("the client certificate", enrol.Renewed(x.State, all[0]), remedy), nil
}

func brokerName(ctx context.Context, x *exam) ([]Finding, error) {
	host, _, _, err := x.Uplink.broker()
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return ok("%s is an address", host), nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		return fault("check uplink.broker, and the name server in /etc/resolv.conf", "the broker's name %s is not found", host), nil
	}
	return ok("%s is found", host), nil
}

// reach opens a connection to the broker.
func (x *exam) reach(ctx context.Context) (net.Conn, error) {
	host, address, _, err := x.Uplink.broker()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	var name *net.DNSError
	if errors.As(err, &name) {
		return nil, skip("the name " + host + " is not found")
	}
	return conn, err
}

func brokerRoute(ctx context.Context, x *exam) ([]Finding, error) {
	conn, err := x.reach(ctx)
	_, address, _, _ := x.Uplink.broker()
	var no skip
	switch {
	case errors.As(err, &no):
		return nil, err
	case err != nil:
		return fault("check the network and the firewall: the way to "+address+" must be open", "%s is not reached: %v", address, below(err)), nil
	}
	_ = conn.Close() // nothing was sent
	return ok("%s is reached", address), nil
}

// brokerTLS looks at the certificate that the broker shows.
func brokerTLS(ctx context.Context, x *exam) ([]Finding, error) {
	u := &x.Uplink
	host, _, secure, err := u.broker()
	switch {
	case err != nil:
		return nil, err
	case !secure:
		return nil, skip("the connection is without TLS")
	case u.Protocol == "nats":
		return nil, skip("a broker of NATS speaks before TLS")
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host, MinVersion: tls.VersionTLS12, Time: x.now}
	if b, err := os.ReadFile(u.Roots); err != nil || !config.RootCAs.AppendCertsFromPEM(b) {
		return nil, skip("there are no roots")
	}
	certificate, err := os.ReadFile(u.Certificate)
	if key, wrong := os.ReadFile(u.CertificateKey); err == nil && wrong == nil {
		if c, err := enrol.OpenClient(certificate, key, config.RootCAs, x.State); err == nil {
			config.GetClientCertificate = c.Show
		}
	}
	raw, err := x.reach(ctx)
	if err != nil {
		return nil, skip("the broker is not reached")
	}
	defer raw.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c := tls.Client(raw, config)
	err = c.HandshakeContext(ctx)
	if err == nil {
		return x.dates("the broker's certificate", c.ConnectionState().PeerCertificates[0], "tell the consortium"), nil
	}
	return x.handshake(host, err), nil
}

// handshake says what is wrong with a handshake that failed.
func (x *exam) handshake(host string, err error) []Finding {
	var (
		shown   *tls.CertificateVerificationError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		alert   tls.AlertError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && errors.As(err, &shown):
		return x.dates("the broker's certificate", shown.UnverifiedCertificates[0], "tell the consortium; if the date is not right, set the clock")
	case errors.As(err, &name) && errors.As(err, &shown):
		return fault("set uplink.broker to a name in the broker's certificate", "the broker's certificate is for %q, not for %s", shown.UnverifiedCertificates[0].DNSNames, host)
	case errors.As(err, &unknown):
		return fault("get the roots from the consortium; if they are right, somebody stands between", "the broker's certificate is not the consortium's")
	case errors.As(err, &shown):
		return fault("tell the consortium", "the broker's certificate: %v", shown.Err)
	case errors.As(err, &alert):
		return fault("ask the consortium for another client certificate", "the broker refuses the client certificate: %v", err)
	}
	return fault("check that uplink.broker is the port with TLS", "no TLS on the broker's port: %v", below(err))
}

// connectTime is what the broker may take to admit somebody.
const connectTime = 10 * time.Second

// brokerTakes looks whether the broker admits the gateway, and lets it listen.
func brokerTakes(ctx context.Context, x *exam) ([]Finding, error) {
	const remedy = "have the consortium admit the gateway by its certificate and name"
	s, err := x.running()
	if err == nil {
		switch u := &s.Uplink; {
		case u.Connected:
			return ok("connected since %s", u.Since.UTC().Format(time.DateTime)), nil
		case u.Failure != "":
			return fault(remedy+", unless another check says more", "no connection: %s", u.Failure), nil
		}
		return warn("look again in a minute", "no connection yet"), nil
	}
	if conn, err := x.reach(ctx); err != nil {
		return nil, skip("the broker is not reached")
	} else {
		_ = conn.Close()
	}
	t, err := x.Uplink.Open()
	if err != nil {
		return nil, skip(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	at := wire.For(x.Origin)
	conn, err := t.Connect(ctx, []string{at.Receipt(x.Name), at.Refusal(x.Name)}, func(string, []byte) {})
	if err != nil {
		return fault(remedy+", unless another check says more", "the broker does not take the gateway: %v", err), nil
	}
	conn.Close()
	return ok("the broker takes the gateway"), nil
}

// How long a statement may wait for its receipt.
const (
	longWait = 15 * time.Minute
	dayLong  = 24 * time.Hour
)

func receipts(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	if err != nil {
		return nil, err
	}
	waits := time.Duration(s.Outbox.OldestAgeS * float64(time.Second)).Round(time.Minute)
	const remedy = "mend connection and enrolment; if both are well, tell the consortium that receipts stay away"
	switch {
	case waits >= dayLong:
		return fault(remedy, "the oldest statement waits for its receipt for %s", span(waits)), nil
	case waits >= longWait:
		return warn(remedy, "the oldest statement waits for its receipt for %s", span(waits)), nil
	case s.Uplink.LastReceipt == nil && s.Time.Sub(s.Gateway.Started) > longWait:
		return warn(remedy, "there was no receipt since the start"), nil
	}
	return ok("no statement waits for long"), nil
}

// span is a time for people: "20 min", "30 h".
func span(d time.Duration) string {
	if d < 2*time.Hour {
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

func receiptsVerify(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err != nil:
		return nil, err
	case s.Ledger.Policy.Behind != nil:
		return nil, skip("the oracles are not those that are trusted")
	case s.Uplink.Unverified > s.Uplink.Superseded:
		return warn("get the policy again from the consortium; if it is right, somebody sends wrong receipts: tell the consortium", "%d receipts did not verify", s.Uplink.Unverified-s.Uplink.Superseded), nil
	}
	return ok("all receipts verify"), nil
}

func refusals(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, reason := range slices.Sorted(maps.Keys(s.Uplink.Refusals)) {
		remedy := entry.Reason(reason).Remedy()
		found := warn(remedy, "the oracles refused statements: %s", reason)
		if s.Outbox.Refused > 0 {
			found = fault(remedy, "the oracles refused statements, %d of them for good: %s", s.Outbox.Refused, reason)
		}
		all = append(all, of(reason, found)...)
	}
	if len(all) == 0 && s.Outbox.Refused > 0 {
		return fault("wattmark-gateway status and the log of the time before the restart have the reason", "%s refused for good", counted(s.Outbox.Refused, "statement was", "statements were")), nil
	}
	if len(all) == 0 {
		return ok("the oracles refuse nothing"), nil
	}
	return all, nil
}

func outboxKept(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	if err != nil {
		return nil, err
	}
	o := &s.Outbox
	switch {
	case o.State != "disk":
		return fault("check the disk: space, mounting and health; it is tried again each minute", "the outbox is in memory: %s", o.Cause), nil
	case o.MaxBytes > 0 && o.DiskBytes*10 > o.MaxBytes*8:
		return warn("restore the connection, or raise outbox.max_bytes", "the outbox is %d %% full: the oldest gauges are left out", 100*o.DiskBytes/o.MaxBytes), nil
	case o.Dropped > 0:
		return warn("raise outbox.max_bytes", "%d statements were dropped at the outbox's limit", o.Dropped), nil
	}
	return ok("on disk, with %s", counted(o.Pending, "statement", "statements")), nil
}

func display(ctx context.Context, x *exam) ([]Finding, error) {
	if x.Display == "" {
		return nil, skip("the configuration names none")
	}
	at, err := url.Parse(x.Display)
	if err != nil {
		return nil, skip("its address cannot be read")
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"mqtts": "8883", "ssl": "8883", "tls": "8883"}[at.Scheme]
	}
	if port == "" {
		port = "1883"
	}
	address := net.JoinHostPort(at.Hostname(), port)
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return warn("start Home Assistant's broker, or take [home_assistant] out", "Home Assistant's broker %s is not reached: %v", address, below(err)), nil
	}
	_ = conn.Close()
	return ok("Home Assistant's broker is reached"), nil
}
