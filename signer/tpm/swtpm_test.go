package tpm_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// chip is swtpm, a TPM 2.0 in software, behind a socket of ours that can answer in
// its place.
type chip struct {
	t     testing.TB
	path  string // of our socket
	inner string // of swtpm's
	state string
	cmd   *exec.Cmd

	mu       sync.Mutex // guards what follows
	answers  []answer
	commands int // that reached swtpm
}

// answer is what is done about a command in place of passing it on: it may write to
// the connection, ask swtpm, or both.
type answer func(c net.Conn, swtpm func() ([]byte, error))

// code answers with a response code.
func code(rc uint32) answer {
	return func(c net.Conn, _ func() ([]byte, error)) {
		b := binary.BigEndian.AppendUint16(nil, 0x8001) // TPM_ST_NO_SESSIONS
		b = binary.BigEndian.AppendUint32(b, 10)
		c.Write(binary.BigEndian.AppendUint32(b, rc))
	}
}

// raw answers with bytes, and ends the connection.
func raw(b []byte) answer {
	return func(c net.Conn, _ func() ([]byte, error)) {
		c.Write(b)
		c.Close()
	}
}

// flip has swtpm answer, and breaks a bit so many bytes before the answer's end.
func flip(fromEnd int) answer {
	return func(c net.Conn, swtpm func() ([]byte, error)) {
		if b, err := swtpm(); err == nil {
			b[len(b)-fromEnd] ^= 1
			c.Write(b)
		}
	}
}

// newChip starts a TPM of its own for the test.
func newChip(t testing.TB) *chip {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("swtpm is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("swtpm is not installed: no TPM to test against")
	}
	dir, err := os.MkdirTemp("", "tpm") // t.TempDir's name may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &chip{t: t, path: filepath.Join(dir, "tpm"), inner: filepath.Join(dir, "swtpm"), state: filepath.Join(dir, "state")}
	if err := os.Mkdir(c.state, 0o700); err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(c.stop)

	l, err := net.Listen("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); served.Wait() })
	return c
}

// start starts swtpm with what it remembers, as power does.
func (c *chip) start() {
	c.t.Helper()
	c.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+c.state,
		"--server", "type=unixio,path="+c.inner, "--flags", "not-need-init,startup-clear")
	c.cmd.Stderr = c.t.Output()
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("unix", c.inner)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("swtpm does not listen: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// stop cuts swtpm's power.
func (c *chip) stop() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
	os.Remove(c.inner)
}

// next makes the next commands be answered in swtpm's place.
func (c *chip) next(answers ...answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = answers
}

// left returns how many of those answers were not given.
func (c *chip) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.answers)
}

// reached returns how many commands reached swtpm so far.
func (c *chip) reached() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commands
}

// take returns the answer for the next command, nil for swtpm's own.
func (c *chip) take() answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) == 0 {
		c.commands++
		return nil
	}
	a := c.answers[0]
	c.answers = c.answers[1:]
	return a
}

// serve carries commands of one connection to swtpm, over a connection of its own.
func (c *chip) serve(conn net.Conn) {
	defer conn.Close()
	var inner net.Conn
	defer func() {
		if inner != nil {
			flushAll(inner)
			inner.Close()
		}
	}()
	for {
		command, err := packet(conn) // as long as the other side keeps the connection
		if err != nil {
			return
		}
		swtpm := func() ([]byte, error) {
			if inner == nil {
				if inner, err = net.Dial("unix", c.inner); err != nil {
					return nil, err
				}
			}
			if _, err := inner.Write(command); err != nil {
				return nil, err
			}
			return packet(inner)
		}
		if a := c.take(); a != nil {
			a(conn, swtpm)
			continue
		}
		response, err := swtpm()
		if err != nil {
			return
		}
		// In two pieces, as a socket may.
		if _, err := conn.Write(response[:7]); err != nil {
			return
		}
		if _, err := conn.Write(response[7:]); err != nil {
			return
		}
	}
}

// flushAll unloads what a connection left loaded in swtpm's three places, as the
// kernel's resource manager does when a descriptor is closed.
func flushAll(inner net.Conn) {
	for handle := uint32(0x80000000); handle < 0x80000003; handle++ {
		b := binary.BigEndian.AppendUint16(nil, 0x8001) // TPM_ST_NO_SESSIONS
		b = binary.BigEndian.AppendUint32(b, 14)
		b = binary.BigEndian.AppendUint32(b, 0x165) // TPM_CC_FlushContext
		b = binary.BigEndian.AppendUint32(b, handle)
		if _, err := inner.Write(b); err != nil {
			return
		}
		if _, err := packet(inner); err != nil {
			return
		}
	}
}

// packet reads a command or a response: both have their size behind a tag.
func packet(r io.Reader) ([]byte, error) {
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[2:]))
	copy(b, head)
	_, err := io.ReadFull(r, b[10:])
	return b, err
}
