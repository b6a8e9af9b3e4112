package bme280

import (
	"errors"
	"fmt"

	"wattmark/hardware"
)

// image is what is known of a part's registers.
type image struct {
	b   [256]byte
	has [256]bool
}

// put takes the bytes at consecutive addresses. It is false when they go beyond the
// last one.
func (i *image) put(address int, b []byte) bool {
	if address+len(b) > len(i.b) {
		return false
	}
	for k, c := range b {
		i.b[address+k], i.has[address+k] = c, true
	}
	return true
}

// at returns n bytes from an address on, nil if one of them is not known.
func (i *image) at(address, n int) []byte {
	for _, has := range i.has[address : address+n] {
		if !has {
			return nil
		}
	}
	return i.b[address : address+n]
}

// Decode implements hardware.Decoder. Several exchanges merge, a later one replaces an
// earlier. Bytes received without a register's address are the measurements (6 or 8 of
// them from F7h on), the 26, 7 and 8 bytes that drivers usually read, or all registers
// from 88h or 00h on.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var i image
	for x := range t.Len() {
		if err := i.collect(t.Exchange(x)); err != nil {
			return err
		}
	}
	return d.finish(&i, dst)
}

// DecodeRegisters implements hardware.RegisterDecoder: two digits a register.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	if r.Digits() > 2 {
		return malformed(hardware.ErrMalformed, "the part's registers have two digits")
	}
	var i image
	for a := range 256 {
		if w, ok := r.Word(hardware.TableDefault, uint16(a)); ok {
			i.put(a, []byte{byte(w)})
		}
	}
	return d.finish(&i, dst)
}

func (d *Dev) finish(i *image, dst *hardware.Batch) error {
	err := d.convert(i, dst)
	if err != nil {
		dst.ResetValues()
	}
	return err
}

func malformed(class error, format string, arguments ...any) error {
	return &hardware.Error{Class: class, Err: fmt.Errorf(format, arguments...)}
}

// collect takes one exchange.
func (i *image) collect(sent, received []byte) error {
	switch {
	case len(sent) == 0:
		return i.unasked(received)
	case len(sent)%2 == 0 && len(received) == 0: // registers and what is written to them (6.2.1)
		for k := 0; k < len(sent); k += 2 {
			i.put(int(sent[k]), sent[k+1:k+2])
		}
		return nil
	case len(sent) != 1:
		return malformed(hardware.ErrMalformed, "%d bytes sent neither name a register nor write any", len(sent))
	case len(received) == 0:
		return malformed(hardware.ErrTruncated, "register %#02x was not answered", sent[0])
	case !i.put(int(sent[0]), received):
		return malformed(hardware.ErrWrongReply, "%d bytes from register %#02x on, which is beyond the last", len(received), sent[0])
	}
	return nil
}

// unasked takes bytes that were received without a register's address.
func (i *image) unasked(b []byte) error {
	switch len(b) {
	case 6, 8:
		i.put(regData, b)
	case calibrationSize + humiditySize + dataSize:
		i.put(regCalibration, b[:calibrationSize])
		i.put(regHumidity, b[calibrationSize:calibrationSize+humiditySize])
		i.put(regData, b[calibrationSize+humiditySize:])
	case regData + dataSize - regCalibration:
		i.put(regCalibration, b)
	case 256:
		i.put(0, b)
	default:
		class := hardware.ErrWrongReply
		if len(b) < 6 {
			class = hardware.ErrTruncated
		}
		return malformed(class, "%d bytes are neither measurements nor a dump", len(b))
	}
	return nil
}

// convert makes values of registers.
func (d *Dev) convert(i *image, dst *hardware.Batch) error {
	hasHumidity := true
	if i.has[regID] {
		id, err := identify(i.b[regID])
		if err != nil {
			return err
		}
		dst.Identity = id
		hasHumidity = i.b[regID] == chipBME280
	}
	if i.has[regStatus] && i.b[regStatus]&statusUpdating != 0 {
		return noData("the part is still loading its coefficients")
	}
	rawP, rawT, rawH := i.at(regData, 3), i.at(regData+3, 3), i.at(regData+6, 2)
	if rawP == nil && rawT == nil && rawH == nil {
		return nil // it identifies the part or sets it up
	}
	var c coefficients
	calibration := i.at(regCalibration, 24)
	if calibration != nil {
		if blank(calibration) {
			return &hardware.Error{Class: hardware.ErrDevice, Op: "reading the coefficients", Err: errors.New("there are none"), Remedy: "power the part off and on, or replace it"}
		}
		c.temperatureAndPressure(calibration)
	}
	if !measured20(rawT) && !measured20(rawP) && !measured16(rawH) {
		return noData("nothing was measured since power-up")
	}
	if calibration == nil || !measured20(rawT) { // all else is calculated from it
		for _, channel := range d.about.Channels {
			if hasHumidity || channel.Name != "relative_humidity" {
				dst.Warn(hardware.WarnSkipped, channel.Name)
			}
		}
		return nil
	}
	fine := c.fine(word20(rawT))
	d.add(dst, temperature, centidegrees(fine), -2)
	pascals, ok := int64(0), measured20(rawP)
	if ok {
		pascals, ok = c.pascals(word20(rawP), fine)
	}
	if ok {
		d.add(dst, pressure, pascals, 0)
	} else {
		dst.Warn(hardware.WarnSkipped, "pressure")
	}
	if !hasHumidity {
		return nil
	}
	h1, rest := i.at(regH1, 1), i.at(regHumidity, humiditySize)
	if h1 == nil || rest == nil || !measured16(rawH) {
		dst.Warn(hardware.WarnSkipped, "relative_humidity")
		return nil
	}
	c.humidity(h1[0], rest)
	d.add(dst, humidity, c.centipercent(int64(rawH[0])<<8|int64(rawH[1]), fine), -2)
	return nil
}

func (d *Dev) add(dst *hardware.Batch, channel int, mantissa int64, exponent int8) {
	dst.Add(hardware.Value{Channel: uint8(channel), Mantissa: mantissa, Exponent: exponent}, d.about.Channels[channel].Limits)
}

// word20 is a number of 20 bits, high byte first.
func word20(b []byte) int64 { return int64(b[0])<<12 | int64(b[1])<<4 | int64(b[2])>>4 }

// measured20 and measured16 report whether b is there and not what stands there before
// the first measurement, and for good if it is switched off (table 19 to 22).
func measured20(b []byte) bool { return b != nil && word20(b) != 0x80000 }
func measured16(b []byte) bool { return b != nil && (b[0] != 0x80 || b[1] != 0) }

// blank reports whether all bytes are what an empty memory or bus reads as.
func blank(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return b[0] == 0 || b[0] == 0xFF
}

// identify returns what a chip's number says, or that it is another part's.
func identify(chip byte) (hardware.Identity, error) {
	id := hardware.Identity{Manufacturer: "Bosch Sensortec"}
	switch chip {
	case chipBME280:
		id.Model = "Bosch Sensortec BME280"
	case chipBMP280, 0x56, 0x57: // the latter two are samples (BMP280 data sheet, 4.3.1)
		id.Model = "Bosch Sensortec BMP280"
	default:
		return id, &hardware.Error{Class: hardware.ErrWrongDevice, Op: "identifying the part",
			Err: fmt.Errorf("chip %#02x is neither a BME280 nor a BMP280", chip), Remedy: "correct the model or the address"}
	}
	return id, nil
}
