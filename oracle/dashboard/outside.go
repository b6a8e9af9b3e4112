package dashboard

import "wattmark/oracle/dashboard/locale"

// outside are texts that other packages say and that these pages pass on. One that is not here is
// passed on in English, and marked as that.
var outside = map[string][]string{
	"oracle/api": {
		locale.Text("This oracle could not read its own ledger."), locale.Text("Ask another oracle."), locale.Text("This oracle is stopping."),
		locale.Text("Another leaf hash is being looked for."), locale.Text("Ask again in a moment, or ask another oracle."),
		locale.Text("The zones are at /api/v1/zones."), locale.Text("The ledger's page finds members by name."),
		locale.Text("Fewer than five members have readings: their sum would tell of single homes."),
		locale.Text("The code was used, or is older than two minutes."), locale.Text("Get a new one: wattmark member open --key FILE."),
		locale.Text("A session over plain HTTP could be read and used by whoever is on the way."), locale.Text("Ask for the address of this oracle that begins with https://."),
		locale.Text("This oracle has no room for another session."), locale.Text("Try again later, or sign each request."),
		locale.Text("The same request was made before."), locale.Text("Sign the request with the member's key (RFC 9421): wattmark member open --key FILE does."),
		locale.Text("This server takes no requests."), locale.Text("Use the link as you got it."),
		locale.Text("Ask the operator for a new link: wattmark member invite."),
		locale.Text("The request asks for something else than the invitation offers."), locale.Text("Open the link again."),
		locale.Text("Another device has used this invitation, or the member has a key already."),
		locale.Text("Ask the operator, who sees which. For a new device the old key is ended first: wattmark member revoke."),
		locale.Text("The operator has not looked at the requests before this one."), locale.Text("Tell the operator, and send it again."),
		locale.Text("This server shows a ledger and takes nothing for it."), locale.Text("Ask a running oracle."),
		locale.Text("The order did not take the entry: the broker may be away."), locale.Text("Send it again, here or to another oracle: it counts once."),
		// What was found, and as what it was looked for.
		locale.Text("block"), locale.Text("leaf"), locale.Text("key"), locale.Text("gateway"), locale.Text("member"),
		locale.Text("block height"), locale.Text("leaf index"), locale.Text("leaf hash"), locale.Text("leaf hash, among the newest leaves alone"), locale.Text("time"),
		locale.Text("a gateway with a key in force"),
	},
	"ledger/entry": {
		// Kinds of leaf.
		locale.Text("unknown"), locale.Text("statement"), locale.Text("outcome"), locale.Text("header"), locale.Text("charter"),
	},
}
