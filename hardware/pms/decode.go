package pms

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"wattmark/hardware"
)

const (
	frameSize = 32
	words     = 12 // of values; the thirteenth is reserved
)

// header begins a frame: two fixed bytes and the length of what follows, 28.
var header = []byte{0x42, 0x4D, 0x00, frameSize - 4}

// passiveRead is the command that asks for a frame in passive mode, which others set; the
// driver sends nothing (appendix II of the PMS7003's manual).
var passiveRead = []byte{0x42, 0x4D, 0xE2, 0x00, 0x00, 0x01, 0x71}

// channels are the words of a frame in order. The number of particles is told in 0.1 l.
var channels = [words]struct {
	name     string
	exponent int8
	limits   hardware.Limits
}{
	{"pm1_0_std", 0, mass}, {"pm2_5_std", 0, mass}, {"pm10_std", 0, mass},
	{"pm1_0", 0, mass}, {"pm2_5", 0, mass}, {"pm10", 0, mass},
	{"particles_gt_0_3", -2, hardware.Limits{}}, {"particles_gt_0_5", -2, hardware.Limits{}}, {"particles_gt_1_0", -2, hardware.Limits{}},
	{"particles_gt_2_5", -2, hardware.Limits{}}, {"particles_gt_5_0", -2, hardware.Limits{}}, {"particles_gt_10", -2, hardware.Limits{}},
}

// mass is the maximum range (technical index: PM2.5 standard, at least 1000 ug/m3).
var mass = hardware.Limits{High: 1000}

// sum is a frame's checksum: the bytes before it, added up.
func sum(b []byte) (s uint16) {
	for _, c := range b {
		s += uint16(c)
	}
	return s
}

// intact reports whether a frame of that many bytes begins b and ends in its sum.
func intact(b []byte, size int) bool {
	return len(b) >= size && sum(b[:size-2]) == binary.BigEndian.Uint16(b[size-2:])
}

// scan implements push.Scan.
func scan(b []byte) (start, end int) {
	start = bytes.Index(b, header)
	switch {
	case start < 0:
		for start = max(0, len(b)-len(header)+1); start < len(b); start++ {
			if bytes.HasPrefix(header, b[start:]) {
				return start, 0 // it may go on
			}
		}
		return len(b), 0
	case len(b)-start < frameSize:
		return start, 0
	case !intact(b[start:], frameSize):
		// Half a frame, and another: the first ends where the other begins.
		if next := bytes.Index(b[start+1:start+frameSize], header); next >= 0 {
			return start, start + 1 + next
		}
	}
	return start, start + frameSize
}

// Decode implements hardware.Decoder: it takes the first frame that is intact, whatever
// was received before it and after. A read in passive mode is to be answered once. Whether the part warms up is not in the bytes: it is
// as of the last Sense.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	skipped, trailing, found := 0, 0, false
	var refused error
	for i := range t.Len() {
		sent, b := t.Exchange(i)
		if bytes.Equal(sent, passiveRead) {
			if err := answeredOnce(b); err != nil {
				dst.ResetValues()
				return err
			}
		}
		if found {
			trailing += len(b)
			continue
		}
		at, err := find(b, refused)
		refused = err
		skipped += at
		if found = at < len(b); found {
			trailing = len(b) - at - frameSize
			d.add(b[at:], dst)
		}
	}
	switch {
	case found:
	case refused != nil:
		return refused
	case skipped > 0:
		return &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("no frame begins in %d bytes", skipped)}
	default:
		return &hardware.Error{Class: hardware.ErrTruncated, Err: errors.New("nothing was received")}
	}
	if skipped > 0 {
		dst.Warn(hardware.WarnResync, fmt.Sprintf("%d bytes before the first good frame", skipped))
	}
	if trailing > 0 {
		dst.Warn(hardware.WarnTrailing, fmt.Sprintf("%d bytes after the first good frame", trailing))
	}
	return nil
}

// answeredOnce checks that b, which answers a read in passive mode, is one frame at most.
func answeredOnce(b []byte) error {
	if len(b) == 0 {
		return &hardware.Error{Class: hardware.ErrStale, Err: errors.New("the request was not answered")}
	}
	at, _ := find(b, nil)
	if at == len(b) {
		return nil // damaged, which is another matter
	}
	if rest := b[at+frameSize:]; len(rest) >= frameSize {
		if next, _ := find(rest, nil); next < len(rest) {
			return &hardware.Error{Class: hardware.ErrStale, Err: errors.New("two frames answer one request")}
		}
	}
	return nil
}

// find returns where the first intact frame is in b, len(b) if there is none, and what is
// wrong with what looked like one before; refused is what was wrong until then.
func find(b []byte, refused error) (int, error) {
	for at := 0; at < len(b); at++ {
		next := bytes.Index(b[at:], header[:2])
		if next < 0 {
			return len(b), refused
		}
		at += next
		switch rest := b[at:]; {
		case bytes.HasPrefix(rest, header) && intact(rest, frameSize):
			return at, refused
		case refused == nil:
			refused = wrong(rest)
		}
	}
	return len(b), refused
}

// wrong says what is wrong with b, which begins as a frame does.
func wrong(b []byte) error {
	if len(b) < len(header) {
		return truncated(len(b))
	}
	size := 4 + int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case size != frameSize && size >= 6 && intact(b, size):
		return &hardware.Error{Class: hardware.ErrWrongDevice, Err: fmt.Errorf("a frame of %d bytes, this part's have %d: it is another of its family", size, frameSize)}
	case size != frameSize:
		return &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("the length is %d, a frame's is %d", size-4, frameSize-4)}
	case len(b) < frameSize:
		return truncated(len(b))
	}
	return &hardware.Error{Class: hardware.ErrChecksum, Err: fmt.Errorf("the bytes add up to %#04x, the frame says %#04x", sum(b[:frameSize-2]), binary.BigEndian.Uint16(b[frameSize-2:]))}
}

func truncated(n int) error {
	return &hardware.Error{Class: hardware.ErrTruncated, Err: fmt.Errorf("%d bytes of a frame of %d", n, frameSize)}
}

// add adds the values of an intact frame.
func (d *Dev) add(frame []byte, dst *hardware.Batch) {
	for i, c := range channels {
		w := binary.BigEndian.Uint16(frame[len(header)+2*i:])
		dst.Add(hardware.Value{Channel: uint8(i), Mantissa: int64(w), Exponent: c.exponent, Quality: d.doubt}, c.limits)
	}
}
