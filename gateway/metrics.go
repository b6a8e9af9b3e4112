package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"wattmark/gateway/console"
)

// Metrics is a collector of a gateway's figures: those of its status.
func Metrics(source console.Source) prometheus.Collector { return metrics{source} }

// metrics makes figures of a status each time it is asked, so that nothing is counted
// twice.
type metrics struct{ source console.Source }

// figure describes one metric.
func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("wattmark_"+name, help, labels, nil)
}

// The metrics of a gateway.
var (
	samplesTotal       = figure("samples_total", "Attempts to read a device that gave values.", "device", "point")
	failuresTotal      = figure("sample_failures_total", "Attempts to read a device that gave none, by class.", "device", "point", "class")
	sampleAge          = figure("sample_age_seconds", "Age of a device's newest values.", "device", "point")
	busBusy            = figure("bus_busy_ratio", "Share of the time that a bus was in use, since the start.", "bus")
	busStale           = figure("bus_stale_total", "Replies that did not belong to their request.", "bus")
	busHung            = figure("bus_hung_total", "Transfers that were abandoned.", "bus")
	busFailures        = figure("bus_failures_total", "Jobs that failed, by class.", "bus", "class")
	signaturesTotal    = figure("signatures_total", "Statements that were signed.")
	signFailures       = figure("signature_failures_total", "Attempts to sign that failed.")
	outboxStatements   = figure("outbox_statements", "Statements that wait for a receipt.")
	outboxBytes        = figure("outbox_bytes", "Bytes of the statements that wait for a receipt.")
	outboxAge          = figure("outbox_age_seconds", "Age of the oldest statement that waits.")
	outboxMemory       = figure("outbox_in_memory", "1 while the disk takes no writes.")
	outboxRefused      = figure("outbox_refused", "Statements that were refused and wait for somebody.")
	outboxDropped      = figure("outbox_dropped_total", "Statements dropped at the limit.")
	outboxFsyncs       = figure("outbox_fsyncs_total", "Calls of fsync.")
	outboxWritten      = figure("outbox_written_bytes_total", "Bytes passed to write.")
	uplinkConnected    = figure("uplink_connected", "1 while there is a connection to the broker.")
	publishedTotal     = figure("published_total", "Statements handed to the broker.")
	resentTotal        = figure("resent_total", "Of these, not for the first time.")
	receiptsTotal      = figure("receipts_total", "Receipts that verified.")
	unverifiedTotal    = figure("receipts_unverified_total", "Receipts that did not verify.")
	refusalsTotal      = figure("refusals_total", "Refusals by the oracles, by reason.", "reason")
	clockQuality       = figure("clock_quality", "1 for the quality of the time at present.", "quality")
	clockUncertainty   = figure("clock_uncertainty_seconds", "How far the time may be off.")
	residentBytes      = figure("resident_bytes", "Memory that the process holds.")
	startedTimestamp   = figure("start_time_seconds", "When the process started, in Unix time.")
	certificateSeconds = figure("certificate_end_seconds", "When the client certificate ends, in Unix time.")
)

// Describe implements prometheus.Collector. Labels come and go with devices: it sends
// nothing, which makes the collector an unchecked one.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.source.Status()
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	flag := func(d *prometheus.Desc, on bool) {
		if on {
			gauge(d, 1)
		} else {
			gauge(d, 0)
		}
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		counter(samplesTotal, d.Samples, d.Name, d.Point)
		for class, n := range d.Failures {
			counter(failuresTotal, n, d.Name, d.Point, class)
		}
		if d.LastAt != nil {
			gauge(sampleAge, d.AgeS, d.Name, d.Point)
		}
	}
	for i := range s.Buses {
		b := &s.Buses[i]
		gauge(busBusy, b.BusyRatio, b.Name)
		counter(busStale, b.Stale, b.Name)
		counter(busHung, b.Hung, b.Name)
		for class, n := range b.Failures {
			counter(busFailures, n, b.Name, class)
		}
	}
	counter(signaturesTotal, s.Key.Signed)
	counter(signFailures, s.Key.Failures)
	o := &s.Outbox
	gauge(outboxStatements, float64(o.Pending))
	gauge(outboxBytes, float64(o.Bytes))
	gauge(outboxAge, o.OldestAgeS)
	flag(outboxMemory, o.State != "disk")
	gauge(outboxRefused, float64(o.Refused))
	counter(outboxDropped, o.Dropped)
	counter(outboxFsyncs, o.Fsyncs)
	counter(outboxWritten, o.BytesWritten)
	u := &s.Uplink
	flag(uplinkConnected, u.Connected)
	counter(publishedTotal, u.Published)
	counter(resentTotal, u.Resent)
	counter(receiptsTotal, u.Receipts)
	counter(unverifiedTotal, u.Unverified)
	for reason, n := range u.Refusals {
		counter(refusalsTotal, n, reason)
	}
	if u.CertificateEnds != nil {
		gauge(certificateSeconds, float64(u.CertificateEnds.Unix()))
	}
	gauge(clockQuality, 1, s.Clock.Quality)
	gauge(clockUncertainty, float64(s.Clock.UncertaintyMS)/1000)
	gauge(startedTimestamp, float64(s.Gateway.Started.Unix()))
	if s.Gateway.ResidentBytes > 0 {
		gauge(residentBytes, float64(s.Gateway.ResidentBytes))
	}
}
