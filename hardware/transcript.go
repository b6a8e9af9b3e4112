package hardware

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// MaxTranscript bounds the bytes a transcript takes, both directions together.
// What comes after that is dropped, and Truncated says so.
const MaxTranscript = 64 << 10

// Transcript is what went over a bus: exchanges of bytes sent to a part and bytes
// received in answer. A part that speaks unasked has exchanges with nothing sent.
// The zero value is empty and ready.
type Transcript struct {
	bytes     []byte
	exchanges []exchange
	truncated bool
}

// exchange holds offsets into Transcript.bytes: sent, then received.
type exchange struct{ start, received, end int }

// Reset empties t and keeps its storage.
func (t *Transcript) Reset() {
	t.bytes = t.bytes[:0]
	t.exchanges = t.exchanges[:0]
	t.truncated = false
}

// Send begins an exchange with the bytes b, which are copied.
func (t *Transcript) Send(b []byte) {
	if t.full(len(b)) {
		return
	}
	start := len(t.bytes)
	t.bytes = append(t.bytes, b...)
	t.exchanges = append(t.exchanges, exchange{start, len(t.bytes), len(t.bytes)})
}

// Receive adds the bytes b, which are copied, to what the last exchange received.
// Without an exchange it begins one in which nothing was sent.
func (t *Transcript) Receive(b []byte) {
	if len(t.exchanges) == 0 {
		t.Send(nil)
	}
	if t.full(len(b)) {
		return
	}
	t.bytes = append(t.bytes, b...)
	t.exchanges[len(t.exchanges)-1].end = len(t.bytes)
}

func (t *Transcript) full(n int) bool {
	// An exchange costs something too: a million empty ones must not be kept.
	if len(t.bytes)+n > MaxTranscript || len(t.exchanges) >= MaxTranscript/8 {
		t.truncated = true
	}
	return t.truncated
}

// Truncated reports whether bytes were dropped because t was full.
func (t *Transcript) Truncated() bool { return t.truncated }

// Len returns the number of exchanges.
func (t *Transcript) Len() int { return len(t.exchanges) }

// Exchange returns what was sent and received in exchange i. The slices belong to
// t and are valid until it changes.
func (t *Transcript) Exchange(i int) (sent, received []byte) {
	x := t.exchanges[i]
	return t.bytes[x.start:x.received:x.received], t.bytes[x.received:x.end:x.end]
}

func (t *Transcript) copyTo(dst *Transcript) {
	dst.bytes = append(dst.bytes[:0], t.bytes...)
	dst.exchanges = append(dst.exchanges[:0], t.exchanges...)
	dst.truncated = t.truncated
}

// Clone returns a copy of t with storage of its own.
func (t *Transcript) Clone() Transcript {
	var c Transcript
	t.copyTo(&c)
	return c
}

// String returns t in the form that ParseTranscript reads: for each exchange a line
// "> " with the bytes sent and a line "< " with those received, in hex.
func (t *Transcript) String() string {
	var b strings.Builder
	for i := range t.exchanges {
		sent, received := t.Exchange(i)
		if len(sent) > 0 {
			fmt.Fprintf(&b, "> % x\n", sent)
		}
		if len(received) > 0 {
			fmt.Fprintf(&b, "< % x\n", received)
		}
	}
	return b.String()
}

// ParseTranscript reads pairs of hex digits, white space free, from "#" to the end
// of the line a comment. A line that starts with ">" was sent to the part, one with
// "<" was received; a line without either counts as received.
func ParseTranscript(text []byte) (*Transcript, error) {
	t := new(Transcript)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 4*MaxTranscript)
	for number := 1; lines.Scan(); number++ {
		line, _, _ := bytes.Cut(lines.Bytes(), []byte{'#'})
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		sent := line[0] == '>'
		if sent || line[0] == '<' {
			line = line[1:]
		}
		digits := bytes.Join(bytes.Fields(line), nil)
		data := make([]byte, hex.DecodedLen(len(digits)))
		var wrong hex.InvalidByteError
		if _, err := hex.Decode(data, digits); errors.As(err, &wrong) {
			return nil, fmt.Errorf("line %d: %q is no hex digit", number, rune(wrong))
		} else if err != nil {
			return nil, fmt.Errorf("line %d: a hex digit without its other half", number)
		}
		switch {
		case len(data) == 0:
			// A bare mark carries nothing and would not survive being printed.
		case sent:
			t.Send(data)
		default:
			t.Receive(data)
		}
		if t.truncated {
			return nil, fmt.Errorf("line %d: more than %d bytes or %d exchanges", number, MaxTranscript, MaxTranscript/8)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading a transcript: %w", err)
	}
	return t, nil
}
