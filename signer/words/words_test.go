package words_test

import (
	_ "embed"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"wattmark/signer/words"
)

//go:embed words.txt
var list string

func TestWordsAreOfTheDigest(t *testing.T) {
	all := strings.Fields(list)
	for _, test := range []struct {
		id   string
		want string
	}{
		// Ten bits each: 0, 1, 512, 1023, …
		{"00000000000000000000000000000000", strings.Repeat("abbey ", 8)},
		{"ffffffffffffffffffffffffffffffff", strings.Repeat("zone ", 8)},
		{"0000180 3ff0000180 3ff000000000000", ""},
	} {
		id, err := hex.DecodeString(strings.ReplaceAll(test.id, " ", "") + strings.Repeat("0", 32-len(strings.ReplaceAll(test.id, " ", ""))))
		if err != nil {
			t.Fatal(err)
		}
		if test.want == "" {
			test.want = strings.Join([]string{all[0], all[1], all[512], all[1023], all[0], all[1], all[512], all[1023]}, " ")
		}
		if got := strings.Join(words.Of(id), " "); got != strings.TrimSpace(test.want) {
			t.Errorf("%x: %s, want %s", id, got, test.want)
		}
	}
}

func TestWordsAreToldApart(t *testing.T) {
	all := strings.Fields(list)
	if len(all) != 1024 || !slices.IsSorted(all) {
		t.Fatalf("%d words, sorted %v", len(all), slices.IsSorted(all))
	}
	for i, w := range all {
		if len(w) < 3 || len(w) > 8 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q is not three to eight letters", w)
		}
		for _, v := range all[:i] {
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
