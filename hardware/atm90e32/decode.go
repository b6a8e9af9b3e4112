package atm90e32

import (
	"errors"
	"fmt"

	"wattmark/hardware"
)

// image is what is known of a part's registers.
type image struct {
	word [256]uint16
	has  [256]bool
	// last is the address of the exchange before, whose word is repeated by
	// regLastData; -1 if there is none that can be checked.
	last int
}

// Decode implements hardware.Decoder. An exchange is what was shifted out and in: four
// bytes each way, or the address and the data alone. Several merge, a later one replaces
// an earlier; regLastData must repeat the word before it.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	i := image{last: -1}
	for x := range t.Len() {
		if err := i.collect(t.Exchange(x)); err != nil {
			return err
		}
	}
	i.convert(d, dst)
	return nil
}

// DecodeRegisters implements hardware.RegisterDecoder.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	if r.Digits() != 4 && r.Digits() != 0 {
		return malformed(hardware.ErrMalformed, "the part's registers have four digits")
	}
	var i image
	for a := range 256 {
		if w, ok := r.Word(hardware.TableDefault, uint16(a)); ok {
			i.word[a], i.has[a] = w, true
		}
	}
	i.convert(d, dst)
	return nil
}

func malformed(class error, format string, arguments ...any) error {
	return &hardware.Error{Class: class, Err: fmt.Errorf(format, arguments...)}
}

// collect takes one exchange.
func (i *image) collect(sent, received []byte) error {
	switch {
	case len(sent) == 0:
		return &hardware.Error{Class: hardware.ErrMalformed, Err: errors.New("bytes without the address that they answer"),
			Remedy: "mark what was sent with > and what was received with <"}
	case len(sent) != 2 && len(sent) != 4:
		return malformed(hardware.ErrMalformed, "%d bytes sent are no address, with data or without", len(sent))
	case sent[0]&0x7F != 0:
		return malformed(hardware.ErrMalformed, "address %#04x is beyond the last register", uint16(sent[0]&0x7F)<<8|uint16(sent[1]))
	}
	address := sent[1]
	if read := sent[0]&0x80 != 0; !read {
		if len(sent) != 4 || len(received) != 0 && len(received) != 4 {
			return malformed(hardware.ErrMalformed, "writing register %#02x takes four bytes, not %d", address, len(sent))
		}
		i.store(address, uint16(sent[2])<<8|uint16(sent[3]))
		return nil
	}
	switch len(received) {
	case 2, 4:
	case 0, 1, 3:
		return malformed(hardware.ErrTruncated, "%d bytes of register %#02x", len(received), address)
	default:
		return malformed(hardware.ErrWrongReply, "%d bytes of register %#02x", len(received), address)
	}
	data := received[len(received)-2:]
	word := uint16(data[0])<<8 | uint16(data[1])
	if address != regLastData {
		i.store(address, word)
		return nil
	}
	if i.last >= 0 && i.word[i.last] != word {
		return mismatch(byte(i.last), i.word[i.last], word)
	}
	return nil
}

// store takes a word. Those of energy cannot be checked: the driver asks again for one
// that came damaged, see Dev.count.
func (i *image) store(address byte, word uint16) {
	i.word[address], i.has[address] = word, true
	i.last = int(address)
	if address >= firstEnergy && address <= lastEnergy {
		i.last = -1
	}
}

// convert makes values of registers.
func (i *image) convert(d *Dev, dst *hardware.Batch) {
	any := false
	for k := range measured {
		c := &measured[k]
		any = any || i.has[c.address] || c.kind == pair && i.has[c.address+lowWord]
	}
	if !any {
		return // it sets the part up
	}
	for k := range measured {
		c := &measured[k]
		if !i.has[c.address] || c.kind == pair && !i.has[c.address+lowWord] {
			dst.Warn(hardware.WarnSkipped, c.name)
			continue
		}
		n := c.number(i.word[c.address], i.word[c.address+lowWord])
		dst.Add(hardware.Value{Channel: uint8(k), Mantissa: n * c.mantissa, Exponent: c.exponent}, d.about.Channels[k].Limits)
	}
}
