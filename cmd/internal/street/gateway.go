package street

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"wattmark/hardware/emulated"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Gateway describes one gateway of the street: what it is called, what it reads and
// as what it is registered.
type Gateway struct {
	Name      string           // "home-01", "stack-01", "feeder-01"
	Algorithm signer.Algorithm // of its key
	Mode      string           // [entry.ModeOpen] or [entry.ModeCommitted], of all its metering points
	Serial    string           // the port of its RS-485 line
	Line      *emulated.Line   // what is at the port's other end
	Bus       *emulated.Bus    // the stack's I2C bus, else nil
	Devices   []Device
	Mass      *Mass // what the stack's gateway derives, else nil
}

// Device is one part that a gateway reads.
type Device struct {
	Name    string // "grid", "sun", "scd41", "scd30", "flow"
	Model   string // as the gateway's catalogue has it
	Address uint16 // Modbus unit or I2C address
	OnI2C   bool   // whether it is on the gateway's Bus, else on its line
	// Channels are the registers of a part whose configuration names them, each as
	// NAME:UNIT:KIND:TABLE:ADDRESS:TYPE[:EXPONENT]; nil for others.
	Channels []string
	// Point is the metering point it measures. Devices of one point share it.
	Point entry.Point
}

// Points returns the metering points of all devices, each once.
func (g *Gateway) Points() []entry.Point {
	var out []entry.Point
	for _, d := range g.Devices {
		if !slices.ContainsFunc(out, func(p entry.Point) bool { return p.Subject == d.Point.Subject }) {
			out = append(out, d.Point)
		}
	}
	return out
}

// SetFaults makes exchanges with a device go wrong as plan says; nil ends it.
func (g *Gateway) SetFaults(device string, plan emulated.Plan) error {
	for _, d := range g.Devices {
		switch {
		case d.Name != device:
		case !d.OnI2C:
			g.Line.SetFaults(byte(d.Address), plan)
			return nil
		default:
			g.Bus.SetFaults(d.Address, plan)
			return nil
		}
	}
	return fmt.Errorf("gateway %s has no device %q", g.Name, device)
}

// Gateways returns the homes' gateways in the order of their names, then the
// stack's and the feeder's. Homes are committed and their keys alternate between
// Ed25519 and ES256; of the open ones the stack has ES256 and the feeder Ed25519.
func (s *Street) Gateways() []Gateway {
	var out []Gateway
	for i, h := range s.homes {
		g := Gateway{Name: h.Name, Algorithm: signer.EdDSA, Mode: entry.ModeCommitted}
		if i%2 == 1 {
			g.Algorithm = signer.ES256
		}
		g.attach(s.lines[i])
		g.add(s.seed, "grid", s.lines[i].model, gridUnit, 1)
		if h.Solar {
			g.add(s.seed, "sun", "sdm120", sunUnit, 1)
		}
		out = append(out, g)
	}
	stack := Gateway{Name: stackName, Algorithm: signer.ES256, Mode: entry.ModeOpen, Serial: s.stack.terminal.Path(), Line: s.stack.terminal.Line, Bus: s.stack.bus}
	stack.add(s.seed, "scd41", "scd41", scd41Address, 1)
	stack.add(s.seed, "scd30", "scd30", scd30Address, 1)
	stack.addFlow()
	feeder := Gateway{Name: feederName, Algorithm: signer.EdDSA, Mode: entry.ModeOpen}
	l := s.lines[len(s.homes)]
	feeder.attach(l)
	// One SDM630 carries the first two dozen homes; beyond that it stands for a
	// larger one.
	feeder.add(s.seed, "grid", l.model, gridUnit, int64(1+len(s.homes)/24))
	return append(out, stack, feeder)
}

func (g *Gateway) attach(l *line) { g.Serial, g.Line = l.terminal.Path(), l.terminal.Line }

func (g *Gateway) add(seed uint64, name, model string, address uint16, times int64) {
	g.Devices = append(g.Devices, Device{
		Name: name, Model: model, Address: address,
		Point: entry.Point{Subject: pseudonym(seed, g.Name, name), Mode: g.Mode, Channels: channels(model, times)},
	})
}

// addFlow puts the flow meter at the metering point of the sensor that is in the duct with
// it, whose channels are then named by their devices, and makes a mass of both.
func (g *Gateway) addFlow() {
	for i := range g.Devices {
		g.Devices[i].OnI2C = true
	}
	duct := &g.Devices[0]
	var all []entry.Channel
	for name, model := range map[string]string{duct.Name: duct.Model, "flow": "modbus", massDevice: "derived"} {
		for _, c := range channels(model, 1) {
			c.Name = name + "." + c.Name
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b entry.Channel) int { return strings.Compare(a.Name, b.Name) })
	duct.Point.Channels = all
	g.Devices = append(g.Devices, Device{Name: "flow", Model: "modbus", Address: flowUnit, Channels: flowChannels, Point: duct.Point})
	g.Mass = mass(duct.Point.Subject)
}

// pseudonym draws a metering point's subject, which tells nothing about it.
func pseudonym(seed uint64, gateway, device string) string {
	b := binary.BigEndian.AppendUint64([]byte("wattmark street metering point\n"), seed)
	sum := sha256.Sum256(fmt.Appendf(b, "%s\n%s", gateway, device))
	return "mp-" + hex.EncodeToString(sum[:8])
}
