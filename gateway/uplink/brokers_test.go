package uplink_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"wattmark/gateway/uplink"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/wire"
)

// openDoor lets everybody do everything. The library's own brings a YAML parser.
type openDoor struct{ mochi.HookBase }

func (openDoor) ID() string { return "open door" }

func (openDoor) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (openDoor) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (openDoor) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// TestMochi runs the uplink against a broker that is not ours, in this process.
func TestMochi(t *testing.T) {
	throughForeignBroker(t, openMochi(t))
}

// TestMosquitto does the same with Eclipse Mosquitto, where it is installed.
func TestMosquitto(t *testing.T) {
	exe, err := exec.LookPath("mosquitto")
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("mosquitto is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("mosquitto is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close() // the broker cannot choose a port itself
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\n", address.Port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-c", config)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	until(t, "mosquitto listens", func() bool {
		conn, err := net.Dial("tcp", address.String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	throughForeignBroker(t, address.String())
}

// throughForeignBroker sends statements through an MQTT broker to an oracle that
// answers them. What it answers while the gateway is away is lost, and made good when
// the gateway sends again.
func throughForeignBroker(t *testing.T, address string) {
	t.Helper()
	s := &site{ledger: newLedger(t)}
	subjects := wire.For(ledgertest.Origin)
	oracle := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("oracle").SetOrderMatters(false))
	t.Cleanup(func() { oracle.Disconnect(0) })
	answer := func(m []byte) {
		f, err := wire.ParseFrame(m)
		if err != nil {
			t.Errorf("frame: %v", err)
			return
		}
		oracle.Publish(wire.Topic(subjects.Receipt(gatewayName)), 1, false, s.ledger.receipts(t, f.Statement).Encode())
	}
	frames := make(chan []byte, 100)
	for _, token := range []func() paho.Token{
		oracle.Connect,
		func() paho.Token {
			return oracle.Subscribe(wire.Topic(subjects.Up(gatewayName)), 1, func(_ paho.Client, m paho.Message) { frames <- m.Payload() })
		},
	} {
		if k := token(); !k.WaitTimeout(patient) || k.Error() != nil {
			t.Fatalf("the oracle at the broker: %v", k.Error())
		}
	}
	via, err := uplink.MQTT(uplink.Link{URL: "tcp://" + address, ClientID: "wattmark-" + gatewayName, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	b := openBox(t, t.TempDir())
	// Nothing is sent twice here: each frame is answered once.
	once := func(c *uplink.Config) { c.Resend = uplink.Backoff{First: time.Hour, Most: time.Hour} }
	_, end := s.serve(t, b, via, once)
	b.add(t, 100)
	for range 100 {
		answer(receive(t, frames))
	}
	until(t, "100 receipts", b.empty)

	b.add(t, 3)
	var waiting [][]byte
	for range 3 {
		waiting = append(waiting, receive(t, frames))
	}
	end()
	for _, m := range waiting {
		answer(m)
	}
	if b.empty() {
		t.Fatal("receipted while the gateway was away")
	}
	_, end = s.serve(t, b, via, once)
	for range waiting {
		answer(receive(t, frames))
	}
	until(t, "receipts for what was sent again", b.empty)
	end()
}

func receive(t *testing.T, frames <-chan []byte) []byte {
	t.Helper()
	select {
	case m := <-frames:
		return m
	case <-time.After(patient):
		t.Fatalf("no frame within %s", patient)
		return nil
	}
}
