package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"wattmark/gateway/console"
	"wattmark/gateway/doctor"
	"wattmark/gateway/settings"
	"wattmark/gateway/uplink"
	"wattmark/signer"
)

// Patient is the gateway of a file as package doctor examines it. It opens nothing yet.
// With mistakes in the file, which err is, the rest is examined all the same.
func (f *File) Patient(err error, read Readers) *doctor.Patient {
	p := &doctor.Patient{
		File: f.path, Digest: f.digest, Version: Version(), Name: f.Gateway.Name, Origin: f.Uplink.Ledger,
		State: f.Path(f.Gateway.State), Console: console.NewClient(f.Path(f.Gateway.Console)),
		MaxBytes: int64(f.Outbox.MaxBytes), WarnAbove: f.Time.WarnAbove,
		Policy: f.Path(f.Uplink.Policy), Display: f.HomeAssistant.Broker,
		Uplink: doctor.Uplink{
			Protocol: f.Uplink.Transport, Broker: f.Uplink.Broker,
			Certificate: f.Path(f.Uplink.Certificate), CertificateKey: f.Path(f.Uplink.CertificateKey), Roots: f.Path(f.Uplink.Roots),
			Open: f.quietTransport,
		},
		Key:        doctor.Key{Backend: f.Key.Backend, Open: f.openPublic},
		OracleKeys: func() (int, error) { return f.countOracleKeys(read) },
	}
	var wrong *Mistakes
	if errors.As(err, &wrong) {
		for _, m := range wrong.List {
			p.Mistakes = append(p.Mistakes, doctor.Mistake(m))
		}
	}
	p.Board, _ = f.Board() // on another machine nothing is known of pins
	if f.Key.Backend != "pkcs11" {
		p.Key.File = f.KeyFile()
	}
	for _, path := range []string{f.Uplink.CertificateKey, f.Key.PINFile, f.HomeAssistant.PasswordFile} {
		if path != "" {
			p.Secrets = append(p.Secrets, f.Path(path))
		}
	}
	if shared := f.Path(f.Uplink.Bootstrap); shared != "" {
		if _, err := os.Stat(shared); err == nil { // of no use once the gateway has a certificate of its own
			p.Secrets = append(p.Secrets, shared)
		}
	}
	if p.Board != nil {
		if lamp, ok := f.lampUse(p.Board); ok {
			p.Lamp = lamp.Lines
		}
	}
	p.Shows = f.Display.Screen != "" || f.Display.Lamp != ""
	for i := range f.Buses {
		b := &f.Buses[i]
		p.Buses = append(p.Buses, doctor.Bus{Name: b.Name, Kind: string(b.Kind), Port: b.Port + b.Address})
	}
	for i := range f.Devices {
		d := &f.Devices[i]
		out := doctor.Device{Name: d.Name, Bus: d.Bus, Disabled: d.Disabled, Stretches: slices.Contains(stretching, d.Model)}
		if m, err := LookupModel(d.Model); err == nil && m.on(f.device(d).BusKind).Addressing == ByUnit {
			out.Unit = byte(d.place())
		}
		if pins, ok := d.Settings.(pinned); ok && p.Board != nil {
			out.Lines, _ = pins.lines(p.Board) // a pin that is not there is a mistake of the file
		}
		p.Devices = append(p.Devices, out)
	}
	return p
}

// stretching are models that stretch the clock of I2C.
var stretching = []string{"scd30"}

// openPublic opens the key, and returns what lets it go again.
func (f *File) openPublic() (signer.PublicKey, func() error, error) {
	k, err := f.OpenKey()
	if err != nil {
		return signer.PublicKey{}, nil, err
	}
	done := func() error { return nil }
	if c, ok := k.(io.Closer); ok {
		done = c.Close
	}
	return k.Public(), done, nil
}

// quietTransport prepares a connection that leaves neither birth nor will.
func (f *File) quietTransport() (uplink.Transport, error) {
	var c Config
	before := len(f.fill.Mistakes)
	f.openTransport(&c, "")
	wrong := f.fill.Mistakes[before:]
	f.fill.Mistakes = f.fill.Mistakes[:before]
	switch {
	case c.Transport != nil:
		return c.Transport, nil
	case len(wrong) > 0:
		return nil, errors.New(wrong[0].Cause)
	}
	return nil, errors.New("the configuration says too little of the broker")
}

func (f *File) countOracleKeys(read Readers) (int, error) {
	path := f.Path(f.Uplink.OracleKeys)
	b, err := settings.ReadLimited(path)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	keys, err := read.OracleKeys(b)
	return len(keys), err
}
