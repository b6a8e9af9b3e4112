package sml

import (
	"bytes"
	"errors"

	"wattmark/hardware"
)

// Decode implements hardware.Decoder. It takes the first good file of what was received,
// and warns of what came before and after it; without a good one it returns what is
// wrong with the first.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var refused error
	found, before, after := false, false, false
	for i := range t.Len() {
		_, received := t.Exchange(i)
		for len(received) > 0 {
			if found {
				after = true
				break
			}
			start, end := scan(received)
			if end == 0 {
				end = len(received)
			}
			before = before || start > 0
			if start < end {
				dst.ResetValues()
				err := messages(received[start:end], dst)
				found = err == nil
				before = before || !found
				if refused == nil {
					refused = err
				}
				if !found { // bytes that are lost may hide the next beginning in it
					end = start + len(begin)
				}
			}
			received = received[min(end, len(received)):]
		}
	}
	if !found {
		dst.ResetValues()
		if refused == nil {
			refused = nothing(t)
		}
		return refused
	}
	if before {
		dst.Warn(hardware.WarnResync, "skipped what came before the first good file")
	}
	if after {
		dst.Warn(hardware.WarnTrailing, "ignored what came after the file")
	}
	return nil
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
