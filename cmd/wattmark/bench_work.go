package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// workload is the statements of a bench. Who has its seeds makes the same keys.
type workload struct {
	prefix     string // of the gateways' names
	alg        signer.Algorithm
	statements int
	size       int // bytes of a statement, about
	seeds      [][32]byte
	keys       []*signer.PrivateKey
}

// newSeeds draws the seeds of gateways' keys.
func newSeeds(gateways int) ([][32]byte, error) {
	seeds := make([][32]byte, gateways)
	for i := range seeds {
		if _, err := rand.Read(seeds[i][:]); err != nil {
			return nil, err
		}
	}
	return seeds, nil
}

func newWorkload(alg string, statements, size int, seeds [][32]byte) (*workload, error) {
	a, err := signer.ParseAlgorithm(alg)
	if err != nil {
		return nil, err
	}
	w := &workload{prefix: "bench", alg: a, statements: statements, size: size, seeds: seeds}
	for _, s := range seeds {
		k, err := signer.FromSeed(a, s)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, k)
	}
	return w, nil
}

func (w *workload) gateway(i int) string { return fmt.Sprintf("%s-%03d", w.prefix, i) }
func (w *workload) point(i int) string   { return fmt.Sprintf("mp-%s-%03d", w.prefix, i) }

func (w *workload) names() []string {
	out := make([]string, len(w.keys))
	for i := range out {
		out[i] = w.gateway(i)
	}
	return out
}

var benchChannels = []string{"active_energy_export", "active_energy_import", "active_power", "current_l1", "frequency", "voltage_l1"}

func (w *workload) enrolments() []joining {
	var channels []entry.Channel
	for _, c := range benchChannels {
		kind := entry.KindGauge
		if strings.Contains(c, "energy") {
			kind = entry.KindCounter
		}
		channels = append(channels, entry.Channel{Name: c, Unit: "Wh", Kind: kind, Least: entry.Int(-1 << 40), Most: entry.Int(1 << 40)})
	}
	var out []joining
	for i, k := range w.keys {
		points := []entry.Point{{Subject: w.point(i), Mode: entry.ModeOpen, Channels: channels}}
		out = append(out, joining{k, entry.EnrolmentRequest{Gateway: w.gateway(i), Points: points}})
	}
	return out
}

// share is how many of the statements a gateway has.
func (w *workload) share(gateway int) int {
	n := w.statements / len(w.keys)
	if gateway < w.statements%len(w.keys) {
		n++
	}
	return n
}

// sign makes the frames of a round for the ledger origin, gateway by gateway,
// on all cores.
func (w *workload) sign(origin string, now time.Time) ([][][]byte, error) {
	out := make([][][]byte, len(w.keys))
	errs := make([]error, len(w.keys))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range out {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			out[i], errs[i] = w.signFor(i, origin, now)
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func (w *workload) signFor(gateway int, origin string, now time.Time) ([][]byte, error) {
	frames := make([][]byte, w.share(gateway))
	var previous []byte
	records := 1
	for i := range frames {
		for {
			s, err := w.statement(gateway, i, records, origin, previous, now)
			if err != nil {
				return nil, err
			}
			if i == 0 && len(s) < w.size-30 { // grow the pack until the size asked for is reached
				records++
				continue
			}
			m, err := signer.Parse(s)
			if err != nil {
				return nil, err
			}
			identity := m.Hash()
			previous = identity[:]
			frames[i] = wire.Frame{Statement: s}.Encode()
			break
		}
	}
	return frames, nil
}

// statement signs a gateway's i-th statement. Its readings are of the last seconds
// before now, one statement a second.
func (w *workload) statement(gateway, i, records int, origin string, previous []byte, now time.Time) ([]byte, error) {
	base := w.point(gateway) + "/"
	p := entry.Pack{Base: base}
	count := uint64(i + 1)
	at := now.UnixMilli() - 1000*int64(w.share(gateway)-i)
	for r := range records {
		c := benchChannels[r%len(benchChannels)]
		p.Records = append(p.Records, entry.Record{
			Name: base + c, Unit: "Wh", Time: at + int64(r),
			Value: entry.Decimal{Mantissa: int64(1_000_000+1000*count) + int64(r), Exponent: -int8(r % 2)},
		})
	}
	pack, err := p.Encode()
	if err != nil {
		return nil, err
	}
	c := entry.Claims{
		Issuer: "urn:wattmark:gateway:" + w.gateway(gateway), Subject: w.point(gateway), Audience: origin, IssuedAt: now.Unix(),
		Sequence: entry.Sequence{Boot: 1, Count: count}, Previous: previous,
		Time: &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 10_000_000, Monotonic: count},
	}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(w.keys[gateway], signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: claims}, pack)
}
