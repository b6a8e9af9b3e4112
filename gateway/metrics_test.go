package gateway_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"wattmark/gateway"
	"wattmark/gateway/console"
)

// faring is a gateway of which somebody asks.
type faring struct {
	console.Source
	status console.Status
}

func (f faring) Status() console.Status { return f.status }

// What we write, Prometheus's own parser reads, whatever devices are called.
func TestPrometheusReadsMetrics(t *testing.T) {
	at := time.Unix(1_790_000_000, 0)
	odd := "the \"old\" meter\\\nin the cellar"
	f := faring{status: console.Status{
		Devices: []console.Device{
			{Name: odd, Point: "mp-1", Samples: 7, Failures: map[string]uint64{"timeout": 2, "absent": 1}, LastAt: &at, AgeS: 1.5},
			{Name: "roof", Point: "mp-2", Samples: 1 << 60},
		},
		Buses: []console.Bus{{Name: "rs485", BusyRatio: 0.25, Stale: 3}, {Name: "i2c"}},
	}}
	f.status.Uplink.Refusals = map[string]uint64{"future": 4}
	f.status.Outbox.State = "memory"
	f.status.Key.SignS = 0.125
	w := httptest.NewRecorder()
	gateway.Metrics(f).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	got, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if format := expfmt.ResponseFormat(w.Result().Header); format.FormatType() != expfmt.TypeTextPlain {
		t.Errorf("served as %q", format)
	}
	value := func(name string, labels ...string) float64 {
		for _, m := range got[name].GetMetric() {
			same := len(m.Label) == len(labels)
			for i := range m.Label {
				same = same && m.Label[i].GetValue() == labels[i]
			}
			if same {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		t.Errorf("no %s of %q", name, labels)
		return 0
	}
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{7, "wattmark_samples_total", []string{odd, "mp-1"}},
		{1 << 60, "wattmark_samples_total", []string{"roof", "mp-2"}},
		{2, "wattmark_sample_failures_total", []string{odd, "mp-1", "timeout"}},
		{1.5, "wattmark_sample_age_seconds", []string{odd, "mp-1"}},
		{0.25, "wattmark_bus_busy_ratio", []string{"rs485"}},
		{3, "wattmark_bus_stale_total", []string{"rs485"}},
		{0, "wattmark_bus_stale_total", []string{"i2c"}},
		{0.125, "wattmark_signature_seconds_total", nil},
		{4, "wattmark_refusals_total", []string{"future"}},
		{1, "wattmark_outbox_in_memory", nil},
	} {
		if v := value(c.name, c.labels...); v != c.want {
			t.Errorf("%s of %q is %v, want %v", c.name, c.labels, v, c.want)
		}
	}
	if _, there := got["wattmark_certificate_end_seconds"]; there {
		t.Error("there is no certificate, and the metrics tell when it ends")
	}
}
