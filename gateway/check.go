package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"wattmark/gateway/sampler"
	"wattmark/hardware"
	"wattmark/hardware/board"
	"wattmark/hardware/bus"
	"wattmark/ledger/entry"
)

// check looks for what is wrong with the values of a file, each for itself and all
// together.
func (f *File) check() {
	f.checkGateway()
	f.checkKey()
	f.checkUplink()
	f.checkListen()
	f.checkBuses()
	f.checkDevices()
	f.checkDerived()
	f.checkDisplay(f.busNames())
	f.checkPins()
}

// mistake notes what is wrong with a key.
func (f *File) mistake(path, remedy, format string, args ...any) {
	f.fill.Mistake(path, remedy, format, args...)
}

// needed notes a key that is missing.
func (f *File) needed(path, value, remedy string) {
	if value == "" {
		f.mistake(path, remedy, "missing key %q", path)
	}
}

// among notes a value that is none of a list.
func (f *File) among(path, value string, list ...string) bool {
	if slices.Contains(list, value) {
		return true
	}
	remedy := "it is one of " + strings.Join(list, ", ")
	if near := Nearest(value, list); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	f.mistake(path, remedy, "%s: unknown value %q", path, value)
	return false
}

// divides notes a period that does not divide 900 s.
func (f *File) divides(path string, d time.Duration) {
	if d <= 0 || sampler.Interval%d != 0 || d%time.Millisecond != 0 {
		f.mistake(path, "take one of 1s, 2s, 5s, 10s, 15s, 30s, 60s, 5m, 15m", "%s: %s does not divide an interval of 15 minutes", path, d)
	}
}

func (f *File) positive(path string, d time.Duration) {
	if d < 0 {
		f.mistake(path, "take a time above 0", "%s: %s is negative", path, d)
	}
}

func (f *File) checkGateway() {
	g := &f.Gateway
	f.needed("gateway.name", g.Name, `add name = "…" to [gateway], as it is enrolled`)
	if g.Name != "" {
		if err := entry.CheckGateway(g.Name); err != nil {
			f.mistake("gateway.name", "rename it", "gateway.name: %v", err)
		}
	}
	f.needed("gateway.state", g.State, `take it out for "/var/lib/wattmark"`)
	f.among("gateway.mode", g.Mode, entry.ModeOpen, entry.ModeCommitted)
	f.divides("gateway.pack_max_age", g.PackMaxAge)
	if g.Board != "" {
		f.among("gateway.board", g.Board, board.Names()...)
	}
	if _, port, err := net.SplitHostPort(g.Page); g.Page != noPage && (err != nil || port == "") {
		f.mistake("gateway.page", `take "127.0.0.1:8480" for this machine alone, an address of its own with a port for others, or "off"`, "gateway.page: %q is no address with a port", g.Page)
	}
	f.positive("time.warn_above", f.Time.WarnAbove)
	f.positive("outbox.flush_after", f.Outbox.FlushAfter)
	f.among("outbox.fsync", f.Outbox.Fsync, "group", "each")
	if f.Outbox.MaxBytes < 1<<20 {
		f.mistake("outbox.max_bytes", `take at least "1MiB"`, "outbox.max_bytes: %s is too little for the log", f.Outbox.MaxBytes)
	}
}

func (f *File) checkKey() {
	k := &f.Key
	if !f.among("key.backend", k.Backend, "file", "tpm", "pkcs11") {
		return
	}
	if k.Backend == "pkcs11" {
		f.needed("key.module", k.Module, "give the path of the PKCS#11 library")
		f.needed("key.token", k.Token, "give the token's label")
		f.needed("key.pin_file", k.PINFile, "give the path of a file with the PIN")
	}
	of := map[string]string{"device": "tpm", "module": "pkcs11", "token": "pkcs11", "label": "pkcs11", "pin_file": "pkcs11"}
	for key, backend := range of {
		if _, given := f.fill.Lines["key."+key]; given && backend != k.Backend {
			f.mistake("key."+key, fmt.Sprintf("take it out, or set backend = %q", backend), "key.%s is not used with the backend %q", key, k.Backend)
		}
	}
	if k.Backend == "pkcs11" && k.File != "" {
		f.mistake("key.file", "take it out", "key.file is not used with the backend %q", k.Backend)
	}
}

func (f *File) checkUplink() {
	u := &f.Uplink
	f.needed("uplink.ledger", u.Ledger, "give the ledger's origin, as its policy says it")
	f.needed("uplink.policy", u.Policy, "give the path of the ledger's policy")
	f.needed("uplink.oracle_keys", u.OracleKeys, "give the path of the oracles' keys (JSON Web Key Set)")
	for _, t := range []struct {
		key string
		d   time.Duration
	}{{"resend_after", u.ResendAfter}, {"resend_most", u.ResendMost}, {"reconnect_after", u.ReconnectAfter}, {"reconnect_most", u.ReconnectMost}} {
		f.positive("uplink."+t.key, t.d)
	}
	known := f.among("uplink.transport", u.Transport, "mqtt", "nats")
	f.needed("uplink.broker", u.Broker, `give its address, such as "mqtts://broker.example:8883"`)
	if !known || u.Broker == "" {
		return
	}
	at, err := url.Parse(u.Broker)
	if err != nil || at.Hostname() == "" {
		f.mistake("uplink.broker", `write it as in "mqtts://broker.example:8883"`, "uplink.broker: %q is no address", u.Broker)
		return
	}
	schemes := map[string][]string{"mqtt": {"mqtts", "ssl", "tls", "mqtt", "tcp"}, "nats": {"tls", "nats"}}[u.Transport]
	plain := map[string]bool{"mqtt": true, "tcp": true, "nats": true}
	switch {
	case !slices.Contains(schemes, at.Scheme):
		f.mistake("uplink.broker", fmt.Sprintf("begin it with %s://", schemes[0]), "uplink.broker: %q is no address for %s", u.Broker, u.Transport)
	case plain[at.Scheme] && !loopback(at.Hostname()):
		f.mistake("uplink.broker", fmt.Sprintf("begin it with %s://: without TLS only the loopback may be reached", schemes[0]), "uplink.broker: %q is not protected", u.Broker)
	case !plain[at.Scheme]:
		f.needed("uplink.certificate", u.Certificate, "give the path of the client certificate that the consortium issued")
		f.needed("uplink.certificate_key", u.CertificateKey, "give the path of the certificate's private key")
		f.needed("uplink.roots", u.Roots, "give the path of the consortium's root certificates")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkListen wants metrics on the loopback or on a socket.
func (f *File) checkListen() {
	listen := f.Metrics.Listen
	if listen == "" {
		return
	}
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		if path == "" {
			f.mistake("metrics.listen", `write it as in "unix:/run/wattmark/metrics.sock"`, "metrics.listen: the socket has no path")
		}
		return
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil || !loopback(host) {
		f.mistake("metrics.listen", `take "127.0.0.1:9469" or "unix:/run/wattmark/metrics.sock"`, "metrics.listen: %q is neither on the loopback nor a socket", listen)
	}
}

// keys of [[bus]] that only some kinds have.
var busKeys = map[string][]BusKind{
	"port":    {BusSerial, BusI2C, BusSPI},
	"address": {BusModbusTCP, BusRTUOverTCP},
	"mode":    {BusSerial},
	"timeout": {BusSerial, BusModbusTCP, BusRTUOverTCP, BusI2C},
	"gap":     {BusSerial, BusRTUOverTCP},
}

func (f *File) checkBuses() {
	if len(f.Buses) == 0 {
		f.mistake("bus", "add a [[bus]] and the devices on it", "there is no bus")
	}
	kinds := make([]string, len(BusKinds))
	for i, k := range BusKinds {
		kinds[i] = string(k)
	}
	names, ports := make(map[string]int), make(map[string]int)
	for i := range f.Buses {
		b := &f.Buses[i]
		at := fmt.Sprintf("bus[%d]", i)
		f.needed(at+".name", b.Name, `add name = "…"`)
		if first, twice := names[b.Name]; twice && b.Name != "" {
			f.mistake(at+".name", "rename one of them", "there is a bus %q already, on line %d", b.Name, f.fill.Line(fmt.Sprintf("bus[%d]", first)))
		} else {
			names[b.Name] = i
		}
		if b.Kind == "" {
			f.needed(at+".kind", "", "it is one of "+strings.Join(kinds, ", "))
			continue
		}
		if !f.among(at+".kind", string(b.Kind), kinds...) {
			continue
		}
		f.checkBus(at, b)
		where := b.Port + b.Address
		if first, twice := ports[where]; twice && where != "" {
			f.mistake(at, "put the devices of both on one bus", "bus %q is on %s, as bus %q on line %d is", b.Name, where, f.Buses[first].Name, f.fill.Line(fmt.Sprintf("bus[%d]", first)))
		} else {
			ports[where] = i
		}
	}
}

func (f *File) checkBus(at string, b *BusTable) {
	for key, kinds := range busKeys {
		if _, given := f.fill.Lines[at+"."+key]; given && !slices.Contains(kinds, b.Kind) {
			f.mistake(at+"."+key, "take it out", "a bus of kind %q has no key %q", b.Kind, key)
		}
	}
	if b.Kind == BusGPIO {
		// The board says which chip it is.
	} else if slices.Contains(busKeys["port"], b.Kind) {
		f.needed(at+".port", b.Port, `add port = "…", such as "/dev/ttyUSB0" or "/dev/i2c-1"`)
	} else if f.needed(at+".address", b.Address, `add address = "…", such as "192.168.1.20:502"`); b.Address != "" {
		if _, _, err := net.SplitHostPort(b.Address); err != nil {
			f.mistake(at+".address", `write it as in "192.168.1.20:502"`, "%s.address: %q is no host with a port", at, b.Address)
		}
	}
	if b.Mode != "" {
		if _, err := bus.ParseMode(b.Mode); err != nil {
			f.mistake(at+".mode", `write it as in "9600 8N1"`, "%s.mode: %v", at, err)
		}
	}
	f.positive(at+".timeout", b.Timeout)
	if b.Gap < 0 || b.Gap > 100*time.Millisecond {
		f.mistake(at+".gap", `take "2ms" to "100ms"`, "%s.gap: %s is out of range", at, b.Gap)
	}
}

func (f *File) checkDevices() {
	if len(f.Devices) == 0 {
		f.mistake("device", "add a [[device]]; wattmark-gateway scan finds what is there", "there is no device")
	}
	buses := f.busNames()
	names, places := make(map[string]int), make(map[string]int)
	for i := range f.Devices {
		d := &f.Devices[i]
		at := fmt.Sprintf("device[%d]", i)
		line := func(i int) int { return f.fill.Line(fmt.Sprintf("device[%d]", i)) }
		f.needed(at+".name", d.Name, `add name = "…"`)
		if first, twice := names[d.Name]; twice && d.Name != "" {
			f.mistake(at+".name", "rename one of them", "there is a device %q already, on line %d", d.Name, line(first))
		} else {
			names[d.Name] = i
		}
		f.divides(at+".period", d.Period)
		if d.Offset < 0 || d.Period > 0 && d.Offset >= d.Period {
			f.mistake(at+".offset", "take less than the period", "%s.offset: %s is not within the period of %s", at, d.Offset, d.Period)
		}
		f.checkPoint(at, d)
		m, err := LookupModel(d.Model)
		if err != nil {
			m = Model{}
		}
		on := f.checkOn(at, d, m, buses)
		if on == nil || m.Name == "" {
			continue
		}
		m = m.on(on.Kind)
		if on.Kind == BusSerial && on.Mode == "" {
			on.Mode = m.Mode
			if l, ok := d.Settings.(lined); ok && l.usualMode() != "" {
				on.Mode = l.usualMode()
			}
		}
		f.checkPlace(at, d, m)
		if m.Addressing == ByPin {
			continue // its pin is checked with all others
		}
		place := fmt.Sprintf("%s at address %d", on.Name, effective(d, m))
		switch m.Addressing {
		case Alone:
			place = on.Name
		case ByI2C:
			place = fmt.Sprintf("%s at address %#02x", on.Name, effective(d, m))
		}
		if f.Display.Screen != "" && m.Addressing == ByI2C && d.Bus == f.Display.Bus && effective(d, m) == f.Display.screenAddress() {
			f.mistake("display", "set address = 0x3d, or give the screen another bus", "the screen is on bus %s, as device %q on line %d is", place, d.Name, line(i))
		}
		if first, twice := places[place]; twice {
			f.mistake(at, "give one of them another address, or another bus", "device %q is on bus %s, as device %q on line %d is", d.Name, place, f.Devices[first].Name, line(first))
		} else {
			places[place] = i
		}
	}
	f.checkAlone()
}

func (f *File) busNames() []string {
	names := make([]string, len(f.Buses))
	for i := range f.Buses {
		names[i] = f.Buses[i].Name
	}
	return names
}

// effective is the address at which a device is.
func effective(d *DeviceTable, m Model) uint16 {
	if d.place() != 0 {
		return d.place()
	}
	return m.Address
}

// checkPoint wants a metering point with one mode.
func (f *File) checkPoint(at string, d *DeviceTable) {
	if d.Point == "" {
		d.Point = f.Gateway.Point
	}
	if d.Mode == "" {
		d.Mode = f.Gateway.Mode
	} else if !f.among(at+".mode", d.Mode, entry.ModeOpen, entry.ModeCommitted) {
		return
	}
	f.needed(at+".point", d.Point, `add point = "…" here or to [gateway]: the metering point as it is enrolled`)
	for i := range f.Devices {
		if other := &f.Devices[i]; other == d {
			return
		} else if other.Point == d.Point && other.Mode != d.Mode && d.Point != "" {
			f.mistake(at+".mode", "a metering point has one mode, as it is enrolled", "metering point %q is both %s (device %q) and %s", d.Point, other.Mode, other.Name, d.Mode)
			return
		}
	}
}

// checkOn returns the bus of a device, nil if it has none that suits it.
func (f *File) checkOn(at string, d *DeviceTable, m Model, buses []string) *BusTable {
	if d.Bus == "" {
		f.mistake(at, `add bus = "…", the name of a [[bus]]`, "device %q has no bus", d.Name)
		return nil
	}
	i := slices.Index(buses, d.Bus)
	if i < 0 {
		remedy := "add a [[bus]] of that name"
		if near := Nearest(d.Bus, buses); near != "" {
			remedy = fmt.Sprintf("did you mean %q?", near)
		}
		f.mistake(at+".bus", remedy, "device %q is on the bus %q, which is not there", d.Name, d.Bus)
		return nil
	}
	b := &f.Buses[i]
	if m.Name != "" && b.Kind != "" && slices.Contains(BusKinds, b.Kind) && !m.On(b.Kind) {
		f.mistake(at+".bus", fmt.Sprintf("it belongs on one of kind %s", list(m.Buses)), "device %q is a %s, which cannot be on bus %q of kind %s", d.Name, m.Name, b.Name, b.Kind)
		return nil
	}
	return b
}

func list(kinds []BusKind) string {
	var all []string
	for _, k := range kinds {
		all = append(all, string(k))
	}
	return strings.Join(all, " or ")
}

// checkPlace tries address and settings on the driver.
func (f *File) checkPlace(at string, d *DeviceTable, m Model) {
	for key, of := range map[string]Addressing{"unit": ByUnit, "address": ByI2C} {
		if _, given := f.fill.Lines[at+"."+key]; given && m.Addressing != of {
			f.mistake(at+"."+key, "take it out", "a %s has no key %q", m.Name, key)
			return
		}
	}
	if m.Addressing == ByPin {
		b, err := f.Board()
		if err != nil {
			f.mistake(at, `set gateway.board to one of `+strings.Join(board.Names(), ", "), "device %q is on a pin, and %v", d.Name, err)
			return
		}
		if p, ok := d.Settings.(pinned); ok {
			if _, err := p.lines(b); err != nil {
				f.mistake(at+".pin", "take a free one of GPIO2 to GPIO27", "device %q: pin: %v", d.Name, err)
				return
			}
		}
	}
	if _, err := f.trial(d); err != nil {
		f.mistake(at, "", "device %q: %v", d.Name, err)
	}
}

// trial makes the driver of a device on no bus.
func (f *File) trial(d *DeviceTable) (hardware.Device, error) {
	trial := f.device(d)
	return trial.Open(nil, nil)
}

// checkDerived wants inputs that are there, of one metering point.
func (f *File) checkDerived() {
	for i := range f.Derived {
		d := &f.Derived[i]
		at := fmt.Sprintf("derived[%d]", i)
		if d.Point == "" {
			d.Point = f.Gateway.Point
		}
		before := len(f.fill.Mistakes)
		f.needed(at+".name", d.Name, `add name = "…"`)
		f.among(at+".method", d.Method, sampler.MassFlow)
		for _, in := range []struct {
			key  string
			from Input
			must bool
		}{{"co2", d.CO2, true}, {"flow", d.Flow, false}, {"velocity", d.Velocity, false}, {"temperature", d.Temperature, true}, {"pressure", d.Pressure, true}} {
			if in.must {
				f.needed(at+"."+in.key, in.from.String(), `write it as in "stack.co2": a device of this file and its channel`)
			}
			if in.from != (Input{}) {
				f.checkInput(at+"."+in.key, in.from, d.Point)
			}
		}
		if len(f.fill.Mistakes) > before {
			continue
		}
		c := d.derived()
		if err := c.Check(); err != nil {
			f.mistake(at, "", "derived %q: %v", d.Name, err)
		}
	}
}

// checkInput wants a device of the point with the channel.
func (f *File) checkInput(at string, in Input, point string) {
	var devices []string
	for i := range f.Devices {
		d := &f.Devices[i]
		if d.Point == point {
			devices = append(devices, d.Name)
		}
		if d.Name != in.Device || d.Point != point {
			continue
		}
		dev, err := f.trial(d)
		if err != nil {
			return // that is said there
		}
		var channels []string
		for _, c := range dev.Describe().Channels {
			channels = append(channels, c.Name)
		}
		if !slices.Contains(channels, in.Channel) {
			remedy := "it has " + strings.Join(channels, ", ")
			if near := Nearest(in.Channel, channels); near != "" {
				remedy = fmt.Sprintf("did you mean %q?", near)
			}
			f.mistake(at, remedy, "device %q has no channel %q", in.Device, in.Channel)
		}
		return
	}
	remedy := "the devices of this metering point are " + strings.Join(devices, ", ")
	if near := Nearest(in.Device, devices); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	f.mistake(at, remedy, "there is no device %q of metering point %q", in.Device, point)
}

// checkPins wants each pin of the header to have one function. Of a machine that is
// no known board nothing is known.
func (f *File) checkPins() {
	b, err := f.Board()
	if err != nil {
		return
	}
	functions := make(map[string]string) // to paths
	var uses []board.Use
	for i := range f.Buses {
		if on, ok := b.BusAt(f.Buses[i].Port); ok && f.Buses[i].Port != "" {
			name := fmt.Sprintf("bus %q", f.Buses[i].Name)
			functions[name] = fmt.Sprintf("bus[%d]", i)
			uses = append(uses, board.Use{Function: name, Lines: on.Lines()})
		}
	}
	for i := range f.Devices {
		p, ok := f.Devices[i].Settings.(pinned)
		if !ok {
			continue
		}
		if lines, err := p.lines(b); err == nil { // else the driver has said it
			name := fmt.Sprintf("device %q", f.Devices[i].Name)
			functions[name] = fmt.Sprintf("device[%d]", i)
			uses = append(uses, board.Use{Function: name, Lines: lines})
		}
	}
	if lamp, ok := f.lampUse(b); ok {
		functions[lamp.Function] = "display.lamp"
		uses = append(uses, lamp)
	}
	for _, err := range unjoin(b.Check(uses...)) {
		at := "device"
		var conflict *board.ConflictError
		if errors.As(err, &conflict) {
			at = functions[conflict.Second]
		}
		f.mistake(at, "", "%v", err)
	}
}

// unjoin returns the errors that were joined.
func unjoin(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// checkAlone wants parts without an address to have a bus for themselves.
func (f *File) checkAlone() {
	for i := range f.Devices {
		m, err := LookupModel(f.Devices[i].Model)
		if err != nil || m.on(f.device(&f.Devices[i]).BusKind).Addressing != Alone {
			continue
		}
		for k := range f.Devices {
			d := &f.Devices[k]
			other, err := LookupModel(d.Model)
			if err == nil && d.Bus == f.Devices[i].Bus && other.on(f.device(d).BusKind).Addressing != Alone {
				f.mistake(fmt.Sprintf("device[%d]", k), "give it another bus", "device %q shares bus %q with %q, which has no address and needs a bus for itself", d.Name, d.Bus, f.Devices[i].Name)
			}
		}
	}
}
