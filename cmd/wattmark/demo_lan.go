package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"wattmark/gateway/enrol"
)

// checkLAN says what --lan does not go together with.
func (o *demoOptions) checkLAN() error {
	if !o.lan || !o.given("http") {
		return nil
	}
	if o.http == "off" || o.http == "" {
		return fmt.Errorf("--lan shows the page to the network, and --http %s shows none: leave one of them out", o.http)
	}
	host, _, err := net.SplitHostPort(o.http)
	if err != nil {
		return fmt.Errorf("--http %s: %w: give a port, as in --http :8080", o.http, err)
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return fmt.Errorf("--lan listens on all interfaces, and --http %s on one: leave --lan out, or give a port alone, as in --http :8080", o.http)
	}
	return nil
}

// listenPage listens where the page is to be. Where nobody chose the port and it is taken,
// another one does.
func (d *demo) listenPage() (net.Listener, error) {
	address, other := d.http, "127.0.0.1:0"
	if d.lan {
		_, port, err := net.SplitHostPort(d.http)
		if err != nil {
			return nil, err
		}
		address, other = net.JoinHostPort("", port), ":0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil && !d.given("http") {
		l, err = net.Listen("tcp", other)
	}
	return l, err
}

// showLAN says where others on the network see the page, for a phone as a code. It returns
// this machine's address there, which is at; an invalid one says that it has none.
func (d *demo) showLAN(at netip.Addr, port int) net.Addr {
	if !at.IsValid() {
		d.screen.say("network    this machine has no address on one: connect it, and start again")
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	}
	listen := net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, uint16(port)))
	url := "http://" + listen.String() + "/"
	if d.screen.width > 0 {
		picture, err := enrol.QR(url, false, os.Getenv("TERM") == "dumb")
		if err == nil && picture.Columns <= d.screen.width {
			for _, line := range coloured(picture.Lines, os.Getenv) {
				d.screen.say(line)
			}
		}
	}
	d.screen.say("network    " + url)
	d.screen.say("           anyone on this network can look there, and press the ribbon's buttons;")
	d.screen.say("           members' pages open at this machine alone")
	return listen
}

// coloured draws a code's light modules in white on black, whatever the terminal's colours
// are, unless colours are not wanted.
func coloured(lines []string, getenv func(string) string) []string {
	if getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return lines
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = "\x1b[38;5;231;48;5;16m" + line + "\x1b[0m"
	}
	return out
}

// lanAddress is this machine's address for others on its network: the one that it would send
// from, else the best of its interfaces. It is invalid where there is none.
func lanAddress() netip.Addr {
	// Nothing is sent: the system looks up the way to an address that is nobody's (RFC 5737).
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer c.Close()
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok && rank(a.AddrPort().Addr().Unmap()) > 0 {
			return a.AddrPort().Addr().Unmap()
		}
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}
	}
	best, _ := bestAddress(interfaces)
	return best
}

func bestAddress(interfaces []net.Addr) (best netip.Addr, ok bool) {
	most := 0
	for _, a := range interfaces {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if r := rank(p.Addr()); r > most {
			best, most = p.Addr(), r
		}
	}
	return best, most > 0
}

// rank is how good an address is for somebody on the same network; 0 is of no use.
func rank(a netip.Addr) int {
	switch {
	case !a.IsGlobalUnicast() || a.Zone() != "":
		return 0
	case a.Is4() && a.IsPrivate():
		return 4
	case a.Is4():
		return 3
	case a.IsPrivate():
		return 2
	}
	return 1
}
