package hardwaretest

import (
	"fmt"
	"testing"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
)

// OnI2C is the Bench of a driver whose part is at an address of an emulated bus. It
// knows the faults that every part on I2C meets; add to Classes those of a protocol
// with checksums. If the part counts what changed its settings, Changes is that count.
func OnI2C(device hardware.Device, bus *emulated.Bus, address uint16, part emulated.Part) *Bench {
	var plan emulated.Plan
	b := &Bench{
		Device: device,
		Faults: func(p emulated.Plan) { plan = p; bus.SetFaults(address, p) },
		Attach: func(on bool) {
			if bus.Detach(address); on {
				bus.Attach(address, part)
				bus.SetFaults(address, plan)
			}
		},
		Exchanges: bus.Transfers,
		Classes: map[emulated.Fault]error{
			emulated.Silence: hardware.ErrAbsent, emulated.NACK: hardware.ErrAbsent,
			emulated.StuckBus: hardware.ErrTimeout, emulated.Slow: nil,
		},
	}
	if c, ok := part.(interface{ Settings() int }); ok {
		b.Changes = c.Settings
	}
	return b
}

// Rows tells the values of b as a person would: "co2 612 ppm gauge ok".
func Rows(about hardware.Descriptor, b *hardware.Batch) []string {
	var all []string
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		all = append(all, fmt.Sprintf("%s %s %s %s %s", c.Name, v, c.Unit, c.Kind, v.Quality))
	}
	return all
}

// Sample takes a sample, patient with ErrNoData for as long as the descriptor says. It
// is called within a bubble of synctest.
func Sample(t testing.TB, device hardware.Device) *hardware.Batch {
	t.Helper()
	var b hardware.Batch
	settle := device.Describe().Settle
	var err error
	for end := time.Now().Add(settle); !time.Now().After(end); time.Sleep(max(settle/60, time.Millisecond)) {
		if err = device.Sense(t.Context(), &b); err == nil {
			return &b
		}
	}
	t.Fatalf("%s: no sample within %s: %v", device, settle, err)
	return nil
}

// Recording parses a transcript that a test holds.
func Recording(t testing.TB, text string) *hardware.Transcript {
	t.Helper()
	recorded, err := hardware.ParseTranscript([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return recorded
}
