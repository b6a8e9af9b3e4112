package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"wattmark/gateway"
	"wattmark/gateway/survey"
)

// proposal is the table of a device that was found, and of its bus.
type proposal struct {
	name, model, bus string
	keys             []survey.Setting
	others           []string // models that it may be as well
	// place is kind and port of a bus that the configuration has not.
	kind gateway.BusKind
	port string
	mode string // of the line, where the bus is not set to it
	// mismatch is why a bus of the configuration does not suit; empty if it does.
	mismatch string
	known    bool // the bus is configured
}

// propose makes a table of a find.
func (s *scan) propose(t *target, out *scanFind, f *survey.Find) *proposal {
	model, err := gateway.LookupModel(f.Models[0])
	if err != nil {
		panic("internal error: the survey finds what the catalogue has not: " + f.Models[0])
	}
	p := &proposal{model: f.Models[0], bus: t.name, others: f.Models[1:], kind: out.Kind, port: t.port, known: t.configured != nil}
	suffix := ""
	switch {
	case out.Kind == gateway.BusI2C:
		suffix = fmt.Sprintf("-%x", f.Address)
		p.keys = append(p.keys, survey.Setting{Key: "address", Value: fmt.Sprintf("%#02x", f.Address)})
	case f.Address > 0 && f.Address <= 247:
		suffix = fmt.Sprintf("-%d", f.Address)
		p.keys = append(p.keys, survey.Setting{Key: "unit", Value: fmt.Sprint(f.Address)})
	}
	if s.point != "" {
		p.keys = append(p.keys, survey.Setting{Key: "point", Value: fmt.Sprintf("%q", s.point)})
	}
	p.keys = append(p.keys, f.Settings...)
	p.name = s.freeName(f.Models[0] + suffix)
	usual := model.Mode // what a line without a mode is set to
	if usual == "" {
		usual = "9600 8N1"
	}
	if t.configured != nil && t.configured.Mode != "" {
		usual = t.configured.Mode
	}
	if f.Mode != "" && f.Mode != usual {
		p.mode = f.Mode
		if t.configured != nil {
			p.mismatch = fmt.Sprintf("set mode = %q in [[bus]] %s first, which is at %s", f.Mode, t.name, usual)
		}
	}
	if t.configured != nil && out.Kind != t.kind {
		p.mismatch = fmt.Sprintf("set kind = %q in [[bus]] %s first", out.Kind, t.name)
	}
	return p
}

// freeName is a name that no device has yet.
func (s *scan) freeName(name string) string {
	taken := func(n string) bool {
		if slices.ContainsFunc(s.result.Finds, func(f scanFind) bool { return f.proposal != nil && f.proposal.name == n }) {
			return true
		}
		return s.file != nil && slices.ContainsFunc(s.file.Devices, func(d gateway.DeviceTable) bool { return d.Name == n })
	}
	free := name
	for i := 'b'; taken(free); i++ {
		free = name + string(i)
	}
	return free
}

// String is the table in TOML.
func (p *proposal) String() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		if p.model == "modbus" {
			b.WriteByte('#')
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	if p.mismatch != "" {
		fmt.Fprintf(&b, "# To be read, %s.\n", p.mismatch)
	}
	if p.model == "modbus" {
		b.WriteString("# Take its registers from its manual; one channel as an example:\n")
	}
	if len(p.others) > 0 {
		fmt.Fprintf(&b, "# It may be a %s as well: its label tells.\n", strings.Join(p.others, " or "))
	}
	line("[[device]]")
	line("name = %q", p.name)
	line("model = %q", p.model)
	line("bus = %q", p.bus)
	for _, k := range p.keys {
		line("%s = %s", k.Key, k.Value)
	}
	if p.model == "modbus" {
		for _, l := range []string{"[[device.channel]]", `name = "active_energy_import"`, `unit = "Wh"`, `kind = "counter"`, `table = "input"`, "address = 0x0048", `type = "f32"`, "exponent = 3"} {
			line("%s", l)
		}
	}
	return b.String()
}

// busTable is the bus in TOML, empty if it is configured.
func (p *proposal) busTable() string {
	if p.known {
		return ""
	}
	key := "port"
	if p.kind == gateway.BusModbusTCP || p.kind == gateway.BusRTUOverTCP {
		key = "address"
	}
	text := fmt.Sprintf("[[bus]]\nname = %q\nkind = %q\n%s = %q\n", p.bus, p.kind, key, p.port)
	if p.mode != "" {
		text += fmt.Sprintf("mode = %q\n", p.mode)
	}
	return text
}

// add writes what was found into the configuration: at its end, with all that stands
// before as it is. What the configuration would then be has no mistake that it had not
// before, or nothing is written.
func (s *scan) add() error {
	path, err := filepath.EvalSymlinks(s.name)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := bytes.Clone(old)
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	var added []string
	buses := make(map[string]string)
	for i := range s.result.Finds {
		f := &s.result.Finds[i]
		p := f.proposal
		why := ""
		switch {
		case p == nil:
			continue
		case p.model == "modbus":
			why = "which registers it has is in its manual"
		case p.mismatch != "":
			why = p.mismatch
		case buses[f.Bus] != "" && buses[f.Bus] != p.mode+" ":
			why = "it is at another speed than the part before, and a bus has one"
		}
		if why != "" {
			s.result.Notes = append(s.result.Notes, scanNote{f.Bus, fmt.Sprintf("Not added: %s: %s.", f.says(), why)})
			continue
		}
		if buses[f.Bus] == "" && f.BusTable != "" {
			text = append(text, "\n"+f.BusTable...)
		}
		buses[f.Bus] = p.mode + " "
		text = append(text, fmt.Sprintf("\n# Found by scan: %s.\n%s", f.says(), f.Table)...)
		added = append(added, p.name)
	}
	if len(added) == 0 {
		return nil
	}
	if err := worse(s.name, old, text); err != nil {
		return fmt.Errorf("%s is left as it is, as with what was found it would be wrong:\n%w", s.name, err)
	}
	if err := replaceFile(path, text); err != nil {
		return fmt.Errorf("writing %s: %w", s.name, err)
	}
	s.result.Added = added
	return nil
}

// worse returns the mistakes that a new configuration has and the old one had not.
func worse(name string, old, text []byte) error {
	mistakes := func(text []byte) []gateway.Mistake {
		_, err := gateway.ParseFile(name, text)
		var m *gateway.Mistakes
		if errors.As(err, &m) {
			return m.List
		}
		return nil
	}
	before := mistakes(old)
	fresh := slices.DeleteFunc(mistakes(text), func(m gateway.Mistake) bool {
		return slices.ContainsFunc(before, func(b gateway.Mistake) bool { return b.Cause == m.Cause })
	})
	if len(fresh) == 0 {
		return nil
	}
	return &gateway.Mistakes{File: name, List: fresh}
}

// replaceFile puts another text in a file's place at once, with the same mode and owner.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".gateway-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it was renamed
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && err == nil && os.Geteuid() == 0 {
		err = f.Chown(int(s.Uid), int(s.Gid))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
