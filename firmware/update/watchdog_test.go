//go:build unix

package update_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wattmark/firmware/update"
)

// TestFeed feeds a watchdog that is a pipe, and sees what arrives there: bytes that keep
// it running, and never the one that switches it off.
func TestFeed(t *testing.T) {
	device := filepath.Join(t.TempDir(), "watchdog")
	if err := unix.Mkfifo(device, 0o600); err != nil {
		t.Fatal(err)
	}
	hold, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- update.Feed(ctx, device) }()
	if err := hold.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var b [1]byte
		if _, err := hold.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		if b[0] == 'V' {
			t.Error("it was switched off")
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// What feeds it may end, and nothing is written then.
	if err := hold.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if n, err := hold.Read(b[:]); err == nil {
		t.Errorf("%d more bytes: %q", n, b)
	}
}

func TestFeedsNoWatchdog(t *testing.T) {
	if err := update.Feed(t.Context(), filepath.Join(t.TempDir(), "watchdog")); err != nil {
		t.Error(err)
	}
	if err := update.Feed(t.Context(), t.TempDir()); err == nil {
		t.Error("a folder was fed")
	}
}
