package dashboard_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/dashboard"
)

// noon is the street's clock in most tests.
var noon = time.Date(2026, time.June, 21, 11, 42, 7, 0, time.UTC)

// street is a source that a test moves.
type street struct {
	mu   sync.Mutex // guards view
	view dashboard.View
}

func (s *street) Now() dashboard.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view
	v.Homes, v.Oracles, v.Refusals = slices.Clone(v.Homes), slices.Clone(v.Oracles), slices.Clone(v.Refusals)
	return v
}

// set changes the street.
func (s *street) set(change func(v *dashboard.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.view)
}

// lively returns a street of twelve homes at noon, one of them silent, with feeder,
// stack, four oracles and two kinds of refusals.
func lively() *street {
	v := dashboard.View{
		At:     noon,
		Feeder: &dashboard.Feeder{GridW: -2_310, State: dashboard.StateGood},
		Stack:  &dashboard.Stack{CO2PPM: 11_840, TemperatureCenti: 14_265, HumidityCenti: 4_130, State: dashboard.StateGood},
		Signed: 18_231, Acknowledged: 18_204, Waiting: 27,
		Refusals: []dashboard.Refusals{
			{Reason: "bad_signature", Count: 1, Remedy: "sign again with the enrolled key; if it happens again, enrol the gateway anew", Last: "home-3"},
			{Reason: "sequence_used", Count: 2, Remedy: "nothing: the statement is on the ledger already", Last: "home-3"},
		},
	}
	solar := []int64{3_120, 0, 4_480, 0, 2_050, 0, 5_210, 1_730, 0, 2_900, 0, 4_100}
	grid := []int64{-2_410, 612, -3_700, 1_240, 38, 7_420, -4_690, -920, 455, -1_640, 2_085, -1_005}
	for i := range solar {
		h := dashboard.Home{Name: fmt.Sprintf("home-%d", i+1), GridW: grid[i], SolarW: solar[i], Solar: solar[i] > 0, State: dashboard.StateGood}
		if i == 6 {
			h.State, h.Waiting = dashboard.StateSilent, 27
		}
		v.Homes = append(v.Homes, h)
	}
	for i, name := range []string{"council", "grid-company", "cooperative", "verifier"} {
		v.Oracles = append(v.Oracles, dashboard.Oracle{Name: "oracle-" + name, Height: 312, Final: 312 - uint64(i/3), State: dashboard.StateGood})
	}
	return &street{view: v}
}

// morning lets the ten minutes before noon pass, in steps of five seconds.
func (s *street) morning(tick func(power bool)) {
	end := s.Now()
	for i := range 120 {
		back := 119 - i
		s.set(func(v *dashboard.View) {
			v.At = end.At.Add(-time.Duration(back) * 5 * time.Second)
			for k := range v.Homes {
				cloud := int64(40 * (i * i % (17 + k)) / 17) // per cent of the sun that is hidden
				v.Homes[k].SolarW = end.Homes[k].SolarW * (100 - cloud*int64(min(back, 30))/30) / 100
				v.Homes[k].GridW = end.Homes[k].GridW + end.Homes[k].SolarW - v.Homes[k].SolarW + int64((i*37+k*91)%120*min(back, 10)/10)
				if k == 5 && back > 60 { // its car is not charging yet
					v.Homes[k].GridW -= 6_600
				}
			}
		})
		tick(true)
	}
	s.set(func(v *dashboard.View) { *v = end })
	tick(true)
}

// tell tells a dashboard what happened on the street before noon.
func tell(d *dashboard.Dashboard) {
	for h := uint64(300); h <= 312; h++ {
		d.Block(dashboard.Block{Height: h, Time: noon.Add(time.Duration(h) * time.Second).Add(-314 * time.Second), Statements: int(14 + h%5), Outcomes: int(h % 2), Size: 40 * h})
	}
	d.Final(311, 3)
	for i := range uint64(12) {
		d.Receipt(dashboard.Receipt{Gateway: fmt.Sprintf("home-%d", i+1), Boot: 1, Count: 1_030 + i, Leaf: 12_400 + i, Bytes: 512 + int(i), Took: time.Duration(140+9*i) * time.Millisecond})
	}
	leaf := uint64(12_412)
	notices := []dashboard.Notice{
		{Tone: dashboard.Plain, Text: "14 gateways enrolled by four oracles"},
		{Tone: dashboard.Plain, Text: "Interval 11:15–11:30 is closed: the homes used 2.31 kWh"},
		{Tone: dashboard.Warn, Text: "home-7 lost its link; its outbox keeps what it reads"},
		{Tone: dashboard.Bad, Text: "Somebody added 5 kWh to home-3’s register on the wire: refused, signature does not match"},
		{Tone: dashboard.Bad, Text: "An old statement was sent again: refused, sequence 1-1042 already used", Leaf: &leaf},
		{Tone: dashboard.Good, Text: "The receipt of home-2 was checked offline: 8 hold, 1 not checked, 0 false", Leaf: &leaf},
	}
	for i, n := range notices {
		n.At = noon.Add(time.Duration(i-len(notices)) * 11 * time.Second)
		d.Notice(n)
	}
}

// drawn returns the store of a drawn ledger with every kind of leaf: charter,
// header, each type of statement, open and committed packs, each kind of outcome.
func drawn(t *testing.T) (*ledgertest.Chain, *store.Store) {
	t.Helper()
	c := ledgertest.New(t, 4).Draw(`
		+home1 +home2:committed +stack:es256
		home1=1000 home2=500 stack=7
		home1=900 home1/power=-5 junk home2#9=510 forged:stack=8
		again:home1=1000
		vote1:cut_leaves=900@9 vote2:cut_leaves=900@9 vote3:cut_leaves=900@9
		-home1
	`)
	return c, saved(t, c)
}

func saved(t *testing.T, c *ledgertest.Chain) *store.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	c.Save(dir)
	s, _, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// logged returns a log that fails the test for each line in it.
func logged(t *testing.T) *slog.Logger {
	var b bytes.Buffer
	t.Cleanup(func() {
		if b.Len() > 0 {
			t.Errorf("logged:\n%s", b.String())
		}
	})
	return slog.New(slog.NewTextHandler(&b, nil))
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks a handler for a path, with pairs of header names and values.
func get(h http.Handler, path string, header ...string) answer { return ask(h, "GET", path, header...) }

func ask(h http.Handler, method, path string, header ...string) answer {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return answer{w.Code, w.Result().Header, string(body)}
}

// has fails the test for each text that the answer does not hold.
func (a answer) has(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(a.body, s) {
			t.Errorf("%q is not in the answer:\n%s", s, a.body)
		}
	}
}
