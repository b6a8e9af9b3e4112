package dashboard

import (
	"strings"
	"time"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/chart"
	"wattmark/oracle/dashboard/locale"
	"wattmark/oracle/export"
)

// Ticks returns what Run calls twice a second, so that a test moves time itself:
// one look for news, with an event of power or without.
func (d *Dashboard) Ticks() func(power bool) {
	p := publisher{Dashboard: d, history: history{window: d.options.Window}}
	return p.tick
}

// Words.
var (
	Power          = english.power
	Energy         = english.energy
	Mass           = english.mass
	Count          = english.Number
	Direction      = english.direction
	Fixed          = english.Fixed
	Rounded        = rounded
	Took           = english.took
	Shorten        = shorten
	Quoted         = quoted
	StreetSentence = english.streetSentence
	Doubt          = english.doubt
	Signers        = signers
	HexDump        = hexDump
	Assets         = assets
	Outside        = outside
)

// MostW is the greatest power that is shown.
const MostW = mostW

// Describe returns what the pages say of a leaf: its summary, its facts and its
// records.
func Describe(index uint64, leaf []byte) (summary string, facts map[string]string, records []entry.Record) {
	d := audit.Describe(index, leaf)
	facts = make(map[string]string)
	for _, f := range d.Fields {
		facts[f.Name] = f.Value
	}
	return d.Summary, facts, d.Records
}

// Part is a stretch of a leaf and its name.
type Part = part

// PartsOf finds them.
var PartsOf = partsOf

// Marked returns the bytes of a leaf as its page has them.
func Marked(leaf []byte) string {
	_, lines := taken(english, audit.Describe(0, leaf), leaf)
	var out []string
	for _, l := range lines {
		for _, eight := range l.Runs {
			for _, r := range eight {
				out = append(out, r.Text)
			}
		}
	}
	return strings.Join(out, " ")
}

// WithoutCross has a dashboard do as a build that has no cross-check inside.
func (d *Dashboard) WithoutCross() *Dashboard {
	d.cross = func() ([]byte, string) { return nil, "" }
	return d
}

// The stream.
const (
	KeptEvents  = keptEvents
	QueueEvents = queueEvents
	MaxClients  = maxClients
	MaxEvent    = maxEvent
	TopicPower  = topicPower
	TopicBlock  = topicBlock
	TopicState  = topicState
	TopicReset  = topicReset
)

type (
	Hub    = hub
	Client = client
	Event  = event
)

var (
	NewHub     = newHub
	ErrCrowded = errCrowded
	ErrClosed  = errClosed
)

func (d *Dashboard) Hub() *Hub { return d.hub }

func (h *hub) Publish(topic, data string) { h.publish(topic, []byte(data)) }
func (h *hub) Last() uint64               { return h.last() }
func (h *hub) Stats() Stats               { return h.stats() }
func (h *hub) Close()                     { h.close() }
func (h *hub) Leave(c *Client)            { h.leave(c) }

func (h *hub) Join(after uint64, topics ...string) (*Client, []Event, error) {
	wants := make(map[string]bool)
	for _, t := range topics {
		wants[t] = true
	}
	c := &client{wants: wants}
	missed, err := h.join(c, after)
	if err != nil {
		return nil, nil, err
	}
	return c, missed, nil
}

// Queued returns what waits for a client, and whether it is still served.
func (c *client) Queued() (events []Event, served bool) {
	for {
		select {
		case e, open := <-c.queue:
			if !open {
				return events, false
			}
			events = append(events, e)
		default:
			return events, true
		}
	}
}

func (e event) ID() uint64    { return e.id }
func (e event) Topic() string { return e.topic }
func (e event) Wire() string  { return string(e.wire[0]) }

// History is the street's power over a window of its clock.
type History struct{ h history }

func NewHistory(window time.Duration) *History { return &History{history{window: window}} }

func (h *History) Add(at time.Time, using, made int64, wall time.Time) {
	h.h.add(at, sums{using: using, made: made, grid: using - made}, wall)
}

func (h *History) Samples() []chart.Sample { return h.h.samples() }

// Told is what a dashboard was told.
type Told struct{ t told }

// Shown is what is shown of it, newest first, or what of it is news, oldest first.
type Shown struct {
	Blocks   []Block
	Receipts []uint64 // their numbers
	Notices  []uint64
	Final    uint64
	AnyFinal bool
}

// ShownRows is how many rows a page has of each.
const ShownRows = shownRows

func (t *Told) Block(b Block)                   { t.t.block(b) }
func (t *Told) Final(height uint64, signed int) { t.t.finalTo(height, signed) }
func (t *Told) Receipt(r Receipt)               { t.t.receipt(r) }
func (t *Told) Notice(n Notice)                 { t.t.notice(n) }

func (t *Told) Look(take bool) (shown, news Shown) {
	s, n := t.t.look(take)
	shown = Shown{Blocks: s.blocks, Final: s.final, AnyFinal: s.anyFinal}
	shown.Receipts, shown.Notices = numbers(s.receipts, s.notices)
	news = Shown{Blocks: n.blocks}
	news.Receipts, news.Notices = numbers(n.receipts, n.notices)
	return shown, news
}

func numbers(receipts []receiptRow, notices []noticeRow) (r, n []uint64) {
	for _, x := range receipts {
		r = append(r, x.N)
	}
	for _, x := range notices {
		n = append(n, x.N)
	}
	return r, n
}

// Emitted is what a kWh caused of which so many Wh of a quarter hour came from a grid.
func Emitted(fromGrid, taken int64, factor string) string {
	t := today{l: english, Price: &api.IntervalItem{Totals: &api.TotalsItem{GridImportWh: fromGrid, DeficitWh: taken}}}
	t.emitted([]api.GridItem{{PerKWh: factor}})
	return t.CO2e
}

// Spoken are words in one language.
type Spoken struct{ l language }

// Trouble is what a gateway's page says of one of its troubles.
func (s Spoken) Trouble(g *api.FleetGateway, t api.Trouble) string {
	return string(gatewayRow{s.l, g}.Said(t))
}

// Headline is what a member's page says of a period.
func (s Spoken) Headline(of *export.Statement) string {
	return memberPage{Statement: of, l: s.l}.Headline()
}

func (s Spoken) Digits(text string) string { return s.l.digits(text) }

// In returns the words of a language.
func In(l *locale.Locale) Spoken { return Spoken{language{l}} }

func (s Spoken) Power(w int64) string               { return s.l.power(w) }
func (s Spoken) Direction(w int64) string           { return s.l.direction(w) }
func (s Spoken) Took(d time.Duration) string        { return s.l.took(d) }
func (s Spoken) Tidy(text string) string            { return s.l.tidy(text) }
func (s Spoken) StreetSentence(homes []Home) string { return s.l.streetSentence(homes) }
func (s Spoken) Doubt(homes []Home) string          { return s.l.doubt(homes) }
