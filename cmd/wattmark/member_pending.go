package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"wattmark/gateway/enrol"
	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

func newMemberPending() *cobra.Command {
	var f memberFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "pending --dir DIR",
		Short: "List the gateways that ask on line to be admitted",
		Long: `Pending asks the oracle which requests for enrolment have come on line and
wait, the longest first, each with the eight words of its key. Anybody may ask
under any name: what tells that it is your gateway are the words on its screen.
To admit it, give its name or its words to 'wattmark member approve'.

An oracle keeps at most 64 requests, and each for ten minutes after it was sent
last; gateways that wait send theirs every 30 s.

Exit status: 0 listed, even if none waits, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			l, err := m.askPending(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(l))
			}
			return failed(l.print(newPage(cmd.OutOrStdout()), time.Now()))
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// shownPending is what pending prints.
type shownPending struct {
	Ledger   string        `json:"ledger"`
	Requests []pendingItem `json:"requests"`
	// Dropped counts requests that came too fast or found no room, since the oracle
	// started.
	Dropped uint64 `json:"dropped"`
}

// pendingItem is one request that waits.
type pendingItem struct {
	shownRequest
	// CameBy is the gateway's own certificate, or the one that all share who have none.
	CameBy string    `json:"came_by"` // own or shared
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Times  uint64    `json:"times"`
	// Admitted: the ledger has the key. Approving it once more tells the gateway.
	Admitted bool `json:"admitted"`

	request *enrol.Request
}

// askWithin is how long an oracle may take to tell, and askAgain how long after the broker
// has not found it.
const (
	askWithin = 5 * time.Second
	askAgain  = 200 * time.Millisecond
)

// askPending asks the oracle what waits. Each request has been verified.
func (m *member) askPending(ctx context.Context) (*shownPending, error) {
	_, _, at, err := m.own()
	if err != nil {
		return nil, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.conn.Close()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer, err := l.conn.RequestWithContext(ctx, l.sub.Pending(at), nil)
	for errors.Is(err, nats.ErrNoResponders) {
		// The broker is up before its oracle is.
		select {
		case <-time.After(askAgain):
			answer, err = l.conn.RequestWithContext(ctx, l.sub.Pending(at), nil)
			continue
		case <-ctx.Done():
		}
		break
	}
	if err != nil {
		return nil, fmt.Errorf("asking the oracle which requests wait: %w: is it running? A request also comes as a file, or as the text of its QR code", err)
	}
	p, err := wire.ParsePending(answer.Data)
	if err != nil {
		return nil, err
	}
	admitted, err := m.admitted()
	if err != nil {
		return nil, err
	}
	out := &shownPending{Ledger: m.charter.Origin, Requests: []pendingItem{}, Dropped: p.Dropped}
	for i := range p.Requests {
		w := &p.Requests[i]
		r, err := enrol.ParseRequest(w.Statement)
		if err != nil {
			return nil, fmt.Errorf("request %d of the oracle's list: %w", i+1, err)
		}
		item := pendingItem{
			shownRequest: shownOf(r), CameBy: "shared", First: time.Unix(w.First, 0).UTC(), Last: time.Unix(w.Last, 0).UTC(), Times: w.Times,
			Admitted: admitted[r.Public.ID()], request: r,
		}
		if w.Gateway != "" {
			item.CameBy = "own"
		}
		out.Requests = append(out.Requests, item)
	}
	slices.SortStableFunc(out.Requests, func(a, b pendingItem) int { return cmp.Compare(a.First.Unix(), b.First.Unix()) })
	return out, nil
}

// admitted are the keys that sign now.
func (m *member) admitted() (map[signer.KeyID]bool, error) {
	r, _, err := store.OpenReader(m.dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	lives, err := ledger.LivesOf(r, r.Size())
	if err != nil {
		return nil, err
	}
	out := make(map[signer.KeyID]bool)
	for i := range lives.Keys {
		if k := &lives.Keys[i]; k.To == nil {
			out[k.Key.ID()] = true
		}
	}
	return out, nil
}

func (s *shownPending) print(p *page, now time.Time) error {
	if len(s.Requests) == 0 {
		p.line(2, "No request waits. A gateway that asks on line shows up within seconds.")
	}
	for i := range s.Requests {
		r := &s.Requests[i]
		if i > 0 {
			p.line(0, "")
		}
		p.line(2, "%s", r.Gateway)
		words := strings.Fields(r.Words)
		p.line(11, "  words    %s", strings.Join(words[:4], " "))
		p.line(11, "           %s", strings.Join(words[4:], " "))
		var devices []string
		for _, d := range r.Devices {
			devices = append(devices, d.Model)
		}
		if r.Replaces != "" {
			p.line(11, "  replaces key %s, which has signed it too", r.Replaces)
		} else {
			p.line(11, "  measures %s with %s", plural(len(r.Points), "metering point", "metering points"), cmp.Or(strings.Join(devices, ", "), "no device"))
		}
		by := "the certificate that all share who have none of their own"
		if r.CameBy == "own" {
			by = "its own certificate"
		}
		ago := max(0, now.Sub(r.Last).Round(time.Second))
		p.line(11, "  came     %s, last %s ago, with %s", plural(r.Times, "time", "times"), ago, by)
		if r.Admitted {
			p.line(11, "  state    admitted already: approve it once more to tell it")
		}
	}
	if s.Dropped > 0 {
		p.line(2, "%s not kept since the oracle started: too many at once.", plural(s.Dropped, "request was", "requests were"))
	}
	return p.err
}

// errWaits is wrapped where no request that waits is the one that was meant.
var errWaits = errors.New("see 'wattmark member pending'")

// choose returns the request that waits under a name, or whose key has the words.
func (s *shownPending) choose(name string, words []string) (*pendingItem, error) {
	var found []*pendingItem
	for i := range s.Requests {
		r := &s.Requests[i]
		if words == nil && r.Gateway == name || words != nil && slices.Equal(strings.Fields(r.Words), words) {
			found = append(found, r)
		}
	}
	if words != nil && len(found) > 0 {
		return found[len(found)-1], nil // of one key the newest request counts
	}
	switch len(found) {
	case 0:
		what := fmt.Sprintf("under the name %q", name)
		if words != nil {
			what = fmt.Sprintf("with the words %q", strings.Join(words, " "))
		}
		return nil, fmt.Errorf("no request waits %s: %w: the gateway's screen has the words", what, errWaits)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%d requests wait under the name %q: give the eight words on the gateway's screen instead: %w", len(found), name, errWaits)
}

var errWhich = errors.New("give one REQUEST file, the NAME or the eight WORDS of a request that waits on line, or --qr-text TEXT")

// meant is how somebody says which request it is.
type meant struct {
	file  string
	name  string   // of a gateway whose request waits
	words []string // of the key of one
}

// parseMeant reads the arguments of approve: a file, a name, or eight words, each by itself
// or all in one.
func parseMeant(args []string) (meant, error) {
	if all := strings.Fields(strings.ToLower(strings.Join(args, " "))); len(all) == wordsOfKey && len(args) != 1 || len(args) == 1 && len(all) > 1 && notFile(args[0]) {
		if len(all) != wordsOfKey {
			return meant{}, fmt.Errorf("a key has %d words, and these are %d", wordsOfKey, len(all))
		}
		return meant{words: all}, nil
	}
	if len(args) != 1 {
		return meant{}, errWhich
	}
	if notFile(args[0]) && entry.CheckGateway(args[0]) == nil {
		return meant{name: args[0]}, nil
	}
	return meant{file: args[0]}, nil
}

// wordsOfKey is how many words people compare.
const wordsOfKey = 8

func notFile(name string) bool {
	info, err := os.Stat(name)
	return err != nil || info.IsDir()
}

// waiting returns the request that waits on line and is meant.
func (m *member) waiting(ctx context.Context, which *meant) (*enrol.Request, error) {
	list, err := m.askPending(ctx)
	if err != nil {
		return nil, err
	}
	item, err := list.choose(which.name, which.words)
	if err != nil {
		return nil, err
	}
	return item.request, nil
}
