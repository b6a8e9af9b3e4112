package modbus_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// rtu writes a request and its reply with the words, as lines of a transcript.
func rtu(r modbus.Request, replier byte, words ...uint16) string {
	var t hardware.Transcript
	t.Send(r.AppendRTU(nil))
	frame := []byte{replier, byte(r.Function), byte(2 * len(words))}
	for _, w := range words {
		frame = binary.BigEndian.AppendUint16(frame, w)
	}
	t.Receive(binary.LittleEndian.AppendUint16(frame, modbus.CRC(frame)))
	return t.String()
}

func holding(unit byte, address, count uint16) modbus.Request {
	return modbus.Request{Unit: unit, Function: modbus.ReadHolding, Address: address, Count: count}
}

func TestRecorded(t *testing.T) {
	const (
		request   = "> 01 04 00 00 00 02 71 CB\n"
		answer    = "< 01 04 04 43 66 33 34 1B 38\n"
		exception = "< 01 84 02 C2 C1\n"
		mbap      = "> 00 07 00 00 00 06 01 03 9C 40 00 02\n< 00 07 00 00 00 07 01 03 04 53 75 6E 53\n"
	)
	for name, c := range map[string]struct {
		text string
		want []uint16 // input 0 and 1, or holding 40000 and 40001
		is   error
	}{
		"one exchange":                {request + answer, []uint16{0x4366, 0x3334}, nil},
		"modbus tcp":                  {mbap, []uint16{0x5375, 0x6E53}, nil},
		"a reply on two lines":        {request + "< 01 04 04 43 66\n< 33 34 1B 38", []uint16{0x4366, 0x3334}, nil},
		"nothing":                     {"", nil, hardware.ErrTruncated},
		"no answer":                   {request, nil, hardware.ErrStale},
		"no answer, then one":         {request + request + answer, nil, hardware.ErrStale},
		"two answers":                 {request + answer + answer, nil, hardware.ErrStale},
		"an answer before":            {answer + request + answer, nil, hardware.ErrStale},
		"only an answer":              {answer, nil, modbus.ErrNoRequest},
		"an exception":                {request + exception, nil, hardware.ErrDevice},
		"two units":                   {request + answer + rtu(holding(2, 0, 1), 2, 7), nil, hardware.ErrWrongDevice},
		"another unit answers":        {rtu(holding(2, 0, 1), 3, 7), nil, hardware.ErrWrongDevice},
		"another count":               {rtu(holding(2, 0, 2), 2, 7), nil, hardware.ErrWrongReply},
		"cut off":                     {request + "< 01 04 04 43 66 33", nil, hardware.ErrTruncated},
		"a request cut off":           {"> 01 04 00 00 00\n" + answer, nil, hardware.ErrTruncated},
		"a write":                     {"> 01 06 00 00 00 02 08 0B\n" + answer, nil, hardware.ErrMalformed},
		"another transaction":         {strings.Replace(mbap, "< 00 07", "< 00 06", 1), nil, hardware.ErrStale},
		"another protocol":            {strings.Replace(mbap, "< 00 07 00 00", "< 00 07 00 01", 1), nil, hardware.ErrMalformed},
		"another unit by tcp":         {strings.Replace(mbap, "07 01 03 04", "07 02 03 04", 1), nil, hardware.ErrWrongDevice},
		"another function by tcp":     {strings.Replace(mbap, "07 01 03 04", "07 01 04 04", 1), nil, hardware.ErrWrongReply},
		"cut off by tcp":              {strings.Replace(mbap, " 6E 53", "", 1), nil, hardware.ErrTruncated},
		"doubled by tcp":              {mbap + "< 00 07 00 00 00 07 01 03 04 53 75 6E 53", nil, hardware.ErrStale},
		"an exception by tcp":         {"> 00 07 00 00 00 06 01 03 9C 40 00 02\n< 00 07 00 00 00 03 01 83 02", nil, hardware.ErrDevice},
		"a lie about the length":      {"> 00 07 00 00 00 06 01 03 9C 40 00 02\n< 00 07 00 00 FF FF 01 03 04 53 75 6E 53", nil, hardware.ErrMalformed},
		"unit 0 by tcp":               {"> 00 07 00 00 00 06 00 03 9C 40 00 02\n< 00 07 00 00 00 07 00 03 04 53 75 6E 53", []uint16{0x5375, 0x6E53}, nil},
		"units 0 and 1 by tcp":        {"> 00 07 00 00 00 06 00 03 9C 40 00 02\n< 00 07 00 00 00 07 00 03 04 53 75 6E 53\n" + mbap, nil, hardware.ErrWrongDevice},
		"any address":                 {rtu(modbus.Request{Unit: 0xF8, Function: modbus.ReadInput, Count: 2}, 0xF8, 1, 2), []uint16{1, 2}, nil},
		"any address, its own":        {rtu(modbus.Request{Unit: 0xFE, Function: modbus.ReadInput, Count: 2}, 0x68, 1, 2), []uint16{1, 2}, nil},
		"any address and then its":    {rtu(modbus.Request{Unit: 0xFE, Function: modbus.ReadInput, Count: 1}, 0xFE, 1) + rtu(modbus.Request{Unit: 9, Function: modbus.ReadInput, Address: 1, Count: 1}, 9, 2), []uint16{1, 2}, nil},
		"later counts":                {request + answer + rtu(modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 1, Count: 1}, 1, 5), []uint16{0x4366, 5}, nil},
		"a value over two exchanges":  {rtu(modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 1, Count: 1}, 1, 5) + rtu(modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 0, Count: 1}, 1, 4), []uint16{4, 5}, nil},
		"the address of any in reply": {rtu(holding(1, 0, 1), 0xF8, 7), nil, hardware.ErrWrongDevice},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := modbus.Recorded(recorded, modbus.Expect{})
		if (err == nil) != (c.is == nil) || !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %v", name, err, c.is)
		}
		if err != nil {
			if hardware.Class(err) == nil {
				t.Errorf("%s: %v has no class", name, err)
			}
			continue
		}
		words, _ := m.Words(nil, modbus.ReadInput, 0, 2)
		if strings.Contains(name, "tcp") {
			words, _ = m.Words(nil, modbus.ReadHolding, 40000, 2)
		}
		if diff := cmp.Diff(c.want, words); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRecordedByRule(t *testing.T) {
	usual := modbus.Expect{Usual: modbus.Request{Unit: modbus.AnySenseair, Function: modbus.ReadInput, Address: 3, Count: 1}}
	lone, _ := hardware.ParseTranscript([]byte("FE 04 02 01 90 AC D8"))
	m, err := modbus.Recorded(lone, usual)
	if w, ok := m.Word(modbus.ReadInput, 3); err != nil || !ok || w != 400 {
		t.Errorf("a lone reply is %d, %v, %v", w, ok, err)
	}
	if !m.Asked(modbus.ReadInput, 3, 1) || m.Asked(modbus.ReadInput, 4, 1) || m.Asked(modbus.ReadHolding, 3, 1) {
		t.Error("it does not know what was asked")
	}
	refusable := modbus.Expect{Refusable: func(r modbus.Request) bool { return r.Address == 0 }}
	refused, _ := hardware.ParseTranscript([]byte("> 01 04 00 00 00 02 71 CB\n< 01 84 02 C2 C1\n"))
	if m, err := modbus.Recorded(refused, refusable); err != nil {
		t.Errorf("an exception that is allowed: %v", err)
	} else if w, ok := m.Word(modbus.ReadInput, 0); ok {
		t.Errorf("an exception is read as %d", w)
	} else if !errors.Is(m.Refused(), hardware.ErrDevice) {
		t.Errorf("it was refused: %v", m.Refused())
	}
}

func TestDumped(t *testing.T) {
	r, err := hardware.ParseRegisters([]byte("0: 0001 0002\nholding 0: 4142 4300\ninput 1: 0003"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := modbus.Dumped(r, modbus.ReadInput)
	if err != nil {
		t.Fatal(err)
	}
	if words, _ := m.Words(nil, modbus.ReadInput, 0, 2); !slices.Equal(words, []uint16{1, 3}) {
		t.Errorf("input: %v", words) // the line that names its table counts
	}
	if text, ok := m.Text(modbus.ReadHolding, 0, 2); text != "ABC" || !ok {
		t.Errorf("holding: %q", text)
	}
	if _, ok := m.Word(modbus.ReadHolding, 2); ok {
		t.Error("a register that is not there")
	}
	if _, ok := m.Uint32(modbus.ReadHolding, 1); ok {
		t.Error("half a value")
	}
	for text, want := range map[string]error{"": hardware.ErrTruncated, "0: 12": hardware.ErrMalformed} {
		r, err := hardware.ParseRegisters([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := modbus.Dumped(r, modbus.ReadInput); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
}

// Whatever is wanted is asked for, in requests that are within bounds and in order, and
// with a gap of 0 nothing else is.
func TestRequestsCoverSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maximum := rapid.IntRange(1, 125).Draw(t, "maximum")
		gap := rapid.IntRange(0, 30).Draw(t, "gap")
		spans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) modbus.Span {
			f := rapid.SampledFrom([]modbus.Function{modbus.ReadHolding, modbus.ReadInput}).Draw(t, "table")
			count := rapid.Uint16Range(1, 200).Draw(t, "count")
			return modbus.Span{Function: f, Address: rapid.Uint16Range(0, min(400, 65535-count+1)).Draw(t, "address"), Count: count}
		}), 1, 8).Draw(t, "spans")
		type place struct {
			f  modbus.Function
			at int
		}
		wanted, read := map[place]bool{}, map[place]bool{}
		for _, s := range spans {
			for i := range int(s.Count) {
				wanted[place{s.Function, int(s.Address) + i}] = true
			}
		}
		for _, r := range modbus.Requests(9, spans, maximum, gap) {
			if r.Unit != 9 || r.Count == 0 || int(r.Count) > maximum {
				t.Fatalf("request %v of at most %d", r, maximum)
			}
			for i := range int(r.Count) {
				p := place{r.Function, int(r.Address) + i}
				if read[p] {
					t.Errorf("%v is read twice", p)
				}
				read[p] = true
				if gap == 0 && !wanted[p] {
					t.Errorf("%v is read and not wanted", p)
				}
			}
		}
		for p := range wanted {
			if !read[p] {
				t.Errorf("%v is not read", p)
			}
		}
	})
}

func FuzzRecorded(f *testing.F) {
	f.Add(bytesOf(f, voltsRequest), bytesOf(f, voltsReply), []byte{}, []byte{})
	f.Add(volts.AppendTCP(nil, 7), bytesOf(f, "00 07 00 00 00 07 01 04 04 43 66 33 34"), bytesOf(f, voltsRequest), bytesOf(f, voltsReply))
	f.Fuzz(func(t *testing.T, sent, received, next, answer []byte) {
		var recorded hardware.Transcript
		recorded.Send(sent)
		recorded.Receive(received)
		if len(next)+len(answer) > 0 {
			recorded.Send(next)
			recorded.Receive(answer)
		}
		m, err := modbus.Recorded(&recorded, modbus.Expect{Usual: volts})
		if err != nil {
			if hardware.Class(err) == nil {
				t.Errorf("%v has no class", err)
			}
			return
		}
		for _, f := range []modbus.Function{modbus.ReadHolding, modbus.ReadInput} {
			for at := range 1 << 16 {
				if _, ok := m.Word(f, uint16(at)); ok && !m.Asked(f, uint16(at), 1) {
					t.Errorf("%s %d is known and was not asked for", f, at)
				}
			}
		}
	})
}
