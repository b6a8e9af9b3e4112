// Package api serves a ledger over HTTP to whoever wants to check it: the log as
// static tiles, the newest final checkpoint, and files about single leaves that a
// verifier keeps. Everything here is public, and everything can be verified
// without trusting who served it.
//
//	/checkpoint                       signed checkpoint (C2SP tlog-checkpoint)
//	/tile/<L>/<N>[.p/<W>]             hashes of the tree (C2SP tlog-tiles)
//	/tile/entries/<N>[.p/<W>]         leaves, by 256
//	/handover/index, /handover/<height>   how oracle sets followed one another
//	/api/v1/leaf/<index>.<kind>       what is at a place
//	/api/v1/statement/<hash>.<kind>   the leaf that has a leaf hash
//	/api/v1/key/<kid>/<boot>-<count>.<kind>   the statement with a sequence number
//	/api/v1/ledger, blocks, leaves, search    what the ledger says, as JSON
//	/api/v1/zones, carbon             the market, and the carbon accounts, the same
//	/openapi.json                     all of this, described (OpenAPI 3.1)
//	/policy, /keys.jwks               for looking at: a verifier keeps its own
//	/readyz, /healthz, /metrics       for operators, by [API.Admin]
//	/api/v1/gateways                  the same: the fleet, those in trouble first
//
// where kind is cose (a statement with receipts), tlog-proof or evidence
// (ledger/block/FORMAT.md sections 5 and 7, ledger/audit/FORMAT.md). Packs of
// committed readings are never disclosed here.
//
// Lists come in parts: next is the cursor of the following one. JSON has the hash of its
// content as a tag. What it says rests on leaves, and each names the one: whoever does not
// believe it takes the leaf's evidence.
//
// The tiles come from the directory that ledger/store publishes, so that a plain
// file server on the same directory serves the same log. What that directory lacks
// is made from the store: partial tiles of checkpoints between two publications, and
// of those whose full tile has come.
//
// Errors are problem details (RFC 9457) with a hint that says what to do next.
// What costs much is limited for each client and in all; what is final is served
// as immutable, so that caches carry the load.
package api
