package survey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/modbus"
	"wattmark/hardware/obis"
)

// Limit is the longest that a survey of one serial line takes.
const Limit = 4 * time.Minute

// answer is how long a part may take to answer. A reply is late for as long again, in
// which the line is left to it: a question that nobody answers takes twice as long.
// Meters of the catalogue answer within 100 ms; whoever is slower than this is found
// by no survey that ends within Limit.
const answer = 200 * time.Millisecond

// Modes are the speeds and parities that Modbus units are looked for with, in order.
func Modes() []bus.Mode {
	var all []bus.Mode
	for _, baud := range []int{9600, 19200, 2400, 4800, 38400, 115200} {
		for _, parity := range []bus.Parity{bus.ParityNone, bus.ParityEven, bus.ParityOdd} {
			all = append(all, bus.Mode{Baud: baud, DataBits: 8, Parity: parity, StopBits: 1})
		}
	}
	return all
}

// Units are the addresses that Modbus units are looked for at, in order: those that
// people give them, and the highest.
func Units() []byte { return []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 247} }

// windows are how serial heads are listened to: for longer than the longest pause
// between two frames. SML meters speak each 4 s at most and particle sensors each 2.3 s;
// P1 ports before version 5, and meters of mode D, each 10 s. Mode D is 2400 baud by the
// standard (IEC 62056-21:2002 clause 6.4.4), and 9600 with many meters.
var windows = []struct {
	mode string
	wait time.Duration
}{{"9600 8N1", 5 * time.Second}, {"115200 8N1", 10500 * time.Millisecond}, {"9600 7E1", 10500 * time.Millisecond}, {"2400 7E1", 10500 * time.Millisecond}}

// Line is a serial port that is looked at.
type Line struct {
	// Open opens it, set to a mode.
	Open func(m bus.Mode) bus.Opener
	// Modes and Units narrow the search for Modbus units; nil is all of them.
	Modes []bus.Mode
	Units []byte
	// Deaf leaves out listening, and the parts that stand alone on their line.
	Deaf bool
}

// Serial looks for parts on a serial line. The error is that of the port, or the end of
// ctx; the report holds what was found until then.
func Serial(ctx context.Context, line Line, tell func(Progress)) (Report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Limit, errLimit)
	defer cancel()
	if line.Modes == nil {
		line.Modes = Modes()
	}
	s := &serial{line: line, usual: line.Units == nil}
	if s.usual {
		s.line.Units = Units()
	}
	defer s.close()
	err := s.report.run(ctx, s.steps(), tell)
	s.compare()
	if errors.Is(err, errAlone) {
		err = nil
		s.report.Of = s.report.Asked
	}
	if errors.Is(context.Cause(ctx), errLimit) && err != nil {
		s.report.note("Stopped after %s: name the speed or the units to look for, and scan again.", Limit)
		err = nil
	}
	return s.report, err
}

var (
	errLimit = errors.New("the survey took too long")
	// errAlone ends a survey: a part was found that has its line for itself.
	errAlone = errors.New("nothing else is on the line")
)

// serial is a survey of one line.
type serial struct {
	line   Line
	usual  bool // no units were given: those of all parts of a kind count too
	report Report

	// The bus of the mode at hand.
	mode    bus.Mode
	bus     *bus.Bus
	stop    context.CancelFunc
	stopped chan error

	damaged  []place // where what came back was no frame
	worked   bool    // the port was open once
	refused  bool    // the mode before could not be set, which was
	refusing bus.Mode
}

// place is a unit at a mode.
type place struct {
	mode bus.Mode
	unit byte
}

func (s *serial) steps() []step {
	var all []step
	add := func(m bus.Mode, what string, cost time.Duration, do func(ctx context.Context) error) {
		all = append(all, step{what: strings.TrimSpace(m.String() + " " + what), cost: cost, do: func(ctx context.Context) error {
			return s.at(ctx, m, do)
		}})
	}
	if !s.line.Deaf {
		for _, w := range windows {
			m, _ := bus.ParseMode(w.mode)
			add(m, "listening", w.wait, func(ctx context.Context) error { return s.hear(ctx, w.wait) })
		}
		for _, p := range askedParts {
			m, _ := bus.ParseMode(p.mode)
			add(m, p.model, 2*answer, func(ctx context.Context) error { return s.ask(ctx, p) })
		}
		m, _ := bus.ParseMode(signOnMode)
		add(m, "iec62056", signOnWait, s.signOn)
	}
	usual := bus.Mode{Baud: 9600, DataBits: 8, Parity: bus.ParityNone, StopBits: 1}
	if s.usual && slices.Contains(s.line.Modes, usual) {
		for _, p := range anyParts {
			add(usual, p.model, silence(usual, pzemRegisters), func(ctx context.Context) error {
				return s.unit(ctx, p.unit, []unitPart{p.unitPart})
			})
		}
	}
	for _, m := range s.line.Modes {
		for _, u := range s.line.Units {
			cost := time.Duration(0)
			for _, q := range questions(u) {
				cost += silence(m, int(q.Count))
			}
			add(m, fmt.Sprintf("unit %d", u), cost, func(ctx context.Context) error { return s.unit(ctx, u, unitParts) })
		}
	}
	return all
}

// pzemRegisters is how many registers the longest question of an any-address asks for.
const pzemRegisters = 10

// silence is what a question for that many registers costs when nobody answers: its way
// there and back on the wire, and two time-outs.
func silence(m bus.Mode, registers int) time.Duration {
	const request, overhead, bits = 8, 5, 11 // characters; bits of each
	characters := request + overhead + 2*registers
	return time.Duration(characters*bits)*time.Second/time.Duration(m.Baud) + 2*answer
}

// questions are what every unit is asked first: somebody who is there answers one of
// them, if only with an exception.
func questions(unit byte) []modbus.Request {
	return []modbus.Request{
		{Unit: unit, Function: modbus.ReadInput, Address: 0, Count: 2}, // a float32 of most meters
		{Unit: unit, Function: modbus.ReadHolding, Address: 0, Count: 1},
	}
}

// at does something with the line set to a mode.
func (s *serial) at(ctx context.Context, m bus.Mode, do func(ctx context.Context) error) error {
	if s.bus == nil || s.mode != m { // the port is set when it is opened, and its client's times with it
		s.close()
		b, err := bus.New(bus.Config{Name: "line", Open: s.line.Open(m), Timeout: answer})
		if err != nil {
			return err
		}
		var running context.Context
		running, s.stop = context.WithCancel(context.WithoutCancel(ctx))
		s.bus, s.mode, s.stopped = b, m, make(chan error, 1)
		go func() { s.stopped <- b.Run(running) }()
	}
	opened := false
	err := s.bus.Do(ctx, func(ctx context.Context) error {
		opened = true
		return do(ctx)
	})
	switch {
	case opened:
		s.worked, s.refused = true, false
	case ctx.Err() == nil && s.worked && (!s.refused || s.refusing == m):
		// An adapter need not know every mode. Two in a row are an adapter that is gone.
		if s.refusing != m {
			s.report.note("The port cannot be set to %s: %v.", m, err)
		}
		s.refused, s.refusing = true, m
		return nil
	}
	return err
}

// close lets the port go.
func (s *serial) close() {
	if s.bus != nil {
		s.stop()
		<-s.stopped // it ran once
		s.bus = nil
	}
}

func (s *serial) found(f Find) {
	f.Mode = s.mode.String()
	s.report.Finds = append(s.report.Finds, f)
}

// most is what is kept of what is heard, in bytes: several of the longest frames.
const most = 64 << 10

// hear listens for parts that speak unasked.
func (s *serial) hear(ctx context.Context, wait time.Duration) error {
	stream := s.bus.Stream()
	if err := stream.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	var heard []byte
	var chunk [512]byte
	for len(heard) < most {
		n, err := stream.Read(chunk[:])
		heard = append(heard, chunk[:n]...)
		if f, ok := recognize(heard); ok {
			s.found(f)
			return errAlone
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
	}
	if noise := 32; len(heard) > noise { // a line at rest that nobody holds gives a few
		s.report.note("At %s something speaks unasked (%d bytes) that is no known head: if another master asks on this line, disconnect it and scan again.", s.mode, len(heard))
	}
	return nil
}

// recognize tells which head said what was heard.
func recognize(heard []byte) (Find, bool) {
	if len(heard) == 0 {
		return Find{}, false
	}
	var t hardware.Transcript
	t.Receive(heard)
	var b hardware.Batch
	for i, h := range heads {
		d, err := h.open()
		if err != nil || d.(hardware.Decoder).Decode(&t, &b) != nil {
			continue
		}
		f := Find{Models: h.models, Settings: h.settings, Identity: b.Identity, Confidence: hardware.Certain}
		// A telegram before DSMR 3 has neither version nor checksum: mode D of IEC
		// 62056-21 looks the same.
		if i == 0 && b.Identity.Version == "" {
			f.Models, f.Confidence = []string{"dsmr", "iec62056"}, hardware.Likely
		}
		if len(f.Models) > 1 {
			f.Confidence = hardware.Likely
		}
		return f, true
	}
	return Find{}, false
}

// ask asks a part that is alone on its line.
func (s *serial) ask(ctx context.Context, p askedPart) error {
	asking, cancel := context.WithTimeout(ctx, 4*answer)
	defer cancel()
	d, err := p.open(s.bus.Stream())
	c, err := probe(asking, p.model, d, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f, ok := best([]candidate{c}); ok && err == nil {
		s.found(f)
		return errAlone
	}
	return broken(err)
}

// broken returns an error of the port itself, nil for all that parts do.
func broken(err error) error {
	if errors.Is(err, hardware.ErrPermission) || err != nil && hardware.Class(err) == nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// The beginning of IEC 62056-21 mode C (clauses 6.3.1 and 6.3.14). The meter is not told
// to go on, and gives up by itself.
const (
	signOnMode = "300 7E1"
	signOn     = "/?!\r\n"
	signOnWait = 2600 * time.Millisecond // 5 characters there, up to 1.5 s of thought, the first of the answer
	slowLine   = 10 * time.Second / 300  // one character
)

// signOn asks for the identification of a meter under an optical head.
func (s *serial) signOn(ctx context.Context) error {
	stream := s.bus.Stream()
	if _, err := stream.Discard(); err != nil {
		return err
	}
	if err := stream.SetDeadline(time.Now().Add(signOnWait)); err != nil {
		return err
	}
	if _, err := stream.Write([]byte(signOn)); err != nil {
		return err
	}
	var heard []byte
	var chunk [64]byte
	for len(heard) < most {
		n, err := stream.Read(chunk[:])
		heard = append(heard, chunk[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		// Heads echo what is sent.
		rest := bytes.TrimPrefix(heard, []byte(signOn))
		start := bytes.IndexByte(rest, '/')
		if start < 0 {
			continue
		}
		line, _, whole := bytes.Cut(rest[start:], []byte("\r\n"))
		if !whole { // the longest is 21 characters (clause 6.3.2)
			if err := stream.SetDeadline(time.Now().Add(24 * slowLine)); err != nil {
				return err
			}
			continue
		}
		if id, _, err := obis.Identification(line); err == nil {
			s.found(Find{Models: []string{"iec62056"}, Identity: id, Confidence: hardware.Certain})
			return errAlone
		}
		return nil
	}
	return nil
}

// unit looks who is at a unit's address.
func (s *serial) unit(ctx context.Context, unit byte, parts []unitPart) error {
	requester := s.bus.Modbus()
	ask := questions(unit)
	if len(parts) == 1 { // it is asked what it is
		ask = nil
	}
	found, present, err := s.report.identify(ctx, requester, unit, ask, parts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := broken(err); err != nil {
		return err
	}
	switch {
	case found != nil:
		s.found(*found)
	case present == garbled:
		s.damaged = append(s.damaged, place{s.mode, unit})
	}
	return nil
}

// compare says what finds together tell. Of a part that answered at two speeds the first
// find is kept.
func (s *serial) compare() {
	s.dropAny()
	var kept []Find
	for _, f := range s.report.Finds {
		i := slices.IndexFunc(kept, func(k Find) bool { return f.Address != 0 && f.Address == k.Address })
		switch {
		case i < 0:
		case f.same(&kept[i]):
			s.report.note("Unit %d answers at %s and at %s: keep the first, and check the setting of part and adapter.", f.Address, kept[i].Mode, f.Mode)
			continue
		default:
			s.report.note("Two parts are at unit %d, one at %s and one at %s: give one of them another unit, and both one speed.", f.Address, kept[i].Mode, f.Mode)
		}
		kept = append(kept, f)
	}
	s.report.Finds = kept
	told := make(map[byte]bool)
	for _, d := range s.damaged {
		answers := slices.ContainsFunc(s.report.Finds, func(f Find) bool { return f.Address == uint16(d.unit) })
		if told[d.unit] || answers {
			continue // at a wrong speed a part may well be heard, and not understood
		}
		told[d.unit] = true
		if d.unit == modbus.AnyPZEM || d.unit == modbus.AnySenseair {
			s.report.note("Several parts answer at once to address %#02x: connect them one by one, and give each a unit of its own.", d.unit)
			continue
		}
		s.report.note("Unit %d answers damaged at %s: two parts at one address, or check termination and wires.", d.unit, d.mode)
	}
}

// dropAny takes out a find at the address of all its kind if the part was met at its own.
func (s *serial) dropAny() {
	s.report.Finds = slices.DeleteFunc(slices.Clone(s.report.Finds), func(f Find) bool {
		return f.Address > 247 && slices.ContainsFunc(s.report.Finds, func(g Find) bool {
			return g.Address <= 247 && g.Mode == f.Mode && slices.Equal(f.Models, g.Models)
		})
	})
}
