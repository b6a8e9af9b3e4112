package broker_test

import (
	"fmt"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go/jetstream"
)

// messages describes the server's stream of QoS 1 messages.
func messages(t *testing.T, s *site) *jetstream.StreamInfo {
	t.Helper()
	nc, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "$MQTT_msgs")
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo()
}

// What gateways publish passes through the broker without an fsync for each message
// and without being stored, is acknowledged, and reaches the oracles.
func TestMQTTIsNotSynced(t *testing.T) {
	s := open(t, nil)
	_, heard := s.oracle(t)
	c := s.mqtt(t, "a", "a")
	if code, _ := subscribe(t, c, "wattmark/v1/street/receipt/a"); code != 1 {
		t.Fatalf("the subscription got code %#x", code)
	}
	const n = 50
	tokens := make([]mqtt.Token, n)
	for i := range tokens {
		tokens[i] = c.Publish("wattmark/v1/street/up/a", 1, false, fmt.Sprint(i))
	}
	for i, token := range tokens {
		if err := wait(token); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if got := string(next(t, heard, "a message").Data); got != fmt.Sprint(i) {
			t.Fatalf("heard %q, want %d", got, i)
		}
	}
	info := messages(t, s)
	if info.Config.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("the stream's persist mode is %v, want %v", info.Config.PersistMode, jetstream.AsyncPersistMode)
	}
	if info.State.LastSeq != n || info.State.Msgs != 0 {
		t.Errorf("the stream counted %d messages and keeps %d, want %d and 0", info.State.LastSeq, info.State.Msgs, n)
	}
}

// A gateway's session outlives the broker, as the outbox' receipts do: it hears what
// is published while it is connected again, without subscribing again.
func TestMQTTSessionSurvivesTheBroker(t *testing.T) {
	s := open(t, nil)
	c := s.mqtt(t, "a", "a")
	subscribe(t, c, "wattmark/v1/street/receipt/a")
	c.Disconnect(250)
	s.Close()
	s.start(t)
	got := make(chan string, 1)
	again := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(s.MQTTURL()).SetClientID("a").SetTLSConfig(s.gatewayTLS(t, "a")).
		SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(patient).SetProtocolVersion(4).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- string(m.Payload()) }))
	if err := wait(again.Connect()); err != nil {
		t.Fatal(err)
	}
	defer again.Disconnect(0)
	nc, _ := s.oracle(t)
	if err := nc.Publish("wattmark.v1.street.receipt.a", []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	if m := next(t, got, "a receipt"); m != "receipt" {
		t.Errorf("heard %q", m)
	}
}

// A store whose stream the server made gets the one that is not synced, unless
// something waits in it.
func TestMQTTStreamOfBeforeIsMadeAgain(t *testing.T) {
	s := open(t, nil)
	nc, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	old := jetstream.StreamConfig{Name: "$MQTT_msgs", Subjects: []string{"$MQTT.msgs.>"}, Retention: jetstream.InterestPolicy, Replicas: 1}
	if err := js.DeleteStream(t.Context(), old.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	cons, err := js.CreateConsumer(t.Context(), old.Name, jetstream.ConsumerConfig{Durable: "waiting", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "$MQTT.msgs.x", []byte("waits")); err != nil {
		t.Fatal(err)
	}
	restart := func() *jetstream.StreamInfo {
		s.Close()
		s.start(t)
		return messages(t, s)
	}
	if info := restart(); info.Config.PersistMode != jetstream.DefaultPersistMode || info.State.Msgs != 1 {
		t.Errorf("the stream with a message has persist mode %v and %d messages, want what was there", info.Config.PersistMode, info.State.Msgs)
	}
	nc2, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc2.Close()
	if js, err = jetstream.New(nc2); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), old.Name, cons.CachedInfo().Name); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), old.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info := restart(); info.Config.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("the empty stream has persist mode %v, want %v", info.Config.PersistMode, jetstream.AsyncPersistMode)
	}
}
