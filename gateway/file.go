package gateway

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wattmark/gateway/settings"
	"wattmark/signer/tpm"
)

// DefaultFile is where the configuration stands on a gateway.
const DefaultFile = "/etc/wattmark/gateway.toml"

// File is a configuration file: the tables of the page deploy/gateway.toml. Relative
// paths in it begin in its own directory.
type File struct {
	Gateway       GatewayTable       `toml:"gateway"`
	Time          TimeTable          `toml:"time"`
	Key           KeyTable           `toml:"key"`
	Outbox        OutboxTable        `toml:"outbox"`
	Uplink        UplinkTable        `toml:"uplink"`
	Metrics       MetricsTable       `toml:"metrics"`
	HomeAssistant HomeAssistantTable `toml:"home_assistant"`
	Display       DisplayTable       `toml:"display"`
	Update        UpdateTable        `toml:"update"`
	Buses         []BusTable         `toml:"bus"`
	Derived       []DerivedTable     `toml:"derived"`
	Devices       []DeviceTable      `toml:"-"` // [[device]]; their keys depend on the model

	path   string
	digest string // SHA-256 of the text, in hex
	fill   settings.Reader
}

// GatewayTable is [gateway].
type GatewayTable struct {
	Name  string `toml:"name"`  // as it is enrolled
	State string `toml:"state"` // the directory of the outbox, the key and the enrolment
	// Point and Mode are what devices measure that do not say it themselves.
	Point      string        `toml:"point"`
	Mode       string        `toml:"mode"`
	Console    string        `toml:"console"` // the socket that status and read ask
	Page       string        `toml:"page"`    // where the page listens; "off" for nowhere
	PackMaxAge time.Duration `toml:"pack_max_age"`
	Board      string        `toml:"board"` // one of package board's; empty is the machine's own
}

// TimeTable is [time].
type TimeTable struct {
	WarnAbove time.Duration `toml:"warn_above"` // uncertainty from which status warns
}

// KeyTable is [key].
type KeyTable struct {
	Backend string `toml:"backend"` // file, tpm or pkcs11
	File    string `toml:"file"`
	Device  string `toml:"device"`   // of a TPM
	Module  string `toml:"module"`   // of PKCS#11
	Token   string `toml:"token"`    // its label
	Label   string `toml:"label"`    // of the key on the token
	PINFile string `toml:"pin_file"` // whose first line is the PIN
}

// OutboxTable is [outbox].
type OutboxTable struct {
	MaxBytes   Size          `toml:"max_bytes"`
	FlushAfter time.Duration `toml:"flush_after"`
	Fsync      string        `toml:"fsync"` // group or each
}

// UplinkTable is [uplink].
type UplinkTable struct {
	Ledger         string `toml:"ledger"`    // the ledger's origin
	Transport      string `toml:"transport"` // mqtt or nats
	Broker         string `toml:"broker"`    // an address such as mqtts://broker.example:8883
	Certificate    string `toml:"certificate"`
	CertificateKey string `toml:"certificate_key"`
	// Bootstrap is a PEM file with the certificate, and its key, that all gateways share
	// which have none of their own yet: they ask for their enrolment with it.
	Bootstrap      string        `toml:"bootstrap"`
	Roots          string        `toml:"roots"`
	Policy         string        `toml:"policy"`      // whose signatures make a receipt
	OracleKeys     string        `toml:"oracle_keys"` // JSON Web Key Set; they sign refusals
	MaxRate        Rate          `toml:"max_rate"`
	ResendAfter    time.Duration `toml:"resend_after"`
	ResendMost     time.Duration `toml:"resend_most"`
	ReconnectAfter time.Duration `toml:"reconnect_after"`
	ReconnectMost  time.Duration `toml:"reconnect_most"`
}

// MetricsTable is [metrics].
type MetricsTable struct {
	Listen string `toml:"listen"` // a loopback address with its port, or unix:PATH
}

// HomeAssistantTable is [home_assistant].
type HomeAssistantTable struct {
	Broker       string `toml:"broker"` // its own, never the oracles'
	User         string `toml:"user"`
	PasswordFile string `toml:"password_file"`
	Prefix       string `toml:"prefix"` // of discovery topics
}

// BusTable is [[bus]].
type BusTable struct {
	Name    string        `toml:"name"`
	Kind    BusKind       `toml:"kind"`
	Port    string        `toml:"port"`    // of the machine: /dev/ttyUSB0, /dev/i2c-1, /dev/spidev0.0
	Address string        `toml:"address"` // host and port, of a bus over TCP
	Mode    string        `toml:"mode"`    // of a serial line: "9600 8N1"
	Timeout time.Duration `toml:"timeout"` // for a part to answer
	Gap     time.Duration `toml:"gap"`     // of silence between two RTU frames
}

// DeviceTable is [[device]], but for the keys of its model.
type DeviceTable struct {
	Name    string        `toml:"name"`
	Model   string        `toml:"model"`
	Bus     string        `toml:"bus"`
	Unit    uint16        `toml:"unit"`    // of a Modbus unit
	Address uint16        `toml:"address"` // of a part on I2C
	Point   string        `toml:"point"`
	Mode    string        `toml:"mode"`
	Period  time.Duration `toml:"period"`
	Offset  time.Duration `toml:"offset"`
	// Disabled leaves the device alone, as while it is repaired: its gaps say so.
	Disabled bool `toml:"disabled"`

	// Settings are the keys of the model, as its driver takes them; nil for an
	// unknown model.
	Settings any `toml:"-"`
}

// DerivedTable is [[derived]]: a mass flow of CO2 that is computed from devices of one
// metering point. Its inputs are written "device.channel".
type DerivedTable struct {
	Name        string  `toml:"name"`
	Method      string  `toml:"method"` // mass-flow/1
	Point       string  `toml:"point"`
	CO2         Input   `toml:"co2"`
	Flow        Input   `toml:"flow"`     // in m3/s, or
	Velocity    Input   `toml:"velocity"` // in m/s, times
	Area        Decimal `toml:"area_m2"`  // of the duct
	Temperature Input   `toml:"temperature"`
	Pressure    Input   `toml:"pressure"`
	Background  Decimal `toml:"background_ppm"` // of ambient air, which is not emitted
	Uncertainty Decimal `toml:"uncertainty"`    // of the flow, as a share: 0.05
}

// Input is a channel of a device, in files "device.channel".
type Input struct{ Device, Channel string }

// UnmarshalText reads device and channel.
func (i *Input) UnmarshalText(text []byte) error {
	at := strings.LastIndexByte(string(text), '.')
	if at < 1 || at == len(text)-1 {
		return fmt.Errorf("%q is not of the form \"device.channel\"", text)
	}
	*i = Input{string(text[:at]), string(text[at+1:])}
	return nil
}

// String writes device and channel.
func (i Input) String() string {
	if i == (Input{}) {
		return ""
	}
	return i.Device + "." + i.Channel
}

// place is the part's address, 0 where it is not given.
func (d *DeviceTable) place() uint16 { return max(d.Unit, d.Address) }

// defaults returns a configuration before its file is read.
func defaults() File {
	return File{
		Gateway: GatewayTable{State: "/var/lib/wattmark", Mode: "committed", Console: "/run/wattmark/console.sock", Page: "127.0.0.1:8480", PackMaxAge: time.Minute},
		Time:    TimeTable{WarnAbove: time.Second},
		Key:     KeyTable{Backend: "file", Device: tpm.Device, Label: "wattmark"},
		Outbox:  OutboxTable{MaxBytes: 256 << 20, FlushAfter: defaultFlushAfter, Fsync: "group"},
		Uplink: UplinkTable{
			Transport: "mqtt", ResendAfter: 30 * time.Second, ResendMost: 15 * time.Minute,
			ReconnectAfter: time.Second, ReconnectMost: 5 * time.Minute,
		},
		HomeAssistant: HomeAssistantTable{Prefix: "homeassistant"},
		Update:        defaultUpdate(),
	}
}

// ReadFile reads a configuration file and checks all that can be seen in the file
// itself; it opens no other. If something is wrong the error is [*Mistakes], and the
// File holds what is right, unless that is nothing.
func ReadFile(path string) (*File, error) {
	text, err := settings.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseFile(path, text)
}

// ParseFile is ReadFile of a text that stands, or will, at path.
func ParseFile(path string, text []byte) (*File, error) {
	f := defaults()
	f.path = path
	f.digest = fmt.Sprintf("%x", sha256.Sum256(text))
	tables, err := f.fill.Parse(path, text)
	if err != nil {
		return nil, err
	}
	f.readDevices(tables)
	f.fill.Table("", tables, &f)
	f.check()
	return &f, f.mistakes()
}

// mistakes returns what was found until now, as an error; nil for nothing.
func (f *File) mistakes() error { return f.fill.Err(f.path) }

// readDevices takes the devices out of the tables: their keys are the model's too.
func (f *File) readDevices(tables map[string]any) {
	raw, ok := tables["device"]
	if !ok {
		return
	}
	delete(tables, "device")
	list, ok := raw.([]map[string]any)
	if !ok {
		f.fill.Mistake("device", "write [[device]] above each", `"device" is no list of tables`)
		return
	}
	for i, table := range list {
		d := DeviceTable{Period: defaultPeriod}
		at := fmt.Sprintf("device[%d]", i)
		structs := []any{&d}
		name, _ := table["model"].(string)
		m, err := LookupModel(name)
		switch {
		case err == nil:
			d.Settings = m.settings()
			structs = append(structs, d.Settings)
		case name == "" && table["model"] != nil: // of a wrong type, which is said below
		case name == "":
			f.fill.Mistake(at, "add model = \"…\"", "a [[device]] without a model")
		default:
			f.fill.Mistake(at+".model", "", "%v", err)
		}
		if err != nil {
			// Which keys it may have is not known, beside those of all devices.
			for key := range table {
				if !slices.Contains(settings.KeysOf(&d), key) {
					delete(table, key)
				}
			}
		}
		f.fill.Table(at, table, structs...)
		f.Devices = append(f.Devices, d)
	}
}

// Path makes a path of the file absolute, or relative to where the program runs:
// beside the file, unless it begins at the root.
func (f *File) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(f.path), p)
}

// MetricsAddress is where the metrics are, in the form of console.Listen; empty where
// they are not.
func (f *File) MetricsAddress() string {
	if path, ok := strings.CutPrefix(f.Metrics.Listen, "unix:"); ok {
		return "unix:" + f.Path(path)
	}
	return f.Metrics.Listen
}

// PageAddress is where the page listens, empty for nowhere.
func (f *File) PageAddress() string {
	if f.Gateway.Page == noPage {
		return ""
	}
	return f.Gateway.Page
}

// noPage stands in a file for no page.
const noPage = "off"

// Effective lists what the configuration comes to, with the line of each value that
// the file gives.
func (f *File) Effective() []Setting {
	var all []Setting
	all = append(all, f.fill.Settings("", f)...)
	for i := range f.Devices {
		at := fmt.Sprintf("device[%d]", i)
		all = append(all, f.fill.Settings(at, &f.Devices[i])...)
		if s := f.Devices[i].Settings; s != nil {
			all = append(all, f.fill.Settings(at, s)...)
		}
	}
	return all
}
