package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"wattmark/oracle/api"
)

// Options say what a dashboard shows. The zero value of each is allowed.
type Options struct {
	// Origin is the ledger's name.
	Origin string
	// Simulated says that clock and sensors are not the world's; every page then
	// says so.
	Simulated bool
	// Quorum is how many oracles make a block final.
	Quorum int
	// Ledger is what /ledger and the pages below it read; without it they say that
	// there is nothing to read.
	Ledger Ledger
	// API answers what /market and /carbon show, and what is searched for; without it there
	// are no such pages.
	API *api.API
	// OpenMembers lets anybody look at any member's page, in a demonstration whose members
	// are made up.
	OpenMembers bool
	// Fleet tells of the gateways, for operators; without it there are no such pages.
	Fleet func() ([]api.FleetGateway, error)
	// Trouble says why this oracle should get no requests; for operators, beside Fleet.
	Trouble func() []api.Reason
	// Refused says what this oracle has refused; for operators, beside Fleet.
	Refused func() []api.Refused
	// Backups says when copies were made; for operators, beside Fleet.
	Backups func() ([]api.Backup, error)
	// Dir is the ledger's directory, for the commands that pages name.
	Dir string
	// Controls are what whoever looks may do, by forms in the ribbon of every page; none in
	// earnest.
	Controls []Control
	// Cross compiles the page with the cross-check and its Content-Security-Policy, where this
	// build has none inside; without it the page says that there is none. It is called when
	// somebody first asks for the page, once, and ends with ctx. Its error is shown.
	Cross func(ctx context.Context) (page []byte, policy string, err error)
	// Window is how much of the street's time the chart shows; 0 is 10 minutes.
	Window time.Duration
	// Now is the wall clock that age is counted by; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger

	alone bool // without a street
}

// Street reports whether there is a street to show.
func (o Options) Street() bool { return !o.alone }

const (
	defaultWindow = 10 * time.Minute
	tickEvery     = 500 * time.Millisecond // between looks for news
	powerTicks    = 2                      // looks between two power events
	freshFor      = 5 * time.Second        // that a page may be served for
)

// Dashboard serves the pages. Its methods are safe for concurrent use.
type Dashboard struct {
	source  Source
	options Options
	hub     *hub
	told    told

	// cross is the page with the cross-check that this build has inside, nil for none.
	cross func() (page []byte, policy string)

	once    sync.Once // guards handler
	handler http.Handler

	pressing chan struct{} // holds what runs of a control, one at a time
	crossing crossing
	todays   []todayCache // by language

	mu      sync.Mutex // guards current
	current []*now     // the page that goes with the newest event, in each language; nil before Run
}

// nothing is the source of a dashboard that shows no street.
type nothing struct{}

func (nothing) Now() View { return View{} }

// New returns a dashboard that shows src, which may be nil where only the pages of ledger
// and gateways are served. It starts nothing: the pages are there at once, and Run keeps
// them fresh.
func New(src Source, o Options) *Dashboard {
	if src == nil {
		src, o.alone = nothing{}, true
	}
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		o.Dir = "DIR"
	}
	checkControls(o.Controls)
	// Ids go on from the time in milliseconds: above any of an earlier run, which
	// cannot have had a thousand events each second.
	return &Dashboard{source: src, options: o, cross: crossPage, pressing: make(chan struct{}, 1), crossing: crossing{asked: make(chan struct{})}, todays: make([]todayCache, len(languages)), hub: newHub(uint64(max(o.Now().UnixMilli(), 1)))}
}

// Block tells of a block that was made durable. Several oracles may tell of the
// same one.
func (d *Dashboard) Block(b Block) { d.told.block(b) }

// Final tells that the block at a height, and with it every one before, has become
// final by the signatures of so many oracles.
func (d *Dashboard) Final(height uint64, cosigners int) { d.told.finalTo(height, cosigners) }

// Receipt tells of a receipt that a gateway has accepted.
func (d *Dashboard) Receipt(r Receipt) { d.told.receipt(r) }

// Notice tells what just happened.
func (d *Dashboard) Notice(n Notice) { d.told.notice(n) }

// Stats are counts of the stream.
type Stats struct {
	Clients int    // open streams
	Dropped uint64 // streams that were ended because their client was too slow
	Last    uint64 // id of the newest event
}

// Stats returns counts of the stream.
func (d *Dashboard) Stats() Stats { return d.hub.stats() }

// Run sends events until ctx ends, and then ends every stream, so that a server
// can shut down. It is called once.
func (d *Dashboard) Run(ctx context.Context) {
	defer d.crossOnRequest(ctx)()
	defer d.hub.close()
	p := publisher{Dashboard: d, history: history{window: d.options.Window}}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		p.tick(n%powerTicks == 0)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// page returns what / shows now.
func (d *Dashboard) page(l language) *now {
	wall := d.options.Now()
	d.mu.Lock()
	current := d.current
	d.mu.Unlock()
	if current != nil && wall.Sub(current[0].Built) < freshFor {
		return current[l.Index()]
	}
	last := d.hub.last()
	s, _ := d.told.look(false)
	m := d.build(l, d.source.Now(), s, nil, wall)
	m.Event = last
	return m
}

// publisher turns what changed into events. Run's goroutine owns it.
type publisher struct {
	*Dashboard
	history  history
	shape    []string // what the pages have elements for
	states   []State  // of the rows of homes, others and oracles, in this order
	refusals string   // as drawn in the first language
	changes  changes
	started  bool
}

// update is the data of an event: what the script writes where.
type update struct {
	Text map[string]string            `json:"text,omitempty"`
	Attr map[string]map[string]string `json:"attr,omitempty"`
	// Rows are put on top of a list, or in the place of the row with their id.
	Rows []rows `json:"rows,omitempty"`
	// Swap replaces all that is in a list.
	Swap []rows `json:"swap,omitempty"`
	// Say is read to who does not see, now and then.
	Say string `json:"say,omitempty"`
}

// updates are those of an event, in each language.
type updates []update

type rows struct {
	Into string `json:"into"`
	HTML string `json:"html"`
}

// tick looks for news, sends it, and keeps the page that goes with it.
func (p *publisher) tick(power bool) {
	wall := p.options.Now()
	v := p.source.Now()
	s, n := p.told.look(true)
	if len(v.Homes) > 0 { // before, nothing is known, and that is not 0 W
		p.history.add(v.At, total(v.Homes), wall)
	}
	var each []*now // language's
	for _, l := range languages {
		each = append(each, p.build(l, v, s, p.history.samples(), wall))
	}

	// Held until the page is there that goes with the events: a browser that is told
	// to fetch it must not get the one before.
	p.mu.Lock()
	defer p.mu.Unlock()
	blocks, receipts, notices, figures := make(updates, len(each)), make(updates, len(each)), make(updates, len(each)), make(updates, len(each))
	for i, m := range each {
		for _, b := range n.blocks {
			blocks[i].add(p, m, "blocks", "block", blockRow{b, p.options.Ledger != nil})
		}
		for _, r := range n.receipts {
			receipts[i].add(p, m, "receipts", "receipt", receiptLine{r, p.options.Ledger != nil})
		}
		for _, r := range n.notices {
			notices[i].add(p, m, "notices", "notice", noticeLine{r, p.options.Ledger != nil})
			notices[i].Say, _ = m.language.notice(r.Notice)
		}
		figures[i] = update{Text: m.text, Attr: m.attr}
	}
	p.send(topicBlock, blocks)
	p.send(topicReceipt, receipts)
	p.send(topicNotice, notices)
	p.sendStates(each)
	if power {
		p.send(topicPower, figures)
		p.changes.look(p.Dashboard)
	}
	p.started = true
	for _, m := range each {
		m.Event = p.hub.last()
	}
	p.current = each
}

// sendStates sends what changes seldom, when it did. What has changed is the same in each
// language.
func (p *publisher) sendStates(each []*now) {
	shape, states := each[0].outline()
	refusals := p.render(each[0], "refusals", each[0])
	switch {
	case !p.started:
	case !slices.Equal(shape, p.shape):
		// No event can put in what the page has no element for.
		p.hub.publish(topicReset, []byte("{}"))
	default:
		all := make(updates, len(each))
		for i, m := range each {
			u := &all[i]
			for i, s := range states {
				if s == p.states[i] {
					continue
				}
				switch o := i - len(m.Homes); {
				case o < 0:
					u.add(p, m, "homes", "home", m.Homes[i])
				case o < len(m.Others):
					u.add(p, m, "others", "other", m.Others[o])
				default:
					u.add(p, m, "oracles", "oracle", m.Oracles[o-len(m.Others)])
				}
			}
			if refusals != p.refusals {
				u.Swap = append(u.Swap, rows{"refusals", p.render(m, "refusals", m)})
			}
		}
		p.send(topicState, all)
	}
	p.shape, p.states, p.refusals = shape, states, refusals
}

func (u *update) add(p *publisher, m *now, into, template string, row any) {
	u.Rows = append(u.Rows, rows{into, p.render(m, template, row)})
}

// render draws part of a page in the language of a page.
func (p *publisher) render(m *now, name string, data any) string {
	var b bytes.Buffer
	if err := m.language.pages().ExecuteTemplate(&b, name, data); err != nil {
		p.options.Log.Error("did not draw part of a page", "template", name, "error", err)
	}
	return b.String()
}

// send publishes an update, if there is anything in it.
func (p *publisher) send(topic string, each updates) {
	if u := each[0]; u.Text == nil && u.Rows == nil && u.Swap == nil {
		return
	}
	var data [][]byte
	for _, u := range each {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // it is HTML, and stands in no page
		if err := e.Encode(u); err != nil {
			p.options.Log.Error("did not encode an event", "topic", topic, "error", err)
			return
		}
		data = append(data, bytes.TrimRight(b.Bytes(), "\n"))
	}
	p.hub.publish(topic, data...)
}

var _ http.Handler = (*Dashboard)(nil)
