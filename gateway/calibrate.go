package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wattmark/gateway/console"
	"wattmark/gateway/sampler"
	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/ledger/entry"
)

// errEnded is what is asked of a gateway whose Run has ended.
var errEnded = errors.New("the gateway has ended")

// ask has a function done by the signing goroutine, between two packs, and waits.
func (g *Gateway) ask(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case g.requests <- func() { done <- f() }:
		return <-done
	case <-g.signed:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// calibrationFact is how names of facts with calibrations begin.
const calibrationFact = "calibration/"

// correction is what a fact says of one channel.
type correction struct {
	factors
	// Before is what was in force before; nil in facts that are older than this member.
	Before *factors `json:"before,omitempty"`
	Record string   `json:"record"`
}

// factors are entry.Factors as a fact has them.
type factors struct {
	Ratio  entry.Decimal `json:"ratio"`
	Sign   int           `json:"sign"`
	Offset entry.Decimal `json:"offset"`
}

func (f factors) entry() entry.Factors {
	return entry.Factors{Ratio: f.Ratio, Sign: f.Sign, Offset: f.Offset}
}

func (f factors) console() console.Factors {
	return console.Factors{Ratio: f.Ratio.String(), Sign: f.Sign, Offset: f.Offset.String()}
}

// calibrated is a fact: the corrections in force of one device, by its channels as the
// driver names them. Records may have its name before them, which changes when another
// device comes to its point.
type calibrated struct {
	Subject  string                `json:"subject"`
	Device   string                `json:"device"`
	Channels map[string]correction `json:"channels"`
}

// parse reads a fact. Older ones name channels as records did then.
func (k *calibrated) parse(b []byte) error {
	if err := json.Unmarshal(b, k); err != nil {
		return err
	}
	channels := make(map[string]correction, len(k.Channels))
	for name, c := range k.Channels {
		channels[strings.TrimPrefix(name, k.Device+".")] = c
	}
	k.Channels = channels
	return nil
}

func (k *calibrated) name() string {
	sum := sha256.Sum256([]byte(k.Subject + "\n" + k.Device))
	return calibrationFact + hex.EncodeToString(sum[:12])
}

// list returns the corrections in the order of channels, which records have with a
// prefix.
func (k *calibrated) list(prefix string) ([]sampler.Correction, error) {
	var out []sampler.Correction
	for channel, c := range k.Channels {
		id, err := hex.DecodeString(c.Record)
		if err != nil || len(id) != sha256.Size {
			return nil, fmt.Errorf("channel %q names the calibration %q", channel, c.Record)
		}
		out = append(out, sampler.Correction{
			Channel: prefix + channel, Factors: c.entry(), Record: [32]byte(id),
		})
	}
	slices.SortFunc(out, func(a, b sampler.Correction) int { return strings.Compare(a.Channel, b.Channel) })
	return out, nil
}

// inForce reads the corrections of a device, empty where there are none.
func (g *Gateway) inForce(subject, device string) (*calibrated, error) {
	k := &calibrated{Subject: subject, Device: device, Channels: make(map[string]correction)}
	b := g.outbox.Get(k.name())
	if b == nil {
		return k, nil
	}
	if err := k.parse(b); err != nil {
		return nil, fmt.Errorf("reading the calibration of device %q: %w", device, err)
	}
	return k, nil
}

// Calibration returns the corrections in force of a device, in the order of channels.
func (g *Gateway) Calibration(subject, device string) ([]sampler.Correction, error) {
	k, err := g.inForce(subject, device)
	if err != nil {
		return nil, err
	}
	return k.list(g.sampler.Prefix(subject, device))
}

// Calibrate signs a calibration of a device of a metering point, makes it durable and
// puts it in force; what was signed goes through the outbox as readings do. It
// returns the identity that later readings name. Run must be running.
func (g *Gateway) Calibrate(ctx context.Context, subject string, c *entry.Calibration) (id [32]byte, err error) {
	err = g.ask(ctx, func() error {
		id, err = g.calibrate(subject, c)
		return err
	})
	if err != nil {
		return id, fmt.Errorf("calibrating device %q: %w", c.Device, err)
	}
	return id, nil
}

func (g *Gateway) calibrate(subject string, c *entry.Calibration) (id [32]byte, err error) {
	prefix := g.sampler.Prefix(subject, c.Device)
	k, err := g.inForce(subject, c.Device)
	if err == nil {
		err = k.precedes(c, prefix)
	}
	if err != nil {
		return id, err
	}
	set := func(record string) ([]sampler.Correction, error) {
		for _, one := range c.Corrections {
			before := factors{one.Before.Ratio, one.Before.Sign, one.Before.Offset}
			k.Channels[strings.TrimPrefix(one.Channel, prefix)] = correction{factors{one.After.Ratio, one.After.Sign, one.After.Offset}, &before, record}
		}
		return k.list(prefix)
	}
	// Nothing is signed that could not be put in force.
	list, err := set(strings.Repeat("00", sha256.Size))
	if err == nil {
		err = g.sampler.CanCorrect(subject, c.Device, list)
	}
	if err != nil {
		return id, err
	}
	payload, err := c.Encode()
	if err != nil {
		return id, err
	}
	done, err := g.signDraft(&draft{typ: entry.TypeCalibration, subject: subject, content: entry.ContentCBOR, payload: payload})
	if err != nil {
		return id, err
	}
	id = identity(done.Statement)
	if list, err = set(hex.EncodeToString(id[:])); err != nil {
		return id, err
	}
	b, err := json.Marshal(k)
	if err == nil {
		err = g.outbox.Put(k.name(), b)
	}
	if err == nil {
		err = g.flush()
	}
	if err != nil {
		return id, fmt.Errorf("keeping what was signed: %w", err)
	}
	return id, g.sampler.Correct(subject, c.Device, list)
}

// precedes reports whether a calibration says rightly what was in force before it: what
// is signed must not contradict what was signed earlier.
func (k *calibrated) precedes(c *entry.Calibration, prefix string) error {
	for _, one := range c.Corrections {
		if !strings.HasPrefix(one.Channel, prefix) {
			return fmt.Errorf("records name channel %q of this device %q", one.Channel, prefix+one.Channel)
		}
		now, known := k.Channels[strings.TrimPrefix(one.Channel, prefix)]
		before := entry.Uncorrected
		if known {
			before = now.entry()
		}
		switch {
		case !one.Before.Equal(before):
			return fmt.Errorf("channel %q is calibrated otherwise by now: begin again", one.Channel)
		case c.Undoes != nil && hex.EncodeToString(c.Undoes) != now.Record:
			return fmt.Errorf("the calibration of channel %q that would be taken back is not the one in force: begin again", one.Channel)
		}
	}
	return nil
}

// corrections are the calibrations in force of a device, for the console.
func (g *Gateway) corrections(subject, device string) []console.Correction {
	k, err := g.inForce(subject, device)
	if err != nil {
		return nil // Open has read it; a disk that fails since is told by the outbox
	}
	var all []console.Correction
	for _, channel := range slices.Sorted(maps.Keys(k.Channels)) {
		c := k.Channels[channel]
		out := console.Correction{Channel: channel, Factors: c.console(), Record: c.Record}
		if c.Before != nil {
			before := c.Before.console()
			out.Before = &before
		}
		all = append(all, out)
	}
	return all
}

// adjusts reports whether a device has an adjustment of its own.
func (g *Gateway) adjusts(subject, device string) bool {
	d, ok := g.sampler.Device(subject, device)
	if !ok {
		return false
	}
	_, ok = d.Device.(hardware.Calibrator)
	return ok
}

// Adjust has a part adjust itself, in turn with its samples. Run must be running. What
// the part did is not signed by this: Calibrate does that.
func (g *Gateway) Adjust(ctx context.Context, subject, device string, step hardware.CalibrationStep) (record hardware.CalibrationRecord, err error) {
	d, ok := g.sampler.Device(subject, device)
	if !ok {
		return record, fmt.Errorf("metering point %q has no device %q", subject, device)
	}
	part, ok := d.Device.(hardware.Calibrator)
	on, scheduled := d.Bus.(*bus.Bus)
	if !ok || !scheduled {
		return record, fmt.Errorf("device %q has no adjustment of its own", device)
	}
	err = on.Do(ctx, func(ctx context.Context) error {
		record, err = part.Calibrate(ctx, step)
		return err
	})
	return record, err
}

// recallCalibrations puts in force what was calibrated in lives before this one. What
// belongs to a device that is not configured any more waits for it.
func (g *Gateway) recallCalibrations() error {
	for _, name := range g.outbox.Facts() {
		if !strings.HasPrefix(name, calibrationFact) {
			continue
		}
		var k calibrated
		if err := k.parse(g.outbox.Get(name)); err != nil {
			return fmt.Errorf("a calibration cannot be read: %w", err)
		}
		if !slices.ContainsFunc(g.cfg.Devices, func(d Device) bool { return d.Subject == k.Subject && d.Name == k.Device }) {
			continue
		}
		list, err := k.list(g.sampler.Prefix(k.Subject, k.Device))
		if err == nil {
			err = g.sampler.Correct(k.Subject, k.Device, list)
		}
		if err != nil {
			return fmt.Errorf("the calibration of device %q no longer fits: calibrate it again: %w", k.Device, err)
		}
	}
	return nil
}
