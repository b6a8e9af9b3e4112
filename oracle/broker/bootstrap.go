package broker

import (
	"fmt"
	"time"
)

// BootstrapIdentity is the identity of a Gateway that stands for all of a ledger that have no certificate of their own yet:
// "wattmark:<ledger>/bootstrap". What it may publish and hear is in wire.Subjects.Bootstrap.
func BootstrapIdentity(ledger string) string { return "wattmark:" + ledger + "/bootstrap" }

// Bootstrap returns the client certificate that all gateways of a ledger share which have none of their own yet: its URI names are
// BootstrapIdentity with "/mqtt" and with "/nats". Otherwise it is like Gateway.
func (p *PKI) Bootstrap(now time.Time, ledger string) (Files, error) {
	if !plainName(ledger) {
		return Files{}, fmt.Errorf("ledger %q: want 1 to 64 of A-Z, a-z, 0-9, '-' and '_'", ledger)
	}
	id := BootstrapIdentity(ledger)
	return p.client(now, "bootstrap."+ledger, "bootstrap", id+suffixMQTT, id+suffixNATS)
}
