package api

import (
	"fmt"
	"net/http"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// forLooking stands in the header of whatever says whom to trust.
const forLooking = "for looking at: a verifier keeps its own, from somebody it trusts, and never takes it from the server that it verifies"

func (a *API) servePolicy(w http.ResponseWriter, r *http.Request) {
	policy, err := a.cfg.Policy()
	if err != nil {
		a.inside(w, "telling the policy", err)
		return
	}
	body := "# The policy by which this oracle calls a checkpoint final,\n" +
		"# for looking at. A verifier keeps its own, from somebody it trusts:\n" +
		"# a server that lies about the ledger lies about its policy, too.\n" + policy.String()
	w.Header().Set("Wattmark-Trust", forLooking)
	a.write(w, r, answer{kind: "text/plain; charset=utf-8", cache: soon, body: []byte(body)})
}

func (a *API) serveKeys(w http.ResponseWriter, r *http.Request) {
	var set []audit.KnownKey
	var err error
	a.cfg.Ledger.View(func(s *state.State) { set, err = keysOf(s) })
	if err != nil {
		a.inside(w, "listing keys", err)
		return
	}
	b, err := audit.EncodeKeys(set)
	if err != nil {
		a.inside(w, "listing keys", err)
		return
	}
	w.Header().Set("Wattmark-Trust", forLooking)
	a.write(w, r, answer{kind: "application/jwk-set+json", cache: soon, name: "keys.jwks", body: b, compress: true})
}

// keysOf lists the keys of oracles, of every oracle set that was in force, and of
// gateways that a ledger names.
func keysOf(s *state.State) ([]audit.KnownKey, error) {
	var set []audit.KnownKey
	listed := make(map[signer.KeyID]bool)
	for _, at := range s.OracleSets() {
		for _, o := range at.Set.Oracles {
			keys, err := OracleKeys(&o)
			if err != nil {
				return nil, fmt.Errorf("oracle %q: %w", o.Name, err)
			}
			for _, k := range keys {
				if !listed[k.Public.ID()] {
					listed[k.Public.ID()] = true
					set = append(set, k)
				}
			}
		}
	}
	for _, k := range s.Keys() {
		set = append(set, audit.KnownKey{Public: k.Public, Name: k.Gateway, Role: audit.RoleGateway, Enrolled: k.Enrolled, Revoked: k.Revoked})
	}
	return set, nil
}

// OracleKeys lists the keys of an oracle as a set of keys has them.
func OracleKeys(o *entry.OracleKeys) ([]audit.KnownKey, error) {
	k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
	if err != nil {
		return nil, err
	}
	set := []audit.KnownKey{{Public: k, Name: o.Name, Role: audit.RoleOracle}}
	for _, sealing := range []struct{ vkey, role string }{{o.Log, audit.RoleLog}, {o.Cosigner, audit.RoleCosigner}} {
		v, err := block.ParseVerifierKey(sealing.vkey)
		if err != nil {
			return nil, err
		}
		set = append(set, audit.KnownKey{Public: v.Key, Name: o.Name, Role: sealing.role})
	}
	return set, nil
}
