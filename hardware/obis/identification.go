package obis

import (
	"bytes"
	"fmt"

	"wattmark/hardware"
)

// Identification reads the line with which a text begins: "/", three letters of the
// maker, a character for the speed, and the meter's own name, before which "\" and a
// digit may stand (IEC 62056-21, 6.3.2).
func Identification(line []byte) (id hardware.Identity, speed byte, err error) {
	if len(line) < 5 || line[0] != '/' || !letters(line[1:4]) {
		return id, 0, &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("%.40q identifies no meter", line)}
	}
	id.Manufacturer = string(line[1:4])
	model := line[5:]
	if len(model) > 0 && model[0] == '\\' {
		model = model[1:]
		if len(model) > 0 && model[0] >= '0' && model[0] <= '9' {
			model = model[1:]
		}
	}
	id.Model = string(bytes.Trim(model, "\x00 "))
	return id, line[4], nil
}

func letters(b []byte) bool {
	for _, c := range b {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}
