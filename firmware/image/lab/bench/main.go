// Command bench is what a lab image has in the place of a meter cupboard: a meter that
// is not there, on a serial line that is none, the way to the host for a gateway whose
// certificates are for the loopback, and the gateway's log on the console. It is in no
// image that is released.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"wattmark/hardware/emulated"
)

const (
	// port is the serial line that a lab's configuration names.
	port = "/tmp/meter"
	unit = 1
	// forwards says which ports of the loopback lead where: on each line a port, a space
	// and an address.
	forwards = "/perm/lab/forwards"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	line, err := emulated.OpenLine()
	if err != nil {
		return err
	}
	defer line.Close()
	m := emulated.NewMeter("sdm120", 12345678)
	m.SetPower(1200)
	m.SetEnergy(512_345, 0)
	line.Attach(unit, m)
	if err := os.Remove(port); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(line.Path(), port); err != nil {
		return err
	}
	var servers sync.WaitGroup
	defer servers.Wait()
	lines, err := os.ReadFile(forwards)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(lines)) {
		p, to, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return fmt.Errorf("%s: %q is no port and address", forwards, line)
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", p))
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { l.Close() })
		servers.Go(func() { forward(l, to) })
	}
	servers.Go(func() { show(ctx, "/user/wattmark-gateway") })
	return line.Run(ctx)
}

// show copies the log of a service, which gokrazy's init keeps, to the console.
func show(ctx context.Context, service string) {
	init := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "/run/gokrazy-http.sock")
	}}}
	console, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		log.Print(err)
		return
	}
	defer console.Close()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://init/log?stream=stderr&path="+service, nil)
		if err != nil {
			log.Print(err)
			return
		}
		if resp, err := init.Do(req); err == nil {
			_, _ = io.Copy(console, resp.Body)
			_ = resp.Body.Close()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// forward joins each connection with one to an address, until l is closed.
func forward(l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			far, err := net.Dial("tcp", to)
			if err != nil {
				return // as a host that is not there
			}
			defer far.Close()
			go func() {
				_, _ = io.Copy(far, c)
				_ = far.Close()
			}()
			_, _ = io.Copy(c, far)
		}()
	}
}
