package console

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Facts are what the page shows at one moment: those of status and read.
type Facts struct {
	Status
	// Told are the devices' values and what they come to, as read shows them.
	Told []Told
}

// Told is a device's newest values, corrected, and what they come to in words.
type Told struct {
	DeviceValue
	Remarks []Remark
}

// Remark is one thing to say about a device's values.
type Remark struct {
	Text   string // begins in lower case, without a full stop
	Remedy string // empty where all is well
	Fault  bool
}

// view is what a page shows, in a language.
type view struct {
	*Facts
	*language
}

// lead is the gateway in one line.
func (f view) lead() string {
	good, others := 0, make(map[string]int)
	var order []string
	total := 0
	for i := range f.Devices {
		switch d := &f.Devices[i]; d.State {
		case StateDisabled:
		case StateGood:
			good, total = good+1, total+1
		default:
			if others[d.State] == 0 {
				order = append(order, d.State)
			}
			others[d.State]++
			total++
		}
	}
	text := f.say("%d of %s good", good, f.count(total, "1 sensor", "%d sensors"))
	for _, state := range order {
		text += fmt.Sprintf(", %d %s", others[state], f.word(state))
	}
	sending := f.word("not sending")
	if f.Uplink.Connected {
		sending = f.word("sending")
	}
	clock := f.say("clock %s", f.clockWord())
	if f.Clock.UncertaintyMS > 0 {
		clock += " ±" + f.figure(Span(float64(f.Clock.UncertaintyMS)/1000))
	}
	return fmt.Sprintf("%s; %s; %s; %s", text, sending, f.waiting(), clock)
}

// main is what the page has in it, below its bar.
func (f view) main() string {
	m := new(markup)
	m.put("h1", joined(f.lead()), "class", "lead")
	m.open("div", "class", "columns")
	m.open("section", "aria-labelledby", "h-sensors")
	m.put("h2", f.word("Sensors, worst first"), "id", "h-sensors")
	for i := range f.Devices {
		f.sensor(m, &f.Devices[i])
	}
	m.end("section")
	m.open("div")
	f.warnings(m)
	f.facts(m)
	m.end("div", "div")
	tone := warn
	if f.Ready {
		tone = good
	}
	m.open("p", "class", "leave card", "id", "leave")
	line, known := f.line()
	m.state(tone, line, foreign(known))
	m.end("p")
	return m.b.String()
}

// tones are the tones of a device's states.
var tones = map[string]string{StateGood: good, StateSilent: bad, StateFailing: warn, StateWaiting: muted, StateDisabled: muted}

// told returns what is known of a device's values, nil for nothing.
func (f view) told(d *Device) *Told {
	for i := range f.Told {
		if t := &f.Told[i]; t.Name == d.Name && t.Point == d.Point {
			return t
		}
	}
	return nil
}

// sensor writes a device: what it is and shows, how it fares, and what to do.
func (f view) sensor(m *markup, d *Device) {
	t := f.told(d)
	m.open("article", "class", "card", "id", "sensor-"+d.Point+"/"+d.Name)
	m.open("div", "class", "top")
	m.put("h3", d.Name)
	if v := d.headline(t); v != nil {
		m.open("p", "class", "value")
		m.text(f.figure(minus(v.Value)))
		m.put("span", " "+unitText(v.Unit), "class", "unit")
		m.end("p")
	}
	m.end("div")
	m.open("div", "class", "top note")
	m.open("p")
	m.state(cmp.Or(tones[d.State], warn), f.word(d.State), "")
	if d.State == StateGood {
		m.text(", " + f.ago(d.AgeS))
	} else if d.Since != nil {
		m.text(f.say(" since %s UTC, %s", d.Since.Format(time.TimeOnly), f.age(f.Time.Sub(*d.Since).Seconds())))
	}
	m.end("p")
	if v := d.headline(t); v != nil {
		m.put("p", f.channel(v.Channel))
	}
	m.end("div")
	if d.Error != "" {
		failure, known := f.hear(d.Error)
		m.put("p", sentence(failure), "lang", foreign(known))
		if d.Remedy != "" && !strings.Contains(d.Error, d.Remedy) {
			f.do(m, d.Remedy)
		}
		if d.LastAt != nil {
			m.put("p", f.say("Its values are of %s UTC. The others on its bus go on.", d.LastAt.Format(time.TimeOnly)), "class", "note")
		} else {
			m.put("p", f.word("The others on its bus go on."), "class", "note")
		}
	}
	if t != nil && d.Error == "" {
		for _, r := range t.Remarks {
			f.remark(m, r)
		}
	}
	if t != nil && len(t.Values) > 0 {
		f.values(m, t, d)
	}
	m.end("article")
}

func (f view) remark(m *markup, r Remark) {
	text, known := f.hear(r.Text)
	if !r.Fault {
		m.put("p", sentence(text), "lang", foreign(known))
		return
	}
	m.open("p")
	m.state(warn, sentence(text), foreign(known))
	m.end("p")
	if r.Remedy != "" {
		f.do(m, r.Remedy)
	}
}

// do writes what to do about something.
func (f view) do(m *markup, remedy string) {
	text, known := f.hear(remedy)
	m.open("p", "class", "do")
	before, after, _ := strings.Cut(f.word("Do: %s."), "%s")
	m.text(before)
	if known {
		m.text(text)
	} else {
		m.open("span", "lang", foreign(known))
		m.text(text)
		m.b.WriteString("</span>")
	}
	m.text(after)
	m.end("p")
}

// foreign is the language of what another package said, where it is not the page's.
func foreign(known bool) string {
	if known {
		return ""
	}
	return english.tag
}

// values writes all values of a device, exactly, folded away.
func (f view) values(m *markup, t *Told, d *Device) {
	m.open("details")
	part := cmp.Or(t.Part, d.Part, d.Model)
	if n := len(t.Values); n == 1 {
		m.put("summary", f.say("1 value of %s", part))
	} else {
		m.put("summary", f.say("%d values of %s", n, part))
	}
	m.open("table")
	m.open("thead")
	m.open("tr")
	m.put("th", f.word("Channel"), "scope", "col")
	m.put("th", f.word("Value"), "scope", "col", "class", "n")
	m.put("th", f.word("Quality"), "scope", "col")
	m.end("tr", "thead")
	m.open("tbody")
	for i := range t.Values {
		v := &t.Values[i]
		m.open("tr")
		m.put("th", f.channel(v.Channel), "scope", "row")
		m.put("td", strings.TrimSpace(f.figure(minus(v.Value))+" "+unitText(v.Unit)), "class", "n")
		m.put("td", f.quality(v.Quality))
		m.end("tr")
	}
	m.end("tbody", "table")
	for _, c := range t.Corrections {
		m.put("p", f.say("%s is calibrated.", f.channel(c.Channel)), "class", "note")
	}
	m.end("details")
}

// headline is the value that says most of the device, as records have it.
func (d *Device) headline(t *Told) *Value {
	if d.Last == nil {
		return nil
	}
	if t != nil {
		for i := range t.Values {
			if t.Values[i].Channel == d.Last.Channel {
				return &t.Values[i]
			}
		}
	}
	return d.Last
}

func (f view) warnings(m *markup) {
	if len(f.Warnings) == 0 {
		return
	}
	m.open("section", "class", "card", "aria-labelledby", "h-todo")
	m.put("h2", f.word("To do"), "id", "h-todo")
	for _, w := range f.Warnings {
		m.open("p")
		text, known := f.hear(w.Text)
		m.state(warn, sentence(text), foreign(known))
		m.end("p")
		f.do(m, w.Remedy)
	}
	m.end("section")
}

// facts writes the rest, as status has it.
func (f view) facts(m *markup) {
	m.open("section", "class", "card", "aria-labelledby", "h-gateway")
	m.put("h2", f.word("Gateway"), "id", "h-gateway")
	m.open("dl")
	fact := func(name, text string) {
		m.open("div")
		m.put("dt", f.word(name))
		m.put("dd", text)
		m.end("div")
	}
	fact("Receipts", f.receipts())
	fact("Uplink", f.uplink())
	fact("Outbox", f.outbox())
	fact("Clock", f.clock())
	fact("Key", f.key())
	if len(f.Key.Words) > 0 {
		fact("Words of the key", strings.Join(f.Key.Words, " "))
	}
	fact("Ledger", f.Ledger.Origin)
	if len(f.Ledger.Policy.Oracles) > 0 {
		fact("Oracles", f.oracles())
	}
	m.open("div")
	m.put("dt", f.word("Metering points"))
	m.open("dd")
	for _, p := range f.Ledger.Points {
		m.put("span", p, "class", "whole")
	}
	m.end("dd", "div")
	fact("Program", f.say("version %s, boot %d, running for %s", f.Gateway.Version, f.Gateway.Boot, f.age(f.Time.Sub(f.Gateway.Started).Seconds())))
	m.end("dl", "section")
}

func (f view) key() string {
	key := f.say("%s, %s signed", strings.TrimSpace(f.Key.Backend+" "+f.Key.Algorithm), f.count(int(f.Key.Signed), "1 statement", "%d statements"))
	if f.Key.Failures > 0 {
		key += ", " + f.count(int(f.Key.Failures), "1 failure", "%d failures")
	}
	if f.Key.Failure != "" {
		failure, _ := f.hear(f.Key.Failure)
		key += ": " + failure
	}
	return key
}

// oracles says whose receipts count.
func (f view) oracles() string {
	p := &f.Ledger.Policy
	text := f.say("as configured: %s", strings.Join(p.Oracles, ", "))
	if p.Height > 0 {
		text = f.say("since block %d: %s", p.Height, strings.Join(p.Oracles, ", "))
	}
	return text
}

// receipts says what nothing earlier proves.
func (f view) receipts() string {
	if f.Uplink.LastReceipt == nil {
		return f.word("none yet: the first one that verifies proves that readings arrive")
	}
	text := f.say("%d verified here, the last %s", f.Uplink.Receipts, f.ago(f.Time.Sub(*f.Uplink.LastReceipt).Seconds()))
	if wrong := f.Uplink.Unverified - f.Uplink.Superseded; wrong > 0 {
		text += f.say("; %d did not verify", wrong)
	}
	return text
}

func (f view) uplink() string {
	u := &f.Uplink
	span := f.age(f.Time.Sub(u.Since).Seconds())
	text := f.say("no connection for %s, %s", span, u.Broker)
	if u.Connected {
		text = f.say("connected for %s, %s", span, u.Broker)
	}
	if u.Failure != "" {
		failure, _ := f.hear(u.Failure)
		text += ": " + failure
	}
	return text
}

func (f view) outbox() string {
	o := &f.Outbox
	text := f.say("on disk: %s (%s)", f.waiting(), f.figure(Bytes(o.Bytes)))
	if o.State == "memory" {
		text = f.say("in memory: %s (%s); all at risk", f.waiting(), f.figure(Bytes(o.Bytes)))
	}
	if o.OldestAt != nil && o.OldestAgeS >= 1 {
		text += f.say(", the oldest %s", f.age(o.OldestAgeS))
	}
	if o.Refused > 0 {
		text += f.say(", %d refused", o.Refused)
	}
	if left := f.daysLeft(); left > 0 {
		text += f.say(". Without a connection there is room for about %s; from four fifths on the oldest gauges are thinned, then the oldest statements dropped, and a signed record says so", f.figure(Span(left*86400)))
	}
	return text
}

// offline is from how long a wait on the outbox's filling is spoken of, in seconds.
const offline = 60

// daysLeft is for how many days the outbox has room at the rate at which it fills, 0
// where it does not, or not for long.
func (f view) daysLeft() float64 {
	o := &f.Outbox
	if f.Uplink.Connected || o.OldestAgeS < offline || o.Bytes <= 0 || o.MaxBytes <= o.DiskBytes {
		return 0
	}
	return float64(o.MaxBytes-o.DiskBytes) / (float64(o.Bytes) / o.OldestAgeS) / 86400
}

func (f view) clock() string {
	text := f.clockWord()
	if f.Clock.UncertaintyMS > 0 {
		text += f.say(", within %s", f.figure(Span(float64(f.Clock.UncertaintyMS)/1000)))
	}
	if f.Clock.Steps > 0 {
		text += f.count(int(f.Clock.Steps), ", moved 1 time since the start", ", moved %d times since the start")
	}
	return text
}

// clockWord is the quality of the time as people write it.
func (f view) clockWord() string {
	switch q := f.Clock.Quality; q {
	case "ntp", "rtc":
		return strings.ToUpper(q)
	case "unsynced", "holdover", "simulated":
		return f.word(q)
	default:
		return q
	}
}

// waiting says how many statements wait.
func (f view) waiting() string {
	return f.count(f.Outbox.Pending, "1 statement waiting", "%d statements waiting")
}

// quality is a set of doubts about a value.
func (f view) quality(set string) string {
	names := strings.Split(set, ",")
	for i := range names {
		names[i] = f.word(names[i])
	}
	return strings.Join(names, ",")
}

// line says whether one may leave.
func (f view) line() (text string, known bool) {
	reasons, not := strings.CutPrefix(f.Line, "Not ready: ")
	if !not || f.words == nil {
		return f.hear(f.Line)
	}
	parts := strings.Split(strings.TrimSuffix(reasons, "."), "; ")
	for i := range parts {
		said, ok := f.hear(parts[i])
		parts[i], known = said, known || ok
	}
	return f.say("Not ready: %s.", strings.Join(parts, "; ")), known
}

// age is how long something lasts, ago when it was.
func (f view) age(seconds float64) string { return f.figure(Age(seconds)) }

func (f view) ago(seconds float64) string {
	if seconds < 1 {
		return f.word("now")
	}
	return f.say("%s ago", f.age(seconds))
}

// joined keeps a number and what it counts on one line.
func joined(s string) string { return loose.ReplaceAllString(s, "$1\u00a0") }

var loose = regexp.MustCompile(`([0-9]) `)

// minus writes a number with the sign that is as wide as a digit.
func minus(value string) string { return strings.Replace(value, "-", "−", 1) }

// unitText is a unit for people: a ratio has none.
func unitText(u string) string {
	switch u {
	case "/":
		return ""
	case "Cel":
		return "°C"
	}
	return u
}

// sentence makes a sentence of words.
func sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if s != "" && !strings.Contains(first, "_") && !strings.HasPrefix(s, "pm") { // no channel's name
		r, n := utf8.DecodeRuneInString(s)
		s = string(unicode.ToUpper(r)) + s[n:]
	}
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
