package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/api"
	"wattmark/oracle/broker"
	"wattmark/oracle/founding"
	"wattmark/oracle/wire"
	"wattmark/signer/words"
)

// initFacts is what init prints as JSON.
type initFacts struct {
	State   string   `json:"state"` // requested, assembled or founded
	Ledger  string   `json:"ledger"`
	Oracle  string   `json:"oracle,omitempty"`
	Oracles []string `json:"oracles,omitempty"`
	Quorum  uint64   `json:"quorum,omitempty"`
	Digest  string   `json:"charter_hash,omitempty"`
	Words   []string `json:"words"`
	File    string   `json:"file,omitempty"`
}

// alone founds a ledger of one oracle.
func (o *initOptions) alone(f *file) error {
	s := f.state()
	if _, ok, err := s.founded(); err != nil || ok {
		if err == nil && o.once && exists(s.file(acceptanceFile)) {
			fmt.Fprintf(o.err, "%s holds a ledger already.\n", s)
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s holds a ledger already: %w: wattmark-oracle run goes on with it", s, os.ErrExist)
		}
		return err
	}
	own, err := s.ownRequest()
	if errors.Is(err, fs.ErrNotExist) {
		if err := o.invent(); err != nil {
			return err
		}
		own, err = o.newRequest(s)
	}
	if err != nil {
		return err
	}
	charter := oracle.NewCharter(own.Origin, time.Now(), []entry.OracleKeys{own.Oracle})
	p, err := founding.Propose(charter, []*founding.Request{own})
	if err != nil {
		return err
	}
	if err := o.found(s, p, own, 0); err != nil {
		return err
	}
	return o.tell("founded", p, own, "")
}

// newRequest makes the keys, unless they are there, and keeps the request they sign.
func (o *initOptions) newRequest(s stateDir) (*founding.Request, error) {
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	spki, err := s.tlsKey()
	if err != nil {
		return nil, err
	}
	r, err := founding.NewRequest(founding.Keys(keys), o.name, o.origin, spki, time.Now().Unix())
	if err != nil {
		return nil, err
	}
	return r, writeFile(s.file(requestFile), r.Statement(), 0o600)
}

// ask writes this oracle's request, the one that it has made before if it is the same.
func (o *initOptions) ask(f *file) error {
	s := f.state()
	if _, ok, err := s.founded(); err != nil || ok {
		if err == nil {
			err = fmt.Errorf("%s holds a ledger already: %w: give another state directory", s, os.ErrExist)
		}
		return err
	}
	own, err := s.ownRequest()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		own, err = o.newRequest(s)
	case err == nil && (own.Origin != o.origin || own.Oracle.Name != o.name):
		return fmt.Errorf("this oracle has asked as %q on %q before: go on with that, or begin with an empty state directory", own.Oracle.Name, own.Origin)
	}
	if err != nil {
		return err
	}
	if err := writeFile(o.request, own.Statement(), 0o644); err != nil {
		return err
	}
	if o.asJSON {
		return json.NewEncoder(o.out).Encode(initFacts{State: "requested", Ledger: own.Origin, Oracle: own.Oracle.Name, Words: requestWords(own), File: o.request})
	}
	fmt.Fprintf(o.out, "Wrote %s: public keys only, signed. Give it to the member who assembles the charter.\n", o.request)
	printWords(o, requestWords(own))
	return nil
}

// requestWords are the eight words of a request, by which its giver is known.
func requestWords(r *founding.Request) []string {
	sum := sha256.Sum256(r.Statement())
	return words.Of(sum[:])
}

func printWords(o *initOptions, w []string) {
	fmt.Fprintf(o.out, "\n  words    %s\n           %s\n", strings.Join(w[:4], " "), strings.Join(w[4:], " "))
}

// askToJoin makes the request for a ledger that others have founded.
func (o *initOptions) askToJoin(f *file) error {
	b, err := read(o.join)
	if err != nil {
		return err
	}
	p, err := block.ParsePolicy(b)
	if err != nil {
		return fmt.Errorf("%s: %w", o.join, err)
	}
	o.origin = p.Origin()
	if err := o.ask(f); err != nil {
		return err
	}
	if err := errors.Join(writeFile(f.state().file("policy"), b, 0o644), writeFile(f.state().file(joinFile), []byte(p.String()), 0o644)); err != nil {
		return err
	}
	fmt.Fprintln(o.err, "Its members vote this oracle in (wattmark ledger propose); until then it can only read.")
	return nil
}

// assemble makes the charter of the members' requests.
func (o *initOptions) assemble(f *file) error {
	var requests []*founding.Request
	var oracles []entry.OracleKeys
	for _, name := range o.members {
		b, err := read(name)
		if err != nil {
			return err
		}
		r, err := founding.OpenRequest(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(requests) > 0 && r.Origin != requests[0].Origin {
			return fmt.Errorf("%s asks for the ledger %q, %s for %q: agree on one, and let the others ask again", name, r.Origin, o.members[0], requests[0].Origin)
		}
		requests, oracles = append(requests, r), append(oracles, r.Oracle)
	}
	charter := oracle.NewCharter(requests[0].Origin, time.Now(), oracles)
	if o.quorum > 0 {
		charter.Quorum = o.quorum
	}
	p, err := founding.Propose(charter, requests)
	if err != nil {
		return err
	}
	if err := certify(f, p); err != nil {
		return err
	}
	b, err := p.Encode()
	if err != nil {
		return err
	}
	if err := writeFile(o.charter, b, 0o644); err != nil {
		return err
	}
	return o.tell("assembled", p, nil, o.charter)
}

// certify gives each oracle its certificate for the broker, by this member's authority.
func certify(f *file, p *founding.Proposal) error {
	pki, err := broker.OpenPKI(f.state().file("pki"), time.Now())
	if err != nil {
		return err
	}
	p.Roots = pki.RootDER()
	for _, r := range p.Requests {
		der := []byte{}
		if r.TLS != nil {
			if der, err = pki.CertifyOracle(time.Now(), wire.ShortName(p.Charter.Origin), oracle.CertificateName(r.Oracle.Name), r.TLS); err != nil {
				return err
			}
		}
		p.Certificates = append(p.Certificates, der)
	}
	return nil
}

// acceptFile accepts a charter that a member has assembled.
func (o *initOptions) acceptFile(f *file) error {
	s := f.state()
	own, err := s.ownRequest()
	if err != nil {
		return err
	}
	b, err := read(o.accept)
	if err != nil {
		return err
	}
	p, err := founding.OpenProposal(b)
	if err != nil {
		return fmt.Errorf("%s: %w", o.accept, err)
	}
	place, err := p.Place(own)
	if err != nil {
		return err
	}
	if !o.asJSON {
		o.show(p, own)
	}
	if digest, ok, err := s.founded(); err != nil || ok && digest != p.Digest() {
		if err == nil {
			err = fmt.Errorf("the ledger here was founded with another charter, %q: this one cannot take its place", strings.Join(founding.Words(digest), " "))
		}
		return err
	}
	if err := o.confirm(p); err != nil {
		return err
	}
	if err := o.found(s, p, own, place); err != nil {
		return err
	}
	return o.tell("founded", p, own, "")
}

// found keeps what was accepted, and founds the ledger with it. What a crash leaves of it
// is completed by doing it again.
func (o *initOptions) found(s stateDir, p *founding.Proposal, own *founding.Request, place int) error {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	policy, err := oracle.PolicyOf(p.Charter)
	if err != nil {
		return err
	}
	b, err := p.Encode()
	if err != nil {
		return err
	}
	said, err := founding.Accept(keys.Statement, own.Oracle.Name, own.Origin, p.Digest(), time.Now().Unix())
	if err != nil {
		return err
	}
	if len(p.Certificates) > 0 && len(p.Certificates[place]) > 0 {
		if err := errors.Join(writePEM(s.file("tls.pem"), p.Certificates[place]), writePEM(s.file("roots.pem"), p.Roots)); err != nil {
			return err
		}
	}
	if _, ok, err := s.founded(); err != nil {
		return err
	} else if !ok {
		if err := ledger.Create(string(s), p.Charter); err != nil {
			return err
		}
	}
	keySet, err := keySetOf(p.Charter)
	if err != nil {
		return err
	}
	return errors.Join(
		writeFile(s.file("keys.jwks"), keySet, 0o644),
		writeFile(s.file("policy"), []byte(policy.String()), 0o644),
		writeFile(s.file(foundingFile), b, 0o644),
		writeFile(s.file(acceptanceFile), said, 0o600), // last: run wants it
	)
}

// keySetOf are the oracles' public keys: with the policy, what gateways are given.
func keySetOf(c *entry.Charter) ([]byte, error) {
	var set []audit.KnownKey
	for i := range c.Oracles {
		keys, err := api.OracleKeys(&c.Oracles[i])
		if err != nil {
			return nil, err
		}
		set = append(set, keys...)
	}
	b, err := audit.EncodeKeys(set)
	return append(b, '\n'), err
}

// show prints a charter for people.
func (o *initOptions) show(p *founding.Proposal, own *founding.Request) {
	fmt.Fprintf(o.out, "The charter of %s, of %s:\n", p.Charter.Origin, time.UnixMilli(p.Charter.Time).UTC().Format(time.RFC3339))
	for _, r := range p.Requests {
		mine := ""
		if own != nil && bytes.Equal(r.Statement(), own.Statement()) {
			mine = "  (this one)"
		}
		w := requestWords(r)
		fmt.Fprintf(o.out, "  oracle   %s%s\n           %s\n           %s\n", r.Oracle.Name, mine, strings.Join(w[:4], " "), strings.Join(w[4:], " "))
	}
	fmt.Fprintf(o.out, "  final    with %d of %d oracles\n", p.Charter.Quorum, len(p.Charter.Oracles))
	fmt.Fprintf(o.out, "  changed  by %d of %d oracles\n", p.Charter.Governance, len(p.Charter.Oracles))
	printWords(o, p.Words())
	fmt.Fprintln(o.out)
}

// confirm asks whether the other members read the same words.
func (o *initOptions) confirm(p *founding.Proposal) error {
	if o.yes {
		return nil
	}
	in, ok := o.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errors.New("nobody is there to compare the words: give --yes once the other members have read the same ones")
	}
	fmt.Fprint(o.err, "Do all other members read these words? Type the last one to accept: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("reading the answer: %w", err)
	}
	w := p.Words()
	if strings.TrimSpace(strings.ToLower(line)) != w[len(w)-1] {
		return errors.New("not accepted, nothing was founded")
	}
	return nil
}

// tell says what was done.
func (o *initOptions) tell(state string, p *founding.Proposal, own *founding.Request, name string) error {
	digest := p.Digest()
	facts := initFacts{State: state, Ledger: p.Charter.Origin, Quorum: p.Charter.Quorum, Digest: fmt.Sprintf("%x", digest[:]), Words: p.Words(), File: name}
	for _, k := range p.Charter.Oracles {
		facts.Oracles = append(facts.Oracles, k.Name)
	}
	if own != nil {
		facts.Oracle = own.Oracle.Name
	}
	if o.asJSON {
		return json.NewEncoder(o.out).Encode(facts)
	}
	switch state {
	case "assembled":
		o.show(p, nil)
		fmt.Fprintf(o.out, "Wrote %s. Give it to every member, and accept it yourself:\n  wattmark-oracle init --accept %s\n", name, name)
	default:
		fmt.Fprintf(o.out, "Founded %s: %s signs as one of %d oracles. Next:\n  wattmark-oracle run --config %s\n", facts.Ledger, facts.Oracle, len(facts.Oracles), o.config)
	}
	return nil
}
