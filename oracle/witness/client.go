package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"wattmark/ledger/block"
)

// Client asks one witness for cosignatures. It has one owner and is not safe for
// concurrent use.
type Client struct {
	key  block.VerifierKey
	url  string
	http *http.Client

	size uint64 // of the last checkpoint that the witness cosigned, as far as is known
}

// NewClient returns a client of the witness that has the given key and takes requests
// below the given URL. Nothing is asked yet.
func NewClient(key block.VerifierKey, prefix string, c *http.Client) (*Client, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("witness %q: %q is not a URL such as https://witness.example/prefix", key.Name, prefix)
	}
	if !key.Cosigner {
		return nil, fmt.Errorf("witness %q: its key is a log's, not a cosigner's", key.Name)
	}
	if c == nil {
		c = http.DefaultClient
	}
	return &Client{key: key, url: strings.TrimSuffix(prefix, "/") + "/add-checkpoint", http: c}, nil
}

// Key returns the witness's key.
func (c *Client) Key() block.VerifierKey { return c.key }

// Size returns how many leaves the last checkpoint had that the witness is known to
// have cosigned.
func (c *Client) Size() uint64 { return c.size }

// ErrAhead is wrapped where the witness has cosigned a larger tree than the one that it
// was asked for: this oracle has to get there first.
var ErrAhead = errors.New("the witness has seen more of the ledger")

// ErrRefused is wrapped where the witness will not cosign, or says what it must not.
var ErrRefused = errors.New("the witness refuses")

const (
	maxAnswer = 64 << 10
	attempts  = 3 // each but the first after the witness said from where to prove
)

// Cosign asks for a cosignature of a signed checkpoint, with a proof made from the nodes
// of its tree, and returns the verified signature line.
func (c *Client) Cosign(ctx context.Context, note []byte, cp block.Checkpoint, nodes block.Nodes) (string, error) {
	var err error
	for range attempts {
		if c.size > cp.Size {
			return "", fmt.Errorf("witness %q: %w: %d leaves, asked for %d", c.key.Name, ErrAhead, c.size, cp.Size)
		}
		var proof []block.Hash
		if proof, err = block.ProveConsistency(nodes, c.size, cp.Size); err != nil {
			return "", err
		}
		var line string
		line, err = c.ask(ctx, &Request{Old: c.size, Proof: proof, Checkpoint: note}, cp)
		var conflict *Conflict
		if !errors.As(err, &conflict) {
			return line, err
		}
		if conflict.Size == c.size {
			return "", fmt.Errorf("witness %q: %w: it says again that it is at %d leaves", c.key.Name, ErrRefused, c.size)
		}
		c.size = conflict.Size
	}
	return "", fmt.Errorf("witness %q: others asked at the same time: %w", c.key.Name, err)
}

func (c *Client) ask(ctx context.Context, r *Request, cp block.Checkpoint) (string, error) {
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(r.Encode()))
	if err != nil {
		return "", fmt.Errorf("witness %q: %w", c.key.Name, err)
	}
	hr.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := c.http.Do(hr)
	if err != nil {
		return "", fmt.Errorf("witness %q: %w", c.key.Name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", fmt.Errorf("witness %q: reading its answer: %w", c.key.Name, err)
	}
	if len(body) > maxAnswer {
		return "", fmt.Errorf("witness %q: %w: an answer of more than %d bytes", c.key.Name, ErrRefused, maxAnswer)
	}
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode == http.StatusOK:
		return c.accept(cp, string(body))
	case resp.StatusCode == http.StatusConflict && kind == sizeType:
		text, _ := strings.CutSuffix(string(body), "\n")
		size, err := strconv.ParseUint(text, 10, 60)
		if err != nil || strconv.FormatUint(size, 10)+"\n" != string(body) {
			return "", fmt.Errorf("witness %q: %w: %q is not the size of a tree", c.key.Name, ErrRefused, shorten(string(body)))
		}
		return "", &Conflict{size}
	}
	return "", fmt.Errorf("witness %q: %w: %s: %q", c.key.Name, ErrRefused, resp.Status, shorten(string(body)))
}

// accept verifies what the witness signed and returns its line; lines of others are
// passed over.
func (c *Client) accept(cp block.Checkpoint, body string) (string, error) {
	_, lines, err := block.OpenSigned([]byte(cp.Text()+"\n"+body), c.key)
	if err != nil {
		return "", fmt.Errorf("witness %q: %w: its cosignature: %w", c.key.Name, ErrRefused, err)
	}
	c.size = cp.Size
	return lines[0], nil
}
