package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// mqttMessages is the server's stream of what is published over MQTT with QoS 1 or 2, for sessions that subscribed with either.
const mqttMessages = "$MQTT_msgs"

// makeMQTTMessages makes the stream mqttMessages before the server does, so that it is not synced on every message. Nothing in it needs
// to be: gateways publish where no MQTT session listens, and keep what they publish until its receipt. The server writes a record and
// syncs it even for a message that nobody wants, which held all gateways together to what the disk syncs, some thousands a second, each
// four times as dear as its way through the broker. The order and the packs are synced as ever.
//
// A stream that the server made, of a store of before, is made again when nothing waits in it.
func (b *Broker) makeMQTTMessages() error {
	fail := func(err error) error { return fmt.Errorf("setting up MQTT: %w", err) }
	nc, err := b.Conn()
	if err != nil {
		return fail(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fail(err)
	}
	// The servers of a cluster answer once they have chosen who leads, and what is asked before is lost.
	patience := startTimeout
	if b.cfg.Cluster != nil {
		patience = 2 * time.Second
	}
	for end := time.Now().Add(startTimeout); ; {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := ensureMQTTMessages(ctx, js)
		cancel()
		if err == nil {
			return nil
		}
		if b.cfg.Cluster == nil || time.Now().After(end) {
			return fail(err)
		}
	}
}

func ensureMQTTMessages(ctx context.Context, js jetstream.JetStream) error {
	have, err := js.Stream(ctx, mqttMessages)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return err
	case have.CachedInfo().Config.PersistMode == jetstream.AsyncPersistMode, have.CachedInfo().State.Msgs > 0:
		return nil
	default:
		if err := js.DeleteStream(ctx, mqttMessages); err != nil {
			return err
		}
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name:        mqttMessages,
		Subjects:    []string{"$MQTT.msgs.>"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.InterestPolicy,
		Replicas:    1,
		PersistMode: jetstream.AsyncPersistMode,
	})
	return err
}
