package enrol_test

import (
	_ "embed"
	"slices"
	"strings"
	"testing"

	"wattmark/gateway/enrol"
	"wattmark/signer"
)

//go:embed words.txt
var list string

func TestWordsAreOfTheID(t *testing.T) {
	words := strings.Fields(list)
	for _, test := range []struct {
		id   string
		want string
	}{
		// Ten bits each: 0, 1, 512, 1023, …
		{"00000000000000000000000000000000", strings.Repeat("abbey ", 8)},
		{"ffffffffffffffffffffffffffffffff", strings.Repeat("zone ", 8)},
		{"0000180 3ff0000180 3ff000000000000", ""},
	} {
		id, err := signer.ParseKeyID(strings.ReplaceAll(test.id, " ", "") + strings.Repeat("0", 32-len(strings.ReplaceAll(test.id, " ", ""))))
		if err != nil {
			t.Fatal(err)
		}
		if test.want == "" {
			test.want = strings.Join([]string{words[0], words[1], words[512], words[1023], words[0], words[1], words[512], words[1023]}, " ")
		}
		if got := strings.Join(enrol.Words(id), " "); got != strings.TrimSpace(test.want) {
			t.Errorf("%v: %s, want %s", id, got, test.want)
		}
	}
}

func TestWordsAreToldApart(t *testing.T) {
	words := strings.Fields(list)
	if len(words) != 1024 || !slices.IsSorted(words) {
		t.Fatalf("%d words, sorted %v", len(words), slices.IsSorted(words))
	}
	for i, w := range words {
		if len(w) < 3 || len(w) > 8 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q is not three to eight letters", w)
		}
		for _, v := range words[:i] {
			if near(v, w) {
				t.Errorf("%q and %q are a letter apart", v, w)
			}
		}
	}
}

// near reports whether a letter changed, put in or left out makes b of a.
func near(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	return a == b || a != "" && b != "" && a[1:] == b[1:] || a != "" && a[1:] == b || b != "" && a == b[1:]
}
