package oracle

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wattmark/ledger/block"
	"wattmark/ledger/state"
)

// The metrics of an oracle. deploy/METRICS.md says what each means to an operator, and
// when to worry.
var (
	blockHeight     = figure("block_height", "Height of the last block that is durable here.")
	finalHeight     = figure("final_height", "Height of the last final block that this oracle has seen since it started.")
	ledgerLeaves    = figure("ledger_leaves", "Leaves that are durable here.")
	finalLeaves     = figure("final_leaves", "Leaves under the last final checkpoint that is kept here.")
	finalAge        = figure("pending_block_seconds", "Age of the oldest durable block that is not final, 0 where there is none.")
	blocksTotal     = figure("blocks_total", "Blocks that this process made durable.")
	statementsTotal = figure("statements_total", "Statements by what became of them: accepted by ingest, refused for a reason, sent again (duplicate), dropped at a full queue, executed in blocks.", "result", "reason")
	receiptsTotal   = figure("receipts_total", "Receipts that were sent to gateways.")
	refusalsTotal   = figure("refusals_total", "Refusals that were sent to gateways, by reason.", "reason")
	flights         = figure("statements_in_flight", "Statements that this oracle took in and that wait for a block.")
	conflictsTotal  = figure("conflicts_total", "Votes that contradict others: of one oracle (equivocation) or of two (difference).", "kind")
	haltedFlag      = figure("halted", "1 once this oracle has stopped writing because it cannot know which history is right.")
	caughtUpFlag    = figure("caught_up", "1 once this oracle has executed what was in the order when it started.")
	orderBehind     = figure("order_message", "Last message of the order that is in a block.")
	quarantinedKeys = figure("quarantined_keys", "Keys whose statements are refused, as they are proven to have signed two stories.")
	quorumSize      = figure("quorum", "Oracles that have to cosign a checkpoint.")
	witnessSize     = figure("witness_leaves", "Leaves of the last checkpoint that a witness has cosigned for this oracle.", "witness")
	witnessFailures = figure("witness_failures_total", "Requests to a witness that failed or were refused.", "witness")
	diskFree        = figure("disk_free_bytes", "Space that is left where the ledger lies.")
	certificateEnd  = figure("certificate_end_timestamp_seconds", "When a certificate ends that this oracle shows, or a server of its broker: Unix seconds.", "of", "server")
	backupTime      = figure("backup_timestamp_seconds", "When a copy was made of the ledger or the vault, or one was checked, as it was noted: Unix seconds.", "of")
)

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("wattmark_"+name, help, labels, nil)
}

// CertificateEnd says when a certificate ends.
type CertificateEnd struct {
	Of     string // whose it is
	Server string // of a broker elsewhere, which; else empty
	At     time.Time
}

// Metrics serves the figures of a node, and those of its process, in the text format of
// Prometheus. They are made when they are asked for, so that nothing is counted twice.
func (n *Node) Metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(n, n.counts.wait, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 10 * time.Second})
}

// Describe implements prometheus.Collector: which figures there are depends on what
// gateways did.
func (n *Node) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (n *Node) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	flag := func(d *prometheus.Desc, on bool) {
		if on {
			gauge(d, 1)
		} else {
			gauge(d, 0)
		}
	}
	header, checkpoint, order := n.ledger.Last()
	gauge(blockHeight, float64(header.Height))
	gauge(ledgerLeaves, float64(checkpoint.Size))
	gauge(orderBehind, float64(order.Sequence))
	if note, _, ok := n.ledger.Store().Final(); ok {
		if c, err := block.CheckpointOf(note); err == nil {
			gauge(finalLeaves, float64(c.Size))
		}
	}
	flag(haltedFlag, n.Halted() != nil)
	flag(caughtUpFlag, n.CaughtUp())
	n.ledger.View(func(s *state.State) {
		gauge(quorumSize, float64(s.Oracles().Quorum))
		out := 0
		for _, q := range s.Quarantines() {
			if s.Quarantined(q.KeyID) {
				out++
			}
		}
		gauge(quarantinedKeys, float64(out))
	})
	if free, err := freeSpace(n.cfg.Dir); err == nil {
		gauge(diskFree, float64(free))
	}

	if noted, err := ReadBackups(n.cfg.Dir); err == nil { // the operator's page says what is wrong with it
		for _, kind := range BackupKinds() {
			if at, ok := noted[kind]; ok {
				gauge(backupTime, float64(at.Unix()), kind)
			}
		}
	}
	if n.cfg.Certificates != nil {
		for _, c := range n.cfg.Certificates() {
			gauge(certificateEnd, float64(c.At.Unix()), c.Of, c.Server)
		}
	}
	for _, o := range n.outside {
		size, failed := o.state()
		gauge(witnessSize, float64(size), o.client.Key().Name)
		counter(witnessFailures, failed, o.client.Key().Name)
	}
	s := n.ingest.Stats()
	counter(statementsTotal, s.Accepted, "accepted", "")
	counter(statementsTotal, s.Duplicates, "duplicate", "")
	counter(statementsTotal, s.Dropped, "dropped", "")
	for _, r := range slices.Sorted(maps.Keys(s.Refused)) {
		counter(statementsTotal, s.Refused[r], "refused", string(r))
	}
	gauge(flights, float64(s.InFlight))

	c := &n.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	counter(statementsTotal, c.statements, "executed", "")
	counter(blocksTotal, c.blocks)
	counter(receiptsTotal, c.receipts)
	for _, r := range slices.Sorted(maps.Keys(c.refused)) {
		counter(refusalsTotal, c.refused[r], r)
	}
	counter(conflictsTotal, c.equivocated, "equivocation")
	counter(conflictsTotal, c.differed, "difference")
	if c.finalAny {
		gauge(finalHeight, float64(c.finalHeight))
	}
	age := time.Duration(0)
	if !c.pendingSince.IsZero() {
		age = time.Since(c.pendingSince)
	}
	gauge(finalAge, age.Seconds())
}

var _ prometheus.Collector = (*Node)(nil)
