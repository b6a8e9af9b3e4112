package modbus_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

func bytesOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// volts is the example of Eastron's protocol documents: voltage of phase 1, 230.2 V.
var volts = modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 0, Count: 2}

const (
	voltsRequest = "01 04 00 00 00 02 71 CB"
	voltsReply   = "01 04 04 43 66 33 34 1B 38"
)

func TestRequestFrame(t *testing.T) {
	frame := volts.AppendRTU(nil)
	if !bytes.Equal(frame, bytesOf(t, voltsRequest)) {
		t.Errorf("got % X, want %s", frame, voltsRequest)
	}
	back, err := modbus.ParseRequest(frame)
	if err != nil || back != volts {
		t.Errorf("it came back as %v, %v", back, err)
	}
}

func TestParseRequestRefuses(t *testing.T) {
	seal := func(text string) []byte {
		b := bytesOf(t, text)
		return binary.LittleEndian.AppendUint16(b, modbus.CRC(b))
	}
	for name, c := range map[string]struct {
		frame []byte
		class error
	}{
		"nothing":          {nil, hardware.ErrMalformed},
		"short":            {bytesOf(t, voltsRequest)[:7], hardware.ErrMalformed},
		"bad crc":          {append(bytesOf(t, voltsRequest)[:7], 0), hardware.ErrChecksum},
		"write":            {seal("01 06 00 00 00 02"), hardware.ErrMalformed},
		"broadcast":        {seal("00 04 00 00 00 02"), hardware.ErrMalformed},
		"no registers":     {seal("01 04 00 00 00 00"), hardware.ErrMalformed},
		"126 registers":    {seal("01 04 00 00 00 7E"), hardware.ErrMalformed},
		"behind the table": {seal("01 04 FF FF 00 02"), hardware.ErrMalformed},
	} {
		if r, err := modbus.ParseRequest(c.frame); !errors.Is(err, c.class) {
			t.Errorf("%s: got %v, %v, want %v", name, r, err, c.class)
		}
	}
}

func TestParseReply(t *testing.T) {
	good := bytesOf(t, voltsReply)
	data, err := modbus.ParseReply(volts, good)
	if err != nil || !bytes.Equal(data, bytesOf(t, "43 66 33 34")) {
		t.Fatalf("got % x, %v", data, err)
	}
	sealed := func(text string) []byte {
		b := bytesOf(t, text)
		return binary.LittleEndian.AppendUint16(b, modbus.CRC(b))
	}
	flipped := bytes.Clone(good)
	flipped[4] ^= 1
	for name, c := range map[string]struct {
		received []byte
		class    error
	}{
		"unanswered":         {nil, hardware.ErrStale},
		"flipped bit":        {flipped, hardware.ErrChecksum},
		"truncated":          {good[:7], hardware.ErrTruncated},
		"one byte":           {good[:1], hardware.ErrTruncated},
		"doubled":            {append(bytes.Clone(good), good...), hardware.ErrStale},
		"trailing byte":      {append(bytes.Clone(good), 0), hardware.ErrStale},
		"other unit":         {sealed("02 04 04 43 66 33 34"), hardware.ErrWrongDevice},
		"other function":     {sealed("01 03 04 43 66 33 34"), hardware.ErrWrongReply},
		"one register":       {sealed("01 04 02 43 66"), hardware.ErrWrongReply},
		"lying count":        {sealed("01 04 02 43 66 33 34"), hardware.ErrWrongReply},
		"exception":          {sealed("01 84 02"), hardware.ErrDevice},
		"doubled exception":  {append(sealed("01 84 02"), sealed("01 84 02")...), hardware.ErrStale},
		"long exception":     {sealed("01 84 02 02"), hardware.ErrWrongReply},
		"request in between": {append(volts.AppendRTU(nil), good...), hardware.ErrChecksum},
	} {
		if data, err := modbus.ParseReply(volts, c.received); !errors.Is(err, c.class) || data != nil {
			t.Errorf("%s: got % x, %v, want %v", name, data, err, c.class)
		}
	}
	_, err = modbus.ParseReply(volts, sealed("01 84 02"))
	var exception modbus.Exception
	if !errors.As(err, &exception) || exception != 2 || !strings.Contains(err.Error(), "illegal data address") {
		t.Errorf("the exception is lost: %v", err)
	}
}

func FuzzReadExchange(f *testing.F) {
	f.Add(bytesOf(f, voltsRequest), bytesOf(f, voltsReply))
	f.Add(bytesOf(f, voltsRequest), bytesOf(f, "01 84 02 C2 C1"))
	f.Add(volts.AppendTCP(nil, 7), bytesOf(f, "00 07 00 00 00 07 01 04 04 43 66 33 34"))
	f.Fuzz(func(t *testing.T, sent, received []byte) {
		r, data, err := modbus.ReadExchange(sent, received)
		if err != nil {
			if hardware.Class(err) == nil || data != nil {
				t.Errorf("% x with %v, without class", data, err)
			}
			return
		}
		request, frame := r.AppendRTU(nil), append([]byte{received[0], byte(r.Function), byte(len(data))}, data...)
		frame = binary.LittleEndian.AppendUint16(frame, modbus.CRC(frame))
		if len(sent) == 12 { // Modbus TCP
			request = r.AppendTCP(nil, binary.BigEndian.Uint16(sent))
			frame = append(bytes.Clone(request[:4]), 0, byte(3+len(data)), received[6], byte(r.Function), byte(len(data)))
			frame = append(frame, data...)
		}
		if !bytes.Equal(request, sent) {
			t.Errorf("request % x came back as % x", sent, request)
		}
		if !bytes.Equal(frame, received) {
			t.Errorf("reply % x came back as % x", received, frame)
		}
	})
}
