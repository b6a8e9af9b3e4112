package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"wattmark/gateway/uplink"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
)

// openPage starts the page, unless it is off.
func (d *demo) openPage(ctx context.Context, wg *sync.WaitGroup) error {
	wg.Go(func() { d.page.Run(ctx) })
	if d.http == "off" || d.http == "" {
		return nil
	}
	l, err := d.listenPage()
	if err != nil {
		return fmt.Errorf("the page: %w: give another --http ADDRESS, or --http off", err)
	}
	name, _, _ := net.SplitHostPort(d.http)
	at := l.Addr()
	if a, ok := at.(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		at = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: a.Port}
	}
	d.pageURL = "http://" + at.String() + "/"
	d.screen.say("page       " + d.pageURL)
	if d.lan {
		at = d.showLAN(lanAddress(), l.Addr().(*net.TCPAddr).Port)
	}
	server := &http.Server{
		Handler: byAddress(at, name, d.served()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
	wg.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("the page has ended", "error", err)
		}
	})
	wg.Go(func() {
		<-ctx.Done()
		goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(goodbye) != nil {
			server.Close()
		}
	})
	d.openBrowser()
	return nil
}

// served are the pages, and beside them what the first oracle serves to everybody.
func (d *demo) served() http.Handler {
	m := http.NewServeMux()
	m.Handle("/", d.page)
	for _, path := range api.Paths {
		m.Handle(path, d.api.Handler())
	}
	return m
}

// byAddress serves whoever asks for an address, for localhost or for the name that
// the page was given: a page elsewhere whose name was made to lead here (DNS
// rebinding) reads nothing.
func byAddress(listen net.Addr, name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		if net.ParseIP(host) == nil && !strings.EqualFold(host, "localhost") && !strings.EqualFold(host, name) {
			http.Error(w, "This page is at http://"+listen.String()+"/ and not known by another name.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// silentAfter is how long a gateway may be without a receipt before the page calls
// it silent.
const silentAfter = 6 * time.Second

// Now implements dashboard.Source: what the drivers read last and what is counted.
func (d *demo) Now() dashboard.View {
	n := d.tally.now()
	v := dashboard.View{At: d.clock.Now(), Signed: n.signed, Acknowledged: n.acknowledged}
	heard := d.fleet
	if n.samples == 0 {
		heard = nil // nothing was read yet, which is not the same as nothing flowing
	}
	for _, g := range heard {
		waiting := g.waiting()
		v.Waiting += waiting
		state, grid, sun := g.state(), 0.0, 0.0
		switch {
		case g.Bus != nil:
			v.Stack = g.stack(state, waiting)
			continue
		default:
			grid, sun = g.power()
		}
		if g.Name == "feeder-01" {
			v.Feeder = &dashboard.Feeder{GridW: whole(grid), State: state, Waiting: waiting}
			continue
		}
		v.Homes = append(v.Homes, dashboard.Home{
			Name: g.Name, GridW: whole(grid), SolarW: whole(sun), Solar: len(g.Devices) > 1, State: state, Waiting: waiting,
		})
	}
	for i, node := range d.cluster.nodes {
		header, _, _ := node.Ledger().Last()
		o := dashboard.Oracle{Name: oracleName(i), Height: header.Height, State: dashboard.StateGood}
		if f := node.Final(); f != nil {
			o.Final = f.Height
		}
		if node.Halted() != nil {
			o.State = dashboard.StateHalted
		}
		v.Oracles = append(v.Oracles, o)
	}
	for reason, count := range n.refused {
		v.Refusals = append(v.Refusals, dashboard.Refusals{Reason: reason, Count: count, Remedy: entry.Reason(reason).Remedy(), Last: n.refusedOf[reason]})
	}
	slices.SortFunc(v.Refusals, func(a, b dashboard.Refusals) int { return cmp.Compare(a.Reason, b.Reason) })
	return v
}

func whole(f float64) int64 { return int64(math.Round(f)) }

// state says whether the gateway is heard: a statement waits for its receipt no
// longer than it should. Where the clock goes slowly none is there for a while to wait.
func (g *demoGateway) state() dashboard.State {
	silent := time.Now().Add(-silentAfter)
	late := g.late(silent) > 0
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.heard.IsZero():
		return dashboard.StateStarting
	case late && g.heard.Before(silent), g.cable.isPulled():
		return dashboard.StateSilent
	}
	return dashboard.StateGood
}

func (g *demoGateway) stack(s dashboard.State, waiting uint64) *dashboard.Stack {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &dashboard.Stack{
		CO2PPM: whole(g.latest["scd41/co2"]), TemperatureCenti: whole(100 * g.latest["scd41/temperature"]),
		HumidityCenti: whole(100 * g.latest["scd41/relative_humidity"]), State: s, Waiting: waiting,
	}
}

// tellPage passes on what an oracle says of itself.
func (d *demo) tellPage(_ int, e oracle.Event) {
	switch {
	case e.Block != nil:
		h, r := e.Block.Header, e.Block.Result
		d.page.Block(dashboard.Block{
			Height: h.Height, Time: time.UnixMilli(h.Time).UTC(), Statements: len(r.Accepted),
			Outcomes: len(r.Leaves) - len(r.Accepted) + len(r.Refusals), Size: e.Block.Checkpoint.Size,
		})
	case e.Final != nil:
		d.page.Final(e.Final.Height, len(e.Final.Receipts))
	}
}

func (d *demo) tellReceipt(g *demoGateway, r uplink.Receipt, took time.Duration) {
	d.page.Receipt(dashboard.Receipt{
		Gateway: g.Name, Boot: r.Boot, Count: r.Seq, Leaf: r.Proof.Index, Bytes: len(r.Statement), Took: took,
	})
}

// notice tells the page what happened: a format and its arguments, which the page says in the
// language of who reads.
func (d *demo) notice(t dashboard.Tone, format string, args ...any) {
	d.page.Notice(dashboard.Notice{At: d.clock.Now(), Tone: t, Text: format, Args: args})
}

// happened shows a line, and tells the page the same as a sentence.
func (d *demo) happened(t dashboard.Tone, format string, args ...any) {
	d.screen.event(d, fmt.Sprintf(format, args...))
	d.notice(t, format+".", args...)
}
