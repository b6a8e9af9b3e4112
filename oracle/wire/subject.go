package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"wattmark/signer"
)

// Subjects names the subjects of one ledger.
type Subjects struct{ prefix string }

// For returns the subjects of the ledger with the given origin. The ledger's
// part of a subject is the first 16 hexadecimal digits of SHA-256(origin), as an
// origin may hold dots and slashes, which subjects and topics give a meaning.
func For(origin string) Subjects {
	return Subjects{"wattmark.v1." + ShortName(origin) + "."}
}

// ShortName is a ledger's part of a subject.
func ShortName(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:8])
}

// Up is where a gateway publishes its frames.
func (s Subjects) Up(gateway string) string { return s.prefix + "up." + gateway }

// UpTo is where a gateway publishes a frame for the oracle at a position in the
// charter, from 0. What was sent once without an answer is sent again this way, to
// one oracle after another, so that none can swallow what the queue group deals out.
func (s Subjects) UpTo(gateway string, oracle int) string {
	return s.Up(gateway) + "." + strconv.Itoa(oracle)
}

// Ups lists all that a gateway publishes on, where there are so many oracles.
func (s Subjects) Ups(gateway string, oracles int) []string {
	out := []string{s.Up(gateway), s.Birth(gateway), s.EnrolBy(gateway)}
	for i := range oracles {
		out = append(out, s.UpTo(gateway, i))
	}
	return out
}

// Birth is where a gateway says, retained, what it is, and its broker that it is gone.
// It is for people's dashboards, and tells oracles whom it trusts: see Birth.Trusts.
func (s Subjects) Birth(gateway string) string { return s.prefix + "birth." + gateway }

// Receipt is where receipts for a gateway appear.
func (s Subjects) Receipt(gateway string) string { return s.prefix + "receipt." + gateway }

// Refusal is where refusals for a gateway appear.
func (s Subjects) Refusal(gateway string) string { return s.prefix + "refusal." + gateway }

// Enrol is where a request for an enrolment is published by whoever has no certificate
// of his own yet. Every oracle listens.
func (s Subjects) Enrol() string { return s.prefix + "enrol" }

// EnrolBy is where a gateway that has a certificate publishes a request: that of a new
// key, or a rotation.
func (s Subjects) EnrolBy(gateway string) string { return s.prefix + "enrol." + gateway }

// Approval is where the approval of a key's request appears, for whoever has no
// certificate yet; others hear it where they hear receipts. It is no secret: what it
// says is on the ledger.
func (s Subjects) Approval(key signer.KeyID) string { return s.prefix + "approval." + key.String() }

// Approvals is all of Approval.
func (s Subjects) Approvals() string { return s.prefix + "approval.*" }

// Bootstrap lists what those may publish on who have no certificate of their own yet,
// and share one: requests, and nothing else; and what they may listen to.
func (s Subjects) Bootstrap() (publish, subscribe []string) {
	return []string{s.Enrol()}, []string{s.Approvals()}
}

// Pending is where an operator asks the oracle at a position in the charter, from 0,
// which requests wait. Gateways have no right to it.
func (s Subjects) Pending(oracle int) string { return s.prefix + "pending." + strconv.Itoa(oracle) }

// Inbox is what the inboxes of an oracle that connects from another process begin with,
// by the name in its certificate. Nobody else may listen there.
func (s Subjects) Inbox(oracle string) string { return s.prefix + "inbox." + oracle }

// Vote is where oracles exchange their votes. Gateways have no right to it.
func (s Subjects) Vote() string { return s.prefix + "vote" }

// Pack is where oracles ask one another for the pack of a committed statement,
// by its hash. Gateways have no right to it.
func (s Subjects) Pack() string { return s.prefix + "pack" }

// Gateway returns the gateway that a subject names, empty where it names none.
func (s Subjects) Gateway(subject string) string {
	rest, ours := strings.CutPrefix(subject, s.prefix)
	_, rest, named := strings.Cut(rest, ".")
	if !ours || !named {
		return ""
	}
	gateway, _, _ := strings.Cut(rest, ".")
	return gateway
}

// Topic returns the MQTT topic of a subject. Subjects of this package hold no
// character that would need more than this.
func Topic(subject string) string { return strings.ReplaceAll(subject, ".", "/") }

// QueueGroup is the name under which oracles share what gateways publish on Up: each
// frame reaches one of them.
const QueueGroup = "ingest"
