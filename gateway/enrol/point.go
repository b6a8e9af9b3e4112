package enrol

import (
	"cmp"
	"fmt"
	"slices"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// Device is a part that a gateway reads, and what it measures.
type Device struct {
	Name    string // among the devices of its metering point
	About   hardware.Descriptor
	Serial  string // empty where it is not known
	Where   string // bus and address, for people
	Subject string
	Mode    string
	// Disabled: it is not read, and nothing is asked for it.
	Disabled bool
	// Derived: it is computed from others of its point, whose mode it has. It is no part
	// that somebody could look at.
	Derived bool
}

// widest is the range of a channel for which the maker states none: the ledger
// wants one, and every value is plausible to it.
const widest = 1_000_000_000_000_000

// Ask returns what a gateway that reads these devices asks for: its devices, and its
// metering points with a channel for each that will be in their readings. What is
// derived comes after the devices it is computed from.
func Ask(gateway string, devices []Device) (entry.EnrolmentRequest, error) {
	ask := entry.EnrolmentRequest{Gateway: gateway, Points: []entry.Point{}, Devices: []entry.RequestDevice{}}
	sharing := make(map[string]int)
	for i := range devices {
		sharing[devices[i].Subject]++ // disabled ones too: the names are no others once they are read
	}
	at := make(map[string]int)
	for i := range devices {
		d := &devices[i]
		k, known := at[d.Subject]
		if d.Disabled || d.Derived && !known {
			continue
		}
		if !d.Derived {
			ask.Devices = append(ask.Devices, entry.RequestDevice{Model: d.About.Model, Serial: d.Serial, Where: d.Where, Subject: d.Subject})
		}
		if !known {
			k = len(ask.Points)
			at[d.Subject] = k
			ask.Points = append(ask.Points, entry.Point{Subject: d.Subject, Mode: d.Mode, Channels: []entry.Channel{}})
		}
		p := &ask.Points[k]
		if p.Mode != d.Mode && !d.Derived {
			return ask, fmt.Errorf("metering point %q is both %s and %s", d.Subject, p.Mode, d.Mode)
		}
		for _, c := range d.About.Channels {
			name := c.Name
			if sharing[d.Subject] > 1 {
				name = d.Name + "." + name // as the sampler names them
			}
			least, most := limits(c)
			p.Channels = append(p.Channels, entry.Channel{Name: name, Unit: string(c.Unit), Kind: c.Kind.String(), Least: least, Most: most})
		}
	}
	for i := range ask.Points {
		slices.SortFunc(ask.Points[i].Channels, func(a, b entry.Channel) int { return cmp.Compare(a.Name, b.Name) })
	}
	return ask, nil
}

// limits returns what the maker states as a channel's range.
func limits(c hardware.Channel) (least, most entry.Decimal) {
	l := c.Limits
	if l == (hardware.Limits{}) {
		if c.Kind == hardware.Counter {
			return entry.Int(0), entry.Int(widest)
		}
		return entry.Int(-widest), entry.Int(widest)
	}
	return decimal(l.Low, l.Exponent), decimal(l.High, l.Exponent)
}

// decimal writes mantissa and exponent as entries do, which have no positive
// exponents.
func decimal(mantissa int64, exponent int8) entry.Decimal {
	for ; exponent > 0; exponent-- {
		if mantissa > widest || mantissa < -widest {
			return entry.Int(mantissa)
		}
		mantissa *= 10
	}
	return entry.Decimal{Mantissa: mantissa, Exponent: exponent}
}
