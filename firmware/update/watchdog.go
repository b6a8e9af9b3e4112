package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// WatchdogDevice is the machine's watchdog (Linux, watchdog-api).
const WatchdogDevice = "/dev/watchdog"

// fed is how often a watchdog is written to. The shortest one, that of the Raspberry Pi,
// waits for 15 s.
const fed = 3 * time.Second

// Feed writes to a watchdog until ctx ends, where nobody else does: init opened it and
// lets it run when it hands the machine over to a root on trial, and the init there does
// not find it. Without Feed such a machine is reset in the midst of the trial. With it the
// reset comes only where no gateway runs, and leads back to the root from before.
//
// A watchdog that is missing or that somebody else has open is left alone. Once fed it is
// not switched off at the end: whoever is started next feeds it.
func Feed(ctx context.Context, device string) error {
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EBUSY) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the watchdog: %w", err)
	}
	defer f.Close()
	tick := time.NewTicker(fed)
	defer tick.Stop()
	for {
		// Any byte feeds it but V, which is to switch it off.
		if _, err := f.Write([]byte{0}); err != nil {
			return fmt.Errorf("feeding the watchdog: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
