package dashboard

import (
	"fmt"
	"slices"
	"strings"
)

// Topics that carry no figures: they say that what a page shows has changed, and the page
// fetches itself. So nothing about a household is ever on the stream.
const (
	topicLedger   = "ledger"   // a block is there, or final
	topicInterval = "interval" // a market or a carbon account has moved
	topicGateway  = "gateway"  // a gateway was heard; for operators
	topicMe       = "me"       // the own readings have come; for who is signed in
	topicControl  = "control"  // there is something else to choose in the ribbon
)

// changed is the data of such an event.
const changed = "{}"

// changes are what those topics went by when they were looked at last. Run's goroutine owns
// it. A topic that nobody wants is not looked at.
type changes struct {
	ledger  string // its mark
	marks   map[string]string
	members map[string]string
}

// look publishes what has changed. Where nobody wanted to know before, it is not known what
// changed since the first page was drawn, and that counts as a change.
func (c *changes) look(d *Dashboard) {
	ledger := d.ledgerMark()
	still := ledger != "" && ledger == c.ledger // then nothing that is read from it has changed
	c.ledger = ledger
	was := c.marks
	c.marks = make(map[string]string)
	for topic, mark := range map[string]func() string{topicLedger: func() string { return ledger }, topicInterval: d.marketMark, topicGateway: d.fleetMark, topicControl: d.controlMark} {
		if !d.hub.wanted(topic) {
			continue
		}
		old, known := was[topic]
		if c.marks[topic] = old; known && still && topic != topicGateway && topic != topicControl { // silence grows by itself, and who presses does not wait
			continue
		}
		c.marks[topic] = mark()
		if !known || old != c.marks[topic] {
			d.hub.publish(topic, []byte(changed))
		}
	}
	before := c.members
	c.members = make(map[string]string)
	for _, member := range d.hub.members() {
		old, known := before[member]
		if c.members[member] = old; known && still {
			continue
		}
		c.members[member] = d.memberMark(member)
		if !known || old != c.members[member] {
			d.hub.tell(member, topicMe, changed)
		}
	}
}

func (d *Dashboard) ledgerMark() string {
	l := d.options.Ledger
	if l == nil {
		return ""
	}
	last, _ := l.Last()
	_, final, any := l.Final()
	return fmt.Sprint(last.Height, final, any)
}

func (d *Dashboard) marketMark() string {
	if d.options.API == nil {
		return ""
	}
	return d.options.API.AccountsMark()
}

func (d *Dashboard) memberMark(member string) string {
	if d.options.API == nil {
		return ""
	}
	p, err := d.options.API.Power(member)
	if err != nil || len(p) == 0 {
		return ""
	}
	last := p[len(p)-1]
	return fmt.Sprint(last.Leaf, last.State)
}

func (d *Dashboard) fleetMark() string {
	if d.options.Fleet == nil {
		return ""
	}
	list, err := d.options.Fleet()
	if err != nil {
		return ""
	}
	var b strings.Builder
	for i := range list {
		fmt.Fprint(&b, list[i].Gateway, list[i].Leaf, list[i].Trouble, "\n")
	}
	return b.String()
}

// wanted reports whether a client wants a topic.
func (h *hub) wanted(topic string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		if c.wants[topic] {
			return true
		}
	}
	return false
}

// members returns those who are signed in and want to be told of themselves.
func (h *hub) members() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		if c.wants[topicMe] && !slices.Contains(list, c.member) {
			list = append(list, c.member)
		}
	}
	return list
}

// tell sends an event to a member's own pages, as long as they are signed in. It has no id
// and is not kept: who comes back fetches the page.
func (h *hub) tell(member, topic, data string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := event{topic: topic, wire: [][]byte{fmt.Appendf(nil, "event: %s\ndata: %s\n\n", topic, data)}}
	for c := range h.clients {
		if c.member != member || !c.wants[topic] {
			continue
		}
		if !c.signedIn() {
			h.drop(c)
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
