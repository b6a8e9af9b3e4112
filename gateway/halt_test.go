package gateway_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/gateway/sampler"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// overheard is a part of which is known what it was sent.
type overheard struct {
	*emulated.SCD4x
	mu   sync.Mutex // guards the field below
	sent [][]byte
}

func (o *overheard) WriteI2C(b []byte) bool {
	o.mu.Lock()
	o.sent = append(o.sent, slices.Clone(b))
	o.mu.Unlock()
	return o.SCD4x.WriteI2C(b)
}

// At its end a gateway stops what its parts do by themselves, and leaves alone those that
// it does not read.
func TestPartsAreLeftIdle(t *testing.T) {
	t.Parallel()
	port, _ := line(t)
	cfg := config(t, t.TempDir(), port, newKey(t, signer.EdDSA))
	clock := sampler.NewMachineClock()
	read := &overheard{SCD4x: emulated.NewSCD4x(1, clock.Monotonic)}
	disabled := &overheard{SCD4x: emulated.NewSCD4x(2, clock.Monotonic)}
	for name, part := range map[string]*overheard{"room": read, "attic": disabled} {
		wires := emulated.NewBus(name)
		wires.Attach(0x62, part)
		cfg.Buses = append(cfg.Buses, gateway.Bus{Name: name, Open: bus.Given(wires)})
		cfg.Devices = append(cfg.Devices, gateway.Device{
			Name: name, Model: "scd41", Bus: name, BusKind: gateway.BusI2C, Subject: subject, Mode: entry.ModeCommitted, Period: time.Second, Disabled: part == disabled,
		})
	}
	signFor(t, cfg, 3)
	if len(read.sent) < 2 || !slices.Equal(read.sent[len(read.sent)-1], []byte{0x3f, 0x86}) {
		t.Errorf("it was sent % x, at last not to stop", read.sent)
	}
	if len(disabled.sent) != 0 {
		t.Errorf("a disabled part was sent % x", disabled.sent)
	}
}
