package atm90e32

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
	"wattmark/hardware"
)

// Speed and Mode are how the part is spoken to.
const (
	Speed = 200 * physic.KiloHertz
	Mode  = spi.Mode3
)

// settling is how long after set-up the averages are not those of the mains yet.
const settling = 500 * time.Millisecond

// Opts are the settings of a part; the zero value serves a 50 Hz grid and a part
// without gains.
type Opts struct {
	LineHz int // 50, the default, or 60
	// VoltageGain and CurrentGain are the words of the phases' gain registers; 0 is
	// 0x8000, a gain of one.
	VoltageGain, CurrentGain [3]uint16
	// Amplification is that of the current inputs: 1 (the default), 2 or 4.
	Amplification int
	Now           hardware.Clock // nil is hardware.Monotonic
}

// Dev is one part.
type Dev struct {
	conn  spi.Conn // nil for a driver that decodes only
	name  string   // of the port
	about hardware.Descriptor
	set   []setting
	mode  uint16 // of regMode0
	now   hardware.Clock

	mu      sync.Mutex         // held by whatever uses the port: Halt waits for it; guards the fields below
	settled time.Duration      // from when on the part's averages are good, after a set-up
	lost    [len(counted)]bool // something was lost on the wire, and nobody was told yet
	known   bool               // the part was seen with the driver's settings
	last    uint16             // the word of the last transfer
	out, in [4]byte

	totalsMu sync.Mutex // guards the fields below
	totals   [len(counted)]uint64
	started  bool // there was a Sense
}

// setting is what set-up writes to a register.
type setting struct {
	address byte
	word    uint16
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
	_ hardware.Prober          = (*Dev)(nil)
	_ hardware.Persistent      = (*Dev)(nil)
)

// NewSPI returns the part on port, which it connects to but says nothing to yet. A nil
// port serves to decode.
func NewSPI(port spi.Port, opts *Opts) (*Dev, error) {
	o := Opts{}
	if opts != nil {
		o = *opts
	}
	set, mode, err := o.settings()
	if err != nil {
		return nil, err
	}
	d := &Dev{set: set, mode: mode, now: o.Now.Or()}
	d.about = hardware.Descriptor{Model: "atm90e32", Part: "Microchip ATM90E32AS", Settle: settling + settling/2}
	for _, c := range measured {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(c.name, c.limits))
	}
	for _, c := range counted {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(c.name, hardware.Limits{}))
	}
	if port == nil {
		return d, nil
	}
	d.name = port.String()
	if d.conn, err = port.Connect(Speed, Mode, 8); err != nil {
		return nil, fmt.Errorf("atm90e32: connecting to %s: %w", d.name, err)
	}
	return d, nil
}

// settings returns what set-up writes, in order, and the word of regMode0 in it.
func (o *Opts) settings() ([]setting, uint16, error) {
	mode := uint16(mode0)
	switch o.LineHz {
	case 0, 50:
	case 60:
		mode |= mode60Hz
	default:
		return nil, 0, fmt.Errorf("atm90e32: line_hz %d is neither 50 nor 60", o.LineHz)
	}
	amplification, ok := map[int]uint16{0: 0x00, 1: 0x00, 2: 0x15, 4: 0x2A}[o.Amplification]
	if !ok {
		return nil, 0, fmt.Errorf("atm90e32: amplification %d is none of 1, 2 and 4", o.Amplification)
	}
	set := []setting{
		{regPLConstantHigh, plHigh}, {regPLConstantLow, plLow}, {regMode1, amplification},
	}
	for i := range byte(3) {
		set = append(set, setting{regActiveStart + i, startPower}, setting{regPhaseStart + i, startPhase})
	}
	for i := range 3 {
		set = append(set,
			setting{regVoltageGain + byte(gainStep*i), gain(o.VoltageGain[i])},
			setting{regCurrentGain + byte(gainStep*i), gain(o.CurrentGain[i])})
	}
	// The two that are looked at come last: a set-up that was broken off is begun anew.
	return append(set, setting{regMode0, mode}, setting{regMeterEnable, 1}), mode, nil
}

func gain(word uint16) uint16 {
	if word == 0 {
		return unityGain
	}
	return word
}

// String returns the model.
func (d *Dev) String() string { return d.about.Model }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads all channels and adds what the part has counted to the totals. A part
// that has not got the driver's settings, as after a loss of power, is set up; until its
// averages have settled there is ErrNoData.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		return hardware.Locate(err, d.String(), d.name)
	}
	d.addTotals(dst)
	return nil
}

// start ends the time in which totals may be restored.
func (d *Dev) start() {
	d.totalsMu.Lock()
	defer d.totalsMu.Unlock()
	d.started = true
}

// addTotals adds the running totals to a sample.
func (d *Dev) addTotals(dst *hardware.Batch) {
	d.totalsMu.Lock()
	defer d.totalsMu.Unlock()
	for i, total := range d.totals {
		at := len(measured) + i
		dst.Add(hardware.Value{Channel: uint8(at), Mantissa: int64(total * stepMantissa), Exponent: stepExponent}, d.about.Channels[at].Limits)
		if d.lost[i] {
			d.lost[i] = false
			dst.Warn(hardware.WarnSkipped, counted[i].name+": what the part counted was lost on the wire")
		}
	}
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	if d.now() < d.settled {
		return unsettled()
	}
	asSet, err := d.check(ctx, t)
	if err != nil {
		return err
	}
	if !asSet {
		if err := d.setUp(ctx, t); err != nil {
			return err
		}
		d.settled = d.now() + settling
		return unsettled()
	}
	for i := range measured {
		if err := d.measure(ctx, t, &measured[i]); err != nil {
			return err
		}
	}
	for i := range counted {
		if err := d.count(ctx, t, i); err != nil {
			return err
		}
	}
	// Should it have come off or lost power in between, what was read since is nothing.
	asSet, err = d.check(ctx, t)
	if err == nil && !asSet {
		err = &hardware.Error{Class: hardware.ErrNoData, Op: "the part lost its settings while it was read"}
	}
	return err
}

func unsettled() error {
	return &hardware.Error{Class: hardware.ErrNoData, Op: "waiting for the averages to settle"}
}

// check reports whether the part is set up. After power-up it does not measure; one that
// this driver has not seen set up may have other settings, gains of an earlier
// configuration for one, so all of them are looked at. None that answers reads as ones or
// zeros, since regMode0 is never that.
func (d *Dev) check(ctx context.Context, t *hardware.Transcript) (asSet bool, err error) {
	enabled, err := d.read(ctx, t, regMeterEnable)
	if err != nil {
		return false, err
	}
	mode, err := d.read(ctx, t, regMode0)
	if err != nil {
		return false, err
	}
	if enabled == 0xFFFF || mode == 0xFFFF || mode == 0 {
		d.known = false // another part may come in its place
		return false, absent(fmt.Errorf("register %#02x reads as %#04x", regMode0, mode))
	}
	if enabled != 1 || mode != d.mode {
		return false, nil
	}
	for _, s := range d.set {
		if d.known {
			break
		}
		word, err := d.read(ctx, t, s.address)
		if err != nil || word != s.word {
			return false, err
		}
	}
	d.known = true
	return true, nil
}

func absent(err error) error {
	return &hardware.Error{Class: hardware.ErrAbsent, Err: err, Remedy: "check supply, MISO, MOSI, SCLK and chip select"}
}

// setUp writes the driver's settings. What the part counted by others before is thrown
// away; one that was set up by this driver has counted by its settings.
func (d *Dev) setUp(ctx context.Context, t *hardware.Transcript) error {
	if err := d.write(ctx, t, regAccess, unlocked); err != nil {
		return err
	}
	for _, s := range d.set {
		if err := d.write(ctx, t, s.address, s.word); err != nil {
			return err
		}
	}
	if err := d.write(ctx, t, regAccess, locked); err != nil {
		return err
	}
	for i, c := range counted {
		var err error
		if d.known {
			err = d.count(ctx, t, i)
		} else {
			_, err = d.read(ctx, t, c.address)
		}
		if err != nil {
			return err
		}
	}
	d.known = true
	return nil
}

// measure reads the registers of a channel. The words of a pair are of one moment if the
// high one is the same before and after the low one; if it moved on, the low one is read
// again.
func (d *Dev) measure(ctx context.Context, t *hardware.Transcript, c *channel) error {
	high, err := d.read(ctx, t, c.address)
	if err != nil || c.kind != pair {
		return err
	}
	for range 3 {
		if _, err := d.read(ctx, t, c.address+lowWord); err != nil {
			return err
		}
		again, err := d.transfer(t, c.address, true, 0)
		if err != nil || again == high {
			return err
		}
		if err := d.verify(t, c.address, again); err != nil {
			return err
		}
		high = again
	}
	return &hardware.Error{Class: hardware.ErrNoData, Op: fmt.Sprintf("reading register %#02x", c.address), Err: errors.New("it changes too fast")}
}

// count adds what stands in an energy register to its total. Reading clears the
// register, so nothing may be added twice or given up too soon. Before it the part is
// made to say something known, regPLConstantLow. If what came and what the part says
// that it sent differ, the sample fails, but the total does not: regLastData is read
// until a word comes twice, which is what was counted, or, if it is still the known one,
// says that the part never saw the question and counts on.
func (d *Dev) count(ctx context.Context, t *hardware.Transcript, i int) error {
	if _, err := d.read(ctx, t, regPLConstantLow); err != nil {
		return err
	}
	address := counted[i].address
	steps, err := d.transfer(t, address, true, 0)
	if err != nil {
		d.lost[i] = true
		return err
	}
	said, err := d.transfer(t, regLastData, true, 0)
	if err != nil {
		d.lost[i] = true
		return err
	}
	switch {
	case steps == 0xFFFF && said == 0xFFFF:
		return absent(fmt.Errorf("register %#02x reads as ones", address))
	case steps == said:
		d.add(i, steps)
		return nil
	}
	failed := mismatch(address, steps, said)
	for range 3 {
		again, err := d.transfer(t, regLastData, true, 0)
		switch {
		case err != nil:
			d.lost[i] = true
			return err
		case again == said && said == plLow:
			return failed // it was not selected, and cleared nothing
		case again != 0xFFFF && (again == steps || again == said):
			d.add(i, again)
			return failed
		}
		said = again
	}
	d.lost[i] = steps != 0xFFFF || said != 0xFFFF
	return failed
}

// add adds steps to a total.
func (d *Dev) add(i int, steps uint16) {
	d.totalsMu.Lock()
	defer d.totalsMu.Unlock()
	d.totals[i] += uint64(steps)
}

// mismatch is the error of a word that is got here, while the part says that it is said.
func mismatch(address byte, got, said uint16) error {
	return &hardware.Error{Class: hardware.ErrChecksum, Op: fmt.Sprintf("register %#02x", address),
		Err: fmt.Errorf("its word is %#04x here and %#04x in the part", got, said), Remedy: "shorten the wires, or check their shield"}
}

// read reads a register and checks that the word came as it was sent.
func (d *Dev) read(ctx context.Context, t *hardware.Transcript, address byte) (uint16, error) {
	if err := ctx.Err(); err != nil {
		return 0, &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	got, err := d.transfer(t, address, true, 0)
	if err != nil {
		return 0, err
	}
	return got, d.verify(t, address, got)
}

// write writes a register and checks that the word arrived.
func (d *Dev) write(ctx context.Context, t *hardware.Transcript, address byte, word uint16) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	repeated := d.last == word
	if _, err := d.transfer(t, address, false, word); err != nil {
		return err
	}
	if err := d.verify(t, address, word); err != nil || !repeated {
		return err
	}
	// The part had the same word before: that it says so again is no proof.
	got, err := d.transfer(t, address, true, 0)
	if err == nil && got != word {
		err = mismatch(address, word, got)
	}
	return err
}

// verify compares a word with the last one that the part saw.
func (d *Dev) verify(t *hardware.Transcript, address byte, word uint16) error {
	said, err := d.transfer(t, regLastData, true, 0)
	if err != nil || said == word {
		return err
	}
	return mismatch(address, word, said)
}

// transfer exchanges 32 bits and records them.
func (d *Dev) transfer(t *hardware.Transcript, address byte, read bool, word uint16) (uint16, error) {
	d.out = [4]byte{0, address, byte(word >> 8), byte(word)}
	if read {
		d.out[0] = 0x80
	}
	t.Send(d.out[:])
	if d.conn == nil {
		return 0, absent(errors.New("the driver has no port"))
	}
	if err := d.conn.Tx(d.out[:], d.in[:]); err != nil {
		e := &hardware.Error{Class: hardware.Class(err), Op: fmt.Sprintf("register %#02x", address), Err: err}
		if e.Class == nil {
			e.Class, e.Remedy = hardware.ErrAbsent, "check that SPI is enabled"
		}
		return 0, e
	}
	t.Receive(d.in[:])
	if read {
		word = uint16(d.in[2])<<8 | uint16(d.in[3])
	}
	d.last = word
	return word, nil
}

// Probe reads the settings that every part has after power-up. It does not touch the
// registers of energy, which clear when they are read.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	if _, err := d.check(ctx, &t); err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), d.name)
	}
	id := hardware.Identity{Manufacturer: "Microchip", Model: d.about.Part}
	high, err := d.read(ctx, &t, regPLConstantHigh)
	if err == nil && high == plHigh {
		var low uint16
		if low, err = d.read(ctx, &t, regPLConstantLow); err == nil && low == plLow {
			return id, hardware.Likely, nil
		}
	}
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), d.name)
	}
	return id, hardware.Possible, nil
}

// Halt waits for a running Sense. The part goes on counting: its reader's end is not
// that of the energy.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}
