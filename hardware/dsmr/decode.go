package dsmr

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"wattmark/hardware"
	"wattmark/hardware/obis"
	"wattmark/hardware/push"
)

// search takes white space around a telegram for nothing.
var search = push.Search{Name: "telegram", Scan: scan, Begin: []byte{'/'}, BlankBefore: blank, BlankAfter: blank}

const blank = "\t\n\v\f\r "

// Decode implements hardware.Decoder. It takes the first good telegram of what was
// received, and warns of what came before and after it; without a good one it returns
// what is wrong with the first.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	found, refused := search.First(t, dst, telegram)
	if !found && refused == nil {
		return nothing(t)
	}
	return refused
}

// smlStart begins every SML file.
var smlStart = []byte{0x1B, 0x1B, 0x1B, 0x1B, 0x01, 0x01, 0x01, 0x01}

// nothing says what is wrong with bytes in which no telegram begins.
func nothing(t *hardware.Transcript) error {
	for i := range t.Len() {
		_, received := t.Exchange(i)
		switch {
		case bytes.Contains(received, smlStart):
			return refuse(hardware.ErrWrongDevice, errors.New("this is SML"))
		case bytes.IndexByte(received, '!') >= 0:
			return refuse(hardware.ErrTruncated, errors.New("the telegram's beginning is missing"))
		case len(received) > 0:
			return refuse(hardware.ErrMalformed, errors.New("no telegram: no \"/\" begins one"))
		}
	}
	return refuse(hardware.ErrTruncated, errors.New("nothing was received"))
}

func refuse(class, err error) error {
	return &hardware.Error{Class: class, Op: "reading a telegram", Err: err}
}

// scan implements push.Scan. A telegram begins with "/", which stands nowhere else in it
// (IEC 62056-21, 6.3.2), and ends with the line that begins with "!".
func scan(b []byte) (start, end int) {
	start = bytes.IndexByte(b, '/')
	if start < 0 {
		return len(b), 0
	}
	last := false // in the last line
	for i := start + 1; i < len(b); i++ {
		switch {
		case b[i] == '/':
			return start, i
		case b[i] == '!' && b[i-1] == '\n':
			last = true
		case b[i] == '\n' && last:
			return start, i + 1
		}
	}
	return start, 0
}

// telegram decodes the telegram that b is from "/" to the end of its last line.
func telegram(b []byte, dst *hardware.Batch) error {
	if len(b) > push.MaxFrame {
		return refuse(hardware.ErrMalformed, fmt.Errorf("a telegram of %d bytes; at most %d are taken", len(b), push.MaxFrame))
	}
	mark := bytes.LastIndex(b, []byte("\n!"))
	if mark < 0 {
		return refuse(hardware.ErrTruncated, errors.New("the telegram has no end"))
	}
	mark++
	checked, err := verify(b[:mark+1], bytes.TrimRight(b[mark+1:], "\r\n"))
	if err != nil {
		return err
	}
	heading, data, _ := bytes.Cut(b[:mark], []byte{'\n'})
	id, _, err := obis.Identification(bytes.TrimRight(heading, "\r"))
	if err != nil {
		return err
	}
	if bytes.IndexByte(data, stx) >= 0 {
		return refuse(hardware.ErrWrongDevice, errors.New("this is a readout by IEC 62056-21 mode C"))
	}
	var m obis.Message
	if err := m.ReadText(data, dst); err != nil {
		return err
	}
	quality := hardware.Quality(0)
	if !checked {
		if fourOrLater(m.Version) {
			return refuse(hardware.ErrTruncated, fmt.Errorf("version %s ends with a checksum, and here is none", m.Version))
		}
		quality = hardware.Unverified
		dst.Warn(hardware.WarnNoChecksum, "the telegram carries none")
	}
	m.Fill(dst, quality)
	id.Serial, id.Version = m.Serial, m.Version
	dst.Identity = id
	return nil
}

// stx begins a block of data in IEC 62056-21 mode C.
const stx = 0x02

// fourOrLater reports whether a telegram says that it is of version 4 or later: "42",
// "50", in Belgium "50217".
func fourOrLater(version string) bool {
	return len(version) >= 2 && version[0] >= '4' && version[0] <= '9'
}

// verify checks a telegram up to and including its "!" against the digits after it. Some
// meters print no leading zeros. Before version 4 there are no digits: checked is false.
func verify(b, digits []byte) (checked bool, err error) {
	if len(digits) == 0 {
		return false, nil
	}
	want, err := strconv.ParseUint(string(digits[:min(len(digits), 5)]), 16, 16)
	if err != nil || len(digits) > 4 {
		return false, refuse(hardware.ErrMalformed, fmt.Errorf("%.20q after the \"!\" is no checksum of 1 to 4 hexadecimal digits", digits))
	}
	if got := crc16(b); got != uint16(want) {
		return false, refuse(hardware.ErrChecksum, fmt.Errorf("the telegram's is %04X, its bytes make %04X", want, got))
	}
	return true, nil
}

// crc16 is the checksum of P1 (companion standard 5.0.2, section 5.2): x^16+x^15+x^2+1,
// least significant bit first, no inversion, starting with zero.
func crc16(b []byte) uint16 {
	crc := uint16(0)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
