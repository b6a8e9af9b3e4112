package entry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

var update = flag.Bool("update", false, "write the vector files that are missing; none is ever written twice")

// vector is one line of a file in testdata. Its value stands in this file, so
// that it is both encoded to and decoded from the bytes.
type vector struct {
	Name string `json:"name"`
	// CBOR is the encoding in hexadecimal.
	CBOR string `json:"cbor"`
	// Diagnostic is the same for people (RFC 8949 section 8).
	Diagnostic string `json:"diagnostic"`
	// Pack is the preimage of a committed pack, in hexadecimal.
	Pack string `json:"pack,omitempty"`
}

// sameVectors compares what the code makes with the file, or writes the file
// where there is none and -update is given: a vector is never rewritten to make
// a test pass. New vectors go into a new file.
func sameVectors(t *testing.T, file string, made any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(made); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	want, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && *update:
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %s: review it", path)
	case err != nil:
		t.Fatal(err)
	case *update:
		t.Errorf("%s exists and is not rewritten: a changed format is a new version with vectors of its own", path)
	default:
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("the code does not give the vectors of %s (-file +code):\n%s", path, diff)
		}
	}
}

// readVectors returns the bytes of a file's vectors by name.
func readVectors(t testing.TB, file string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	m := make(map[string][]byte)
	for _, v := range list {
		if m[v.Name], err = hex.DecodeString(v.CBOR); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func diagnose(t *testing.T, b []byte) string {
	t.Helper()
	m, err := cbor.DiagOptions{ByteStringEmbeddedCBOR: true}.DiagMode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Diagnose(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// example is a named value with its two directions.
type example struct {
	name   string
	value  any
	encode func() ([]byte, error)
	parse  func([]byte) (any, error)
}

func of[T any](name string, value T, encode func() ([]byte, error), parse func([]byte) (T, error)) example {
	return example{name, value, encode, func(b []byte) (any, error) { return parse(b) }}
}

func always(encode func() []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return encode(), nil }
}

func parseClaims(b []byte) (*entry.Claims, error) {
	c, err := entry.ParseClaims(b)
	return &c, err
}

func checkVectors(t *testing.T, file string, list []example) {
	t.Helper()
	var made []vector
	for _, e := range list {
		b, err := e.encode()
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		made = append(made, vector{Name: e.name, CBOR: hex.EncodeToString(b), Diagnostic: diagnose(t, b)})
	}
	sameVectors(t, file, made)
	written := readVectors(t, file)
	for _, e := range list {
		got, err := e.parse(written[e.name])
		if err != nil {
			t.Errorf("%s: the vector is refused: %v", e.name, err)
			continue
		}
		if diff := cmp.Diff(e.value, got, cmpopts.IgnoreUnexported(entry.Range{}, entry.Committed{}, entry.Factors{})); diff != "" {
			t.Errorf("%s: read from the vector (-want +got):\n%s", e.name, diff)
		}
	}
}

func TestClaimsVectors(t *testing.T) {
	all, few := full(), least()
	simulated := full()
	simulated.Time, simulated.Skipped = &entry.TimeQuality{Quality: entry.ClockSimulated, Monotonic: 1}, nil
	second := full()
	second.Time = &entry.TimeQuality{Quality: entry.ClockHoldover, Uncertainty: 2_500_000_000, Monotonic: 1}
	checkVectors(t, "claims.json", []example{
		of("every claim", &all, all.Encode, parseClaims),
		of("no more than it must", &few, few.Encode, parseClaims),
		of("simulated clock, nothing skipped", &simulated, simulated.Encode, parseClaims),
		of("two and a half seconds of uncertainty", &second, second.Encode, parseClaims),
	})
}

func TestPackVectors(t *testing.T) {
	one := &entry.Pack{Records: []entry.Record{{Name: "import", Unit: "Wh", Time: noon, Value: entry.Int(4711)}}}
	home := sample(8)
	fine := &entry.Pack{Base: "mp-1/", Records: []entry.Record{
		{Name: "mp-1/co2", Unit: "ppm", Time: noon + 1, Value: entry.Decimal{Mantissa: 4171, Exponent: -1}},
		{Name: "mp-1/co2", Unit: "ppm", Time: noon + 501, Value: entry.Decimal{Mantissa: -5, Exponent: -18}},
		{Name: "mp-1/", Time: noon - 60_000, Text: "late ✓"},
	}}
	checkVectors(t, "packs.json", []example{
		of("one register", one, one.Encode, entry.ParsePack),
		of("eight records of a home", home, home.Encode, entry.ParsePack),
		of("milliseconds, tiny values and a remark", fine, fine.Encode, entry.ParsePack),
	})
}

func TestPayloadVectors(t *testing.T) {
	keys, _ := vectorKeys(t)
	n := enrolment()
	n.Key = keys[0].Public().Bytes()
	r := &entry.Revocation{KeyID: bytes.Repeat([]byte{0xa5}, 16), Reason: "gateway stolen"}
	c := &entry.Clock{Height: 128, Time: noon}
	v := &entry.Vote{Proposal: entry.Proposal{Parameter: entry.ParamLateAfter, Value: 172_800, Height: 200}}
	checkVectors(t, "payloads.json", []example{
		of("enrolment", n, n.Encode, entry.ParseEnrolment),
		of("revocation", r, always(r.Encode), entry.ParseRevocation),
		of("clock", c, always(c.Encode), entry.ParseClock),
		of("vote", v, always(v.Encode), entry.ParseVote),
	})
	want := sha256.Sum256(readVectors(t, "payloads.json")["vote"][2:]) // the vote is {1: proposal}
	if got := v.Proposal.Hash(); got != want {
		t.Errorf("the proposal's hash is %x, want %x", got, want)
	}
}

func TestLeafVectors(t *testing.T) {
	c := charter()
	for i := range c.Oracles {
		key := func(role string) signer.PublicKey {
			k, err := signer.FromSeed(signer.EdDSA, sha256.Sum256(fmt.Appendf(nil, "wattmark vector oracle %d %s", i, role)))
			if err != nil {
				t.Fatal(err)
			}
			return k.Public()
		}
		o := &c.Oracles[i]
		o.Key = key("statement").Bytes()
		o.Log = block.VerifierKey{Name: c.Origin, Key: key("log")}.String()
		o.Cosigner = block.VerifierKey{Name: o.Name, Cosigner: true, Key: key("cosigner")}.String()
	}
	refused := &entry.Outcome{Kind: entry.OutcomeRefused, Hash: sha256.Sum256([]byte("a statement")), Code: string(entry.ReasonSequenceUsed)}
	flagged := &entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: 4711, Code: entry.FlagRegisterFell, Detail: "mp-1/import"}
	adopted := &entry.Outcome{Kind: entry.OutcomeAdopted, Hash: sha256.Sum256([]byte("a proposal")), Detail: entry.ParamLateAfter}
	checkVectors(t, "leaves.json", []example{
		of("charter", c, c.Encode, entry.ParseCharter),
		of("refused", refused, always(refused.Encode), entry.ParseOutcome),
		of("flagged", flagged, always(flagged.Encode), entry.ParseOutcome),
		of("adopted", adopted, always(adopted.Encode), entry.ParseOutcome),
	})
}

// TestAdoptedVectors has the outcomes of what oracles agreed on, which are found
// by the payloads' vectors.
func TestAdoptedVectors(t *testing.T) {
	payloads := readVectors(t, "payloads.json")
	vote := &entry.Outcome{Kind: entry.OutcomeAdopted, Hash: sha256.Sum256(payloads["vote"][2:]), Code: entry.AdoptedVote, Detail: entry.ParamLateAfter}
	enrolment := &entry.Outcome{Kind: entry.OutcomeAdopted, Hash: sha256.Sum256(payloads["enrolment"]), Code: entry.AdoptedEnrolment, Detail: "home-1"}
	revocation := &entry.Outcome{Kind: entry.OutcomeAdopted, Hash: sha256.Sum256(payloads["revocation"]), Code: entry.AdoptedRevocation, Detail: "home-1"}
	checkVectors(t, "adopted.json", []example{
		of("vote", vote, always(vote.Encode), entry.ParseOutcome),
		of("enrolment", enrolment, always(enrolment.Encode), entry.ParseOutcome),
		of("revocation", revocation, always(revocation.Encode), entry.ParseOutcome),
	})
}

// keyVector says how a key id comes about.
type keyVector struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Seed      string `json:"seed"`
	Public    string `json:"public"`
	SPKI      string `json:"spki"`
	KeyID     string `json:"kid"`
}

// vectorKeys sign the statements of the vectors.
func vectorKeys(t *testing.T) (keys []*signer.PrivateKey, list []keyVector) {
	t.Helper()
	for _, k := range []struct {
		name string
		alg  signer.Algorithm
	}{{"gateway 1", signer.EdDSA}, {"gateway 2", signer.ES256}, {"oracle", signer.EdDSA}} {
		seed := sha256.Sum256([]byte("wattmark vector " + k.name))
		key, err := signer.FromSeed(k.alg, seed)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := key.Public().SPKI()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
		list = append(list, keyVector{k.name, k.alg.String(), hex.EncodeToString(seed[:]), hex.EncodeToString(key.Public().Bytes()),
			hex.EncodeToString(spki), key.Public().ID().String()})
	}
	return keys, list
}

func TestKeyVectors(t *testing.T) {
	_, list := vectorKeys(t)
	sameVectors(t, "keys.json", list)
}

func TestStatementVectors(t *testing.T) {
	keys, _ := vectorKeys(t)
	pack := encodePack(t, sample(4))
	committed := entry.Committed{Salt: []byte("0123456789abcdef"), Pack: pack}
	preimage, err := committed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(preimage)
	oracle := entry.Claims{Issuer: "example.org/street/oracle-1", Audience: "example.org/street", IssuedAt: noon / 1000, Sequence: entry.Sequence{Boot: 1, Count: 1}}
	var made []vector
	for _, s := range []struct {
		name    string
		key     *signer.PrivateKey
		header  signer.Header
		payload []byte
		pack    []byte
	}{
		{"open reading, Ed25519", keys[0], signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: encodeClaims(t, full())}, pack, nil},
		{"open reading, ES256", keys[1], signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: encodeClaims(t, full())}, pack, nil},
		{"committed reading, ES256", keys[1], signer.Header{Type: entry.TypeReading, PreimageType: entry.ContentSalted, Claims: encodeClaims(t, full())}, digest[:], preimage},
		{"clock of an oracle", keys[2], signer.Header{Type: entry.TypeClock, ContentType: entry.ContentCBOR, Claims: encodeClaims(t, oracle)},
			(&entry.Clock{Height: 128, Time: noon}).Encode(), nil},
	} {
		b, err := signer.Sign(s.key, s.header, s.payload)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, vector{Name: s.name, CBOR: hex.EncodeToString(b), Diagnostic: diagnose(t, b), Pack: hex.EncodeToString(s.pack)})
	}
	sameVectors(t, "statements.json", made)
	for name, b := range readVectors(t, "statements.json") {
		m, err := signer.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		verified := false
		for _, k := range keys {
			if _, err := signer.Verify(m, k.Public()); err == nil {
				verified = true
			}
		}
		if _, err := entry.ParseClaims(m.Claims); err != nil || !verified {
			t.Errorf("%s: verified %v, claims %v", name, verified, err)
		}
		if entry.KindOf(b) != entry.LeafStatement {
			t.Errorf("%s: taken for a %v", name, entry.KindOf(b))
		}
		if m.Hidden() {
			if c, err := entry.ParseCommitted(preimage, m.Payload); err != nil || !bytes.Equal(c.Pack, pack) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
