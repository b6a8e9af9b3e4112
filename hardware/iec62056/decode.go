package iec62056

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/hardware"
	"wattmark/hardware/obis"
	"wattmark/hardware/push"
)

// The control characters of the protocol (clause 6.3).
const (
	stx = 0x02
	etx = 0x03
	ack = 0x06
	nak = 0x15
)

// fill are bytes that may follow a message: they say nothing.
const fill = "\x00\x7f\xff\r\n "

// Decode implements hardware.Decoder. Where requests are recorded, each must have its one
// answer. Without, it takes the first good message of what was received and warns of what
// came before and after it; without a good one it returns what is wrong with the first.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	err := error(nil)
	if asked(t) {
		err = decodeSession(t, dst)
	} else {
		err = decodeMessages(t, dst)
	}
	if err != nil {
		dst.ResetValues()
	}
	return err
}

func asked(t *hardware.Transcript) bool {
	for i := range t.Len() {
		if sent, _ := t.Exchange(i); len(sent) > 0 {
			return true
		}
	}
	return false
}

// decodeSession decodes requests and their answers. Of several readouts the last counts.
func decodeSession(t *hardware.Transcript, dst *hardware.Batch) error {
	var line, readout []byte
	for i := range t.Len() {
		sent, received := t.Exchange(i)
		received = bytes.TrimPrefix(received, sent) // heads send back what they are sent
		switch {
		case len(sent) == 0 || len(received) == 0:
			return refuse(hardware.ErrStale, errors.New("not one answer to one request"))
		case received[0] == nak:
			return refuse(hardware.ErrDevice, errors.New("the meter refuses the request"))
		case bytes.HasPrefix(sent, []byte("/?")):
			start, end := scanIdentification(received)
			if end == 0 || start > 0 {
				return truncatedOr("no identification answers the request", received[start:])
			}
			line = received[:end]
			if received = received[end:]; len(received) == 0 {
				continue
			}
		case sent[0] != ack:
			return refuse(hardware.ErrMalformed, fmt.Errorf("%.20q is neither a request nor an acknowledgement", sent))
		}
		start, end := scanBlock(received)
		switch {
		case end == 0 && start < len(received):
			return truncatedOr("no block of data answers", received[start:])
		case start > 0 || end < len(received):
			return refuse(hardware.ErrStale, errors.New("not one answer to one request"))
		}
		text, err := verify(received)
		if err != nil {
			return err
		}
		readout = text
	}
	if line != nil {
		id, _, err := obis.Identification(bytes.TrimRight(line, "\r\n"))
		if err != nil {
			return err
		}
		dst.Identity = id
	}
	if readout == nil {
		return nil
	}
	return data(readout, dst, 0)
}

// search does not warn of fill behind a message, but before one: there it is none.
var search = push.Search{Name: "message", Scan: scan, Begin: []byte{'/'}, BlankAfter: fill, Skip: request}

// decodeMessages decodes what came without a request.
func decodeMessages(t *hardware.Transcript, dst *hardware.Batch) error {
	found, refused := search.First(t, dst, message)
	if !found && refused == nil {
		return nothing(t)
	}
	return refused
}

// request returns the length of the request that a head sends back before the answer.
func request(b []byte) int {
	if end := bytes.IndexByte(b, '\n'); end > 0 && bytes.HasPrefix(b, []byte("/?")) {
		return end + 1
	}
	return 0
}

// nothing says what is wrong with bytes in which no message begins.
func nothing(t *hardware.Transcript) error {
	for i := range t.Len() {
		_, received := t.Exchange(i)
		switch {
		case bytes.Contains(received, []byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01")):
			return refuse(hardware.ErrWrongDevice, errors.New("this is SML"))
		case len(received) > 0 && received[0] == nak:
			return refuse(hardware.ErrDevice, errors.New("the meter refuses the request"))
		case bytes.IndexByte(received, '!') >= 0:
			return refuse(hardware.ErrTruncated, errors.New("the message's beginning is missing"))
		case len(received) > 0:
			return refuse(hardware.ErrMalformed, errors.New("no message: no \"/\" begins one"))
		}
	}
	return refuse(hardware.ErrTruncated, errors.New("nothing was received"))
}

func refuse(class, err error) error {
	return &hardware.Error{Class: class, Op: "reading a message", Err: err}
}

// truncatedOr refuses an answer of which there is a beginning, or not even that.
func truncatedOr(text string, rest []byte) error {
	if len(rest) > 0 {
		return refuse(hardware.ErrTruncated, errors.New("the answer has no end"))
	}
	return refuse(hardware.ErrWrongReply, fmt.Errorf("%s", text))
}

// scanIdentification is a push.Scan for the line with which a meter answers.
func scanIdentification(b []byte) (start, end int) {
	for start < len(b) {
		n := bytes.IndexByte(b[start:], '/')
		if n < 0 {
			return len(b), 0
		}
		start += n
		if start+1 < len(b) && b[start+1] == '?' { // the request, sent back by the head
			start++
			continue
		}
		if n := bytes.IndexByte(b[start:], '\n'); n >= 0 {
			return start, start + n + 1
		}
		return start, 0
	}
	return len(b), 0
}

// scanBlock is a push.Scan for a block of data, which ends with the character after ETX.
func scanBlock(b []byte) (start, end int) {
	start = bytes.IndexByte(b, stx)
	if start < 0 {
		return len(b), 0
	}
	if n := bytes.IndexByte(b[start:], etx); n >= 0 && start+n+1 < len(b) {
		return start, start + n + 2
	}
	return start, 0
}

// scan is a push.Scan for a message: an identification, and its data up to the line that
// begins with "!" (mode D) or up to the character after ETX (mode C, and a block alone). A
// "/" stands nowhere but at its beginning (clause 6.3.2).
func scan(b []byte) (start, end int) {
	start = bytes.IndexAny(b, "/\x02")
	if start < 0 {
		return len(b), 0
	}
	last := false // in the last line
	for i := start; i < len(b); i++ {
		switch {
		case b[i] == '/' && i > start:
			return start, i
		case b[i] == stx:
			n, end := scanBlock(b[i:])
			if end > 0 {
				end += i
			} else if next := bytes.IndexByte(b[i+n:], '/'); next >= 0 {
				end = i + n + next
			}
			return start, end
		case b[i] == '!' && b[i-1] == '\n':
			last = true
		case b[i] == '\n' && last:
			return start, i + 1
		}
	}
	return start, 0
}

// message decodes the message that b is.
func message(b []byte, dst *hardware.Batch) error {
	if len(b) > push.MaxFrame {
		return refuse(hardware.ErrMalformed, fmt.Errorf("a message of %d bytes; at most %d are taken", len(b), push.MaxFrame))
	}
	id := hardware.Identity{}
	if b[0] == '/' {
		heading, rest, _ := bytes.Cut(b, []byte{'\n'})
		var err error
		if id, _, err = obis.Identification(bytes.TrimRight(heading, "\r")); err != nil {
			return err
		}
		b = rest
	}
	dst.Identity = id
	if i := bytes.IndexByte(b, stx); i >= 0 {
		text, err := verify(b[i:])
		if err != nil {
			return err
		}
		return data(text, dst, 0)
	}
	end := bytes.LastIndex(b, []byte("\n!"))
	switch {
	case bytes.HasPrefix(b, []byte{'!'}):
		end = 0
	case end < 0:
		return refuse(hardware.ErrTruncated, errors.New("the message has no end"))
	}
	last := bytes.TrimLeft(b[end:], "\r\n")
	if rest := bytes.Trim(last[1:], fill); len(rest) > 0 {
		return refuse(hardware.ErrWrongDevice, fmt.Errorf("%.10q after the \"!\": this is a telegram of DSMR", rest))
	}
	dst.Warn(hardware.WarnNoChecksum, "mode D has none")
	return data(b[:end], dst, hardware.Unverified)
}

// verify checks a block of data from STX to the block check character after ETX (clause
// 6.3.2, item 8), and returns its text without the "!" at its end.
func verify(b []byte) ([]byte, error) {
	if len(b) > push.MaxFrame {
		return nil, refuse(hardware.ErrMalformed, fmt.Errorf("a block of %d bytes; at most %d are taken", len(b), push.MaxFrame))
	}
	n := bytes.IndexByte(b, etx)
	if n < 0 || n+1 >= len(b) {
		return nil, refuse(hardware.ErrTruncated, errors.New("the block has no end"))
	}
	check := byte(0)
	for _, c := range b[1 : n+1] {
		check ^= c
	}
	if check != b[n+1] {
		return nil, refuse(hardware.ErrChecksum, fmt.Errorf("the block's is %02X, its bytes make %02X", b[n+1], check))
	}
	return bytes.TrimSuffix(bytes.TrimRight(b[1:n], "\r\n"), []byte{'!'}), nil
}

// data decodes the lines of a message.
func data(text []byte, dst *hardware.Batch, quality hardware.Quality) error {
	var m obis.Message
	if err := m.ReadText(text, dst); err != nil {
		return err
	}
	m.Fill(dst, quality)
	dst.Identity.Serial, dst.Identity.Version = m.Serial, m.Version
	return nil
}

// offered is what a meter's identification says about how to go on.
type offered struct {
	speed        byte
	mode         string
	acknowledged bool // the meter waits for an acknowledgement (mode C)
}

// The speeds that meters offer in modes C and B (clause 6.3.2, item 13).
var speeds = [...]string{"300 7E1", "600 7E1", "1200 7E1", "2400 7E1", "4800 7E1", "9600 7E1", "19200 7E1"}

// offer reads the identification that a meter answers with.
func offer(line []byte) (offered, error) {
	_, speed, err := obis.Identification(bytes.TrimRight(line, "\r\n"))
	switch {
	case err != nil:
		return offered{}, err
	case speed >= '0' && int(speed-'0') < len(speeds):
		return offered{speed, speeds[speed-'0'], true}, nil
	case speed >= 'A' && int(speed-'A') < len(speeds)-1:
		return offered{speed, speeds[1+speed-'A'], false}, nil
	case speed >= '7' && speed <= '9':
		return offered{}, refuse(hardware.ErrMalformed, fmt.Errorf("the meter offers the speed %q, which is reserved", speed))
	}
	return offered{speed, signOn, false}, nil // mode A
}
