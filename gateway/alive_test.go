package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/signer"
)

// stuck is a key that never answers until it is let go.
type stuck struct {
	signer.Signer
	asked, release chan struct{}
}

func (s *stuck) Sign(b []byte) ([]byte, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	<-s.release
	return s.Signer.Sign(b)
}

// TestAlive looks at what feeds a watchdog: silent devices are no standstill, a key
// that hangs is.
func TestAlive(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	key := &stuck{newKey(t, signer.EdDSA), make(chan struct{}, 1), make(chan struct{})}
	cfg := config(t, t.TempDir(), port, key)
	silent := cfg.Devices[0]
	silent.Name, silent.Address = "nobody", unit+1
	cfg.Devices = append(cfg.Devices, silent)
	g, _, err := gateway.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-key.asked
	if err := g.Alive(t.Context()); err != nil {
		t.Errorf("while it works: %v", err)
	}
	// The same gateway, by a clock that has gone on.
	if err := g.AliveAt(time.Now().Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "nothing was signed") {
		t.Errorf("with a key that hangs: %v", err)
	}
	close(key.release)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	g2, _, err := gateway.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing runs: no device is tried.
	begin := time.Now()
	if err := g2.AliveAt(begin); err != nil {
		t.Errorf("at the start: %v", err)
	}
	if err := g2.AliveAt(begin.Add(30 * time.Second)); err == nil || !strings.Contains(err.Error(), "no device was tried") {
		t.Errorf("half a minute without an attempt: %v", err)
	}
	over, stop := context.WithCancel(t.Context())
	stop()
	if err := g2.Run(over); err != nil {
		t.Fatal(err)
	}
}
