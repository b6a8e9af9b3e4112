package emulated_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
)

// clerk says a numbered line every second, and answers each line it hears.
type clerk struct {
	said int
	baud int
}

func (c *clerk) Talk(b []byte) ([]byte, time.Duration) {
	c.said++
	return fmt.Appendf(b, "line %03d\n", c.said), time.Second
}

func (c *clerk) Answer(sent, b []byte) (int, []byte, time.Duration) {
	i := bytes.IndexByte(sent, '\n')
	if i < 0 {
		return 0, b, 0
	}
	return i + 1, fmt.Appendf(b, "to %s\n", sent[:i]), 10 * time.Millisecond
}

func (c *clerk) Checksum(frame []byte) int { return len(frame) - 2 }

func (c *clerk) Baud() int { return c.baud }

var (
	_ hardware.Stream     = (*emulated.CableConn)(nil)
	_ hardware.ModeSetter = (*emulated.CableConn)(nil)
)

// hearing returns what arrives at c within d, at most max bytes a read.
func hearing(t *testing.T, c hardware.Stream, d time.Duration) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	var all []byte
	var b [5]byte
	for {
		n, err := c.Read(b[:])
		all = append(all, b[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return string(all)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCableCarriesWhatThePartSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&clerk{})
		c := cable.Conn()
		if got := hearing(t, c, 2500*time.Millisecond); got != "line 001\nline 002\nline 003\n" {
			t.Errorf("heard %q", got)
		}
		if _, err := c.Write([]byte("a\nb")); err != nil {
			t.Fatal(err)
		}
		if got := hearing(t, c, 100*time.Millisecond); got != "to a\n" {
			t.Errorf("answered %q", got)
		}
		if _, err := c.Write([]byte("c\n")); err != nil {
			t.Fatal(err)
		}
		if got := hearing(t, c, 100*time.Millisecond); got != "to bc\n" {
			t.Errorf("answered %q", got)
		}
		time.Sleep(2 * time.Second)
		if n, err := c.Discard(); n != 18 || err != nil {
			t.Errorf("discarded %d, %v", n, err)
		}
		time.Sleep(time.Hour)
		if n, err := c.Discard(); n != 4096 || err != nil {
			t.Errorf("after an hour %d bytes waited, %v", n, err)
		}
	})
}

func TestCableFaults(t *testing.T) {
	for fault, want := range map[emulated.Fault]string{
		emulated.NoFault:    "line 001\nline 002\nline 003\n",
		emulated.Silence:    "line 001\nline 003\n",
		emulated.BadCRC:     "line 001\nline 003\nline 003\n",
		emulated.FlippedBit: "line 001\nline0002\nline 003\n",
		emulated.Truncated:  "line 001\nlineline 003\n",
		emulated.Doubled:    "line 001\nline 002\nline 002\nline 003\n",
		emulated.Late:       "line 001\nline 002\nline 003\n",
		emulated.Slow:       "line 001\nline 002\nline 003\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			cable := emulated.NewCable(&clerk{})
			cable.SetFaults(emulated.Sequence(emulated.NoFault, fault))
			c := cable.Conn()
			first := hearing(t, c, 1500*time.Millisecond)
			got := first + hearing(t, c, time.Second)
			if diff := cmp.Diff(want, got); diff != "" || cable.Frames() != 3 {
				t.Errorf("%s, %d frames (-want +got):\n%s", fault, cable.Frames(), diff)
			}
			if late := first == "line 001\n"; late != (fault == emulated.Late || fault == emulated.Silence) {
				t.Errorf("%s: at first %q", fault, first)
			}
		})
	}
}

func TestCableKeepsAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&clerk{})
		cable.Pace = 100 // a character takes 100 ms
		c := cable.Conn()
		hearing(t, c, 100*time.Millisecond) // the first talk begins
		if got := hearing(t, c, 350*time.Millisecond); got != "line" {
			t.Errorf("in 350 ms came %q", got)
		}
		if n, err := c.Discard(); n != 0 || err != nil {
			t.Errorf("discarded %d, %v", n, err)
		}
		if got := hearing(t, c, 550*time.Millisecond); got != " 001\n" {
			t.Errorf("then came %q", got)
		}
		time.Sleep(300 * time.Millisecond)
		if n, err := c.Discard(); n == 0 || n == 9 || err != nil {
			t.Errorf("in the middle of a line discarded %d, %v", n, err)
		}
	})
}

func TestCableFrozenAndUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&clerk{})
		c := cable.Conn()
		hearing(t, c, 500*time.Millisecond)
		cable.Freeze(true)
		if got := hearing(t, c, 2*time.Second); got != "line 001\nline 001\n" {
			t.Errorf("frozen: %q", got)
		}
		cable.Freeze(false)
		time.AfterFunc(time.Second/10, func() { cable.Plug(false) })
		var b [9]byte
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(b[:]); !errors.Is(err, syscall.EIO) {
			t.Errorf("unplugged while it was read: %d, %v", n, err)
		}
		if _, err := c.Write(b[:]); !errors.Is(err, syscall.EIO) {
			t.Errorf("unplugged: %v", err)
		}
		cable.Plug(true)
		if got := hearing(t, c, 1500*time.Millisecond); got != "line 004\nline 005\n" {
			t.Errorf("back: %q", got)
		}
		time.AfterFunc(time.Second/10, func() { _ = c.Close() })
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(b[:]); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("closed while it was read: %d, %v", n, err)
		}
	})
}

func TestCableAtAWrongSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		part := &clerk{baud: 300}
		c := emulated.NewCable(part).Conn()
		for mode, right := range map[string]bool{"300 7E1": true, "9600 7E1": false} {
			if err := c.SetMode(mode); err != nil {
				t.Fatal(err)
			}
			if got := hearing(t, c, time.Second); (len(got) == 9 && got[:4] == "line") != right {
				t.Errorf("at %s: %q", mode, got)
			}
		}
		if err := c.SetMode("fast"); err == nil {
			t.Error("a line is set to fast")
		}
	})
}

func TestCableOnAPseudoTerminal(t *testing.T) {
	cable, err := emulated.OpenCable(&clerk{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := cable.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	port, err := os.OpenFile(cable.Path(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	var got []byte
	var b [64]byte
	read := func(want string) {
		for !bytes.Contains(got, []byte(want)) {
			n, err := port.Read(b[:])
			if err != nil {
				t.Fatalf("after %q: %v", got, err)
			}
			got = append(got, b[:n]...)
		}
	}
	read("line 001\n")
	if _, err := port.Write([]byte("who\n")); err != nil {
		t.Fatal(err)
	}
	read("to who\n")
	cancel()
	running.Wait()
	if err := cable.Close(); err != nil {
		t.Error(err)
	}
	for { // what was sent before may still be there
		n, err := port.Read(b[:])
		if err != nil || n == 0 {
			return
		}
	}
}
