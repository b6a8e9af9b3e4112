package emulated

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// P1 is a smart meter with a P1 port, after the P1 Companion Standard: a Talker at the
// end of a Cable. Its telegrams are those of version 2.2, 4.2 or 5.0 of DSMR. All methods
// may be called from any goroutine.
type P1 struct {
	version int

	mu    sync.Mutex // guards the fields below
	now   Supply
	clock time.Time // the meter's own
	gas   int64     // dm3
}

// NewP1 returns a meter of version 22, 42 or 50 on a dead supply, with a gas meter in
// slot 1 and an empty slot 2. It panics on another version.
func NewP1(version int) *P1 {
	if version != 22 && version != 42 && version != 50 {
		panic(fmt.Sprintf("internal error: no P1 port of version %d", version))
	}
	return &P1{version: version, clock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)}
}

// Set makes the meter measure s from now on.
func (m *P1) Set(s Supply) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = s
}

// SetGas sets the total of the gas meter, in dm3.
func (m *P1) SetGas(litres int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gas = litres
}

// Period returns the time between two telegrams: 1 s from version 5 on, before it 10 s
// (section 5.7).
func (m *P1) Period() time.Duration {
	if m.version >= 50 {
		return time.Second
	}
	return 10 * time.Second
}

// Talk implements Talker.
func (m *P1) Talk(b []byte) ([]byte, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock = m.clock.Add(m.Period())
	return append(b, m.telegram()...), m.Period()
}

// Checksum implements Checked: a digit of the CRC that is another one when damaged.
func (m *P1) Checksum(frame []byte) int {
	if m.version < 40 {
		return -1
	}
	for i := len(frame) - 3; i > len(frame)-7; i-- {
		if frame[i] != 'A' && frame[i] != 'F' {
			return i
		}
	}
	return -1
}

// telegram returns the telegram that is due.
func (m *P1) telegram() string {
	var t strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&t, format+"\r\n", args...) }
	imported, exported := 0.0, 0.0
	for _, p := range m.now.Phases {
		imported += math.Max(p.Power, 0) / 1000
		exported += math.Max(-p.Power, 0) / 1000
	}
	net := imported - exported
	imported, exported = math.Max(net, 0), math.Max(-net, 0)
	line(`/ISk5\2MT382-1000`)
	line("")
	if m.version >= 40 {
		line("1-3:0.2.8(%d)", m.version)
		line("0-0:1.0.0(%sW)", m.clock.Format("060102150405"))
	}
	line("0-0:96.1.1(4B384547303034303436333935353037)")
	// The tariffs share the total.
	for tariff := range int64(2) {
		line("1-0:1.8.%d(%s*kWh)", tariff+1, m.kilo((m.now.ImportWh+tariff)/2))
	}
	for tariff := range int64(2) {
		line("1-0:2.8.%d(%s*kWh)", tariff+1, m.kilo((m.now.ExportWh+tariff)/2))
	}
	line("0-0:96.14.0(0002)")
	if m.version < 40 {
		line("1-0:1.7.0(%07.2f*kW)", imported)
		line("1-0:2.7.0(%07.2f*kW)", exported)
		line("0-0:17.0.0(0999.00*kW)")
		line("0-0:96.13.0()")
		line("0-1:24.1.0(3)")
		line("0-1:96.1.0(3232323241424344313233343536373839)")
		line("0-1:24.3.0(%s)(00)(60)(1)(0-1:24.2.1)(m3)", m.clock.Truncate(time.Hour).Format("060102150405"))
		line("(%05d.%03d)", m.gas/1000, m.gas%1000)
		line("!")
		return t.String()
	}
	line("1-0:1.7.0(%06.3f*kW)", imported)
	line("1-0:2.7.0(%06.3f*kW)", exported)
	line("0-0:96.7.21(00013)")
	line("0-0:96.7.9(00002)")
	line("1-0:99.97.0(1)(0-0:96.7.19)(000101000001W)(0000000301*s)")
	for i := range 3 {
		line("1-0:%d.32.0(0000%d)", 32+20*i, i)
	}
	for i := range 3 {
		line("1-0:%d.36.0(00000)", 32+20*i)
	}
	line("0-0:96.13.0()")
	for i, p := range m.now.Phases {
		if m.version >= 50 {
			line("1-0:%d.7.0(%05.1f*V)", 32+20*i, p.Voltage)
			line("1-0:%d.7.0(%06.2f*A)", 31+20*i, p.Current)
		} else {
			line("1-0:%d.7.0(%03.0f*A)", 31+20*i, p.Current)
		}
	}
	for i, p := range m.now.Phases {
		line("1-0:%d.7.0(%06.3f*kW)", 21+20*i, math.Max(p.Power, 0)/1000)
		line("1-0:%d.7.0(%06.3f*kW)", 22+20*i, math.Max(-p.Power, 0)/1000)
	}
	line("0-1:24.1.0(003)")
	line("0-1:96.1.0(3232323241424344313233343536373839)")
	line("0-1:24.2.1(%sW)(%05d.%03d*m3)", m.clock.Truncate(time.Hour).Format("060102150405"), m.gas/1000, m.gas%1000)
	line("0-2:24.1.0(003)")
	line("0-2:96.1.0()")
	line("0-2:24.2.1(700101010000W)(00000000)")
	t.WriteString("!")
	line("%04X", crcARC([]byte(t.String())))
	return t.String()
}

// kilo writes Wh as kWh.
func (m *P1) kilo(wh int64) string {
	digits := 6
	if m.version < 40 {
		digits = 5
	}
	return fmt.Sprintf("%0*d.%03d", digits, wh/1000, wh%1000)
}

// crcARC is the checksum of P1: the polynomial x^16+x^15+x^2+1 with bits reflected,
// worked out as a long division of the reversed bits.
func crcARC(b []byte) uint16 {
	remainder := uint32(0)
	for _, c := range b {
		for i := range 8 {
			in := uint32(c>>i) & 1
			out := remainder >> 15 & 1
			remainder = remainder << 1 & 0xFFFF
			if in^out != 0 {
				remainder ^= 0x8005
			}
		}
	}
	reversed := uint16(0)
	for i := range 16 {
		reversed |= uint16(remainder>>i&1) << (15 - i)
	}
	return reversed
}
