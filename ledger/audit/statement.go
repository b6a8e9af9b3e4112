package audit

import (
	"fmt"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

func (r *Report) statement(statement []byte, index uint64, t Trust, e *Evidence) {
	m, err := signer.Parse(statement)
	if err != nil {
		r.fail(CheckSignature, err)
		return
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		r.fail(CheckSignature, err)
		return
	}
	r.Subject = shortType(m.Type) + ", " + c.Issuer
	if c.Sequence.Count > 0 {
		r.Subject += fmt.Sprintf(", sequence %v", c.Sequence)
	}
	r.time(&c, m.Type)
	if t.Policy != nil && c.Audience != t.Policy.Origin() {
		r.set(CheckSignature, False, "signed for ledger %q, the policy is for %q", c.Audience, t.Policy.Origin())
		return
	}
	r.calibration(m, &c, e)
	r.disclosure(m, &c, e)
	r.release(&c, index, e)
	r.signature(m, index, t, e)
}

func shortType(typ string) string {
	s := strings.TrimPrefix(typ, "application/vnd.wattmark.")
	return strings.TrimSuffix(s, "+cose")
}

// signature finds the key, says how it is known, and verifies under it.
func (r *Report) signature(m *signer.Message, index uint64, t Trust, e *Evidence) {
	sealing := false
	if t.Policy != nil {
		_, log := t.Policy.Log(m.KeyID)
		_, cosigner := t.Policy.Witness(m.KeyID)
		sealing = log || cosigner
	}
	k, from, ok := findKey(m.KeyID, t, e)
	if !ok {
		r.set(CheckSignature, Unchecked, "key %v is not known: give a key set with --keys", m.KeyID)
	} else if _, err := signer.Verify(m, k.Public); err != nil {
		r.fail(CheckSignature, err)
	} else {
		r.set(CheckSignature, Holds, "%v of key %v", k.Public.Algorithm(), m.KeyID)
	}
	switch {
	case sealing || k.Role == RoleCosigner || k.Role == RoleLog:
		r.set(CheckKey, False, "key %v signs checkpoints and receipts, and no statements", m.KeyID)
	case !ok:
		r.set(CheckKey, Unchecked, "key %v is not known", m.KeyID)
	case !maySign(k.Role, m.Type):
		r.set(CheckKey, False, "key %v is of the role %q, whose keys sign no %s", m.KeyID, k.Role, shortType(m.Type))
	case k.Enrolled > 0 && index <= k.Enrolled:
		r.set(CheckKey, False, "the statement is leaf %d, its key was enrolled by leaf %d", index, k.Enrolled)
	case k.Revoked > 0 && index > k.Revoked:
		r.set(CheckKey, False, "the statement is leaf %d, its key was revoked by leaf %d", index, k.Revoked)
	default:
		r.set(CheckKey, Holds, "%s%s", from, nameOf(k))
	}
}

// maySign says who signs what: gateways what they measure and how, members what they
// want of the market and do in carbon accounts, registries and verifiers their part of
// these, each their own end, oracles all the rest. Of a key whose role is not known nothing
// is said.
func maySign(role, typ string) bool {
	of := RoleOracle
	switch typ {
	case entry.TypeReading, entry.TypeCalibration, entry.TypeClockMap:
		of = RoleGateway
	case entry.TypeOrder, entry.TypeSealedOrder, entry.TypeOpenedOrder, entry.TypeStanding, entry.TypeDispute:
		of = RoleMember
	case entry.TypeRevocation:
		return true
	case entry.TypeAppointment, entry.TypeFactorPack:
	case entry.TypeCarbonSource, entry.TypeCarbonProject, entry.TypeUnitIssue, entry.TypeReversal, entry.TypeAuthorization, entry.TypeCADTCommit:
		of = RoleRegistry
	case entry.TypeVerification:
		of = RoleVerifier
	default:
		if entry.IsCarbon(typ) {
			of = RoleMember
		}
	}
	return role == "" || role == of
}

func nameOf(k KnownKey) string {
	if k.Name == "" {
		return ""
	}
	return fmt.Sprintf(", of %q", k.Name)
}

// findKey looks into the verifier's own set first. What the set does not say of
// the key's life the evidence may.
func findKey(id signer.KeyID, t Trust, e *Evidence) (KnownKey, string, bool) {
	logged, inLog := e.key(id)
	k, ok := t.Keys.Find(id)
	switch {
	case ok:
		if k.Enrolled == 0 {
			k.Enrolled = logged.Enrolled
		}
		if k.Revoked == 0 {
			k.Revoked = logged.Revoked
		}
		return k, "listed in the key set", true
	case inLog && logged.Role == RoleOracle:
		return logged, "named by the charter", true
	case inLog:
		return logged, fmt.Sprintf("enrolled by leaf %d, and not revoked before by any leaf in the file", logged.Enrolled), true
	}
	return KnownKey{}, "", false
}

func (r *Report) time(c *entry.Claims, typ string) {
	switch {
	case c.Time == nil && (maySign(RoleMember, typ) || maySign(RoleRegistry, typ) || maySign(RoleVerifier, typ)) && !maySign(RoleOracle, typ):
		r.set(CheckTime, NotApplicable, "a statement of a member or a party: the time of its block counts")
	case c.Time == nil && maySign(RoleOracle, typ):
		r.set(CheckTime, NotApplicable, "a statement of an oracle: block time is the median of their clocks")
	case c.Time == nil || c.Time.Quality == entry.ClockUnsynced:
		r.set(CheckTime, Unchecked, "the gateway had no clock source: only the order of its statements is claimed")
	case c.Time.Quality == entry.ClockSimulated:
		r.set(CheckTime, Holds, "simulated: a demonstration's clock, not the world's")
	case c.Time.Uncertainty > 0:
		r.set(CheckTime, Holds, "%s, claimed within %d ms", c.Time.Quality, (c.Time.Uncertainty+999_999)/1_000_000)
	default:
		r.set(CheckTime, Holds, "%s, no bound claimed", c.Time.Quality)
	}
}

func (r *Report) disclosure(m *signer.Message, c *entry.Claims, e *Evidence) {
	if !m.Hidden() {
		if m.Type != entry.TypeReading {
			return
		}
		p, err := entry.ParsePack(m.Payload)
		if err != nil {
			r.fail(CheckDisclosure, err)
			return
		}
		r.set(CheckDisclosure, Holds, "an open pack of %s", records(len(p.Records)))
		return
	}
	if e != nil {
		for _, d := range e.Disclosures {
			if p, err := entry.ParseCommitted(d, m.Payload); err == nil {
				r.disclosed(p)
				return
			}
		}
	}
	if by, ok := e.forgottenPoint(c.Subject); ok {
		r.set(CheckDisclosure, Unchecked, "forgotten by entry %d: nobody has the pack of %s any more", by, c.Subject)
		return
	}
	r.set(CheckDisclosure, NotApplicable, "the pack of %s is committed and not disclosed here", c.Subject)
}

func (r *Report) disclosed(c *entry.Committed) {
	p, err := entry.ParsePack(c.Pack)
	if err != nil {
		r.fail(CheckDisclosure, err)
		return
	}
	r.set(CheckDisclosure, Holds, "a committed pack of %s, disclosed", records(len(p.Records)))
}

func records(n int) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}
