package emulated

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// IECMeter is a meter that is read out by IEC 62056-21 mode C: an Answerer at the end of
// a Cable. It is spoken to at 300 baud, offers 9600, and goes over to that when it is
// acknowledged. All methods may be called from any goroutine.
type IECMeter struct {
	address string

	mu   sync.Mutex // guards the fields below
	now  Supply
	baud int
	back time.Time // when it goes back to 300 baud, for what it says after its readout
}

// NewIECMeter returns a meter with an address, on a dead supply.
func NewIECMeter(address string) *IECMeter { return &IECMeter{address: address, baud: 300} }

// Set makes the meter measure s from now on.
func (m *IECMeter) Set(s Supply) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = s
}

// reaction is how long the meter takes to answer (clause 6.3.14: 200 ms at least).
const reaction = 200 * time.Millisecond

// Baud implements Tuned.
func (m *IECMeter) Baud() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !time.Now().Before(m.back) {
		m.baud = 300
	}
	return m.baud
}

// Checksum implements Checked: the block check character, and of an identification
// nothing.
func (m *IECMeter) Checksum(frame []byte) int {
	if len(frame) == 0 || frame[0] != 0x02 {
		return -1
	}
	return len(frame) - 1
}

// Answer implements Answerer.
func (m *IECMeter) Answer(sent, b []byte) (int, []byte, time.Duration) {
	end := bytes.IndexByte(sent, '\n')
	if end < 0 {
		return 0, b, 0
	}
	line := string(sent[:end+1])
	if i := strings.LastIndexAny(line, "/\x06"); i >= 0 {
		line = line[i:]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch line {
	case "/?!\r\n", "/?" + m.address + "!\r\n":
		m.baud = 300
		return end + 1, append(b, "/LOG5LK13BE803049\r\n"...), reaction
	case "\x06050\r\n":
		m.baud, m.back = 9600, time.Now().Add(reaction)
		return end + 1, append(b, m.block()...), reaction
	case "\x06000\r\n":
		return end + 1, append(b, m.block()...), reaction
	}
	return end + 1, b, 0
}

// block is a readout with its frame.
func (m *IECMeter) block() []byte {
	b := []byte{0x02}
	b = append(b, m.readout()...)
	b = append(b, 0x03)
	check := byte(0)
	for _, c := range b[1:] {
		check ^= c
	}
	return append(b, check)
}

// readout is the text of a readout.
func (m *IECMeter) readout() string {
	var t strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&t, format+"\r\n", args...) }
	power := 0.0
	for _, p := range m.now.Phases {
		power += p.Power
	}
	line("F.F(00000000)")
	line("0.0.0(%s)", m.address)
	line("0.9.1(121530)")
	line("0.9.2(0260115)")
	line("1-1:1.8.0(%06d.%03d*kWh)", m.now.ImportWh/1000, m.now.ImportWh%1000)
	line("1-1:1.8.0*01(000000.001*kWh)")
	line("1-1:2.8.0(%06d.%03d*kWh)", m.now.ExportWh/1000, m.now.ExportWh%1000)
	line("1-1:1.6.0(12.34*kW)(2601141815)")
	line("16.7.0(%07.3f*kW)", power/1000)
	for i, p := range m.now.Phases {
		line("%d.7.0(%05.1f*V)%d.7.0(%06.2f*A)", 32+20*i, p.Voltage, 31+20*i, p.Current)
	}
	line("14.7.0(%.2f*Hz)", m.now.Frequency)
	line("C.7.0(0004)")
	line("!")
	return t.String()
}

// IECTalker is a meter that sends its readout unasked, every two seconds, as
// IEC 62056-21 mode D has it, with a few fill bytes behind.
type IECTalker struct{ *IECMeter }

// Talk implements Talker.
func (m IECTalker) Talk(b []byte) ([]byte, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b = append(b, "/ESY5Q3DB1024 V3.04\r\n\r\n"...)
	b = append(b, m.readout()...)
	return append(b, 0xFF, 0xFF, 0xFF), 2 * time.Second
}

// Answer implements Answerer: nobody is answered.
func (m IECTalker) Answer(sent, b []byte) (int, []byte, time.Duration) { return len(sent), b, 0 }

// Baud implements Tuned: any speed does.
func (m IECTalker) Baud() int { return 0 }
