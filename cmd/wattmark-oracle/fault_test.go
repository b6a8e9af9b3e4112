package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// oracleAstray is the name under which this test's program is an oracle whose clock is
// set wrong by a signal: an hour ahead by SIGUSR1, an hour behind by SIGUSR2.
const oracleAstray = "oracle-astray"

func goAstray() {
	var offset atomic.Int64
	now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	set := make(chan os.Signal, 1)
	signal.Notify(set, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range set {
			if offset.Store(int64(time.Hour)); s == syscall.SIGUSR2 {
				offset.Store(-int64(time.Hour))
			}
		}
	}()
	main()
}

// fault is something that happens to a cluster. begin makes it happen and returns what
// ends it. While it lasts a quorum of oracles and a majority of servers are up, so that
// everything must go on.
type fault struct {
	name  string
	begin func(t *testing.T, c *cluster) (end func())
}

// TestFaults runs one cluster through one fault after the other, while gateways publish.
// During each and after each every statement gets its receipt, and nobody keeps votes that
// contradict one another until an oracle lies; in the end all oracles have the same blocks,
// to the byte.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("seven processes")
	}
	c := newCluster(t, "home-1", "home-2")
	round := func(t *testing.T) {
		t.Helper()
		for _, m := range c.meters {
			m.publish(10)
		}
		for _, m := range c.meters {
			m.settle(len(c.nodes))
		}
	}
	round(t)
	for _, f := range []fault{
		{"an oracle stands still", func(_ *testing.T, c *cluster) func() { return c.nodes[1].pause() }},
		{"a server stands still", func(_ *testing.T, c *cluster) func() { return c.servers[1].pause() }},
		{"an oracle is cut off", cutOff},
		{"a clock is an hour ahead", clockStep(syscall.SIGUSR1)},
		{"a clock is an hour behind", clockStep(syscall.SIGUSR2)},
		{"a disk is slow", slowDisk},
		{"a disk is full", fullDisk},
		{"everything is restarted in turn", func(t *testing.T, c *cluster) func() {
			for _, n := range c.nodes {
				n.end()
				n.start()
				round(t)
			}
			for _, s := range c.servers {
				s.end()
				s.start()
				round(t)
			}
			return func() {}
		}},
	} {
		if !t.Run(f.name, func(t *testing.T) {
			end := f.begin(t, c)
			round(t)
			end()
			round(t)
			c.level()
		}) {
			t.FailNow() // what follows would only say so again
		}
	}
	if c.agreed(); !t.Run("an oracle lies", func(t *testing.T) { c.lies(t, round) }) {
		t.FailNow()
	}
	c.compare()
}

// pause stops a process where it stands, and returns what lets it go on.
func (p *process) pause() (resume func()) {
	p.signal(syscall.SIGSTOP)
	return func() { p.signal(syscall.SIGCONT) }
}

// cutOff puts proxies between an oracle and all servers, and cuts them.
func cutOff(t *testing.T, c *cluster) func() {
	n := c.nodes[2]
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	through := string(text)
	var proxies []*proxy
	for _, s := range c.urls {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		p := newProxy(c.t, "127.0.0.1:"+u.Port())
		proxies = append(proxies, p)
		through = strings.Replace(through, u.Port(), p.port(), 1)
	}
	n.end()
	if err := os.WriteFile(n.config, []byte(through), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	until(t, "the oracle runs behind the proxies", func() bool { s := n.status(t); return s != nil && s.Running && s.Connected })
	for _, p := range proxies {
		p.cut()
	}
	until(t, "the oracle notices", func() bool { s := n.status(t); return s != nil && s.Running && !s.Connected })
	return func() {
		for _, p := range proxies {
			p.mend()
		}
	}
}

// proxy passes connections on, until it is cut: then those that are there end, and new
// ones are not let through.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex // guards what follows
	isCut bool
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() { l.Close() })
	go p.run()
	return p
}

func (p *proxy) port() string {
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return port
}

func (p *proxy) run() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			p.cut()
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		if p.isCut {
			in.Close()
			out.Close()
		} else {
			p.conns[in], p.conns[out] = true, true
			go p.pass(in, out)
			go p.pass(out, in)
		}
		p.mu.Unlock()
	}
}

func (p *proxy) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from) // it ends when either side does
	from.Close()
	to.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, from)
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = false
}

// clockStep sets an oracle's clock wrong while it runs. It stays so: it is one of four.
func clockStep(by os.Signal) func(*testing.T, *cluster) func() {
	return func(t *testing.T, c *cluster) func() {
		n := c.nodes[3]
		n.end()
		n.program(oracleAstray)
		n.start()
		until(t, "the oracle runs", func() bool { s := n.status(t); return s != nil && s.Running && s.CaughtUp })
		n.signal(by)
		return func() {
			n.end()
			n.program("wattmark-oracle")
			n.start()
		}
	}
}

// program has a process run another of this test's programs when it starts next.
func (p *process) program(name string) {
	before := p.command
	p.command = func() *exec.Cmd {
		c := before()
		c.Args[0] = name
		return c
	}
}

// slowDisk makes each sync of an oracle take a third of a second longer.
func slowDisk(t *testing.T, c *cluster) func() {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("strace is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("strace is not installed: install it to run this test")
	}
	n := c.nodes[0]
	var said bytes.Buffer
	cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-p", fmt.Sprint(n.cmd.Process.Pid), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=300000")
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	refused := false
	until(t, "strace holds the oracle", func() bool {
		select {
		case <-ended:
			refused = true
			return true
		default:
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
		return err == nil && strings.Contains(string(b), fmt.Sprintf("TracerPid:\t%d\n", cmd.Process.Pid))
	})
	if refused { // no right to trace: nothing that could be installed
		t.Skipf("strace cannot hold a process here: %s", said.Bytes())
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt) // it lets go
		<-ended
	}
}

// fullDisk puts an oracle's directory on a small disk and fills that. The oracle stops
// writing and says so; once there is room it goes on where it was.
func fullDisk(t *testing.T, c *cluster) func() {
	n := c.nodes[1]
	n.end()
	dir := string(n.state)
	kept := dir + "-before"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Rename(dir, kept))
	must(os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=700"); err != nil {
		must(os.Remove(dir))
		must(os.Rename(kept, dir))
		n.start()
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // unless it is unmounted already
	must(os.CopyFS(dir, os.DirFS(kept)))
	must(filepath.Walk(filepath.Join(dir, "keys"), func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	}))
	n.start()
	until(t, "the oracle runs from the small disk", func() bool { s := n.status(t); return s != nil && s.Running && s.CaughtUp })
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	must(err)
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	must(f.Close())
	for _, m := range c.meters {
		m.publish(5)
	}
	until(t, "the oracle says that it has halted", func() bool { s := n.status(t); return s != nil && strings.Contains(s.Halted, "no space left") })
	return func() {
		must(os.Remove(filler))
		n.end()
		n.start()
		until(t, "the oracle goes on", func() bool { s := n.status(t); return s != nil && s.Running && s.CaughtUp && s.Halted == "" })
		// Back to where the test looks at all of them in the end.
		n.end()
		must(os.RemoveAll(kept))
		must(os.CopyFS(kept, os.DirFS(dir)))
		must(syscall.Unmount(dir, 0))
		must(os.Remove(dir))
		must(os.Rename(kept, dir))
		must(filepath.Walk(filepath.Join(dir, "keys"), func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				err = os.Chmod(path, 0o600)
			}
			return err
		}))
		n.start()
	}
}
