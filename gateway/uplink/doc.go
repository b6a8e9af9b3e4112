// Package uplink carries statements from the outbox to a broker, again and again,
// until a receipt for them verifies.
//
// # Sending
//
// A statement is published when the outbox gives it out, which is when it is
// durable. Fresh statements go before the backlog of an earlier time, and both
// before statements that were sent and have no receipt: those are sent again in the
// order of their numbers, one to two steps after the last time, where the first step
// is 30 s and each further one twice as long, up to 15 minutes. What is sent again
// goes to one oracle after the other and not to any that is free, as one of them may
// be swallowing frames.
//
// A lost connection is opened again after up to a step, from 1 s to 5 minutes, drawn
// evenly (full jitter), so that the return of a broker is no stampede. Networks run
// in real time, so all of this is real time, whatever clock the samples go by.
//
// The backlog takes half of the line: a second of it at most goes at once, then
// fresh statements are looked for. While 512 statements have no answer it goes slowly, so
// that fresh ones do not queue behind it at the oracles, and while 16,384 have none it
// waits.
//
// What a broker acknowledges makes room for the next publish and means nothing
// else.
//
// # Answers
//
// A receipt counts when the policy is satisfied by the signatures under its
// checkpoint, a quorum signed the receipt, and the exact bytes in the outbox are at
// the place in the tree that it names. Then, and never else, the outbox marks the
// statement as receipted. Anything else is counted and changes nothing.
//
// A refusal is signed by an oracle's statement key and names the statement by its
// leaf hash. One of a reason that time or an operator mends is counted, and the
// statement is sent again as before. One of a lasting reason stops the sending when
// more than a third of the oracles have said so, as one of them alone may lie; the
// statement stays in the outbox, and a receipt that comes after all wins.
//
// # Oracles that change
//
// The policy is where an uplink begins. Where it hears receipts it also hears handovers
// (package ledger/handover): each shows that the oracles who are trusted put the next set
// into their place. It takes the step or changes nothing, never back; it is kept before it
// counts, and from then on receipts count by the new set alone, under checkpoints behind
// the handover's. What lies in flight is sent again within a step. Refusals count by the
// new set too.
//
// Receipts that the policy does not take make it announce itself again, with whom it
// trusts, which has oracles send what it lacks: at once, then as seldom as a statement is
// sent again.
//
// # Birth and will
//
// After each connection the gateway announces itself, retained, and leaves the word
// "offline" with the broker as its will. Both are for people's dashboards; of the ledger
// nothing depends on them, and oracles read in the birth which handovers it lacks, and
// whether its client certificate ends soon: then one that has the authority sends another
// where it hears its receipts ([Config.Renew]).
//
// # Transports
//
// MQTT and NATS implement [Transport]: TLS 1.2 or later with a client certificate, or plain to the
// loopback. Neither keeps messages of its own and neither reconnects by itself:
// the outbox is the only buffer, and Uplink decides when to try again.
package uplink
