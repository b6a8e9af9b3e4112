package sml

import (
	"bytes"
	"errors"

	"wattmark/hardware"
	"wattmark/hardware/push"
)

var search = push.Search{Name: "file", Scan: scan, Begin: begin}

// Decode implements hardware.Decoder. It takes the first good file of what was received,
// and warns of what came before and after it; without a good one it returns what is
// wrong with the first.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	found, refused := search.First(t, dst, messages)
	if !found && refused == nil {
		return nothing(t)
	}
	return refused
}

// nothing says what is wrong with bytes in which no file begins.
func nothing(t *hardware.Transcript) error {
	for i := range t.Len() {
		_, received := t.Exchange(i)
		switch {
		case len(received) > 0 && received[0] == '/':
			return refuse(hardware.ErrWrongDevice, errors.New("this is text, as DSMR and IEC 62056-21 have it"))
		case bytes.Contains(received, append(escape[:4:4], endMark)):
			return refuse(hardware.ErrTruncated, errors.New("the file's beginning is missing"))
		case len(received) > 0:
			return refuse(hardware.ErrMalformed, errors.New("no file: no start sequence begins one"))
		}
	}
	return refuse(hardware.ErrTruncated, errors.New("nothing was received"))
}

// messages decodes the messages of the file that b is.
func messages(b []byte, dst *hardware.Batch) error {
	body, err := file(b)
	if err != nil {
		return err
	}
	var l list
	for r := (reader{body}); len(r.rest) > 0; {
		if r.rest[0] == endOfMessage { // more fill than the file says
			r.rest = r.rest[1:]
			continue
		}
		if err := l.message(&r); err != nil {
			return err
		}
	}
	l.fill(dst)
	return nil
}
