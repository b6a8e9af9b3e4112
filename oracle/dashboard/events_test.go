package dashboard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/oracle/dashboard"
)

// tap is a connection whose other end is the test.
type tap struct {
	mu       sync.Mutex // guards what follows
	header   http.Header
	status   int
	body     bytes.Buffer
	deadline time.Time

	stuck chan struct{} // writes wait until it is closed; nil for never
}

func newTap() *tap { return &tap{header: make(http.Header), status: http.StatusOK} }

func (p *tap) Header() http.Header { return p.header }

func (p *tap) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *tap) Write(b []byte) (int, error) {
	if p.stuck != nil {
		<-p.stuck
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !time.Now().Before(p.deadline) {
		return 0, fmt.Errorf("a write at %v, and the deadline is %v", time.Now(), p.deadline)
	}
	return p.body.Write(b)
}

func (p *tap) Flush() {}

func (p *tap) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	return nil
}

// took returns what came since it was asked before.
func (p *tap) took() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.body.String()
	p.body.Reset()
	return s
}

// open asks for a stream and returns how to end it.
func (p *tap) open(h http.Handler, path string) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(p, httptest.NewRequest("GET", path, nil).WithContext(ctx))
	}()
	return func() { cancel(); <-done }
}

// message is an event as a browser reads it.
type message struct {
	ID, Topic string
	Update    update
}

type update struct {
	Text map[string]string
	Attr map[string]map[string]string
	Rows []row
	Swap []row
	Say  string
}

type row struct{ Into, HTML string }

// messages reads a stream.
func messages(t *testing.T, stream string) []message {
	t.Helper()
	var out []message
	for part := range strings.SplitSeq(stream, "\n\n") {
		if part == "" || strings.HasPrefix(part, ":") || strings.HasPrefix(part, "retry: ") {
			continue
		}
		lines := strings.Split(part, "\n")
		if len(lines) != 3 {
			t.Fatalf("no event: %q", part)
		}
		var m message
		var data string
		for i, v := range []*string{&m.ID, &m.Topic, &data} {
			_, *v, _ = strings.Cut(lines[i], ": ")
		}
		if err := json.Unmarshal([]byte(data), &m.Update); err != nil {
			t.Fatalf("event %s of the topic %s: %v", m.ID, m.Topic, err)
		}
		out = append(out, m)
	}
	return out
}

func topicsOf(list []message) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Topic)
	}
	return out
}

// TestRun: power each second, all else within half a second of its being told, a
// comment when there is nothing, and the end of every stream when Run ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lively()
		d := dashboard.New(s, dashboard.Options{Log: logged(t)})
		ctx, stop := context.WithCancel(context.Background())
		ran := make(chan struct{})
		go func() { defer close(ran); d.Run(ctx) }()
		synctest.Wait()

		all, beats := newTap(), newTap()
		end, endBeats := all.open(d.Handler(), "/events"), beats.open(d.Handler(), "/events?topics=notice")
		synctest.Wait()
		if got := all.took(); got != "retry: 2000\n\n" {
			t.Errorf("a stream starts with %q", got)
		}
		if s := d.Stats(); s.Clients != 2 {
			t.Errorf("with two open streams: %+v", s)
		}
		time.Sleep(10*time.Second + 100*time.Millisecond)
		if got := topicsOf(messages(t, all.took())); len(got) != 10 || got[0] != "power" {
			t.Errorf("ten seconds have the events %v", got)
		}
		d.Block(dashboard.Block{Height: 7, Time: noon, Statements: 3})
		d.Receipt(dashboard.Receipt{Gateway: "home-1", Leaf: 4})
		time.Sleep(500 * time.Millisecond)
		if diff := cmp.Diff([]string{"block", "receipt"}, topicsOf(messages(t, all.took()))); diff != "" {
			t.Errorf("events of what was told (-want +got)\n%s", diff)
		}
		if got := beats.took(); got != "retry: 2000\n\n" {
			t.Errorf("a stream of notices has %q when there are none", got)
		}
		time.Sleep(5 * time.Second)
		if got := beats.took(); got != ": still here\n\nevent: beat\ndata: {}\n\n" {
			t.Errorf("a stream without events has %q after 15 s", got)
		}
		if all.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || all.header.Get("Connection") != "close" {
			t.Errorf("headers of the stream: %v", all.header)
		}
		end()
		synctest.Wait()
		if s := d.Stats(); s.Clients != 1 || s.Dropped != 0 {
			t.Errorf("when one has left: %+v", s)
		}
		stop()
		<-ran
		synctest.Wait()
		if s := d.Stats(); s.Clients != 0 {
			t.Errorf("when Run has ended: %+v", s)
		}
		endBeats()
		if a := get(d, "/events"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("a stream after Run has ended: %d %s", a.status, a.body)
		}
		get(d, "/").has(t, "home-12") // the pages are there
	})
}

// TestTogether tells, shows and streams at the same time, for the race detector, and
// counts that nothing was lost.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := drawn(t)
		s := lively()
		d := dashboard.New(s, dashboard.Options{Ledger: l, Log: logged(t)})
		ctx, stop := context.WithCancel(context.Background())
		var all, tellers sync.WaitGroup
		all.Go(func() { d.Run(ctx) })
		taps := []*tap{newTap(), newTap(), newTap()}
		for _, p := range taps {
			end := p.open(d.Handler(), "/events")
			defer end()
		}
		synctest.Wait()
		for i := range 4 {
			tellers.Go(func() {
				for k := range uint64(50) {
					d.Block(dashboard.Block{Height: k, Time: noon})
					d.Final(k, 3)
					d.Receipt(dashboard.Receipt{Gateway: "home-1", Count: k})
					d.Notice(dashboard.Notice{Text: "so"})
					s.set(func(v *dashboard.View) { v.Homes[i].GridW++ })
					get(d, []string{"/", "/power.csv", "/ledger", "/ledger/leaf/5"}[i])
					d.Stats()
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		tellers.Wait()
		time.Sleep(time.Second)
		stop()
		all.Wait()
		for i, p := range taps {
			blocks := make(map[string]bool)
			for _, m := range messages(t, p.took()) {
				for _, r := range m.Update.Rows {
					if id, _, ok := strings.Cut(r.HTML, `">`); ok && r.Into == "blocks" && strings.Contains(r.HTML, "final") {
						blocks[id] = true
					}
				}
			}
			if len(blocks) != 50 {
				t.Errorf("stream %d has %d final blocks of 50", i, len(blocks))
			}
		}
	})
}

// TestStuckClient: one that takes nothing is dropped, and holds up neither Run nor
// others.
func TestStuckClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dashboard.New(lively(), dashboard.Options{Log: logged(t)})
		tick := d.Ticks()
		stuck, well := newTap(), newTap()
		stuck.stuck = make(chan struct{})
		endStuck := stuck.open(d.Handler(), "/events")
		endWell := well.open(d.Handler(), "/events")
		synctest.Wait()
		for range dashboard.QueueEvents + 1 {
			tick(true)
			synctest.Wait()
		}
		if s := d.Stats(); s.Clients != 1 || s.Dropped != 1 {
			t.Errorf("after %d events: %+v", dashboard.QueueEvents+1, s)
		}
		if n := len(messages(t, well.took())); n != dashboard.QueueEvents+1 {
			t.Errorf("the other got %d events", n)
		}
		time.Sleep(30 * time.Second)
		close(stuck.stuck) // its write comes after the deadline
		synctest.Wait()
		if got := stuck.took(); got != "" {
			t.Errorf("written after the deadline: %q", got)
		}
		endStuck()
		endWell()
	})
}

func TestStreamRequests(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{})
	tick := d.Ticks()
	for range 3 {
		tick(true)
	}
	last := d.Stats().Last
	stream := func(path string, header ...string) []message {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what was missed is sent all the same
		r := httptest.NewRequest("GET", path, nil).WithContext(ctx)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return messages(t, w.Body.String())
	}
	if got := stream("/events"); len(got) != 0 {
		t.Errorf("a page without an id misses %v", got)
	}
	after := fmt.Sprintf("/events?after=%d", last-1)
	if got := topicsOf(stream(after)); len(got) != 1 || got[0] != "power" {
		t.Errorf("after the last but one: %v", got)
	}
	if got := stream(after + "&topics=block,notice"); len(got) != 0 {
		t.Errorf("of other topics: %v", got)
	}
	if got := stream(after, "Last-Event-ID", fmt.Sprint(last)); len(got) != 0 {
		t.Errorf("the header goes before the query: %v", got)
	}
	if got := topicsOf(stream("/events?after=1")); len(got) != 1 || got[0] != "reset" {
		t.Errorf("after an event of another run: %v", got)
	}
	for path, want := range map[string]string{
		"/events?topics=power,members": `"members"`, "/events?topics=,": "the topics are power, block", "/events?after=x": `"x" is not a number`,
		"/events?after=-1": "is not a number", "/events?after=18446744073709551616": "is not a number", "/events?topics=" + strings.Repeat("x", 10_000): "…",
	} {
		a := get(d, path)
		if a.status != http.StatusBadRequest || len(a.body) > 200 {
			t.Errorf("%.40s: %d %s", path, a.status, a.body)
		}
		a.has(t, want)
	}
	if a := ask(d, "HEAD", "/events"); a.status != http.StatusOK || a.body != "" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("HEAD: %d %v %q", a.status, a.header, a.body)
	}
	for range dashboard.MaxClients {
		if _, _, err := d.Hub().Join(0); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a stream that there should not be ends at once
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/events", nil).WithContext(ctx))
	a := answer{w.Code, w.Header(), w.Body.String()}
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "10" {
		t.Errorf("one stream too many: %d %v", a.status, a.header)
	}
	a.has(t, "too many pages are open", "reload it")
	if a := get(d, "/"); a.status != http.StatusOK {
		t.Errorf("with too many streams the page is %d", a.status)
	}
}

// follow returns what a stream of every topic gets by each call of the returned
// function, which looks for news first.
func follow(t *testing.T, d *dashboard.Dashboard) (next func(power bool) []message) {
	t.Helper()
	tick := d.Ticks()
	tick(true)
	return func(power bool) []message {
		t.Helper()
		last := d.Stats().Last
		tick(power)
		_, missed, err := d.Hub().Join(last, "power", "block", "receipt", "notice", "state")
		if err != nil {
			t.Fatal(err)
		}
		var wire strings.Builder
		for _, e := range missed {
			wire.WriteString(e.Wire())
		}
		return messages(t, wire.String())
	}
}

// TestStates changes what a page has rows and elements for.
func TestNewsOfStates(t *testing.T) {
	s := lively()
	d := dashboard.New(s, dashboard.Options{Log: logged(t)})
	next := follow(t, d)
	steps := []struct {
		name   string
		change func(v *dashboard.View)
		topic  string // of the event; empty for none
		into   string
		has    []string
	}{
		{"nothing", func(v *dashboard.View) {}, "", "", nil},
		{"a home is silent", func(v *dashboard.View) { v.Homes[2].State = dashboard.StateSilent }, "state", "homes", []string{`id="home-2"`, "silent"}},
		{"it is back", func(v *dashboard.View) { v.Homes[2].State = dashboard.StateGood }, "state", "homes", []string{`id="home-2"`, "good"}},
		{"the stack is silent", func(v *dashboard.View) { v.Stack = &dashboard.Stack{State: dashboard.StateSilent} }, "state", "others", []string{`id="other-stack"`, "silent"}},
		{"an oracle halts", func(v *dashboard.View) { v.Oracles[3].State = dashboard.StateHalted }, "state", "oracles", []string{`id="oracle-3"`, "halted", "oracle-verifier"}},
		{"a refusal more", func(v *dashboard.View) { v.Refusals[1].Count++ }, "state", "refusals", []string{"sequence_<wbr>used", `>3<`}},
		{"figures alone", func(v *dashboard.View) { v.Homes[2].GridW++; v.Oracles[0].Height++; v.Signed++ }, "", "", nil},
		{"a home is called otherwise", func(v *dashboard.View) { v.Homes[2].Name = "<b>" }, "reset", "", nil},
		{"a home less", func(v *dashboard.View) { v.Homes = v.Homes[:11] }, "reset", "", nil},
		{"two homes by the name of three", func(v *dashboard.View) { v.Homes[9].Name = "home-10\nhome-11"; v.Homes = v.Homes[:10] }, "reset", "", nil},
		{"no feeder meter", func(v *dashboard.View) { v.Feeder = nil }, "reset", "", nil},
		{"no stack", func(v *dashboard.View) { v.Stack = nil }, "reset", "", nil},
		{"another oracle", func(v *dashboard.View) { v.Oracles = append(v.Oracles, dashboard.Oracle{Name: "late"}) }, "reset", "", nil},
		{"nobody", func(v *dashboard.View) { *v = dashboard.View{} }, "reset", "", nil},
		{"nobody still", func(v *dashboard.View) {}, "", "", nil},
	}
	for _, step := range steps {
		s.set(step.change)
		got := next(false)
		if step.topic == "" {
			if len(got) > 0 {
				t.Errorf("%s: %v", step.name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Topic != step.topic {
			t.Errorf("%s: %v, want one event of the topic %s", step.name, topicsOf(got), step.topic)
			continue
		}
		list := append(got[0].Update.Rows, got[0].Update.Swap...)
		if step.into == "" {
			if len(list) > 0 {
				t.Errorf("%s: %v", step.name, list)
			}
			continue
		}
		if len(list) != 1 || list[0].Into != step.into {
			t.Errorf("%s: %v, want one for %s", step.name, list, step.into)
			continue
		}
		answer{body: list[0].HTML}.has(t, step.has...)
	}
}

// TestNewsOfRows: what was told is sent once, oldest first, and a block again when
// it becomes final.
func TestNewsOfRows(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{Log: logged(t)})
	next := follow(t, d)
	heads := func() (out []string) {
		for _, m := range next(false) {
			for _, r := range m.Update.Rows {
				id, _, _ := strings.Cut(r.HTML[strings.Index(r.HTML, `id="`)+4:], `"`)
				state := ""
				if strings.Contains(r.HTML, "pending") {
					state = " pending"
				}
				out = append(out, m.Topic+" "+id+state)
			}
			if m.Update.Say != "" {
				out = append(out, "say "+m.Update.Say)
			}
		}
		return out
	}
	d.Block(dashboard.Block{Height: 1})
	d.Block(dashboard.Block{Height: 2})
	d.Block(dashboard.Block{Height: 1})
	d.Receipt(dashboard.Receipt{Gateway: "home-1"})
	d.Notice(dashboard.Notice{Text: "one"})
	d.Notice(dashboard.Notice{Text: "two"})
	want := []string{"block block-1 pending", "block block-2 pending", "receipt receipt-1", "notice notice-1", "notice notice-2", "say two"}
	if diff := cmp.Diff(want, heads()); diff != "" {
		t.Errorf("news (-want +got)\n%s", diff)
	}
	d.Final(1, 3)
	if diff := cmp.Diff([]string{"block block-1"}, heads()); diff != "" {
		t.Errorf("news of a final block (-want +got)\n%s", diff)
	}
	if got := heads(); got != nil {
		t.Errorf("news of nothing: %v", got)
	}
	leaf := uint64(5)
	d.Notice(dashboard.Notice{Text: "three", Leaf: &leaf})
	leaf = 6
	for _, m := range next(false) {
		answer{body: m.Update.Rows[0].HTML}.has(t, "leaf 5")
	}
	for h := range uint64(44) { // more than are remembered as news
		d.Block(dashboard.Block{Height: 100 + h})
	}
	if got := heads(); len(got) != dashboard.ShownRows || got[dashboard.ShownRows-1] != "block block-143 pending" {
		t.Errorf("news of many blocks: %v", got)
	}
	for range 1_000 {
		d.Receipt(dashboard.Receipt{Gateway: "home-1"})
	}
	if got := heads(); len(got) != dashboard.ShownRows || got[dashboard.ShownRows-1] != "receipt receipt-1001" {
		t.Errorf("news of a thousand receipts: %v", got)
	}
}
