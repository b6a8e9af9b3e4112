package uplink_test

import (
	"context"
	"fmt"

	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/block"
	"wattmark/signer"
)

// Run needs what the gateway holds, its outbox, and whom it trusts: the policy and
// the oracles' keys.
func ExampleUplink_Run() {
	_ = func(ctx context.Context, via uplink.Transport, box *outbox.Outbox, policy *block.Policy, oracles map[signer.KeyID]signer.PublicKey) error {
		u, err := uplink.New(uplink.Config{
			Gateway: "home-01", Origin: policy.Origin(), Policy: policy, OracleKeys: oracles, Outbox: box, Transport: via,
			OnReceipt: func(r uplink.Receipt) { fmt.Println("receipted:", r.Number) },
			OnRefusal: func(r uplink.Refusal) { fmt.Println("refused:", r.Number, r.Reason.Remedy()) },
		})
		if err != nil {
			return err
		}
		return u.Run(ctx) // until ctx ends
	}
}

// Without TLS only a broker on the same machine can be reached.
func ExampleMQTT() {
	via, err := uplink.MQTT(uplink.Link{URL: "tcp://127.0.0.1:1883", ClientID: "wattmark-home-01"})
	fmt.Println(via, err)
	_, err = uplink.MQTT(uplink.Link{URL: "tcp://broker.example:1883", ClientID: "wattmark-home-01"})
	fmt.Println(err)
	// Output:
	// MQTT 127.0.0.1:1883 <nil>
	// broker "tcp://broker.example:1883": without TLS only the loopback may be reached: use "ssl://"
}
