package oracletest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports below those that the kernel gives to outgoing connections and to listeners that
// take any: 32768 and up on Linux (ip_local_port_range), 49152 and up by RFC 6335,
// section 6.
const (
	leastPort = 20000
	mostPort  = 32000
)

// given has the ports that this process has given out.
var given sync.Map

// FreePort returns a port of the loopback on which nothing listens, for a server that
// others must know before it starts, or find again when it is started again. While it
// does not run, no outgoing connection and no other test's listener is given that port.
func FreePort(t testing.TB) int {
	t.Helper()
	var last error
	for range 100 {
		port := leastPort + rand.IntN(mostPort-leastPort)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatalf("no port between %d and %d is free: %v", leastPort, mostPort, last)
	return 0
}
