package uplink_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"

	"wattmark/gateway/uplink"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
)

// openMochi is a broker of another maker in this process.
func openMochi(t *testing.T) (address string) {
	t.Helper()
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := server.AddHook(new(openDoor), nil); err != nil {
		t.Fatal(err)
	}
	tcp := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	if err := server.AddListener(tcp); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return tcp.Address()
}

// dashboard listens on a topic and gives what it hears, retained messages first.
func dashboard(t *testing.T, address, topic string) <-chan string {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetAutoReconnect(false))
	t.Cleanup(func() { c.Disconnect(0) })
	heard := make(chan string, 16)
	for _, token := range []func() paho.Token{
		c.Connect,
		func() paho.Token {
			return c.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) {
				heard <- fmt.Sprint(string(m.Payload()), " retained ", m.Retained())
			})
		},
	} {
		if k := token(); !k.WaitTimeout(patient) || k.Error() != nil {
			t.Fatalf("the dashboard at the broker: %v", k.Error())
		}
	}
	return heard
}

// TestBirthAndWill follows what a dashboard sees of a gateway: that it is there, also
// for one who looks later; that it has gone when its line is cut; that it is back; and
// that it has ended.
func TestBirthAndWill(t *testing.T) {
	address := openMochi(t)
	s := &site{ledger: newLedger(t)}
	birth := wire.For(ledgertest.Origin).Birth(gatewayName)
	line := openToxic(t, address)
	via, err := uplink.MQTT(uplink.Link{URL: line.at("tcp://"), ClientID: "x", Announce: birth, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	births := 0
	u, end := s.serve(t, openBox(t, t.TempDir()), via, func(c *uplink.Config) {
		c.Birth = func(context.Context) ([]byte, error) {
			births++
			return fmt.Appendf(nil, "birth %d", births), nil
		}
	})
	until(t, "a connection", func() bool { return u.Stats().Connected })
	var heard <-chan string
	next := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-heard:
				if got == want {
					return
				}
				t.Logf("heard %q", got) // it may look just before the birth
			case <-time.After(patient):
				t.Fatalf("the dashboard never saw %q", want)
			}
		}
	}
	until(t, "the birth to be left behind", func() bool {
		heard = dashboard(t, address, wire.Topic(birth))
		select {
		case got := <-heard:
			return got == "birth 1 retained true"
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
	line.set(illness{refuse: true})
	next("offline retained false")
	line.set(illness{})
	next("birth 2 retained false")
	end()
	next("offline retained false")
	heard = dashboard(t, address, wire.Topic(birth))
	next("offline retained true")
}
