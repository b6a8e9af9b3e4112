package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
)

// powered is a neighbourhood whose first home has told its power for some minutes.
func powered(t *testing.T, minutes int) (*ledgertest.Hood, *api.API) {
	t.Helper()
	h := ledgertest.NewHood(t, 6)
	for i := range minutes {
		at := h.Now + 60_000
		base := ledgertest.Subject("home1") + "/"
		watts := func(name string, milli int64) entry.Record {
			return entry.Record{Name: base + name, Unit: "W", Time: at, Value: entry.FromMilli(milli)}
		}
		s := h.Registers("home1", at, [2]int64{int64(i), 0}, watts("active_power", 1_234_567+int64(i)), watts("active_power.min", -5), watts("active_power.max", 2_000_000),
			watts("pv/active_power", 400_000), entry.Record{Name: base + "voltage_l1", Unit: "V", Time: at, Value: entry.Int(230)})
		h.At(60, h.Deliver(s.Sign(t)), h.Deliver(h.Registers("home2", at, [2]int64{7, 0}).Sign(t)))
	}
	dir := t.TempDir()
	h.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return h, api.New(api.Config{Ledger: l, Rates: fast})
}

// TestPower: a member has the own power of the last quarter of an hour, each channel of it
// with the least and the most, and nobody else's.
func TestPower(t *testing.T) {
	h, a := powered(t, 30)
	got, err := a.Power("home1")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2*16 { // of sixteen minutes, both ends counted
		t.Fatalf("%d readings of power", len(got))
	}
	last, pv := got[len(got)-2], got[len(got)-1]
	if last.Channel != "active_power" || last.Power != 1_234_567+29 || last.Least == nil || *last.Least != -5 || last.Most == nil || *last.Most != 2_000_000 ||
		last.Point != ledgertest.Subject("home1") || last.State != "final" || last.Device || !last.Time().Equal(time.UnixMilli(h.Now)) {
		t.Errorf("the last is %+v", last)
	}
	if pv.Channel != "pv/active_power" || pv.Power != 400_000 || pv.Least != nil || pv.Most != nil {
		t.Errorf("the roof's is %+v", pv)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Time().Before(got[i-1].Time()) {
			t.Errorf("%v stands behind %v", got[i].At, got[i-1].At)
		}
	}
	for _, name := range []string{"home2", "nobody"} {
		if got, err := a.Power(name); err != nil || len(got) != 0 {
			t.Errorf("%s has %v %v", name, got, err)
		}
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/power", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("without a signature: %d", w.Code)
	}
}

// TestAccountsMark: it changes when an interval is settled, and not before.
func TestAccountsMark(t *testing.T) {
	mark := func(quarters int) string {
		h := ledgertest.NewHood(t, 6)
		h.Trade(quarters)
		dir := t.TempDir()
		h.Save(dir)
		l, _, err := ledger.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return api.New(api.Config{Ledger: l}).AccountsMark()
	}
	three, six, again := mark(3), mark(6), mark(6)
	if three == six || six != again || six == "" {
		t.Error("the mark does not go by what is settled")
	}
}
