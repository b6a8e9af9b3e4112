package sampler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// Config says what to sample. Clock, Monotonic and Devices must be given.
type Config struct {
	Clock Clock
	// Monotonic is the time since boot that the drivers stamp batches with.
	Monotonic hardware.Clock
	Devices   []Device
	Derived   []Derived
	// PackMaxAge is the length of a window. It divides 900 s; 0 means 60 s.
	PackMaxAge time.Duration
	// QueueBytes bounds the packs that wait to be signed; 0 means 1 MB.
	QueueBytes int
	// Since has, for metering points that were sampled before this process, the
	// newest time known: the first pack carries the gap since then.
	Since map[string]time.Time
	// Recall returns what a pack of a process before this one asked to keep under a
	// name, nil for nothing; nil recalls nothing.
	Recall func(name string) []byte
	// OnSample, if set, is told of each sample, from several goroutines.
	OnSample func(Sample)
	Log      *slog.Logger // nil drops everything
}

// Sample is one attempt to read a device, for onlookers. Values must not be kept.
type Sample struct {
	Device  string
	Subject string
	Due     time.Time
	At      time.Time // the middle of the exchange; Due where it failed
	About   *hardware.Descriptor
	Values  []hardware.Value
	Err     error
	// Evidence is what went over the bus, nil for what is computed.
	Evidence *hardware.Transcript
}

// patience bounds one attempt, in real time and beyond the time that the part itself may
// take: a bus answers or gives up long before.
const patience = 10 * time.Second

var errDisabled = errors.New("the device is disabled")

// stepAfter is how far the clock may be moved before that ends the windows at hand.
const stepAfter = time.Second

// Sampler reads devices by their schedules and makes packs of what they say. Run
// does the work; the other methods may be called from any goroutine.
type Sampler struct {
	cfg   Config
	age   time.Duration
	queue *queue

	mu      sync.Mutex // guards the fields below and all points
	points  []*point
	offset  time.Duration // wall clock less monotonic clock, when last looked at
	ticking bool          // whether offset is known
	stats   Stats
}

// Stats are counts since the start.
type Stats struct {
	Samples    uint64 // with values
	Failed     uint64 // attempts without
	Packs      uint64 // handed on to be signed
	Forfeited  uint64 // packs that became gaps
	Steps      uint64 // times the clock was moved
	Queued     int    // packs that wait
	QueueBytes int
	Devices    []DeviceStats
}

// DeviceStats is how a device fares.
type DeviceStats struct {
	Name    string
	Subject string
	Model   string
	Part    string
	Serial  string // what the part said of itself last; empty where it does not
	Samples uint64
	Failed  uint64
	LastAt  time.Time // of the newest sample with values
	Err     error     // why the last attempt failed, nil if it did not
}

// New checks the configuration and returns a Sampler that has not started.
func New(cfg Config) (*Sampler, error) {
	if cfg.Clock == nil || cfg.Monotonic == nil || len(cfg.Devices) == 0 {
		return nil, errors.New("a sampler needs a clock, a monotonic clock and devices")
	}
	if cfg.PackMaxAge == 0 {
		cfg.PackMaxAge = time.Minute
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = 1 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkPeriod("pack_max_age", cfg.PackMaxAge); err != nil {
		return nil, err
	}
	s := &Sampler{cfg: cfg, age: cfg.PackMaxAge, queue: newQueue(cfg.QueueBytes)}
	for i := range cfg.Devices {
		if err := s.add(&cfg.Devices[i]); err != nil {
			return nil, fmt.Errorf("device %q: %w", cfg.Devices[i].Name, err)
		}
	}
	for i := range cfg.Derived {
		if err := s.derive(&cfg.Derived[i]); err != nil {
			return nil, fmt.Errorf("derived %q: %w", cfg.Derived[i].Name, err)
		}
	}
	s.recall()
	for _, p := range s.points {
		p.nameAll()
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("metering point %q: %w", p.subject, err)
		}
	}
	return s, nil
}

func (s *Sampler) add(d *Device) error {
	if err := d.check(); err != nil {
		return err
	}
	m := &member{device: d, about: d.Device.Describe(), since: s.cfg.Since[d.Subject]}
	for _, c := range m.about.Channels {
		m.channels = append(m.channels, channel{name: c.Name, unit: string(c.Unit), kind: c.Kind, wrap: c.Wrap})
	}
	m.sayer, _ = d.Device.(hardware.Persistent)
	for _, p := range s.points {
		if p.subject != d.Subject {
			continue
		}
		for _, other := range p.members {
			if other.device.Name == d.Name {
				return fmt.Errorf("metering point %q has it twice", d.Subject)
			}
		}
		p.members = append(p.members, m)
		return nil
	}
	s.points = append(s.points, &point{subject: d.Subject, members: []*member{m}})
	return nil
}

// derive adds a device that is computed from others of its point.
func (s *Sampler) derive(d *Derived) error {
	if err := d.Check(); err != nil {
		return err
	}
	for _, p := range s.points {
		if p.subject != d.Subject {
			continue
		}
		for _, m := range p.members {
			if m.device.Name == d.Name {
				return fmt.Errorf("metering point %q has it twice", d.Subject)
			}
		}
		k := &derived{Derived: d, point: p, config: d.digest()}
		if err := k.bind(); err != nil {
			return err
		}
		of := k.inputs[0].member.device
		k.member = &member{
			device:  &Device{Name: d.Name, Subject: d.Subject, Period: of.Period, Offset: of.Offset},
			about:   d.About(),
			since:   s.cfg.Since[d.Subject],
			derived: k,
		}
		for _, c := range k.about.Channels {
			k.channels = append(k.channels, channel{name: c.Name, unit: string(c.Unit), kind: c.Kind})
		}
		p.members = append(p.members, k.member)
		return nil
	}
	return fmt.Errorf("there is no metering point %q", d.Subject)
}

// Run samples until ctx ends, then closes the windows at hand. It returns nil.
func (s *Sampler) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range s.points {
		for _, m := range p.members {
			if m.derived != nil {
				continue
			}
			due := s.cfg.Clock.Every(ctx, m.device.Period, m.device.Offset)
			wg.Go(func() { s.watch(ctx, p, m, due) })
		}
	}
	for now := range s.cfg.Clock.Every(ctx, s.age, 0) {
		s.mu.Lock()
		for _, p := range s.points {
			if !p.end.IsZero() && !now.Before(p.end) {
				s.close(p)
			}
		}
		s.mu.Unlock()
	}
	wg.Wait()
	s.mu.Lock()
	for _, p := range s.points {
		s.close(p)
	}
	s.mu.Unlock()
	s.queue.close()
	return nil
}

// watch reads one device whenever it is due.
func (s *Sampler) watch(ctx context.Context, p *point, m *member, times <-chan time.Time) {
	var batch hardware.Batch
	for due := range times {
		if m.device.Disabled {
			s.mu.Lock()
			s.take(p, m, due, due, &batch, errDisabled)
			s.mu.Unlock()
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, patience+m.about.Settle)
		err := m.device.Bus.SenseDue(attempt, m.device.Device, due, &batch)
		cancel()
		if ctx.Err() != nil {
			return // it was cut short by the end: no failure of the device
		}
		offset := s.cfg.Clock.Now().Sub(time.Unix(0, 0)) - s.cfg.Monotonic()
		at := due
		if err == nil {
			at = time.Unix(0, int64(batch.At+offset)).UTC()
		} else {
			s.cfg.Log.Debug("did not sample device", "device", m.device.Name, "error", err)
		}
		if s.cfg.OnSample != nil {
			s.cfg.OnSample(Sample{Device: m.device.Name, Subject: p.subject, Due: due, At: at, About: &m.about, Values: batch.Values, Err: err, Evidence: &batch.Evidence})
		}
		s.mu.Lock()
		s.noteStep(offset)
		s.take(p, m, due, at, &batch, err)
		s.mu.Unlock()
	}
}

// noteStep ends all windows when the clock was moved.
func (s *Sampler) noteStep(offset time.Duration) {
	moved := offset - s.offset
	if s.ticking && moved < stepAfter && moved > -stepAfter {
		s.offset = offset // it is slewed, or read a moment later
		return
	}
	before := s.offset
	s.offset = offset
	if !s.ticking {
		s.ticking = true
		return
	}
	s.stats.Steps++
	s.cfg.Log.Warn("the clock was moved", "by_ms", moved.Milliseconds())
	mono := s.cfg.Monotonic()
	was, is := (before + mono).Milliseconds(), (offset + mono).Milliseconds()
	for _, p := range s.points {
		s.close(p)
		p.remarks = append(p.remarks, entry.Record{Name: p.base() + "clock.step", Time: max(is, 0), Text: fmt.Sprintf("%d %d", was, is)})
		for _, m := range p.members {
			m.stepped = true
			if m.derived != nil {
				m.derived.forget()
			}
		}
	}
}

// take puts the outcome of one attempt into its window.
func (s *Sampler) take(p *point, m *member, due, at time.Time, batch *hardware.Batch, err error) {
	if !due.Before(p.end) {
		if !p.end.IsZero() {
			s.close(p)
		}
		p.start = floor(due, s.age)
		p.end = p.start.Add(s.age)
	}
	m.missed(due)
	late := p.start.Equal(floor(p.start, Interval)) && at.Sub(p.start) > lateAfter && m.lastAt.Before(p.start)
	switch {
	case errors.Is(err, errDisabled):
		m.fail(due, "disabled")
	case err != nil:
		s.stats.Failed++
		m.fail(due, reason(err))
	default:
		s.stats.Samples++
		m.identify(batch.Identity)
		m.take(due, at, batch.Values, late)
	}
	m.err = err
	for _, d := range p.members {
		if d.derived == nil {
			continue
		}
		var values []hardware.Value
		if err == nil {
			values = batch.Values
		}
		if !d.derived.uses(m, at, values) {
			continue
		}
		d.missed(due)
		if values, ok := d.derived.sense(at); ok {
			d.take(due, at, values, late && d.lastAt.Before(p.start))
		} else {
			d.fail(due, "no_data")
		}
	}
	if p.complete() {
		s.close(p)
	}
}

// close makes packs of a point's window, if anything was said in it.
func (s *Sampler) close(p *point) {
	packs := p.close()
	p.end = time.Time{}
	if len(packs) == 0 {
		return
	}
	if s.queue.put(packs) {
		s.stats.Packs += uint64(len(packs))
		return
	}
	s.cfg.Log.Warn("no room for unsigned packs", "packs", len(packs))
	s.forfeit(packs)
}

// forfeit turns packs into gaps; mu is held.
func (s *Sampler) forfeit(packs []*Pack) {
	s.stats.Forfeited += uint64(len(packs))
	for _, pack := range packs {
		for _, l := range pack.spans {
			l.channel.gap(l.run, l.period)
		}
	}
}

// Stats returns the counts up to now.
func (s *Sampler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Queued, out.QueueBytes = s.queue.held()
	for _, p := range s.points {
		for _, m := range p.members {
			out.Devices = append(out.Devices, DeviceStats{
				Name: m.device.Name, Subject: p.subject, Model: m.about.Model, Part: m.about.Part, Serial: m.serial,
				Samples: m.samples, Failed: m.failed, LastAt: m.lastAt, Err: m.err,
			})
		}
	}
	return out
}
