package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
)

// ErrNotRunning is wrapped when nobody answers on the socket.
var ErrNotRunning = errors.New("the gateway is not running")

// maxAnswer bounds what a client reads, in bytes.
const maxAnswer = 8 << 20

// Client asks a running gateway. Its methods may be called from several goroutines.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the socket at path, which it does not touch yet.
func NewClient(path string) *Client {
	c := &Client{path: path}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}
	return c
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks how the gateway fares.
func (c *Client) Status(ctx context.Context) (Status, error) { return get[Status](ctx, c, "/status") }

// Live asks for the newest values.
func (c *Client) Live(ctx context.Context) (Live, error) { return get[Live](ctx, c, "/values") }

// Exchanges asks for what went over the buses last.
func (c *Client) Exchanges(ctx context.Context) (Exchanges, error) {
	return get[Exchanges](ctx, c, "/exchanges")
}

// Metrics asks for the figures as Prometheus text.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) { return c.ask(ctx, "/metrics") }

func get[T any](ctx context.Context, c *Client, page string) (T, error) {
	var v T
	b, err := c.ask(ctx, page)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("the answer on %s: %w", c.path, err)
	}
	return v, nil
}

func (c *Client) ask(ctx context.Context, page string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway"+page, nil)
	if err != nil {
		return nil, err
	}
	a, err := c.http.Do(r)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotRunning, c.path, dial.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("asking on %s: %w", c.path, err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking on %s: %w", c.path, err)
	case a.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("asking on %s: %s", c.path, a.Status)
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("the answer on %s has more than %d bytes", c.path, maxAnswer)
	}
	return b, nil
}
