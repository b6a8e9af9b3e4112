package broker

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// RouteFile says beside an oracle's keys how the oracle's operator reaches the broker.
const RouteFile = "broker.json"

// maxRoute bounds the file, in bytes.
const maxRoute = 1 << 16

// Route is a way to the broker with an oracle's rights, with files in PEM.
type Route struct {
	URL         string `json:"url"` // of one server or more, with commas between them
	Roots       string `json:"roots"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Inbox       string `json:"inbox"` // what inboxes begin with
	// Authority is the directory of the PKI that gateways' certificates come from, empty where another's operator has it.
	Authority string `json:"authority,omitempty"`
}

// Write puts the route into an oracle's directory.
func (r *Route) Write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, RouteFile), append(b, '\n'))
}

// ReadRoute reads the route of an oracle's directory.
func ReadRoute(dir string) (*Route, error) {
	path := filepath.Join(dir, RouteFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRoute {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", path, info.Size(), maxRoute)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Route
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}

// Connect opens the way, with TLS and the oracle's certificate. That is read again whenever
// the connection is made anew; where it cannot be, the one from before serves.
func (r *Route) Connect(opts ...nats.Option) (*nats.Conn, error) {
	files := Files{Roots: r.Roots, Certificate: r.Certificate, Key: r.Key}
	cert, roots, err := files.Load()
	if err != nil {
		return nil, err
	}
	present := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if again, err := loadPair(files); err == nil {
			return &again, nil
		}
		return &cert, nil
	}
	all := []nats.Option{nats.Secure(&tls.Config{GetClientCertificate: present, RootCAs: roots, MinVersion: tls.VersionTLS12})}
	if r.Inbox != "" {
		all = append(all, nats.CustomInboxPrefix(r.Inbox))
	}
	return nats.Connect(r.URL, append(all, opts...)...)
}

// RouteTo is the way to servers with files.
func RouteTo(servers []string, files Files, inbox string) *Route {
	return &Route{URL: strings.Join(servers, ","), Roots: files.Roots, Certificate: files.Certificate, Key: files.Key, Inbox: inbox}
}

// Patient are the options of a connection that outlives its servers' restarts. A server
// that stands still, or a network that swallows everything, is left after some seconds:
// without pings nobody would notice for minutes.
func Patient() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(3),
	}
}
