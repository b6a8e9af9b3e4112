package gateway

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"wattmark/gateway/console"
)

// Metrics serves a gateway's figures, those of its status, in the text format of
// Prometheus (version 0.0.4). It is written by hand: the client library is a sixth of
// the program, which has to fit a Pi (2.4 of 15.6 MB, measured for amd64).
func Metrics(source console.Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s := source.Status()
		_, _ = w.Write(metrics(&s)) // whoever asked has gone
	})
}

// family is one metric: its samples differ in the labels' values.
type family struct {
	name, help string
	labels     []string
}

// figure describes one metric. One that only grows ends in "_total".
func figure(name, help string, labels ...string) family {
	return family{"wattmark_" + name, help, labels}
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
	signSeconds        = figure("signature_seconds_total", "Time that the key was at work.")
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
	oracleHeight       = figure("oracles_since_block", "First block of the oracle set that is trusted, 0 for that of the configuration.")
	oraclesUnknown     = figure("oracles_unknown", "1 while receipts come from oracles that are not trusted.")
	refusalsTotal      = figure("refusals_total", "Refusals by the oracles, by reason.", "reason")
	clockQuality       = figure("clock_quality", "1 for the quality of the time at present.", "quality")
	clockUncertainty   = figure("clock_uncertainty_seconds", "How far the time may be off.")
	residentBytes      = figure("resident_bytes", "Memory that the process holds.")
	startedTimestamp   = figure("start_time_seconds", "When the process started, in Unix time.")
	certificateSeconds = figure("certificate_end_seconds", "When the client certificate ends, in Unix time.")
)

// metrics makes figures of a status each time it is asked, so that nothing is counted
// twice.
func metrics(s *console.Status) []byte {
	x := new(exposition)
	x.devices(s.Devices)
	x.buses(s.Buses)
	x.counter(signaturesTotal, s.Key.Signed)
	x.gauge(signSeconds, s.Key.SignS)
	x.counter(signFailures, s.Key.Failures)
	o := &s.Outbox
	x.gauge(outboxStatements, float64(o.Pending))
	x.gauge(outboxBytes, float64(o.Bytes))
	x.gauge(outboxAge, o.OldestAgeS)
	x.flag(outboxMemory, o.State != "disk")
	x.gauge(outboxRefused, float64(o.Refused))
	x.counter(outboxDropped, o.Dropped)
	x.counter(outboxFsyncs, o.Fsyncs)
	x.counter(outboxWritten, o.BytesWritten)
	u := &s.Uplink
	x.flag(uplinkConnected, u.Connected)
	x.counter(publishedTotal, u.Published)
	x.counter(resentTotal, u.Resent)
	x.counter(receiptsTotal, u.Receipts)
	x.counter(unverifiedTotal, u.Unverified)
	x.gauge(oracleHeight, float64(s.Ledger.Policy.Height))
	x.flag(oraclesUnknown, s.Ledger.Policy.Behind != nil)
	x.each(refusalsTotal, u.Refusals)
	if u.CertificateEnds != nil {
		x.gauge(certificateSeconds, float64(u.CertificateEnds.Unix()))
	}
	x.gauge(clockQuality, 1, s.Clock.Quality)
	x.gauge(clockUncertainty, float64(s.Clock.UncertaintyMS)/1000)
	x.gauge(startedTimestamp, float64(s.Gateway.Started.Unix()))
	if s.Gateway.ResidentBytes > 0 {
		x.gauge(residentBytes, float64(s.Gateway.ResidentBytes))
	}
	return x.Bytes()
}

// exposition is metrics as text. All samples of one metric stand together.
type exposition struct {
	bytes.Buffer
	last string // the metric written last
}

func (x *exposition) devices(list []console.Device) {
	for i := range list {
		x.counter(samplesTotal, list[i].Samples, list[i].Name, list[i].Point)
	}
	for i := range list {
		x.each(failuresTotal, list[i].Failures, list[i].Name, list[i].Point)
	}
	for i := range list {
		if list[i].LastAt != nil {
			x.gauge(sampleAge, list[i].AgeS, list[i].Name, list[i].Point)
		}
	}
}

func (x *exposition) buses(list []console.Bus) {
	for i := range list {
		x.gauge(busBusy, list[i].BusyRatio, list[i].Name)
	}
	for i := range list {
		x.counter(busStale, list[i].Stale, list[i].Name)
	}
	for i := range list {
		x.counter(busHung, list[i].Hung, list[i].Name)
	}
	for i := range list {
		x.each(busFailures, list[i].Failures, list[i].Name)
	}
}

func (x *exposition) counter(f family, n uint64, labels ...string) {
	x.put(f, strconv.FormatUint(n, 10), labels)
}

func (x *exposition) gauge(f family, v float64, labels ...string) {
	x.put(f, strconv.FormatFloat(v, 'g', -1, 64), labels)
}

func (x *exposition) flag(f family, on bool) {
	if on {
		x.gauge(f, 1)
	} else {
		x.gauge(f, 0)
	}
}

// each writes a counter for each of n, which is by the last label.
func (x *exposition) each(f family, n map[string]uint64, labels ...string) {
	for _, key := range slices.Sorted(maps.Keys(n)) {
		x.counter(f, n[key], append(slices.Clip(labels), key)...)
	}
}

// put writes one sample.
func (x *exposition) put(f family, value string, labels []string) {
	if x.last != f.name {
		x.last = f.name
		kind := "gauge"
		if strings.HasSuffix(f.name, "_total") {
			kind = "counter"
		}
		x.WriteString("# HELP " + f.name + " " + f.help + "\n# TYPE " + f.name + " " + kind + "\n")
	}
	x.WriteString(f.name)
	before := "{"
	for i, name := range f.labels {
		x.WriteString(before + name + `="` + labelEscapes.Replace(labels[i]) + `"`)
		before = ","
	}
	if len(f.labels) > 0 {
		x.WriteString("}")
	}
	x.WriteString(" " + value + "\n")
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
