// Package sensirion speaks the I2C protocol that Sensirion's parts share: 16-bit
// commands, 16-bit words each followed by a CRC-8, and a pause between a command and
// the read of its answer, which are two transfers.
//
// It follows the SCD4x data sheet version 1.1 (April 2021), sections 3.2 to 3.4 and
// 3.11, and the SCD30 interface description version 1.0 (May 2020), section 1.1.
package sensirion

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"wattmark/hardware"
)

// WordSize is the length of a word with its checksum.
const WordSize = 3

// maxWords is the longest answer of any part of the family (SPS30: ten floats).
const maxWords = 20

// CRC returns the checksum of a word: polynomial 0x31, start 0xFF, not reflected.
// The data sheets' example: CRC(0xBEEF) is 0x92.
func CRC(word uint16) byte {
	crc := byte(0xFF)
	for _, b := range [2]byte{byte(word >> 8), byte(word)} {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// AppendWord appends word and its checksum to b.
func AppendWord(b []byte, word uint16) []byte {
	return append(b, byte(word>>8), byte(word), CRC(word))
}

// Check checks that received holds exactly n words with right checksums: used or
// not, each is checked. Fewer are ErrTruncated, more ErrWrongReply.
func Check(received []byte, n int) error {
	if len(received) != n*WordSize {
		class := hardware.ErrWrongReply
		if len(received) < n*WordSize {
			class = hardware.ErrTruncated
		}
		return &hardware.Error{Class: class, Err: fmt.Errorf("%d bytes, where %d words of %d bytes are expected", len(received), n, WordSize)}
	}
	for i := range n {
		word := Word(received, i)
		if got, want := received[i*WordSize+2], CRC(word); got != want {
			return &hardware.Error{Class: hardware.ErrChecksum, Err: fmt.Errorf("word %d is %#04x with CRC %#02x, calculated %#02x", i, word, got, want)}
		}
	}
	return nil
}

// Word returns word i of an answer that Check accepted.
func Word(received []byte, i int) uint16 {
	return binary.BigEndian.Uint16(received[i*WordSize:])
}

// Command returns the command that was sent, and whether sent is one at all: two
// bytes, then words with checksums.
func Command(sent []byte) (code uint16, ok bool) {
	if len(sent) < 2 || Check(sent[2:], (len(sent)-2)/WordSize) != nil {
		return 0, false
	}
	return binary.BigEndian.Uint16(sent), true
}

// Port exchanges commands and words with one part. It has one user at a time.
type Port struct {
	bus     i2c.Bus
	address uint16
	out     [2 + 2*WordSize]byte
	in      [maxWords * WordSize]byte
	timer   *time.Timer
}

// NewPort returns a port to the part at address. Without a bus, nil, all transfers fail.
func NewPort(bus i2c.Bus, address uint16) *Port { return &Port{bus: bus, address: address} }

// Bus returns the bus's name.
func (p *Port) Bus() string {
	if p.bus == nil {
		return ""
	}
	return p.bus.String()
}

// Address returns the part's address.
func (p *Port) Address() uint16 { return p.address }

// Send sends a command, with at most two words of argument, records it in t and then
// waits: the part is busy for that long.
func (p *Port) Send(ctx context.Context, t *hardware.Transcript, code uint16, wait time.Duration, arguments ...uint16) error {
	b := binary.BigEndian.AppendUint16(p.out[:0], code)
	for _, a := range arguments {
		b = AppendWord(b, a)
	}
	t.Send(b)
	if err := p.transfer(b, nil); err != nil {
		return hardware.I2CError(err, fmt.Sprintf("sending command %#04x", code))
	}
	return p.Wait(ctx, wait)
}

// Read sends a command, waits, and reads n words, which it records in t and checks.
// The two transfers are separate: the parts need the pause, and some do not support
// a repeated start.
func (p *Port) Read(ctx context.Context, t *hardware.Transcript, code uint16, wait time.Duration, n int) ([]byte, error) {
	if err := p.Send(ctx, t, code, wait); err != nil {
		return nil, err
	}
	return p.Receive(t, code, n)
}

// Receive reads the n words that answer a command sent before.
func (p *Port) Receive(t *hardware.Transcript, code uint16, n int) ([]byte, error) {
	b := p.in[:n*WordSize]
	if err := p.transfer(nil, b); err != nil {
		return nil, hardware.I2CError(err, fmt.Sprintf("reading the answer to command %#04x", code))
	}
	t.Receive(b)
	if err := Check(b, n); err != nil {
		e := err.(*hardware.Error)
		e.Op = fmt.Sprintf("reading the answer to command %#04x", code)
		return nil, e
	}
	return b, nil
}

func (p *Port) transfer(w, r []byte) error {
	if p.bus == nil {
		return errors.New("the driver has no bus")
	}
	return p.bus.Tx(p.address, w, r)
}

// Wait lets d pass, or returns the end of ctx as ErrTimeout.
func (p *Port) Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		p.timer.Stop()
		return &hardware.Error{Class: hardware.ErrTimeout, Op: "waiting for the part", Err: ctx.Err()}
	}
}
