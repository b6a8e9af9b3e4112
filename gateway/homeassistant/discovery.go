package homeassistant

import (
	"encoding/json"
	"strings"

	"wattmark/hardware"
)

// configuration is that of one entity.
type configuration struct {
	Name         string `json:"name"`
	UniqueID     string `json:"unique_id"`
	StateTopic   string `json:"state_topic"`
	Template     string `json:"value_template"`
	Unit         string `json:"unit_of_measurement,omitempty"`
	DeviceClass  string `json:"device_class,omitempty"`
	StateClass   string `json:"state_class"`
	Availability string `json:"availability_topic"`
	Device       device `json:"device"`
}

// device groups the entities of one meter.
type device struct {
	Identifiers []string `json:"identifiers"`
	Name        string   `json:"name"`
	Model       string   `json:"model"`
}

func (b *Bridge) statusTopic() string {
	return "wattmark/display/" + topicPart(b.cfg.Gateway) + "/status"
}

func (b *Bridge) stateTopic(subject, name string) string {
	return "wattmark/display/" + topicPart(b.cfg.Gateway) + "/" + b.id(subject, name) + "/state"
}

// id is the device's part of topics and ids: its name, and its metering point's where
// another one has a device of that name.
func (b *Bridge) id(subject, name string) string {
	for i := range b.cfg.Devices {
		if d := &b.cfg.Devices[i]; d.Name == name && d.Subject != subject {
			return topicPart(subject) + "_" + topicPart(name)
		}
	}
	return topicPart(name)
}

// topicPart leaves letters, digits, hyphen and underscore, as discovery asks for.
func topicPart(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
}

// configurations are those of a device's channels.
func (b *Bridge) configurations(d *Device) []state {
	node := "wattmark_" + topicPart(b.cfg.Gateway)
	id := b.id(d.Subject, d.Name)
	var out []state
	for _, c := range d.About.Channels {
		unit, class := classOf(c)
		k := configuration{
			Name:         strings.ReplaceAll(c.Name, "_", " "),
			UniqueID:     node + "_" + id + "_" + c.Name,
			StateTopic:   b.stateTopic(d.Subject, d.Name),
			Template:     "{{ value_json." + c.Name + " }}",
			Unit:         unit,
			DeviceClass:  class,
			StateClass:   "measurement",
			Availability: b.statusTopic(),
			Device:       device{Identifiers: []string{node + "_" + id}, Name: d.Name, Model: d.About.Part},
		}
		if c.Kind == hardware.Counter {
			k.StateClass = "total_increasing"
		}
		payload, err := json.Marshal(k)
		if err != nil {
			continue // texts can be written
		}
		out = append(out, state{b.cfg.Prefix + "/sensor/" + node + "/" + id + "_" + c.Name + "/config", payload})
	}
	return out
}

// classes are the device classes of units, where one unit has one class, and how Home
// Assistant spells the unit.
var classes = map[hardware.Unit][2]string{
	hardware.WattHour:               {"Wh", "energy"},
	hardware.VarHour:                {"varh", "reactive_energy"},
	hardware.Watt:                   {"W", "power"},
	hardware.Var:                    {"var", "reactive_power"},
	hardware.VoltAmpere:             {"VA", "apparent_power"},
	hardware.Volt:                   {"V", "voltage"},
	hardware.Ampere:                 {"A", "current"},
	hardware.Hertz:                  {"Hz", "frequency"},
	hardware.Ratio:                  {"", ""},
	hardware.Percent:                {"%", "battery"},
	hardware.Millisecond:            {"ms", "duration"},
	hardware.Count:                  {"", ""},
	hardware.Joule:                  {"J", "energy"},
	hardware.Celsius:                {"°C", "temperature"},
	hardware.Kelvin:                 {"K", ""}, // an offset is no temperature
	hardware.RelativeHumidity:       {"%", "humidity"},
	hardware.Pascal:                 {"Pa", "pressure"},
	hardware.CubicMetre:             {"m³", ""},
	hardware.MicrogramPerCubicMetre: {"µg/m³", ""},
	hardware.Micrometre:             {"µm", ""},
	hardware.PerCubicCentimetre:     {"1/cm³", ""},
	hardware.CubicMetrePerSecond:    {"m³/s", "volume_flow_rate"},
	hardware.MetrePerSecond:         {"m/s", "speed"},
	hardware.PartsPerMillion:        {"ppm", ""},
}

// classOf returns unit and device class of a channel.
func classOf(c hardware.Channel) (unit, class string) {
	k, ok := classes[c.Unit]
	if !ok {
		return string(c.Unit), ""
	}
	unit, class = k[0], k[1]
	switch {
	case c.Name == "co2":
		class = "carbon_dioxide"
	case strings.HasPrefix(c.Name, "power_factor"):
		class = "power_factor"
	case strings.HasSuffix(c.Name, "_gas_volume"):
		class = "gas"
	case strings.HasSuffix(c.Name, "_water_volume"):
		class = "water"
	case c.Name == "pm1_0":
		class = "pm1"
	case c.Name == "pm2_5":
		class = "pm25"
	case c.Name == "pm10":
		class = "pm10"
	}
	return unit, class
}
