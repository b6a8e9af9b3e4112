package settings_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/settings"
)

// house is a configuration of a test.
type house struct {
	Door door   `toml:"door"`
	Lamp []lamp `toml:"lamp"`
}

type door struct {
	Opens time.Duration `toml:"opens_after"`
	Store settings.Size `toml:"store"`
	Names []string      `toml:"names"`
}

type lamp struct {
	Room string `toml:"room"`
	Watt uint8  `toml:"watt"`
}

func read(text string) (*house, *settings.Reader, error) {
	var r settings.Reader
	h := &house{Door: door{Opens: time.Second}}
	tables, err := r.Parse("house.toml", []byte(text))
	if err != nil {
		return nil, &r, err
	}
	r.Table("", tables, h)
	return h, &r, r.Err("house.toml")
}

// TestTable fills what is said and keeps what is not.
func TestTable(t *testing.T) {
	h, r, err := read("[door]\nstore = \"64KiB\"\nnames = [\"in\", \"out\"]\n[[lamp]]\nroom = \"hall\"\n[[lamp]]\nwatt = 7\n")
	if err != nil {
		t.Fatal(err)
	}
	want := &house{Door: door{Opens: time.Second, Store: 64 << 10, Names: []string{"in", "out"}}, Lamp: []lamp{{Room: "hall"}, {Watt: 7}}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var lines []string
	for _, s := range r.Settings("", h) {
		lines = append(lines, fmt.Sprintf("%s = %s, line %d", s.Key, s.Value, s.Line))
	}
	if diff := cmp.Diff([]string{
		`door.opens_after = "1s", line 0`, `door.store = "64KiB", line 2`, `door.names = ["in", "out"], line 3`,
		`lamp[0].room = "hall", line 5`, `lamp[1].watt = 7, line 7`,
	}, lines); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestMistakes finds all that is wrong, in the order of the lines.
func TestMistakes(t *testing.T) {
	_, _, err := read("[dor]\n[door]\nopens_after = 5\nstore = \"64\"\n[[lamp]]\nwatt = 300\nroom = 1\n")
	want := `house.toml:1: unknown key "dor"; did you mean "door"?
house.toml:3: door.opens_after: 5 is not a time with its unit, such as "10s"
house.toml:4: door.store: "64" is not a number of bytes with its unit, such as "256MB" or "64KiB"
house.toml:6: lamp[0].watt: 300 is out of range
house.toml:7: lamp[0].room: 1 is not a text in quotes`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, _, err := read("[door] x\n"); err == nil || !strings.HasPrefix(err.Error(), "house.toml:1: ") {
		t.Errorf("no TOML: %v", err)
	}
	if _, _, err := read("# " + strings.Repeat("x", 1<<20)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a file of over a megabyte: %v", err)
	}
}

// FuzzReader reads any bytes: what is wrong is said as mistakes, each of a line that there is.
func FuzzReader(f *testing.F) {
	f.Add("[door]\nopens_after = \"5s\"\n[[lamp]]\nroom = \"hall\"\n")
	f.Add("door = { opens_after = 1, names = [[1], 2] }\nlamp = [{}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, r, err := read(text)
		var m *settings.Mistakes
		if err != nil && !errors.As(err, &m) {
			t.Errorf("an error that lists no mistakes: %v", err)
		}
		for _, x := range r.Mistakes {
			if x.Line < 0 || x.Line > strings.Count(text, "\n")+1 {
				t.Errorf("a mistake on line %d of %q", x.Line, text)
			}
		}
	})
}
