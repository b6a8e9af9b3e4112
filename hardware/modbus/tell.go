package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/hardware"
)

// question is what Tell asks. A unit that has no such register says so, which tells as
// much. As a frame of Modbus TCP it is no RTU frame, whatever unit is asked: the CRC
// would have to be in the last two bytes, and a test tries all units.
func question(unit byte) Request {
	return Request{Unit: unit, Function: ReadHolding, Address: 0, Count: 1}
}

// Tell finds out which framing the server speaks that dial connects to, by reading one
// register of a unit with each in turn, on a connection of its own. It only reads. The
// error is ErrAbsent when neither is answered: there may be no such unit.
func Tell(ctx context.Context, dial func(ctx context.Context) (Conn, error), unit byte, timeout time.Duration) (Framing, error) {
	if timeout <= 0 {
		timeout = DefaultTCPTimeout
	}
	for _, f := range [...]Framing{FramingTCP, FramingRTU} {
		speaks, err := ask(ctx, dial, f, unit, timeout)
		if speaks || err != nil {
			return f, err
		}
	}
	return 0, &hardware.Error{Class: hardware.ErrAbsent, Op: question(unit).String(),
		Err:    fmt.Errorf("no answer within %s, neither to %s nor to %s", timeout, FramingTCP, FramingRTU),
		Remedy: "check the unit's number, and the wires behind the converter"}
}

// ask reports whether the server answers in framing f. Its error is one of connecting,
// or the end of ctx.
func ask(ctx context.Context, dial func(ctx context.Context) (Conn, error), f Framing, unit byte, timeout time.Duration) (bool, error) {
	conn, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }() // it was for one question
	var client Requester = NewTCP(conn, TCPOpts{Timeout: timeout})
	if f == FramingRTU {
		client = NewRTU(conn, RTUOpts{Timeout: timeout})
	}
	var t hardware.Transcript
	_, err = client.Exchange(ctx, question(unit), &t)
	if ctx.Err() != nil {
		return false, err
	}
	// Whatever is wrong with a reply in this framing, a server of the other would not
	// have sent it.
	return err == nil || errors.Is(err, hardware.ErrDevice) || errors.Is(err, hardware.ErrWrongDevice) || errors.Is(err, hardware.ErrWrongReply), nil
}
