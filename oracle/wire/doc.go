// Package wire is the contract that gateways code against: the subjects they
// publish to and listen on, the frame a statement travels in, and the receipts
// and refusals that come back. It is the only package of the oracle that a
// gateway imports.
//
// Subjects are NATS subjects; an MQTT client uses the same with slashes
// ([Topic]). They carry the version, so that an oracle can speak two at once:
//
//	wattmark.v1.<ledger>.up.<gateway>        gateway → any one oracle: Frame
//	wattmark.v1.<ledger>.up.<gateway>.<n>    gateway → oracle n: Frame, sent again
//	wattmark.v1.<ledger>.receipt.<gateway>   oracle → gateway: Receipts
//	wattmark.v1.<ledger>.receipt.<gateway>   oracle → gateway: a handover to the next oracles
//	wattmark.v1.<ledger>.receipt.<gateway>   oracle → gateway: another client certificate
//	wattmark.v1.<ledger>.refusal.<gateway>   oracle → gateway: Refusal, signed
//	wattmark.v1.<ledger>.enrol               whoever has no certificate yet → oracles: a request
//	wattmark.v1.<ledger>.enrol.<gateway>     gateway → oracles: a request
//	wattmark.v1.<ledger>.approval.<key>      operator → whoever asked: the approval
//	wattmark.v1.<ledger>.pending.<n>         operator → oracle n: which requests wait; Pending
//
//	wattmark.v1.<ledger>.birth.<gateway>     gateway → people and oracles: Birth, signed
//
// Nothing else flows towards a gateway: there are no commands. The bytes of requests
// and of Pending are in FORMAT.md, with vectors; those of handovers in
// ledger/handover/FORMAT.md.
package wire
