package ledgertest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Origin is the origin of every drawn ledger, Start its genesis time in Unix
// milliseconds: 2026-01-01T00:00:00Z.
const (
	Origin = "ledgertest.example/street"
	Start  = 1_767_225_600_000
)

// Oracle is one member of a drawn consortium with its three keys.
type Oracle struct {
	Name      string
	Statement *signer.PrivateKey
	Log       *signer.PrivateKey
	Cosigner  *signer.PrivateKey
}

// Consortium is who founds a drawn ledger.
type Consortium struct {
	Oracles []Oracle
	Charter *entry.Charter
	// Policy is what a verifier who trusts all of the oracles has.
	Policy *block.Policy
}

// Key makes a private key from a name, the same one each time.
func Key(tb testing.TB, alg signer.Algorithm, name string) *signer.PrivateKey {
	tb.Helper()
	k, err := signer.FromSeed(alg, sha256.Sum256([]byte("ledgertest "+name)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// NewConsortium makes a consortium of n oracles with the usual thresholds: more
// than two thirds of them for a checkpoint and for a change of the rules.
func NewConsortium(tb testing.TB, n int, parameters ...entry.Parameter) *Consortium {
	tb.Helper()
	c := &Consortium{}
	quorum := uint64(2*n/3 + 1)
	c.Charter = &entry.Charter{
		Origin: Origin, Time: Start, Quorum: quorum, Governance: quorum, Parameters: parameters, Simulated: true,
	}
	var logs, cosigners []block.VerifierKey
	for i := range n {
		name := fmt.Sprintf("ledgertest.example/oracle%d", i+1)
		o := Oracle{
			Name:      name,
			Statement: Key(tb, signer.EdDSA, name+" statement"),
			Log:       Key(tb, signer.EdDSA, name+" log"),
			Cosigner:  Key(tb, signer.EdDSA, name+" cosigner"),
		}
		c.Oracles = append(c.Oracles, o)
		l := block.VerifierKey{Name: Origin, Key: o.Log.Public()}
		w := block.VerifierKey{Name: name, Cosigner: true, Key: o.Cosigner.Public()}
		logs, cosigners = append(logs, l), append(cosigners, w)
		c.Charter.Oracles = append(c.Charter.Oracles, entry.OracleKeys{
			Name: name, Algorithm: int(signer.EdDSA), Key: o.Statement.Public().Bytes(), Log: l.String(), Cosigner: w.String(),
		})
	}
	p, err := block.NewPolicy(logs, cosigners, int(quorum))
	if err != nil {
		tb.Fatal(err)
	}
	c.Policy = p
	return c
}

// Sign signs a checkpoint as a note of the log keys and cosigners of the oracles
// at the positions given; without any, of as many as the quorum asks for.
func (c *Consortium) Sign(tb testing.TB, cp block.Checkpoint, oracles ...int) []byte {
	tb.Helper()
	note := cp.Text() + "\n"
	for i, k := range c.chosen(oracles) {
		o := &c.Oracles[k]
		if i == 0 {
			line, err := block.SignLog(o.Log, cp)
			if err != nil {
				tb.Fatal(err)
			}
			note += line
		}
		line, err := block.Cosign(o.Cosigner, o.Name, cp, Start/1000)
		if err != nil {
			tb.Fatal(err)
		}
		note += line
	}
	return []byte(note)
}

func (c *Consortium) chosen(oracles []int) []int {
	if len(oracles) > 0 {
		return oracles
	}
	for i := range 2*len(c.Oracles)/3 + 1 {
		oracles = append(oracles, i)
	}
	return oracles
}

// KnownKeys returns the oracles' keys as a key set has them.
func (c *Consortium) KnownKeys() []audit.KnownKey {
	var out []audit.KnownKey
	for i := range c.Oracles {
		o := &c.Oracles[i]
		out = append(out,
			audit.KnownKey{Public: o.Statement.Public(), Name: o.Name, Role: audit.RoleOracle},
			audit.KnownKey{Public: o.Log.Public(), Name: o.Name, Role: audit.RoleLog},
			audit.KnownKey{Public: o.Cosigner.Public(), Name: o.Name, Role: audit.RoleCosigner})
	}
	return out
}
