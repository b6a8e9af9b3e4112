package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/gateway/calibration"
	"wattmark/gateway/console"
	"wattmark/ledger/entry"
)

// additive are units whose errors are offsets.
var additive = []string{"Cel", "K", "%RH", "Pa", "ppm"}

const (
	// fewSamples is how many values of a gauge are taken beside one that is typed in.
	fewSamples = 5
	// look is how often the gateway is asked for new values.
	look = time.Second
	// noNews is how long there may be no new value: longer than the longest period.
	noNews = 20 * time.Minute
)

// compare compares a channel with a reference, and prepares the record.
func (k *calibrator) compare(ctx context.Context, c *entry.Calibration) (calibrated, error) {
	v, err := k.pick(ctx)
	if err != nil {
		return calibrated{}, err
	}
	before, _, err := k.inForce(k.channel)
	if err != nil {
		return calibrated{}, err
	}
	k.samples = &calibration.Comparison{Counter: v.Kind == "counter", Additive: slices.Contains(additive, v.Unit), Before: before}
	if k.samples.Counter && k.typed != "" {
		return calibrated{}, fmt.Errorf("%s is a register, and the reference is read twice: leave --reference out", k.channel)
	}
	if err := k.reference(ctx, c); err != nil {
		return calibrated{}, err
	}
	if k.samples.Reference, err = k.doubt(ctx, v.Unit); err != nil {
		return calibrated{}, err
	}
	switch {
	case k.against != "":
		err = k.sideBySide(ctx)
	case k.samples.Counter:
		err = k.twoReadings(ctx, v.Unit)
	default:
		err = k.oneReading(ctx, v.Unit)
	}
	if err != nil {
		return calibrated{}, err
	}
	r, err := k.samples.Result()
	if err != nil {
		return calibrated{}, err
	}
	c.Method = "comparison"
	digest := k.samples.Digest()
	c.Data = digest[:]
	share := r.Uncertainty
	if r.Additive {
		share = 0
		if r.Reference != 0 {
			share = r.Uncertainty / math.Abs(r.Reference)
		}
	}
	c.Corrections = []entry.Correction{{Channel: k.now.Prefix + k.channel, Before: before, After: r.After, Uncertainty: calibration.Uncertain(share)}}
	k.show(c, &r, v.Unit)
	out := k.shows(c)
	out.Error, out.Uncertainty = &r.Error, &r.Uncertainty
	return out, nil
}

// reference says what the device is compared with.
func (k *calibrator) reference(ctx context.Context, c *entry.Calibration) error {
	ref := &entry.Reference{Model: k.instrument, Serial: k.instrumentSerial}
	var err error
	if k.against != "" {
		name, _, _ := strings.Cut(k.against, ".")
		live, err := k.live(ctx)
		if err != nil {
			return err
		}
		ref.Model = live[name].Part
		if ref.Serial == "" {
			ref.Serial = live[name].Serial
		}
	} else if ref.Model, err = k.ask.text(ctx, ref.Model, "Model of the reference instrument"); err != nil {
		return err
	}
	if ref.Certificate, err = k.ask.optional(ctx, k.certificate, "Number of its calibration certificate"); err != nil {
		return err
	}
	c.Reference = ref
	return nil
}

// doubt is the uncertainty of the reference: a share, or in the unit of what is corrected
// by an offset.
func (k *calibrator) doubt(ctx context.Context, unit string) (float64, error) {
	question := "Its uncertainty (k = 2) in per cent, as 0.5%"
	if k.samples.Additive {
		question = "Its uncertainty (k = 2) in " + unit
	}
	text, err := k.ask.text(ctx, k.uncertainty, question)
	if err != nil {
		return 0, err
	}
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || x < 0 || math.IsInf(x, 0) || math.IsNaN(x):
		return 0, fmt.Errorf("the uncertainty %q is no number", text)
	case percent == k.samples.Additive:
		return 0, fmt.Errorf("the uncertainty %q: it is given in %s here", text, map[bool]string{true: unit, false: `per cent, as "0.5%"`}[k.samples.Additive])
	case percent && x >= 100:
		return 0, fmt.Errorf("an uncertainty of %q compares nothing", text)
	case percent:
		return x / 100, nil
	}
	return x, nil
}

// news waits until the device, and the reference if it is one, has a newer value than at
// a time before.
func (k *calibrator) news(ctx context.Context, after time.Time, devices ...string) (map[string]*console.DeviceValue, error) {
	late := time.NewTimer(noNews)
	defer late.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		live, err := k.live(ctx)
		if err != nil {
			return nil, err
		}
		fresh := true
		for _, name := range devices {
			fresh = fresh && live[name].At != nil && live[name].At.After(after)
		}
		if fresh {
			return live, nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return nil, fmt.Errorf("no new value of %s for %s: see wattmark-gateway doctor", strings.Join(devices, " and "), noNews)
		case <-ctx.Done():
			return nil, errAbandoned
		}
	}
}

// valueOf returns a channel's value, without corrections.
func valueOf(d *console.DeviceValue, channel string) (string, error) {
	for _, v := range d.Values {
		if v.Channel == channel {
			return v.Value, nil
		}
	}
	return "", fmt.Errorf("device %q no longer gives %s", d.Name, channel)
}

// oneReading compares a few values of a gauge with one that is typed in.
func (k *calibrator) oneReading(ctx context.Context, unit string) error {
	if k.typed == "" {
		fmt.Fprintf(k.err, "Keep what is measured steady. Reading %d values of %s %s ...\n", fewSamples, k.device, k.channel)
	}
	type reading struct {
		at    time.Time
		value string
	}
	var all []reading
	var last time.Time
	for len(all) < fewSamples {
		live, err := k.news(ctx, last, k.device)
		if err != nil {
			return err
		}
		d := live[k.device]
		v, err := valueOf(d, k.channel)
		if err != nil {
			return err
		}
		last = *d.At
		all = append(all, reading{last, v})
		if k.typed == "" {
			fmt.Fprintf(k.err, "  %s %s\n", v, unit)
		}
	}
	typed, err := k.number(ctx, k.typed, fmt.Sprintf("What does the reference show, in %s", unit))
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := k.samples.Add(calibration.Sample{At: r.at.Sub(all[0].at), Device: r.value, Reference: typed}); err != nil {
			return err
		}
	}
	return nil
}

// number returns a number that was given, or asks until one is.
func (k *calibrator) number(ctx context.Context, given, question string) (string, error) {
	for {
		text, err := k.ask.text(ctx, given, question)
		if err != nil {
			return "", err
		}
		if _, err := calibration.ParseDecimal(text); err == nil {
			return text, nil
		} else if given != "" {
			return "", err
		} else {
			fmt.Fprintf(k.err, "  %v\n", err)
		}
	}
}

// twoReadings compares a register with that of a reference, which is typed in before and
// after.
func (k *calibrator) twoReadings(ctx context.Context, unit string) error {
	began := time.Time{}
	read := func(question string) (time.Duration, error) {
		typed, err := k.number(ctx, "", question)
		if err != nil {
			return 0, err
		}
		live, err := k.news(ctx, time.Time{}, k.device)
		if err != nil {
			return 0, err
		}
		d := live[k.device]
		v, err := valueOf(d, k.channel)
		if err != nil {
			return 0, err
		}
		if began.IsZero() {
			began = *d.At
		}
		return d.At.Sub(began), k.samples.Add(calibration.Sample{At: d.At.Sub(began), Device: v, Reference: typed})
	}
	if _, err := read(fmt.Sprintf("What does the reference's register show now, in %s", unit)); err != nil {
		return err
	}
	// How far the register goes in between tells when it is enough.
	watch := calibration.Comparison{Counter: true, Before: entry.Uncorrected}
	if err := k.follow(ctx, &watch, func(live map[string]*console.DeviceValue) (string, error) { return "0", nil }, k.device); err != nil {
		return err
	}
	_, err := read(fmt.Sprintf("What does it show now, in %s", unit))
	return err
}

// sideBySide compares with another device.
func (k *calibrator) sideBySide(ctx context.Context) error {
	name, channel, ok := strings.Cut(k.against, ".")
	if !ok {
		channel = k.channel
	}
	if name == k.device && channel == k.channel {
		return fmt.Errorf("%s is compared with itself", k.against)
	}
	return k.follow(ctx, k.samples, func(live map[string]*console.DeviceValue) (string, error) {
		d := *live[name]
		d.Values = corrected(&d)
		return valueOf(&d, channel)
	}, k.device, name)
}

// follow adds samples until it is enough.
func (k *calibrator) follow(ctx context.Context, to *calibration.Comparison, reference func(map[string]*console.DeviceValue) (string, error), devices ...string) error {
	until := "10 minutes"
	if to.Counter {
		until = fmt.Sprintf("10 minutes, or %d steps of the register", calibration.EnoughSteps)
	}
	fmt.Fprintf(k.err, "Comparing for %s. Ctrl-C abandons it.\n", until)
	bar := onTerminal(k.err)
	var began, last time.Time
	for !to.Enough() {
		live, err := k.news(ctx, last, devices...)
		if err != nil {
			return err
		}
		d := live[k.device]
		last = *d.At
		for _, name := range devices {
			if at := *live[name].At; at.Before(last) {
				last = at // the next pair is newer than both
			}
		}
		if began.IsZero() {
			began = *d.At
		}
		v, err := valueOf(d, k.channel)
		if err != nil {
			return err
		}
		r, err := reference(live)
		if err != nil {
			return err
		}
		at := d.At.Sub(began)
		if at <= to.Lasted() && to.Len() > 0 {
			continue // only the reference is newer
		}
		if err := to.Add(calibration.Sample{At: at, Device: v, Reference: r}); err != nil {
			return err
		}
		if bar {
			fmt.Fprintf(k.err, "\r%-*s", screenWidth-1, cut(k.advance(to), screenWidth-1))
		}
	}
	if bar {
		fmt.Fprintln(k.err)
	}
	return nil
}

// advance is how far a comparison is, in a line.
func (k *calibrator) advance(c *calibration.Comparison) string {
	share := float64(c.Lasted()) / float64(calibration.EnoughTime)
	text := fmt.Sprintf("%s of %s", clock(c.Lasted()), clock(calibration.EnoughTime))
	if c.Counter {
		share = max(share, float64(c.Steps())/calibration.EnoughSteps)
		text += fmt.Sprintf(", or %d of %d steps", c.Steps(), calibration.EnoughSteps)
	}
	full := int(min(1, share) * barWidth)
	return fmt.Sprintf("[%s%s]  %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), text)
}

// show tells what the comparison came to.
func (k *calibrator) show(c *entry.Calibration, r *calibration.Result, unit string) {
	with := oneLine(c.Reference.Model)
	if c.Reference.Certificate != "" {
		with += ", certificate " + oneLine(c.Reference.Certificate)
	}
	line := func(name, text string) { fmt.Fprintf(k.err, "  %-12s %s\n", name, text) }
	fmt.Fprintln(k.err)
	for _, l := range wrapped("", fmt.Sprintf("%s %s against %s", k.device, k.channel, with)) {
		fmt.Fprintln(k.err, l)
	}
	line("device", figure(r.Device)+" "+unit)
	line("reference", figure(r.Reference)+" "+unit)
	switch {
	case r.Kind == calibration.Sign:
		size := math.Abs(r.Device)/math.Abs(r.Reference) - 1
		line("error", fmt.Sprintf("the wrong sign, and %+.3g %%, uncertain by %.2g %% (k = 2)", 100*size, 100*r.Uncertainty))
	case r.Additive:
		line("error", fmt.Sprintf("%+.4g %s, uncertain by %.2g %s (k = 2)", r.Error, unit, r.Uncertainty, unit))
	default:
		line("error", fmt.Sprintf("%+.3g %%, uncertain by %.2g %% (k = 2)", 100*r.Error, 100*r.Uncertainty))
	}
	one := c.Corrections[0]
	before, after := factorsText(consoleFactors(one.Before)), factorsText(consoleFactors(one.After))
	if r.Kind == calibration.Keep {
		line("proposal", "leave it at "+before+": the error is within its uncertainty")
		return
	}
	line("in force", before)
	line("proposal", after)
	if r.Kind == calibration.Sign {
		line("", "The clamp is the wrong way round. Better turn it: the meter's totals and")
		line("", "registers are wrong as well, and this corrects one channel.")
	}
}

// figure is a number for people, with six digits.
func figure(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
