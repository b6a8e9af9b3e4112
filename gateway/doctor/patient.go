package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"wattmark/gateway/console"
	"wattmark/gateway/uplink"
	"wattmark/hardware/board"
	"wattmark/signer"
)

// Patient is the gateway that is examined, as its configuration has it. Paths are where
// the files are.
type Patient struct {
	File     string // the configuration's
	Digest   string // SHA-256 of its text, in hex
	Mistakes []Mistake
	Version  string // of the program at hand

	Name   string
	Origin string       // of the ledger
	Board  *board.Board // nil where it is not known
	State  string       // the directory
	// Console is the running gateway's; nil where the configuration does not name it.
	Console *console.Client
	// Read reads all devices without the running gateway; nil where that cannot be done.
	Read func(ctx context.Context) (console.Live, error)

	Key       Key
	Secrets   []string // files that none but the gateway may read, besides the key's
	MaxBytes  int64    // of the outbox
	WarnAbove time.Duration

	Policy     string
	OracleKeys func() (int, error) // reads them, and tells how many there are
	Uplink     Uplink
	// Display is the address of the broker of Home Assistant, empty for none.
	Display string

	// Shows: a screen or a lamp shows how it fares; Lamp is the lamp's GPIO lines.
	Shows bool
	Lamp  []int

	Buses   []Bus
	Devices []Device
}

// Mistake is something that is wrong with the configuration.
type Mistake struct {
	Line   int // 0 where no line says it
	Cause  string
	Remedy string
}

// Key is where the gateway's key is.
type Key struct {
	Backend string
	File    string                                         // empty where there is none
	Open    func() (signer.PublicKey, func() error, error) // the function closes it
}

// Uplink is the way to the oracles.
type Uplink struct {
	Protocol                           string // mqtt or nats
	Broker                             string // its address
	Certificate, CertificateKey, Roots string
	// Open prepares a connection that announces nothing.
	Open func() (uplink.Transport, error)
}

// Bus is a bus of the configuration.
type Bus struct {
	Name string
	Kind string // serial, i2c, spi, modbus-tcp, rtu-over-tcp, gpio
	Port string // of the machine, or host and port
}

// Device is a device of the configuration.
type Device struct {
	Name, Bus string
	Unit      byte // of Modbus, 0 for none
	Disabled  bool
	Stretches bool // it stretches the clock of its I2C bus
	// Lines are the GPIO lines that it has for itself.
	Lines []int
}

// overTCP reports whether a bus is reached through the network.
func (b *Bus) overTCP() bool { return b.Kind == modbusTCP || b.Kind == rtuOverTCP }

// Kinds of buses, as configurations have them.
const (
	serial     = "serial"
	i2c        = "i2c"
	spi        = "spi"
	modbusTCP  = "modbus-tcp"
	rtuOverTCP = "rtu-over-tcp"
	gpioPins   = "gpio"
)

// on returns the devices on a bus that are not disabled.
func (p *Patient) on(bus string) []*Device {
	var all []*Device
	for i := range p.Devices {
		if d := &p.Devices[i]; d.Bus == bus && !d.Disabled {
			all = append(all, d)
		}
	}
	return all
}

// broker returns host and host:port of the broker's address, and whether it is reached
// by TLS.
func (u *Uplink) broker() (host, address string, secure bool, err error) {
	at, err := url.Parse(u.Broker)
	if err != nil || at.Hostname() == "" {
		return "", "", false, skip("the configuration names no broker")
	}
	port := at.Port()
	plain := slices.Contains([]string{"tcp", "mqtt", "nats"}, at.Scheme)
	if port == "" {
		port = map[string]string{"nats": "4222"}[at.Scheme]
	}
	if port == "" {
		port = "8883"
	}
	return at.Hostname(), net.JoinHostPort(at.Hostname(), port), !plain, nil
}

// exam is one examination: what several checks ask is asked once.
type exam struct {
	Machine
	*Patient
	ctx context.Context

	asked     bool
	status    console.Status
	statusErr error
	looked    bool
	live      console.Live
	liveErr   error
	unit      map[string]string // what the service manager says of the service
	unitErr   error
	unitAsked bool
}

func newExam(ctx context.Context, m Machine, p *Patient) *exam {
	x := &exam{Machine: m, Patient: p, ctx: ctx}
	if p.Board == nil {
		if b, err := x.detected(); err == nil {
			of := *p
			of.Board = b
			x.Patient = &of
		}
	}
	return x
}

// forget makes everything be asked again.
func (x *exam) forget() { x.asked, x.looked, x.unitAsked = false, false, false }

// askTime is what the running gateway may take to answer.
const askTime = 5 * time.Second

const notRunning = skip("the gateway does not run")

// running returns the status of the running gateway. The error is a skip.
func (x *exam) running() (*console.Status, error) {
	if !x.asked {
		x.asked = true
		x.statusErr = notRunning
		if x.Console != nil {
			ctx, cancel := context.WithTimeout(x.ctx, askTime)
			defer cancel()
			x.status, x.statusErr = x.Console.Status(ctx)
		}
	}
	switch {
	case x.statusErr == nil:
		return &x.status, nil
	case errors.Is(x.statusErr, console.ErrNotRunning):
		return nil, notRunning
	}
	return nil, skip(x.statusErr.Error())
}

// values returns the newest values of all devices, from the running gateway, or read
// now where there is none. The error is a skip.
func (x *exam) values() (*console.Live, error) {
	if !x.looked {
		x.looked = true
		switch _, err := x.running(); {
		case err == nil:
			ctx, cancel := context.WithTimeout(x.ctx, askTime)
			defer cancel()
			x.live, x.liveErr = x.Console.Live(ctx)
		case x.Read == nil || !errors.Is(err, notRunning):
			x.liveErr = err
		default:
			x.live, x.liveErr = x.Read(x.ctx)
		}
	}
	if x.liveErr != nil {
		return nil, skip(x.liveErr.Error())
	}
	return &x.live, nil
}

// serviceName is the service's name in packages.
const serviceName = "wattmark-gateway"

// service returns what the service manager says of the service. The error is a skip.
func (x *exam) service() (map[string]string, error) {
	if !x.unitAsked {
		x.unitAsked = true
		x.unit = make(map[string]string)
		var out string
		out, x.unitErr = x.run(x.ctx, "/usr/bin/systemctl", "show", serviceName,
			"-p", "LoadState,ActiveState,UnitFileState,NRestarts,Result,WatchdogUSec,User,SupplementaryGroups")
		for line := range strings.Lines(out) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				x.unit[key] = value
			}
		}
	}
	switch {
	case x.unitErr != nil:
		return nil, skip("no service manager: " + x.unitErr.Error())
	case x.unit["LoadState"] != "loaded":
		return nil, skip("the gateway is not installed as a service")
	}
	return x.unit, nil
}

// runsAs is the user that the gateway runs as.
func (x *exam) runsAs() user {
	name, also := "wattmark", []string(nil)
	if unit, err := x.service(); err == nil {
		name, also = unit["User"], strings.Fields(unit["SupplementaryGroups"])
		if name == "" {
			name = "root"
		}
	}
	return x.user(name, also)
}
