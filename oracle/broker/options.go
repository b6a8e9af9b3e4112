package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

const (
	// memoryStore is what memory-only consumers may take, in bytes.
	memoryStore = 64 << 20
	// maxPayload is the largest message, in bytes: the server's default, written down because the order's limit rests on it.
	maxPayload = 1 << 20
	// maxPending is how much may wait for one slow client before it is cut off, in bytes.
	maxPending = 16 << 20

	suffixMQTT = "/mqtt"
	suffixNATS = "/nats"
)

// Gateway is a gateway that may connect, and the subjects it may use. Subjects are NATS subjects; an MQTT client writes "/" for ".".
type Gateway struct {
	// Name is for errors and logs.
	Name string
	// Identity is what its certificate's URI names begin with; see GatewayIdentity.
	Identity string
	// Publish lists the subjects it may publish on: literal ones.
	Publish []string
	// Subscribe lists the subjects it may subscribe to. A NATS client that makes requests needs its own inbox prefix here, never _INBOX.
	Subscribe []string
}

// Oracle is an oracle in another process that may connect over NATS, and the subjects it may use. It may also answer what it was asked,
// once each, where the question says, within answerWithin.
type Oracle struct {
	// Name is for errors and logs.
	Name string
	// Identity is its certificate's URI name; see OracleIdentity.
	Identity string
	// Publish and Subscribe list the subjects, with wildcards where it has to.
	Publish, Subscribe []string
}

// Site is a leaf node that may connect: a broker of its own for the gateways of a site. It passes on what they may publish and hear, and
// nothing else.
type Site struct {
	// Name is for errors and logs.
	Name string
	// Identity is its certificate's URI name; see SiteIdentity.
	Identity string
	Gateways []Gateway
}

// answerWithin is how long an oracle may take to answer another's question.
const answerWithin = 5 * time.Second

// SiteIdentity is the identity that PKI gives the leaf node at a site of a ledger: "wattmark:<ledger>/site/<name>".
func SiteIdentity(ledger, name string) string { return "wattmark:" + ledger + "/site/" + name }

// GatewayIdentity is the identity that PKI gives a gateway of a ledger: "wattmark:<ledger>/gateway/<name>".
func GatewayIdentity(ledger, name string) string { return "wattmark:" + ledger + "/gateway/" + name }

// OracleIdentity is the identity that PKI gives an oracle of a ledger: "wattmark:<ledger>/oracle/<name>".
func OracleIdentity(ledger, name string) string { return "wattmark:" + ledger + "/oracle/" + name }

// options turns cfg into the server's options.
func options(cfg Config, self nkeys.KeyPair) (*server.Options, error) {
	pub, err := self.PublicKey()
	if err != nil {
		return nil, err
	}
	users, err := usersOf(cfg.Gateways, cfg.Oracles, nil)
	if err != nil {
		return nil, err
	}
	// Where a port is not open its users cannot connect, and the server would warn that they have no passwords.
	users = slices.DeleteFunc(users, func(u *server.User) bool {
		_, overMQTT := u.AllowedConnectionTypes[jwt.ConnectionTypeMqtt]
		return overMQTT && cfg.MQTTListen == "" || !overMQTT && cfg.ClientListen == ""
	})
	name := cfg.Name
	if name == "" {
		name = "wattmark"
	}
	if strings.ContainsAny(name, " \t\r\n.*>/\\") {
		return nil, fmt.Errorf("server name %q: spaces, dots, slashes and wildcards are not allowed", name)
	}
	opts := &server.Options{
		ServerName:             name,
		DontListen:             true,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		MaxPayload:             maxPayload,
		MaxPending:             maxPending,
		JetStream:              true,
		JetStreamMaxMemory:     memoryStore,
		JetStreamMaxStore:      cfg.MaxStore,
		StoreDir:               cfg.StoreDir,
		SyncAlways:             true,
		Users:                  users,
		// With a key instead of a user the process's own connections need no certificate where everybody else's is mapped.
		Nkeys: []*server.NkeyUser{{Nkey: pub, AllowedConnectionTypes: only(jwt.ConnectionTypeInProcess)}},
	}
	return opts, listeners(cfg, opts)
}

// listeners fills in the ports, each with TLS and certificates mapped to users.
func listeners(cfg Config, opts *server.Options) error {
	if cfg.ClientListen == "" && cfg.MQTTListen == "" {
		return nil
	}
	if len(cfg.Certificate.Certificate) == 0 && cfg.Present == nil || cfg.Roots == nil {
		return errors.New("listening needs the server's certificate and the roots of client certificates")
	}
	tlsConfig := &tls.Config{
		Certificates: []tls.Certificate{cfg.Certificate},
		ClientCAs:    cfg.Roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS12,
		Time:         cfg.Now,
	}
	if cfg.Present != nil {
		// Not beside the one above, which clients would get that name no host.
		tlsConfig.Certificates = nil
		tlsConfig.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cfg.Present(), nil }
		tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cfg.Present(), nil } // with a peer
	}
	if cfg.ClientListen != "" {
		host, port, err := listenAddr(cfg.ClientListen)
		if err != nil {
			return fmt.Errorf("NATS listener: %w", err)
		}
		opts.DontListen = false
		opts.Host, opts.Port = host, port
		opts.TLSConfig, opts.TLS, opts.TLSVerify, opts.TLSMap = tlsConfig, true, true, true
	}
	if cfg.Cluster != nil {
		if err := clustered(cfg.Cluster, tlsConfig, opts); err != nil {
			return err
		}
	}
	if cfg.MQTTListen != "" {
		host, port, err := listenAddr(cfg.MQTTListen)
		if err != nil {
			return fmt.Errorf("MQTT listener: %w", err)
		}
		opts.MQTT.Host, opts.MQTT.Port = host, port
		opts.MQTT.TLSConfig, opts.MQTT.TLSMap = tlsConfig.Clone(), true
	}
	return nil
}

// clustered fills in what the servers of a cluster are to one another. Certificates of gateways are of the same authority: a server's names
// a host of the routes.
func clustered(c *Cluster, tlsConfig *tls.Config, opts *server.Options) error {
	host, port, err := listenAddr(c.Listen)
	if err != nil {
		return fmt.Errorf("cluster listener: %w", err)
	}
	peers := tlsConfig.Clone()
	peers.RootCAs = peers.ClientCAs
	opts.Cluster = server.ClusterOpts{Name: "wattmark", Host: host, Port: port, TLSConfig: peers, TLSTimeout: 5, TLSCheckKnownURLs: true}
	for _, r := range c.Routes {
		if _, _, err := net.SplitHostPort(r); err != nil {
			return fmt.Errorf("route to %q: %w", r, err)
		}
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: r})
	}
	return nil
}

// listenAddr splits an address; the server writes any free port as -1.
func listenAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q of address %q: want 0 to 65535", p, addr)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

// usersOf makes the server's users of all who may connect.
func usersOf(gateways []Gateway, oracles []Oracle, sites []Site) ([]*server.User, error) {
	users, err := gatewayUsers(gateways)
	if err != nil {
		return nil, err
	}
	for _, o := range oracles {
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("oracle %q: %w", o.Name, err)
		}
		p := permissions(o.Publish, o.Subscribe)
		p.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: answerWithin}
		users = append(users, &server.User{Username: o.Identity, Permissions: p, AllowedConnectionTypes: only(jwt.ConnectionTypeStandard)})
	}
	for _, s := range sites {
		if err := validIdentity(s.Identity); err != nil {
			return nil, fmt.Errorf("site %q: %w", s.Name, err)
		}
		var publish, subscribe []string
		for _, g := range s.Gateways {
			if err := g.check(); err != nil {
				return nil, fmt.Errorf("site %q: gateway %q: %w", s.Name, g.Name, err)
			}
			publish, subscribe = append(publish, g.Publish...), append(subscribe, g.Subscribe...)
		}
		users = append(users, &server.User{Username: s.Identity, Permissions: permissions(publish, subscribe), AllowedConnectionTypes: only(jwt.ConnectionTypeLeafnode)})
	}
	return users, unique(users)
}

func (o Oracle) check() error {
	if err := validIdentity(o.Identity); err != nil {
		return err
	}
	for _, s := range slices.Concat(o.Publish, o.Subscribe) {
		if !server.IsValidSubject(s) {
			return fmt.Errorf("subject %q: want a subject", s)
		}
	}
	return nil
}

// gatewayUsers makes each gateway's two users.
func gatewayUsers(gateways []Gateway) ([]*server.User, error) {
	var users []*server.User
	for _, g := range gateways {
		if err := g.check(); err != nil {
			return nil, fmt.Errorf("gateway %q: %w", g.Name, err)
		}
		users = append(users,
			&server.User{
				Username:               g.Identity + suffixMQTT,
				Permissions:            permissions(g.Publish, append(slices.Clone(g.Subscribe), "$MQTT.sub.>")),
				AllowedConnectionTypes: only(jwt.ConnectionTypeMqtt),
			},
			&server.User{
				Username:               g.Identity + suffixNATS,
				Permissions:            permissions(g.Publish, g.Subscribe),
				AllowedConnectionTypes: only(jwt.ConnectionTypeStandard),
			})
	}
	return users, nil
}

func (g Gateway) check() error {
	if err := validIdentity(g.Identity); err != nil {
		return err
	}
	for _, s := range g.Publish {
		if !server.IsValidLiteralSubject(s) || reserved(s) {
			return fmt.Errorf("publish subject %q: want a literal subject that is not the server's own", s)
		}
	}
	for _, s := range g.Subscribe {
		if !server.IsValidSubject(s) || reserved(s) {
			return fmt.Errorf("subscribe subject %q: want a subject that is not the server's own", s)
		}
	}
	return nil
}

// reserved says whether a subject's first token may stand for the server's own subjects or for the inboxes that oracles use.
func reserved(subject string) bool {
	first, _, _ := strings.Cut(subject, ".")
	return strings.HasPrefix(first, "$") || first == "_INBOX" || first == "*" || first == ">"
}

// validIdentity checks that id is a URI and survives being one: the server compares what the certificate's parsed URI prints.
func validIdentity(id string) error {
	u, err := url.Parse(id)
	if err != nil || u.Scheme == "" || u.String() != id {
		return fmt.Errorf("identity %q: want an absolute URI in its normal form", id)
	}
	return nil
}

// permissions allows what is listed and nothing else. An empty list of the server's means "everything", so it is written as a denial.
func permissions(publish, subscribe []string) *server.Permissions {
	list := func(allow []string) *server.SubjectPermission {
		if len(allow) == 0 {
			return &server.SubjectPermission{Deny: []string{">"}}
		}
		return &server.SubjectPermission{Allow: slices.Clone(allow)}
	}
	return &server.Permissions{Publish: list(publish), Subscribe: list(subscribe)}
}

func only(kind string) map[string]struct{} { return map[string]struct{}{kind: {}} }

func unique(users []*server.User) error {
	seen := make(map[string]bool, len(users))
	for _, u := range users {
		if seen[u.Username] {
			return fmt.Errorf("identity %q twice", u.Username)
		}
		seen[u.Username] = true
	}
	return nil
}
