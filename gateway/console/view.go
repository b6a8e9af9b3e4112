package console

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
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

// lead is the gateway in one line.
func (f *Facts) lead() string {
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
	text := fmt.Sprintf("%d of %s good", good, Counted(total, "sensor"))
	for _, state := range order {
		text += fmt.Sprintf(", %d %s", others[state], state)
	}
	sending := "not sending"
	if f.Uplink.Connected {
		sending = "sending"
	}
	clock := "clock " + clockWord(f.Clock.Quality)
	if f.Clock.UncertaintyMS > 0 {
		clock += " ±" + Span(float64(f.Clock.UncertaintyMS)/1000)
	}
	return fmt.Sprintf("%s; %s; %s waiting; %s", text, sending, Counted(f.Outbox.Pending, "statement"), clock)
}

// main is what the page has in it, below its bar.
func (f *Facts) main() string {
	m := new(markup)
	m.put("h1", joined(f.lead()), "class", "lead")
	m.open("div", "class", "columns")
	m.open("section", "aria-labelledby", "h-sensors")
	m.put("h2", "Sensors, worst first", "id", "h-sensors")
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
	m.word(tone, f.Line)
	m.end("p")
	return m.b.String()
}

// tones are the tones of a device's states.
var tones = map[string]string{StateGood: good, StateSilent: bad, StateFailing: warn, StateWaiting: muted, StateDisabled: muted}

// told returns what is known of a device's values, nil for nothing.
func (f *Facts) told(d *Device) *Told {
	for i := range f.Told {
		if t := &f.Told[i]; t.Name == d.Name && t.Point == d.Point {
			return t
		}
	}
	return nil
}

// sensor writes a device: what it is and shows, how it fares, and what to do.
func (f *Facts) sensor(m *markup, d *Device) {
	t := f.told(d)
	m.open("article", "class", "card", "id", "sensor-"+d.Point+"/"+d.Name)
	m.open("div", "class", "top")
	m.put("h3", d.Name)
	if v := d.headline(t); v != nil {
		m.open("p", "class", "value")
		m.text(minus(v.Value))
		m.put("span", " "+unitText(v.Unit), "class", "unit")
		m.end("p")
	}
	m.end("div")
	m.open("div", "class", "top note")
	m.open("p")
	m.word(cmp.Or(tones[d.State], warn), d.State)
	if d.State == StateGood {
		m.text(", " + ago(d.AgeS))
	} else if d.Since != nil {
		m.text(fmt.Sprintf(" since %s UTC, %s", d.Since.Format(time.TimeOnly), Age(f.Time.Sub(*d.Since).Seconds())))
	}
	m.end("p")
	if v := d.headline(t); v != nil {
		m.put("p", strings.ReplaceAll(v.Channel, "_", " "))
	}
	m.end("div")
	if d.Error != "" {
		m.put("p", sentence(d.Error))
		if d.Remedy != "" && !strings.Contains(d.Error, d.Remedy) {
			m.open("p", "class", "do")
			m.text("Do: " + d.Remedy + ".")
			m.end("p")
		}
		if d.LastAt != nil {
			m.put("p", "Its values are of "+d.LastAt.Format(time.TimeOnly)+" UTC. The others on its bus go on.", "class", "note")
		} else {
			m.put("p", "The others on its bus go on.", "class", "note")
		}
	}
	if t != nil && d.Error == "" {
		for _, r := range t.Remarks {
			m.remark(r)
		}
	}
	if t != nil && len(t.Values) > 0 {
		m.values(t, d)
	}
	m.end("article")
}

func (m *markup) remark(r Remark) {
	if !r.Fault {
		m.put("p", sentence(r.Text))
		return
	}
	m.open("p")
	m.word(warn, sentence(r.Text))
	m.end("p")
	if r.Remedy != "" {
		m.put("p", "Do: "+r.Remedy+".", "class", "do")
	}
}

// values writes all values of a device, exactly, folded away.
func (m *markup) values(t *Told, d *Device) {
	m.open("details")
	m.put("summary", Counted(len(t.Values), "value")+" of "+cmp.Or(t.Part, d.Part, d.Model))
	m.open("table")
	m.b.WriteString(`<thead><tr><th scope="col">Channel</th><th scope="col" class="n">Value</th><th scope="col">Quality</th></tr></thead>` + "\n")
	m.open("tbody")
	for i := range t.Values {
		v := &t.Values[i]
		m.open("tr")
		m.put("th", strings.ReplaceAll(v.Channel, "_", " "), "scope", "row")
		m.put("td", strings.TrimSpace(minus(v.Value)+" "+unitText(v.Unit)), "class", "n")
		m.put("td", v.Quality)
		m.end("tr")
	}
	m.end("tbody", "table")
	for _, c := range t.Corrections {
		m.put("p", strings.ReplaceAll(c.Channel, "_", " ")+" is calibrated.", "class", "note")
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

func (f *Facts) warnings(m *markup) {
	if len(f.Warnings) == 0 {
		return
	}
	m.open("section", "class", "card", "aria-labelledby", "h-todo")
	m.put("h2", "To do", "id", "h-todo")
	for _, w := range f.Warnings {
		m.open("p")
		m.word(warn, sentence(w.Text))
		m.end("p")
		m.put("p", "Do: "+w.Remedy+".", "class", "do")
	}
	m.end("section")
}

// facts writes the rest, as status has it.
func (f *Facts) facts(m *markup) {
	m.open("section", "class", "card", "aria-labelledby", "h-gateway")
	m.put("h2", "Gateway", "id", "h-gateway")
	m.open("dl")
	fact := func(name, text string) {
		m.open("div")
		m.put("dt", name)
		m.put("dd", text)
		m.end("div")
	}
	fact("Receipts", f.receipts())
	fact("Uplink", f.uplink())
	fact("Outbox", f.outbox())
	fact("Clock", f.clock())
	key := fmt.Sprintf("%s, %s signed", strings.TrimSpace(f.Key.Backend+" "+f.Key.Algorithm), Counted(int(f.Key.Signed), "statement"))
	if f.Key.Failures > 0 {
		key += ", " + Counted(int(f.Key.Failures), "failure")
	}
	if f.Key.Failure != "" {
		key += ": " + f.Key.Failure
	}
	fact("Key", key)
	if len(f.Key.Words) > 0 {
		fact("Words of the key", strings.Join(f.Key.Words, " "))
	}
	fact("Ledger", f.Ledger.Origin)
	m.open("div")
	m.put("dt", "Metering points")
	m.open("dd")
	for _, p := range f.Ledger.Points {
		m.put("span", p, "class", "whole")
	}
	m.end("dd", "div")
	fact("Program", fmt.Sprintf("version %s, boot %d, running for %s", f.Gateway.Version, f.Gateway.Boot, Age(f.Time.Sub(f.Gateway.Started).Seconds())))
	m.end("dl", "section")
}

// receipts says what nothing earlier proves.
func (f *Facts) receipts() string {
	if f.Uplink.LastReceipt == nil {
		return "none yet: the first one that verifies proves that readings arrive"
	}
	text := fmt.Sprintf("%d verified here, the last %s", f.Uplink.Receipts, ago(f.Time.Sub(*f.Uplink.LastReceipt).Seconds()))
	if f.Uplink.Unverified > 0 {
		text += fmt.Sprintf("; %d did not verify", f.Uplink.Unverified)
	}
	return text
}

func (f *Facts) uplink() string {
	u := &f.Uplink
	text := "no connection"
	if u.Connected {
		text = "connected"
	}
	text += " for " + Age(f.Time.Sub(u.Since).Seconds()) + ", " + u.Broker
	if u.Failure != "" {
		text += ": " + u.Failure
	}
	return text
}

func (f *Facts) outbox() string {
	o := &f.Outbox
	text := fmt.Sprintf("on %s: %s waiting (%s)", o.State, Counted(o.Pending, "statement"), Bytes(o.Bytes))
	if o.State == "memory" {
		text = "in " + strings.TrimPrefix(text, "on ") + "; all at risk"
	}
	if o.OldestAt != nil && o.OldestAgeS >= 1 {
		text += ", the oldest " + Age(o.OldestAgeS)
	}
	if o.Refused > 0 {
		text += fmt.Sprintf(", %d refused", o.Refused)
	}
	if left := f.daysLeft(); left > 0 {
		text += fmt.Sprintf(". Without a connection there is room for about %s; from four fifths on the oldest gauges are thinned, then the oldest statements dropped, and a signed record says so", Span(left*86400))
	}
	return text
}

// offline is from how long a wait on the outbox's filling is spoken of, in seconds.
const offline = 60

// daysLeft is for how many days the outbox has room at the rate at which it fills, 0
// where it does not, or not for long.
func (f *Facts) daysLeft() float64 {
	o := &f.Outbox
	if f.Uplink.Connected || o.OldestAgeS < offline || o.Bytes <= 0 || o.MaxBytes <= o.DiskBytes {
		return 0
	}
	return float64(o.MaxBytes-o.DiskBytes) / (float64(o.Bytes) / o.OldestAgeS) / 86400
}

func (f *Facts) clock() string {
	text := clockWord(f.Clock.Quality)
	if f.Clock.UncertaintyMS > 0 {
		text += ", within " + Span(float64(f.Clock.UncertaintyMS)/1000)
	}
	if f.Clock.Steps > 0 {
		text += fmt.Sprintf(", moved %s since the start", Counted(int(f.Clock.Steps), "time"))
	}
	return text
}

// clockWord is a quality of the time as people write it.
func clockWord(quality string) string {
	switch quality {
	case "ntp", "rtc":
		return strings.ToUpper(quality)
	}
	return quality
}

// joined keeps a number and what it counts on one line.
func joined(s string) string { return loose.ReplaceAllString(s, "$1\u00a0") }

var loose = regexp.MustCompile(`([0-9]) `)

func ago(seconds float64) string {
	if seconds < 1 {
		return "now"
	}
	return Age(seconds) + " ago"
}

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
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
