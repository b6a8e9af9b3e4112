package broker

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
)

// Serve runs one server of a cluster from a configuration file of nats-server until ctx
// ends. A message on reload has it read the file again. At each message on look it looks
// at the certificates, keys and roots that the file names: when they have changed, and
// stand still from one look to the next, it reads the file again too. What is wrong then
// is logged, and the server goes on as it was. Connections stay. The log goes where the
// file says.
func Serve(ctx context.Context, file string, reload <-chan struct{}, look <-chan time.Time) error {
	w := &serving{file: file, taken: stamp(file)}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return fmt.Errorf("reading the server's configuration: %w", err)
	}
	w.shown = certificates(opts)
	opts.NoSigs = true
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("making a server of %s: %w", file, err)
	}
	s.ConfigureLogger()
	ended := make(chan struct{})
	go func() { defer close(ended); s.Start(); s.WaitForShutdown() }()
	for {
		select {
		case <-reload:
			w.reload(s)
		case <-look:
			w.look(s)
		case <-ended:
			return fmt.Errorf("the server of %s ended by itself: its log says why", file)
		case <-ctx.Done():
			s.Shutdown()
			<-ended
			return nil
		}
	}
}

// serving is what Serve knows of the server's TLS files. Its goroutine owns it.
type serving struct {
	file  string
	shown []*x509.Certificate
	// Stamps of what was read last, taken or refused, and of what the last look saw.
	taken, seen string
}

// look takes TLS files that have changed. They are replaced one after the other: it waits
// until they stand still.
func (w *serving) look(s *server.Server) {
	at := stamp(w.file)
	still := at == w.seen
	w.seen = at
	if !still || at == w.taken || !w.reload(s) {
		return
	}
	for _, c := range w.shown {
		s.Noticef("Took the TLS files: the certificate of %q ends on %s", c.Subject.CommonName, c.NotAfter.UTC().Format(time.DateOnly))
	}
}

// reload has the server take what is in the files, unless something is wrong with it.
func (w *serving) reload(s *server.Server) bool {
	w.taken = stamp(w.file)
	opts, err := server.ProcessConfigFile(w.file)
	var list []*x509.Certificate
	if err == nil {
		list, opts.NoSigs = certificates(opts), true
		err = w.lasting(list)
	}
	if err == nil {
		err = s.ReloadOptions(opts)
	}
	if err != nil {
		s.Errorf("Not reloaded, goes on as it was: %v", err)
		return false
	}
	w.shown = list
	return true
}

// lasting refuses certificates that have ended in the place of others.
func (w *serving) lasting(list []*x509.Certificate) error {
	for _, c := range list {
		if time.Now().After(c.NotAfter) && !slices.ContainsFunc(w.shown, c.Equal) {
			return fmt.Errorf("the certificate of %q ended on %s: put one in its place that is valid", c.Subject.CommonName, c.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	return nil
}

// certificates are those that a configuration has read, each once.
func certificates(opts *server.Options) (list []*x509.Certificate) {
	of := []*tls.Config{opts.TLSConfig, opts.MQTT.TLSConfig, opts.Websocket.TLSConfig, opts.Cluster.TLSConfig, opts.Gateway.TLSConfig, opts.LeafNode.TLSConfig}
	for _, r := range opts.LeafNode.Remotes {
		of = append(of, r.TLSConfig)
	}
	for _, t := range of {
		if t == nil {
			continue
		}
		for _, c := range t.Certificates {
			if c.Leaf != nil && !slices.ContainsFunc(list, c.Leaf.Equal) {
				list = append(list, c.Leaf)
			}
		}
	}
	return list
}

// stamp says what is in the TLS files that a configuration names: another content is
// another stamp.
func stamp(file string) string {
	m, err := conf.ParseFile(file)
	if err != nil {
		return err.Error()
	}
	names := tlsFiles(nil, m)
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		content, err := os.ReadFile(name)
		fmt.Fprintf(&b, "%s %x %v\n", name, sha256.Sum256(content), err)
	}
	return b.String()
}

// tlsFiles adds to names the files of certificates, keys and roots of a parsed
// configuration.
func tlsFiles(names []string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch strings.ToLower(key) {
			case "cert_file", "key_file", "ca_file":
				if name, ok := value.(string); ok {
					names = append(names, name)
				}
			default:
				names = tlsFiles(names, value)
			}
		}
	case []any:
		for _, value := range v {
			names = tlsFiles(names, value)
		}
	case []map[string]any:
		for _, value := range v {
			names = tlsFiles(names, value)
		}
	}
	return names
}
