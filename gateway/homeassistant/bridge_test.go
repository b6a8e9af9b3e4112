package homeassistant_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"wattmark/gateway/homeassistant"
	"wattmark/gateway/sampler"
	"wattmark/hardware"
)

const patient = 15 * time.Second

// door lets everybody do everything, while it is not shut.
type door struct {
	mochi.HookBase
	shut atomic.Bool
}

func (*door) ID() string { return "door" }

func (*door) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (d *door) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return !d.shut.Load() }

func (*door) OnACLCheck(*mochi.Client, string, bool) bool { return true }

func openBroker(t *testing.T) (*mochi.Server, *door, string) {
	t.Helper()
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	d := new(door)
	if err := server.AddHook(d, nil); err != nil {
		t.Fatal(err)
	}
	tcp := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	if err := server.AddListener(tcp); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, d, tcp.Address()
}

// message is what Home Assistant hears.
type message struct {
	topic, payload string
	retained       bool
}

// ear is Home Assistant. What is retained comes to it in any order.
type ear struct {
	heard chan message
	kept  []message // that nobody has asked for yet
}

// hear is Home Assistant, started now.
func hear(t *testing.T, address string) *ear {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetAutoReconnect(false))
	t.Cleanup(func() { c.Disconnect(0) })
	e := &ear{heard: make(chan message, 100)}
	for _, token := range []func() paho.Token{
		c.Connect,
		func() paho.Token {
			return c.Subscribe("#", 1, func(_ paho.Client, m paho.Message) {
				e.heard <- message{m.Topic(), string(m.Payload()), m.Retained()}
			})
		},
	} {
		if k := token(); !k.WaitTimeout(patient) || k.Error() != nil {
			t.Fatal(k.Error())
		}
	}
	return e
}

// next returns the next message of a topic, and keeps the others for later.
func next(t *testing.T, e *ear, topic string) message {
	t.Helper()
	for i, m := range e.kept {
		if strings.Contains(m.topic, topic) {
			e.kept = slices.Delete(e.kept, i, i+1)
			return m
		}
	}
	for late := time.After(patient); ; {
		select {
		case m := <-e.heard:
			if strings.Contains(m.topic, topic) {
				return m
			}
			e.kept = append(e.kept, m)
		case <-late:
			t.Fatalf("nothing came on %q", topic)
		}
	}
}

// status waits until the gateway's status is the one wanted: one may be said twice, kept
// and live.
func status(t *testing.T, e *ear, want string) {
	t.Helper()
	for next(t, e, "display/home-01/status").payload != want {
	}
}

func meter() homeassistant.Device {
	d := homeassistant.Device{Name: "grid", Subject: "mp-1", About: hardware.Descriptor{Model: "sdm120", Part: "Eastron SDM120"}}
	for _, n := range []string{"active_energy_import", "active_power", "co2", "power_factor", "mbus1_gas_volume", "co2_mass", "tariff"} {
		d.About.Channels = append(d.About.Channels, hardware.NewChannel(n, hardware.Limits{}))
	}
	return d
}

func serve(t *testing.T, b *homeassistant.Bridge) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestMeterInHomeAssistant(t *testing.T) {
	server, entrance, address := openBroker(t)
	d := meter()
	b, err := homeassistant.New(homeassistant.Config{Gateway: "home-01", Broker: "mqtt://" + address, Devices: []homeassistant.Device{d}})
	if err != nil {
		t.Fatal(err)
	}
	heard := hear(t, address)
	end := serve(t, b)
	if m := next(t, heard, "display/home-01/status"); m.payload != "online" {
		t.Errorf("status %q, want online", m.payload)
	}

	// Home Assistant is restarted: all that it needs is still there.
	heard = hear(t, address)
	type entity struct {
		Unit, Class, State string
	}
	got := make(map[string]entity)
	for range d.About.Channels {
		m := next(t, heard, "/config")
		var c map[string]any
		if err := json.Unmarshal([]byte(m.payload), &c); err != nil || !m.retained {
			t.Fatalf("%+v: %v", m, err)
		}
		text := func(k string) string { s, _ := c[k].(string); return s }
		channel := strings.TrimSuffix(strings.TrimPrefix(text("unique_id"), "wattmark_home-01_grid_"), "")
		got[channel] = entity{text("unit_of_measurement"), text("device_class"), text("state_class")}
		if want := "homeassistant/sensor/wattmark_home-01/grid_" + channel + "/config"; m.topic != want {
			t.Errorf("topic %q, want %q", m.topic, want)
		}
		if text("state_topic") != "wattmark/display/home-01/grid/state" || text("availability_topic") != "wattmark/display/home-01/status" ||
			text("value_template") != "{{ value_json."+channel+" }}" {
			t.Errorf("configuration %s", m.payload)
		}
		if dev, _ := c["device"].(map[string]any); dev["name"] != "grid" || dev["model"] != "Eastron SDM120" {
			t.Errorf("device %v", c["device"])
		}
	}
	want := map[string]entity{
		"active_energy_import": {"Wh", "energy", "total_increasing"},
		"active_power":         {"W", "power", "measurement"},
		"co2":                  {"ppm", "carbon_dioxide", "measurement"},
		"power_factor":         {"", "power_factor", "measurement"},
		"mbus1_gas_volume":     {"m³", "gas", "total_increasing"},
		"co2_mass":             {"kg", "", "total_increasing"},
		"tariff":               {"", "", "measurement"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entities (-want +got):\n%s", diff)
	}
	if m := next(t, heard, "/status"); m.payload != "online" || !m.retained {
		t.Errorf("after a restart of home assistant the status is %+v", m)
	}

	b.Sample(sampler.Sample{Device: "grid", Subject: "mp-1", About: &d.About, Err: errors.New("absent")}) // shows nothing
	b.Sample(sampler.Sample{Device: "grid", Subject: "mp-1", About: &d.About, Values: []hardware.Value{
		{Channel: 0, Mantissa: 512_345}, {Channel: 1, Mantissa: -12_004, Exponent: -1}, {Channel: 2, Mantissa: 400, Quality: hardware.Stale},
	}})
	if m := next(t, heard, "/state"); m.payload != `{"active_energy_import":512345,"active_power":-1200.4}` || m.retained {
		t.Errorf("state %+v", m)
	}

	// The line is cut: the broker says so; and then it is back.
	entrance.shut.Store(true)
	for _, c := range server.Clients.GetAll() {
		if strings.HasPrefix(c.ID, "wattmark-") {
			c.Net.Conn.Close() // Stop would now and then end it in order, without its will
		}
	}
	status(t, heard, "offline")
	entrance.shut.Store(false)
	status(t, heard, "online")
	end()
	status(t, heard, "offline")
}

// Without a broker samples are dropped and nobody waits.
func TestWithoutABroker(t *testing.T) {
	d := meter()
	b, err := homeassistant.New(homeassistant.Config{Gateway: "home-01", Broker: "mqtt://127.0.0.1:1", Devices: []homeassistant.Device{d}})
	if err != nil {
		t.Fatal(err)
	}
	sample := sampler.Sample{Device: "grid", Subject: "mp-1", About: &d.About, Values: []hardware.Value{{Channel: 1, Mantissa: 7}}}
	for range 1000 {
		b.Sample(sample)
	}
	if s := b.Stats(); s.Dropped != 1000-64 || s.Shown != 0 {
		t.Errorf("stats %+v: want what 64 do not hold dropped", s)
	}
	serve(t, b)()
}

func TestConfigurationIsChecked(t *testing.T) {
	good := homeassistant.Config{Gateway: "home-01", Broker: "mqtt://192.0.2.7", Devices: []homeassistant.Device{meter()}, Oracles: "mqtts://broker.example:8883"}
	if _, err := homeassistant.New(good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*homeassistant.Config){
		"the oracles' broker":     func(c *homeassistant.Config) { c.Broker = "mqtts://Broker.example:8883" },
		"no broker":               func(c *homeassistant.Config) { c.Broker = "" },
		"another protocol":        func(c *homeassistant.Config) { c.Broker = "http://192.0.2.7" },
		"a password in the clear": func(c *homeassistant.Config) { c.Broker = "mqtt://me:secret@192.0.2.7" },
		"a wildcard":              func(c *homeassistant.Config) { c.Prefix = "home/#" },
		"no devices":              func(c *homeassistant.Config) { c.Devices = nil },
	} {
		c := good
		change(&c)
		_, err := homeassistant.New(c)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
