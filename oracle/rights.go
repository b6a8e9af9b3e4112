package oracle

import (
	"wattmark/oracle/broker"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// GatewayRights is what a gateway of a ledger with so many oracles may do at the broker.
func GatewayRights(origin, name string, oracles int) broker.Gateway {
	sub := wire.For(origin)
	return broker.Gateway{
		Name: name, Identity: broker.GatewayIdentity(wire.ShortName(origin), name),
		Publish: sub.Ups(name, oracles), Subscribe: []string{sub.Receipt(name), sub.Refusal(name)},
	}
}

// OracleRights is what an oracle at a position in a ledger's charter, from 0, may do at a
// broker that is not its own: what a [Node] does and an operator beside it, and no more.
// It can neither publish in a gateway's name, nor hear what gateways say to another
// oracle alone, nor trim or delete the order.
func OracleRights(origin, name string, position int) broker.Oracle {
	sub, short := wire.For(origin), wire.ShortName(origin)
	return broker.Oracle{
		Name: name, Identity: broker.OracleIdentity(short, CertificateName(name)),
		Publish: append(jetstream.Rights(short),
			sub.Vote(), sub.Pack(), sub.Receipt("*"), sub.Refusal("*"), sub.Approvals(), sub.Pending(position)),
		Subscribe: []string{
			sub.Up("*"), sub.UpTo("*", position), sub.Birth("*"), sub.Vote(), sub.Pack(),
			sub.Enrol(), sub.EnrolBy("*"), sub.Approvals(), sub.Pending(position), InboxPrefix(origin, name) + ".>",
		},
	}
}

// CertificateName is an oracle's part of the identity in its certificate. Its own name
// may hold characters that an identity has a meaning for.
func CertificateName(oracle string) string { return wire.ShortName(oracle) }

// InboxPrefix is what an oracle's connections begin their inboxes with
// (nats.CustomInboxPrefix): where nobody else may listen.
func InboxPrefix(origin, name string) string { return wire.For(origin).Inbox(CertificateName(name)) }
