package block

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wattmark/signer"
)

// ErrQuorum is wrapped when there are fewer signatures than a policy asks for.
var ErrQuorum = errors.New("policy is not satisfied")

// Policy is whom a verifier trusts: a C2SP tlog-policy. All its logs are of one
// origin. A checkpoint satisfies it with a signature of at least one of the
// logs and cosignatures that make up the quorum.
type Policy struct {
	origin    string
	logs      []noteVerifier
	logURLs   []string // by position in logs; empty for none
	witnesses []witness
	groups    []group
	quorum    string // a witness, a group, or "none"
}

type witness struct {
	name string
	noteVerifier
	url string
}

type group struct {
	name    string
	need    int
	members []string
}

// maxPolicy bounds a policy file in bytes, and its names of each kind.
const (
	maxPolicy      = 256 << 10
	maxPolicyNames = 256
)

// NewPolicy makes a policy of logs, witnesses and a quorum of k witnesses.
func NewPolicy(logs, witnesses []VerifierKey, k int) (*Policy, error) {
	return NewWitnessedPolicy(logs, witnesses, k, nil, 0)
}

// NewWitnessedPolicy makes a policy of logs and a quorum of k of the oracles and,
// where there are any, w of the external witnesses.
func NewWitnessedPolicy(logs, oracles []VerifierKey, k int, witnesses []VerifierKey, w int) (*Policy, error) {
	var b strings.Builder
	for _, l := range logs {
		fmt.Fprintf(&b, "log %s\n", l)
	}
	var names []string
	for _, o := range append(slices.Clip(oracles), witnesses...) {
		name := shortName(o.Name)
		taken := []string{"", "none", "oracles"}
		if len(witnesses) > 0 {
			taken = append(taken, "witnesses", "both")
		}
		if slices.Contains(taken, name) || slices.Contains(names, name) {
			name = o.Name
		}
		names = append(names, name)
		fmt.Fprintf(&b, "witness %s %s\n", name, o)
	}
	fmt.Fprintf(&b, "group oracles %d %s\n", k, strings.Join(names[:len(oracles)], " "))
	if len(witnesses) == 0 {
		b.WriteString("quorum oracles\n")
		return ParsePolicy([]byte(b.String()))
	}
	fmt.Fprintf(&b, "group witnesses %d %s\n", w, strings.Join(names[len(oracles):], " "))
	b.WriteString("group both all oracles witnesses\nquorum both\n")
	return ParsePolicy([]byte(b.String()))
}

// shortName is the part of a key name behind its last slash.
func shortName(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// String returns the policy in the file format.
func (p *Policy) String() string {
	var b strings.Builder
	for i, l := range p.logs {
		fmt.Fprintf(&b, "log %s%s\n", l.VerifierKey, spaced(p.logURLs[i]))
	}
	for _, w := range p.witnesses {
		fmt.Fprintf(&b, "witness %s %s%s\n", w.name, w.VerifierKey, spaced(w.url))
	}
	for _, g := range p.groups {
		fmt.Fprintf(&b, "group %s %d %s\n", g.name, g.need, strings.Join(g.members, " "))
	}
	fmt.Fprintf(&b, "quorum %s\n", p.quorum)
	return b.String()
}

func spaced(url string) string {
	if url == "" {
		return ""
	}
	return " " + url
}

// ParsePolicy reads a policy file. Errors name the line.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > maxPolicy {
		return nil, fmt.Errorf("policy: %w: %d bytes, over the limit of %d", ErrForm, len(b), maxPolicy)
	}
	p := &Policy{}
	names := map[string]bool{"none": true} // defined so far, to true once a member of a group
	for i, line := range strings.Split(string(b), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("policy line %d: %w: control character", i+1, ErrForm)
		}
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := p.parseLine(fields, names); err != nil {
			return nil, fmt.Errorf("policy line %d: %w: %w", i+1, ErrForm, err)
		}
	}
	switch {
	case p.quorum == "":
		return nil, fmt.Errorf("policy: %w: there is no quorum line", ErrForm)
	case len(p.logs) == 0:
		return nil, fmt.Errorf("policy: %w: there is no log line", ErrForm)
	}
	return p, nil
}

func (p *Policy) parseLine(f []string, names map[string]bool) error {
	switch verb := f[0]; {
	case verb == "log" && (len(f) == 2 || len(f) == 3):
		return p.addLog(f[1], strings.Join(f[2:], ""))
	case verb == "witness" && (len(f) == 3 || len(f) == 4):
		return p.addWitness(f[1], f[2], strings.Join(f[3:], ""), names)
	case verb == "group" && len(f) >= 4:
		return p.addGroup(f[1], f[2], f[3:], names)
	case verb == "quorum" && len(f) == 2:
		if p.quorum != "" {
			return errors.New("a second quorum line")
		}
		if _, ok := names[f[1]]; !ok {
			return fmt.Errorf("quorum %q is not defined on a line before", f[1])
		}
		p.quorum = f[1]
		return nil
	}
	return fmt.Errorf("%q with %d words is not a line of a policy", f[0], len(f))
}

func (p *Policy) addLog(vkey, url string) error {
	k, err := ParseVerifierKey(vkey)
	if err != nil {
		return err
	}
	switch {
	case k.Cosigner:
		return fmt.Errorf("%q is a cosigner's key, not a log's", k.Name)
	case len(p.logs) > 0 && k.Name != p.origin:
		return fmt.Errorf("log %q: this policy is for the origin %q", k.Name, p.origin)
	case len(p.logs) >= maxPolicyNames:
		return fmt.Errorf("more than %d logs", maxPolicyNames)
	}
	for _, l := range p.logs {
		if l.Key == k.Key {
			return errors.New("a log line with the same key stands before")
		}
	}
	v := noteVerifier{k, k.ID()}
	if err := p.distinct(v); err != nil {
		return err
	}
	p.origin = k.Name
	p.logs, p.logURLs = append(p.logs, v), append(p.logURLs, url)
	return nil
}

func (p *Policy) addWitness(name, vkey, url string, names map[string]bool) error {
	k, err := ParseVerifierKey(vkey)
	if err != nil {
		return err
	}
	if _, ok := names[name]; ok {
		return fmt.Errorf("the name %q is defined before", name)
	}
	if !k.Cosigner {
		return fmt.Errorf("%q is a log's key, not a cosigner's", k.Name)
	}
	if len(p.witnesses) >= maxPolicyNames {
		return fmt.Errorf("more than %d witnesses", maxPolicyNames)
	}
	for _, w := range p.witnesses {
		if w.Key == k.Key {
			return errors.New("a witness line with the same key stands before")
		}
	}
	v := noteVerifier{k, k.ID()}
	if err := p.distinct(v); err != nil {
		return err
	}
	names[name] = false
	p.witnesses = append(p.witnesses, witness{name, v, url})
	return nil
}

// distinct refuses a second key of one name and id. An id has 32 bits, so that
// somebody can search for such a key; no signature could be told to be of
// either then, and no checkpoint would verify.
func (p *Policy) distinct(v noteVerifier) error {
	for _, k := range p.verifiers() {
		if k.id == v.id && k.VerifierKey.Name == v.VerifierKey.Name {
			return fmt.Errorf("another key of the name %q has the id %08x too", k.VerifierKey.Name, k.id)
		}
	}
	return nil
}

func (p *Policy) verifiers() []noteVerifier {
	list := make([]noteVerifier, 0, len(p.logs)+len(p.witnesses))
	list = append(list, p.logs...)
	for _, w := range p.witnesses {
		list = append(list, w.noteVerifier)
	}
	return list
}

func (p *Policy) addGroup(name, need string, members []string, names map[string]bool) error {
	if _, ok := names[name]; ok {
		return fmt.Errorf("the name %q is defined before", name)
	}
	if len(p.groups) >= maxPolicyNames {
		return fmt.Errorf("more than %d groups", maxPolicyNames)
	}
	for _, m := range members {
		used, ok := names[m]
		if !ok || m == "none" {
			return fmt.Errorf("group member %q is not defined on a line before", m)
		}
		if used {
			return fmt.Errorf("%q is a member of a group already", m)
		}
		names[m] = true
	}
	k := 0
	switch need {
	case "all":
		k = len(members)
	case "any":
		k = 1
	default:
		n, err := strconv.Atoi(need)
		if err != nil || n < 1 || n > len(members) || strconv.Itoa(n) != need {
			return fmt.Errorf("a threshold of %q among %d members", need, len(members))
		}
		k = n
	}
	names[name] = false
	p.groups = append(p.groups, group{name, k, members})
	return nil
}

// Origin returns the ledger's origin.
func (p *Policy) Origin() string { return p.origin }

// Log returns the log key that has the given COSE kid.
func (p *Policy) Log(id signer.KeyID) (VerifierKey, bool) {
	for _, l := range p.logs {
		if l.Key.ID() == id {
			return l.VerifierKey, true
		}
	}
	return VerifierKey{}, false
}

// Witness returns the cosigner's key that has the given COSE kid, with which
// that oracle also signs receipts.
func (p *Policy) Witness(id signer.KeyID) (VerifierKey, bool) {
	for _, w := range p.witnesses {
		if w.Key.ID() == id {
			return w.VerifierKey, true
		}
	}
	return VerifierKey{}, false
}

// PolicyWitness is a witness line of a policy.
type PolicyWitness struct {
	Name string // within the policy
	Key  VerifierKey
	// URL is where the witness takes checkpoints, empty where the policy does not say.
	URL string
	// Oracle is false for a witness from outside, which cosigns checkpoints and issues
	// no receipts (see OracleQuorum).
	Oracle bool
}

// Witnesses lists the policy's witnesses in its order.
func (p *Policy) Witnesses() []PolicyWitness {
	of := p.oracleGroup()
	out := make([]PolicyWitness, len(p.witnesses))
	for i, w := range p.witnesses {
		out[i] = PolicyWitness{w.name, w.VerifierKey, w.url, of == nil || slices.Contains(of.members, w.name)}
	}
	return out
}

// oracleGroup is the group of the ledger's oracles, nil where the policy has none.
func (p *Policy) oracleGroup() *group {
	i := slices.IndexFunc(p.groups, func(g group) bool { return g.name == OraclesGroup })
	if i < 0 {
		return nil
	}
	return &p.groups[i]
}

// OraclesGroup is what the group of the ledger's oracles is called in a policy that
// also names witnesses from outside.
const OraclesGroup = "oracles"

// Quorum checks that the witnesses whose keys are in signed make up the quorum.
func (p *Policy) Quorum(signed map[signer.KeyID]bool) error { return p.fulfils(p.quorum, signed) }

// OracleQuorum is Quorum for what oracles alone sign, such as receipts: it asks for
// the group "oracles" where the policy has one, and for the whole quorum else.
func (p *Policy) OracleQuorum(signed map[signer.KeyID]bool) error {
	if p.oracleGroup() == nil {
		return p.Quorum(signed)
	}
	return p.fulfils(OraclesGroup, signed)
}

func (p *Policy) fulfils(name string, signed map[signer.KeyID]bool) error {
	if name == "none" {
		return nil
	}
	have := 0
	fulfilled := make(map[string]bool)
	for _, w := range p.witnesses {
		if signed[w.Key.ID()] {
			fulfilled[w.name] = true
			have++
		}
	}
	for _, g := range p.groups {
		n := 0
		for _, m := range g.members {
			if fulfilled[m] {
				n++
			}
		}
		fulfilled[g.name] = n >= g.need
	}
	if !fulfilled[name] {
		return fmt.Errorf("%w: %d of %d witnesses signed, which is no quorum", ErrQuorum, have, len(p.witnesses))
	}
	return nil
}

// Signed is a checkpoint that satisfied a policy, and who signed it.
type Signed struct {
	Checkpoint
	Logs      []VerifierKey
	Witnesses []VerifierKey
	// Lines are the signature lines of both, in the order of the note.
	Lines []string
}

// Verify checks a signed checkpoint against the policy: origin, a signature of
// at least one log, and a quorum of cosignatures. A wrong signature of a known
// key fails it even where enough others are right. Where nothing but cosignatures
// is missing it returns who did sign along with the error.
func (p *Policy) Verify(checkpoint []byte) (*Signed, error) {
	return p.verify(checkpoint, p.Quorum)
}

// VerifyOracles is Verify by OracleQuorum: that the ledger's oracles agree, before any
// witness from outside has seen it.
func (p *Policy) VerifyOracles(checkpoint []byte) (*Signed, error) {
	return p.verify(checkpoint, p.OracleQuorum)
}

func (p *Policy) verify(checkpoint []byte, quorum func(map[signer.KeyID]bool) error) (*Signed, error) {
	s, err := p.Open(checkpoint)
	if err != nil {
		return nil, err
	}
	if len(s.Logs) == 0 {
		return nil, fmt.Errorf("%w: no log of the policy signed the checkpoint", ErrQuorum)
	}
	ids := make(map[signer.KeyID]bool, len(s.Witnesses))
	for _, w := range s.Witnesses {
		ids[w.Key.ID()] = true
	}
	return s, quorum(ids)
}

// Open verifies whatever signatures of known keys a checkpoint carries, and
// returns them without asking for a quorum.
func (p *Policy) Open(checkpoint []byte) (*Signed, error) {
	known := p.verifiers()
	n, err := openNote(checkpoint, known)
	if err != nil {
		return nil, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	if c.Origin != p.origin {
		return nil, fmt.Errorf("%w: the checkpoint is of ledger %q, the policy is for %q", ErrQuorum, c.Origin, p.origin)
	}
	s := &Signed{Checkpoint: c}
	for _, sig := range n.Sigs {
		for _, v := range known {
			if v.VerifierKey.Name != sig.Name || v.id != sig.Hash {
				continue
			}
			s.Lines = append(s.Lines, lineOf(sig))
			if v.Cosigner {
				s.Witnesses = append(s.Witnesses, v.VerifierKey)
			} else {
				s.Logs = append(s.Logs, v.VerifierKey)
			}
		}
	}
	return s, nil
}
