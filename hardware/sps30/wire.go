package sps30

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
	"wattmark/hardware/uart"
)

// Commands of the UART (5.3).
const (
	shdlcStart       = 0x00 // 5.3.1
	shdlcStop        = 0x01 // 5.3.2
	shdlcMeasurement = 0x03 // 5.3.3
	shdlcInformation = 0xD0 // 5.3.9
	shdlcVersion     = 0xD1 // 5.3.10
	shdlcStatus      = 0xD2 // 5.3.11
)

// Arguments of shdlcInformation.
const (
	informationType   = 0x00
	informationSerial = 0x03
)

// floatFormat is the argument of a start that asks for ten float32 (5.3.1, 6.3.1).
const floatFormat = 0x03

// Requests of the UART as they go over the wire.
var (
	requestStart       = appendRequest(nil, shdlcStart, 0x01, floatFormat)
	requestStop        = appendRequest(nil, shdlcStop)
	requestMeasurement = appendRequest(nil, shdlcMeasurement)
	requestType        = appendRequest(nil, shdlcInformation, informationType)
	requestSerial      = appendRequest(nil, shdlcInformation, informationSerial)
	requestVersion     = appendRequest(nil, shdlcVersion)
	requestStatus      = appendRequest(nil, shdlcStatus, 0x00) // and leaves it as it is
)

// shdlcWire is a part on a UART.
type shdlcWire struct {
	port    *uart.Port
	timeout time.Duration
	content content
	// flagged: the last reply pointed at the status register.
	flagged bool
}

// String says how the part is connected.
func (w *shdlcWire) String() string { return "on a serial line" }

func (w *shdlcWire) bus() string { return w.port.Bus() }

// ask sends a request and reads its reply.
func (w *shdlcWire) ask(ctx context.Context, t *hardware.Transcript, request []byte) (reply, error) {
	b, err := w.port.Ask(ctx, t, request, w.timeout, cut)
	if err != nil {
		return reply{}, err
	}
	r, err := w.content.read(b)
	if err == nil && r.command != command(request) {
		err = refuse(hardware.ErrWrongReply, "command %#02x was answered, %#02x was sent", r.command, command(request))
	}
	w.flagged = r.state&failing != 0
	return r, err
}

// command returns the command of a request of ours: none of them is stuffed.
func command(request []byte) byte { return request[2] }

// told sends a request whose reply says no more than that it was done.
func (w *shdlcWire) told(ctx context.Context, t *hardware.Transcript, request []byte) error {
	r, err := w.ask(ctx, t, request)
	if err == nil {
		err = r.refused()
	}
	return err
}

func (w *shdlcWire) measurement(ctx context.Context, t *hardware.Transcript) (started bool, err error) {
	r, err := w.ask(ctx, t, requestMeasurement)
	switch {
	case err != nil:
		return false, err
	case r.state&^failing == stateNotAllowed:
		return false, noData()
	case r.refused() != nil:
		return true, r.refused()
	case len(r.data) == 0:
		return true, noData()
	}
	return true, nil
}

func (w *shdlcWire) start(ctx context.Context, t *hardware.Transcript) error {
	return w.change(ctx, t, requestStart)
}

func (w *shdlcWire) stop(ctx context.Context, t *hardware.Transcript) error {
	return w.change(ctx, t, requestStop)
}

// change sends a start or stop; a part that was started or stopped already, as after a
// reply that was lost, says that it is not allowed, which is as well.
func (w *shdlcWire) change(ctx context.Context, t *hardware.Transcript, request []byte) error {
	r, err := w.ask(ctx, t, request)
	if err == nil && r.state&^failing != stateNotAllowed {
		err = r.refused()
	}
	return err
}

func (w *shdlcWire) identify(ctx context.Context, t *hardware.Transcript) error {
	for _, request := range [...][]byte{requestType, requestSerial, requestVersion} {
		if err := w.told(ctx, t, request); err != nil {
			return err
		}
	}
	return nil
}

func (w *shdlcWire) suspect() bool { return w.flagged }

func (w *shdlcWire) status(ctx context.Context, t *hardware.Transcript) error {
	return w.told(ctx, t, requestStatus)
}

// Commands of I2C (6.3).
const (
	i2cStart       = 0x0010 // 6.3.1
	i2cStop        = 0x0104 // 6.3.2
	i2cReady       = 0x0202 // 6.3.3
	i2cMeasurement = 0x0300 // 6.3.4
	i2cType        = 0xD002 // 6.3.9
	i2cSerial      = 0xD033 // 6.3.9
	i2cVersion     = 0xD100 // 6.3.10
	i2cStatus      = 0xD206 // 6.3.11, from firmware 2.2
)

const (
	settle = 20 * time.Millisecond // after a start or stop (table 15)
	pause  = 5 * time.Millisecond  // between a command and the read of its answer
)

// i2cWire is a part on I2C.
type i2cWire struct {
	port      *sensirion.Port
	named     bool // there is a bus
	hasStatus bool // the firmware has the status register
}

// String says how the part is connected.
func (w *i2cWire) String() string { return fmt.Sprintf("at %#02x", w.port.Address()) }

func (w *i2cWire) bus() string {
	if !w.named {
		return ""
	}
	return w.port.Bus()
}

func (w *i2cWire) measurement(ctx context.Context, t *hardware.Transcript) (started bool, err error) {
	ready, err := w.port.Read(ctx, t, i2cReady, pause, 1)
	if err != nil {
		return false, err
	}
	if sensirion.Word(ready, 0) != 1 {
		return true, noData() // or not started: it does not say which
	}
	_, err = w.port.Read(ctx, t, i2cMeasurement, pause, 2*floats)
	return true, err
}

// start stops the part first: one that measures after all would refuse.
func (w *i2cWire) start(ctx context.Context, t *hardware.Transcript) error {
	if err := w.stop(ctx, t); err != nil {
		return err
	}
	return w.port.Send(ctx, t, i2cStart, settle, floatFormat<<8)
}

func (w *i2cWire) stop(ctx context.Context, t *hardware.Transcript) error {
	return w.port.Send(ctx, t, i2cStop, settle)
}

func (w *i2cWire) identify(ctx context.Context, t *hardware.Transcript) error {
	if _, err := w.port.Read(ctx, t, i2cType, pause, 4); err != nil {
		return err
	}
	if _, err := w.port.Read(ctx, t, i2cSerial, pause, 16); err != nil {
		return err
	}
	v, err := w.port.Read(ctx, t, i2cVersion, pause, 1)
	if err != nil {
		return err
	}
	w.hasStatus = sensirion.Word(v, 0) >= 0x0202
	return nil
}

func (w *i2cWire) suspect() bool { return w.hasStatus }

func (w *i2cWire) status(ctx context.Context, t *hardware.Transcript) error {
	if !w.hasStatus {
		return fmt.Errorf("%w: firmware before 2.2 has no status register", errors.ErrUnsupported)
	}
	_, err := w.port.Read(ctx, t, i2cStatus, pause, 2)
	return err
}
