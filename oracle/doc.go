// Package oracle wires one oracle node: frames from the broker to ingest, bundles
// to the order, the order's messages to blocks, blocks to votes, and receipts
// back to the gateways.
//
// Four goroutines do the work, and each owns what it changes:
//
//   - ingest takes frames and submits bundles (oracle/ingest);
//   - deliver takes messages from the order and verifies every statement in
//     them, on all cores (verify.go);
//   - execute collects verified statements, closes a block where the order says
//     so, and makes it durable (execute.go);
//   - conclude casts this oracle's vote, counts the others', and when a block is
//     final answers the gateways (conclude.go). Tiles follow at their own pace.
//
// Between them are bounded queues; a full one slows what fills it. Gateways are
// listened to once the oracle has caught up with the order. An oracle that cannot
// know which history is right halts: it writes nothing more, and can be read.
// DESIGN.md says why all this is so, and what bounds it.
//
// Nodes share nothing but the broker, whether they run in one process or in
// four organisations.
package oracle
