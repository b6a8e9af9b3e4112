package dashboard

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Limits of the stream.
const (
	keptEvents  = 1024     // replayed to who comes back
	queueEvents = 64       // that one client may be behind
	maxClients  = 1200     // at a time
	maxEvent    = 64 << 10 // bytes of one event's data
)

// Topics that a client may ask for.
const (
	topicPower   = "power"
	topicBlock   = "block"
	topicReceipt = "receipt"
	topicNotice  = "notice"
	topicState   = "state"
)

var topics = []string{topicPower, topicBlock, topicReceipt, topicNotice, topicState, topicLedger, topicInterval, topicGateway, topicMe, topicControl}

// streetTopics are those of what the page / shows of the street.
var streetTopics = topics[:5]

// topicReset tells a page that it missed too much: it fetches itself.
const topicReset = "reset"

var (
	errCrowded = errors.New("too many pages are open")
	errClosed  = errors.New("the stream has ended")
)

// event is one message of the stream, ready to be written: once in each language, by its Index,
// or once for all. Wire is nil in what is kept of an event that a later one made worthless.
type event struct {
	id    uint64
	topic string
	wire  [][]byte
}

// in returns what is written to who reads a language.
func (e event) in(l language) []byte {
	if len(e.wire) == 1 {
		return e.wire[0]
	}
	return e.wire[l.Index()]
}

// hub hands events to clients. Publishing never waits for a client: one whose
// queue is full is dropped, and comes back with the last id it has seen.
type hub struct {
	mu      sync.Mutex // guards what follows
	next    uint64     // id of the next event
	kept    []event    // the last keptEvents, oldest first
	power   uint64     // id of the newest event of topicPower, 0 if there is none
	clients map[*client]struct{}
	closed  bool
	dropped uint64
}

// client is one open stream. The hub closes its queue when it drops it.
type client struct {
	wants map[string]bool
	queue chan event
	// language is that of the page.
	language language
	// member is whose topicMe it wants, and signedIn says whether that still may be.
	member   string
	signedIn func() bool
}

// newHub returns a hub whose first event has the given id. It should be above
// every id of an earlier run, so that a page from then is told to reset.
func newHub(first uint64) *hub {
	return &hub{next: max(first, 1), clients: make(map[*client]struct{})}
}

// publish sends data, which holds no line break, on a topic: in each language, or one for all.
func (h *hub) publish(topic string, data ...[]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if slices.ContainsFunc(data, func(b []byte) bool { return len(b) > maxEvent }) { // rather fetched at once than kept a thousand times
		topic, data = topicReset, [][]byte{[]byte("{}")}
	}
	e := event{id: h.next, topic: topic}
	for _, b := range data {
		e.wire = append(e.wire, fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", h.next, topic, b))
	}
	if topic == topicPower {
		// It has every value, so nobody needs the one before: without this, most of
		// what is kept and replayed would be figures that are overwritten at once.
		if oldest := h.next - uint64(len(h.kept)); h.power >= oldest {
			h.kept[h.power-oldest].wire = nil
		}
		h.power = e.id
	}
	h.next++
	if len(h.kept) == keptEvents {
		copy(h.kept, h.kept[1:])
		h.kept = h.kept[:keptEvents-1]
	}
	h.kept = append(h.kept, e)
	for c := range h.clients {
		if !c.takes(topic) {
			continue
		}
		select {
		case c.queue <- e:
		default:
			h.drop(c)
			h.dropped++
		}
	}
}

func (c *client) takes(topic string) bool { return topic == topicReset || c.wants[topic] }

// join opens a stream of a client after the event with the given id, and returns
// what was missed. If that is not kept any more, or after is of another run, it is
// a single reset.
func (h *hub) join(c *client, after uint64) ([]event, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, errClosed
	case len(h.clients) >= maxClients:
		return nil, errCrowded
	}
	c.queue = make(chan event, queueEvents)
	h.clients[c] = struct{}{}
	oldest := h.next - uint64(len(h.kept))
	if after >= h.next || after+1 < oldest {
		last := h.next - 1
		return []event{{last, topicReset, [][]byte{fmt.Appendf(nil, "id: %d\nevent: %s\ndata: {}\n\n", last, topicReset)}}}, nil
	}
	var missed []event
	for _, e := range h.kept[after+1-oldest:] {
		if e.wire != nil && c.takes(e.topic) {
			missed = append(missed, e)
		}
	}
	return missed, nil
}

// leave ends a stream; it may have been dropped before.
func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(c)
}

// drop is called with mu held.
func (h *hub) drop(c *client) {
	if _, ok := h.clients[c]; ok {
		delete(h.clients, c)
		close(c.queue)
	}
}

// last returns the id of the newest event.
func (h *hub) last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next - 1
}

// close ends every stream and takes no more.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.clients {
		h.drop(c)
	}
}

func (h *hub) stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Clients: len(h.clients), Dropped: h.dropped, Last: h.next - 1}
}
