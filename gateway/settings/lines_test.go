package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	const text = `# a comment with key = 1
a = 1 # a = 2
b.c = "x # no comment"
"d\u0065" = 'f = 9'

[t]
list = [
  1, # one
  [2, 3],
  { p = 4,
    q = 5 },
]
long = """
[not.a.table]
k = 1 \"""" # and on
raw = '''
x = 1'''

[[many]]
k = 1
[[many.inner]]
k = 2
[[many.inner]]
k = 3
[[many]]
k = 4
[[many.inner]]
[many.sub]
k = 5
`
	got := linesOf(text)
	want := map[string]int{
		"a": 2, "b": 3, "b.c": 3, "de": 4, "t": 6, "t.list": 7, "t.list[0]": 8, "t.list[1]": 9, "t.list[1][0]": 9, "t.list[1][1]": 9,
		"t.list[2]": 10, "t.list[2].p": 10, "t.list[2].q": 11, "t.long": 13, "t.raw": 16,
		"many[0]": 19, "many[0].k": 20, "many[0].inner[0]": 21, "many[0].inner[0].k": 22, "many[0].inner[1]": 23, "many[0].inner[1].k": 24,
		"many[1]": 25, "many[1].k": 26, "many[1].inner[0]": 27, "many[1].sub": 28, "many[1].sub.k": 29,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// FuzzLines checks that every key which package toml finds has a line here, and no
// other has.
func FuzzLines(f *testing.F) {
	f.Add("a.b = [1, {c = \"x\"}]\n[[d]]\ne = '''\n'''\n[[d.f]]\n")
	f.Add("a = 2026-01-01 00:00:00Z # x\n\"\" = {}\n'a.b' = -inf\r\n[x.\"y z\"]\n")
	f.Fuzz(func(t *testing.T, text string) {
		var tables map[string]any
		if _, err := toml.Decode(text, &tables); err != nil {
			return
		}
		got := linesOf(text)
		want := make(map[string]bool)
		paths("", tables, want)
		have := make(map[string]bool)
		for path := range got {
			have[path] = true
		}
		if !maps.Equal(have, want) {
			t.Fatalf("of\n%s\nkeys are %q, found %q", text, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(have)))
		}
		for path, line := range got {
			if line < 1 || line > strings.Count(text, "\n")+1 {
				t.Errorf("%q is on line %d", path, line)
			}
		}
	})
}

func paths(at string, v any, out map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		for key, sub := range x {
			p := join(at, key)
			out[p] = true
			if _, array := sub.([]map[string]any); array {
				delete(out, p)
			}
			paths(p, sub, out)
		}
	case []map[string]any:
		for i, sub := range x {
			p := fmt.Sprintf("%s[%d]", at, i)
			out[p] = true
			paths(p, sub, out)
		}
		if len(x) == 0 {
			out[at] = true
		}
	case []any:
		for i, sub := range x {
			p := fmt.Sprintf("%s[%d]", at, i)
			out[p] = true
			paths(p, sub, out)
		}
	}
}
