package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"wattmark/gateway/enrol"
	"wattmark/gateway/homeassistant"
	"wattmark/gateway/sampler"
	"wattmark/gateway/settings"
	"wattmark/gateway/uplink"
	"wattmark/hardware/board"
	"wattmark/hardware/bus"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Readers read files whose forms belong to packages that a gateway may not import.
type Readers struct {
	// OracleKeys reads a JSON Web Key Set.
	OracleKeys func(set []byte) (map[signer.KeyID]signer.PublicKey, error)
}

// Config opens what the file names, and returns what a gateway works with, by the
// machine's clock. All that is wrong, in the file and with the files that it names,
// is in one [*Mistakes]. It touches no bus and no network.
func (f *File) Config(read Readers) (Config, error) {
	before := len(f.fill.Mistakes)
	c := Config{
		Name: f.Gateway.Name, Dir: f.Path(f.Gateway.State), BootID: bootID(), Clock: sampler.NewMachineClock(),
		Origin: f.Uplink.Ledger, PackMaxAge: f.Gateway.PackMaxAge, FlushAfter: f.Outbox.FlushAfter,
		OutboxBytes: int64(f.Outbox.MaxBytes), FsyncEach: f.Outbox.Fsync == "each",
		Resend:    uplink.Backoff{First: f.Uplink.ResendAfter, Most: f.Uplink.ResendMost},
		Reconnect: uplink.Backoff{First: f.Uplink.ReconnectAfter, Most: f.Uplink.ReconnectMost},
		MaxRate:   int(f.Uplink.MaxRate),
		Digest:    f.digest, KeyBackend: f.Key.Backend, ClockWarn: f.Time.WarnAbove,
	}
	c.Buses, c.Devices = f.openers(), f.devices()
	for i := range f.Derived {
		c.Derived = append(c.Derived, f.Derived[i].derived())
	}
	var err error
	if keyBackends[f.Key.Backend] == nil {
		// That was said.
	} else if c.Key, err = f.OpenKey(); err != nil {
		remedy := "wattmark-gateway enrol makes the key"
		if !errors.Is(err, fs.ErrNotExist) {
			remedy = ""
		}
		f.mistake("key.file", remedy, "the gateway's key: %v", err)
	} else if err := f.CheckEnrolled(c.Key.Public()); err != nil {
		f.mistake("key", "", "%v", err)
	}
	c.Panel = f.panel()
	f.openPolicy(&c, read)
	f.openTransport(&c, wire.For(f.Uplink.Ledger).Birth(f.Gateway.Name))
	f.openDisplay(&c)
	err = f.mistakes()
	f.fill.Mistakes = f.fill.Mistakes[:before] // the next call finds them again
	return c, err
}

// bootID is the kernel's id of this boot (random(4)), empty where it has none.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(b[:min(len(b), 36)])
}

// compatible is where the device tree says what the machine is.
const compatible = "/proc/device-tree/compatible"

// Board returns the board that the file names, or else the one that the machine is.
func (f *File) Board() (*board.Board, error) {
	if name := f.Gateway.Board; name != "" {
		b, ok := board.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("there is no board %q", name)
		}
		return b, nil
	}
	b, err := os.ReadFile(compatible)
	if err != nil {
		return nil, errors.New("this machine is no board that is known")
	}
	return board.Detect(string(b))
}

// openers returns the buses of the file.
func (f *File) openers() []Bus {
	var all []Bus
	known, _ := f.Board() // on another machine the pins are not known
	for i := range f.Buses {
		b := f.Buses[i].Bus()
		if f.Buses[i].Kind == BusI2C {
			b.Recover = freeing(known, f.Buses[i].Port)
		}
		all = append(all, b)
	}
	return all
}

// Bus returns the bus of a table that was checked.
func (b *BusTable) Bus() Bus {
	out := Bus{Name: b.Name, Timeout: b.Timeout, Gap: b.Gap}
	switch b.Kind {
	case BusSerial:
		mode := bus.Mode{}
		if b.Mode != "" {
			mode, _ = bus.ParseMode(b.Mode) // it was checked
		}
		out.Open = bus.Serial(b.Port, mode)
	case BusI2C:
		out.Open = bus.I2C(b.Port)
	case BusSPI:
		out.Open = bus.SPI(b.Port)
	case BusModbusTCP:
		out.Open = bus.ModbusTCP(b.Address)
	case BusRTUOverTCP:
		out.Open = bus.Converter(b.Address)
	}
	return out
}

// devices returns the devices of the file.
func (f *File) devices() []Device {
	var all []Device
	for i := range f.Devices {
		all = append(all, f.device(&f.Devices[i]))
	}
	return all
}

// Device returns the device of the i-th table, for [Device.Open].
func (f *File) Device(i int) Device { return f.device(&f.Devices[i]) }

// device returns the device of a table.
func (f *File) device(d *DeviceTable) Device {
	out := Device{
		Name: d.Name, Model: d.Model, Bus: d.Bus, Address: d.place(), Settings: d.Settings,
		Subject: d.Point, Mode: d.Mode, Period: d.Period, Offset: d.Offset, Disabled: d.Disabled,
	}
	out.Board, _ = f.Board() // where it matters that there is none, that is a mistake
	if i := slices.IndexFunc(f.Buses, func(b BusTable) bool { return b.Name == d.Bus }); i >= 0 {
		out.BusKind = f.Buses[i].Kind
	}
	return out
}

// Derivation returns the derived device of the i-th table.
func (f *File) Derivation(i int) sampler.Derived { return f.Derived[i].derived() }

// derived returns the derived device of a table.
func (d *DerivedTable) derived() sampler.Derived {
	return sampler.Derived{
		Name: d.Name, Subject: d.Point, Method: d.Method, CO2: sampler.Input(d.CO2), Flow: sampler.Input(d.Flow), Velocity: sampler.Input(d.Velocity),
		Area: entry.Decimal(d.Area), Temperature: sampler.Input(d.Temperature), Pressure: sampler.Input(d.Pressure),
		Background: entry.Decimal(d.Background), Uncertainty: entry.Decimal(d.Uncertainty),
	}
}

// file reads a file that a key names, and notes why it cannot.
func (f *File) file(path, name string) []byte {
	if name == "" {
		return nil // that it is missing was said
	}
	b, err := settings.ReadLimited(f.Path(name))
	if err != nil {
		f.mistake(path, "correct the path, or get the file from the consortium", "%s: %s: %v", path, f.Path(name), err)
		return nil
	}
	return b
}

func (f *File) openPolicy(c *Config, read Readers) {
	if b := f.file("uplink.policy", f.Uplink.Policy); b != nil {
		p, err := block.ParsePolicy(b)
		switch {
		case err != nil:
			f.mistake("uplink.policy", "get it again from the consortium", "uplink.policy: %v", err)
		case f.Uplink.Ledger != "" && p.Origin() != f.Uplink.Ledger:
			f.mistake("uplink.policy", "get the policy of the right ledger", "uplink.policy: it is for the ledger %q, the gateway for %q", p.Origin(), f.Uplink.Ledger)
		default:
			c.Policy = p
		}
	}
	if b := f.file("uplink.oracle_keys", f.Uplink.OracleKeys); b != nil {
		keys, err := read.OracleKeys(b)
		if err == nil && len(keys) == 0 {
			err = errors.New("there is no oracle's key in it")
		}
		if err != nil {
			f.mistake("uplink.oracle_keys", "get them again from the consortium", "uplink.oracle_keys: %v", err)
		}
		c.OracleKeys = keys
	}
}

// openTransport prepares the connection to the broker, with the subject of birth and
// will, empty for neither.
func (f *File) openTransport(c *Config, announce string) {
	u := &f.Uplink
	link := uplink.Link{URL: u.Broker, ClientID: f.Gateway.Name, Announce: announce}
	before := len(f.fill.Mistakes)
	if u.Certificate != "" {
		link.TLS = f.tls(c)
	}
	if u.Broker == "" || f.Gateway.Name == "" || len(f.fill.Mistakes) > before || link.TLS != nil && link.TLS.RootCAs == nil {
		return // that is said already
	}
	open := map[string]func(uplink.Link) (uplink.Transport, error){"mqtt": uplink.MQTT, "nats": uplink.NATS}[u.Transport]
	if open == nil {
		return
	}
	t, err := open(link)
	if err != nil && len(f.fill.Mistakes) == 0 {
		f.mistake("uplink.broker", "", "uplink.broker: %v", err)
	}
	c.Transport = t
}

// openDisplay prepares what Home Assistant is shown.
func (f *File) openDisplay(c *Config) {
	h := &f.HomeAssistant
	if h.Broker == "" {
		return
	}
	c.HomeAssistant = homeassistant.Config{Broker: h.Broker, User: h.User, Oracles: f.Uplink.Broker, Prefix: h.Prefix}
	if h.PasswordFile != "" {
		password, _, _ := strings.Cut(string(f.file("home_assistant.password_file", h.PasswordFile)), "\n")
		c.HomeAssistant.Password = strings.TrimRight(password, "\r")
	}
	if err := c.HomeAssistant.Check(); err != nil {
		f.mistake("home_assistant.broker", "", "%v", err)
	}
}

// tls loads the client certificate and the roots.
func (f *File) tls(c *Config) *tls.Config {
	u := &f.Uplink
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if b := f.file("uplink.roots", u.Roots); b != nil {
		roots := x509.NewCertPool()
		if roots.AppendCertsFromPEM(b) {
			out.RootCAs = roots
		} else {
			f.mistake("uplink.roots", "get them again from the consortium", "uplink.roots: there is no certificate in PEM in %s", f.Path(u.Roots))
		}
	}
	certificate, key := f.file("uplink.certificate", u.Certificate), f.file("uplink.certificate_key", u.CertificateKey)
	if certificate != nil && key != nil {
		// One that has ended is no mistake of the file: sampling goes on, and status
		// says what to do.
		client, err := enrol.OpenClient(certificate, key, out.RootCAs, f.Path(f.Gateway.State))
		if err != nil {
			f.mistake("uplink.certificate", "ask the consortium for another", "uplink.certificate: %v", err)
			return out
		}
		c.Certificate, out.GetClientCertificate = client, client.Show
	}
	return out
}
