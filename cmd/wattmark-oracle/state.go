package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/oracle"
	"wattmark/oracle/founding"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// stateDir is an oracle's directory: its keys, what was agreed at the founding, the
// ledger with its vault and, where the broker is embedded, streams and authority.
type stateDir string

// Files of the state directory.
const (
	requestFile    = "request"    // this oracle's own, as it was signed
	foundingFile   = "founding"   // the charter that it was accepted with
	acceptanceFile = "acceptance" // this oracle's signature of the charter's hash
	tlsKeyFile     = "tls-key.pem"
	admittedFile   = "admitted" // gateways at the embedded broker
	joinFile       = "join"     // policy of the ledger that an oracle joins which did not found it
)

// maxFile bounds what is read of files from other members.
const maxFile = founding.MaxProposal

func (s stateDir) file(name string) string { return filepath.Join(string(s), name) }

func (s stateDir) keys() (oracle.Keys, error) {
	if err := s.finishTaking(); err != nil {
		return oracle.Keys{}, err
	}
	return oracle.LoadKeys(s.file(keysDir))
}

// tlsKey loads the key with which this oracle reaches the broker, or makes it.
func (s stateDir) tlsKey() (spki []byte, err error) {
	k, err := keyfile.LoadOrCreate(s.file(tlsKeyFile), signer.ES256)
	if err != nil {
		return nil, fmt.Errorf("the key for TLS with the broker: %w", err)
	}
	return k.Public().SPKI()
}

// read reads a file of bounded size.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// ownRequest reads what this oracle asked with.
func (s stateDir) ownRequest() (*founding.Request, error) {
	b, err := read(s.file(requestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: this oracle has not asked to be one: run wattmark-oracle init", err)
	}
	if err != nil {
		return nil, err
	}
	return founding.OpenRequest(b)
}

// agreed is what an oracle runs on.
type agreed struct {
	keys    oracle.Keys
	own     *founding.Request
	place   int // in the charter; behind all where it has joined later
	joined  bool
	charter *entry.Charter
	digest  block.Hash
	policy  *block.Policy
}

// agreed reads what was agreed on, and checks it: this oracle's keys are in the charter,
// this oracle has signed that very charter, and the ledger begins with it.
func (s stateDir) agreed() (*agreed, error) {
	var a agreed
	var err error
	if a.own, err = s.ownRequest(); err != nil {
		return nil, err
	}
	b, err := read(s.file(foundingFile))
	if errors.Is(err, fs.ErrNotExist) && exists(s.file(joinFile)) {
		return s.joined(&a)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no charter was accepted here: bring the others' requests together with wattmark-oracle init --charter, and accept what comes of it", err)
	}
	if err != nil {
		return nil, err
	}
	p, err := founding.OpenProposal(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file(foundingFile), err)
	}
	if a.place, err = p.Place(a.own); err != nil {
		return nil, err
	}
	a.charter, a.digest = p.Charter, p.Digest()
	if a.keys, err = s.keys(); err != nil {
		return nil, err
	}
	if err := s.keysNow(&a); err != nil {
		return nil, err
	}
	said, err := read(s.file(acceptanceFile))
	if err == nil {
		err = founding.OpenAcceptance(said, &a.own.Oracle, a.charter.Origin, a.digest)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: this oracle runs only on the charter that it has accepted: wattmark-oracle init --accept FILE", err)
	}
	a.policy, err = oracle.PolicyOf(a.charter)
	return &a, err
}

// joined is what an oracle runs on that was not there at the founding: the ledger whose
// policy it was given. Until the members have voted it in it watches.
func (s stateDir) joined(a *agreed) (*agreed, error) {
	given, err := read(s.file(joinFile))
	if err != nil {
		return nil, err
	}
	r, _, err := store.OpenReader(string(s))
	if errors.Is(err, fs.ErrNotExist) || err == nil && r.Size() == 0 {
		return nil, fmt.Errorf("%s holds no ledger yet: bring the one of %s here first", s, a.own.Origin)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	leaf, err := r.Leaf(0)
	if err != nil {
		return nil, err
	}
	if a.charter, err = entry.ParseCharter(leaf); err != nil {
		return nil, err
	}
	if a.policy, err = oracle.PolicyOf(a.charter); err != nil {
		return nil, err
	}
	if a.policy.String() != string(given) {
		return nil, fmt.Errorf("the ledger in %s is not that of the policy with which this oracle wanted to join: somebody gave the wrong one of the two", s)
	}
	a.joined, a.digest, a.place = true, block.LeafHash(leaf), len(a.charter.Oracles)
	a.keys, err = s.keys()
	return a, err
}

func samePublic(a, b entry.OracleKeys) bool {
	return a.Name == b.Name && string(a.Key) == string(b.Key) && a.Log == b.Log && a.Cosigner == b.Cosigner
}

// founded returns the hash of the ledger's leaf 0; ok is false where there is no ledger.
func (s stateDir) founded() (digest block.Hash, ok bool, err error) {
	if _, err := os.Stat(s.file("leaves")); errors.Is(err, fs.ErrNotExist) {
		return digest, false, nil
	}
	r, _, err := store.OpenReader(string(s))
	if err != nil {
		return digest, false, err
	}
	defer r.Close()
	if r.Size() == 0 {
		return digest, false, nil
	}
	leaf, err := r.Leaf(0)
	if err != nil {
		return digest, false, err
	}
	return block.LeafHash(leaf), true, nil
}

// lastSets are the oracle sets that may be at work when this oracle starts: the charter's
// where none has followed, else the last change that was final and the set before it.
func (s stateDir) lastSets(charter *entry.Charter) (sets [][]entry.OracleKeys, err error) {
	r, _, err := store.OpenReader(string(s))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	list, err := ledger.HistoryOf(r)
	if err != nil {
		return nil, err
	}
	before := charter.OracleSet()
	for i, h := range list {
		next := h.Next()
		if next == nil {
			return nil, fmt.Errorf("the change of oracles %d states no set: look with 'wattmark ledger check'", i+1)
		}
		if i < len(list)-1 {
			before = next
			continue
		}
		sets = append(sets, next.Oracles)
	}
	return append(sets, before.Oracles), nil
}

// keysNow checks that an oracle's keys are those of the charter or, when it has changed
// them, those that the members have voted in since.
func (s stateDir) keysNow(a *agreed) error {
	have := a.keys.Public(a.own.Oracle.Name, a.charter.Origin)
	if samePublic(have, a.own.Oracle) {
		return nil
	}
	if _, ok, err := s.founded(); err == nil && ok {
		sets, err := s.lastSets(a.charter)
		if err != nil {
			return err
		}
		for _, set := range sets {
			for _, o := range set {
				if samePublic(have, o) {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("the keys in %s are neither those that oracle %q asked with, nor those that it was voted in with since: bring the right ones back from the backup", s.file(keysDir), a.own.Oracle.Name)
}

// admitted reads who could connect to the embedded broker the last time; nobody where that
// is not known.
func (s stateDir) admitted() (names []string, err error) {
	b, err := read(s.file(admittedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(string(b)) {
		if err := entry.CheckGateway(name); err != nil {
			return nil, fmt.Errorf("%s: %w: remove it, it is made again", s.file(admittedFile), err)
		}
		names = append(names, name)
	}
	return names, nil
}

// admit keeps who may connect.
func (s stateDir) admit(names []string) error {
	return writeFile(s.file(admittedFile), []byte(strings.Join(names, "\n")+"\n"), 0o600)
}

// writePEM writes a certificate.
func writePEM(path string, der []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// writeFile writes a file so that it is there whole or not at all, also after a power cut.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir waits until what was renamed in a directory is on the disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
