package outbox_test

import (
	"path/filepath"
	"testing"

	"wattmark/gateway/outbox"
)

func TestHalfOfTheFreeSpace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "made", "yet")
	free, err := outbox.Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what            string
		want, low, high int64
	}{
		{"what is asked for, where there is more", 2 << 20, 2 << 20, 2 << 20},
		{"the default", 0, min(256<<20, free/4), 256 << 20},
		{"all there is", 1 << 62, free / 4, free},
		{"nearly nothing", 1, 1 << 20, 1 << 20},
	} {
		got, err := outbox.Limit(dir, c.want)
		if err != nil || got < c.low || got > c.high {
			t.Errorf("%s: %d bytes, %v, want %d to %d", c.what, got, err, c.low, c.high)
		}
	}
}
