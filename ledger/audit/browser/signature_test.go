package browser_test

import (
	stded25519 "crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"

	"wattmark/signer"
)

// raw is a signature to be judged, and what signer.VerifyRaw says of it.
type raw struct {
	What    string           `json:"what"`
	Alg     signer.Algorithm `json:"alg"`
	Key     []byte           `json:"key"`
	Message []byte           `json:"message"`
	Sig     []byte           `json:"sig"`
	want    bool
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// signatures are good ones, and such as browsers and ZIP-215 judge differently.
func signatures(t *testing.T) (list []raw) {
	add := func(what string, key signer.PublicKey, message, sig []byte) {
		list = append(list, raw{what, key.Algorithm(), key.Bytes(), message, sig, signer.VerifyRaw(key, message, sig)})
	}
	for _, alg := range []signer.Algorithm{signer.EdDSA, signer.ES256} {
		key := must[*signer.PrivateKey](t)(signer.Generate(alg))
		message := []byte("message " + alg.String())
		sig := must[[]byte](t)(key.Sign(message))
		add("good", key.Public(), message, sig)
		add("of another message", key.Public(), message[1:], sig)
		// The same signature with S beyond the order, or high: malleable, and refused.
		s, odd := new(big.Int), append([]byte(nil), sig...)
		if alg == signer.ES256 {
			n, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
			s.Sub(n, s.SetBytes(sig[32:])).FillBytes(odd[32:])
		} else {
			l, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
			for i := range 32 {
				odd[32+i] = sig[63-i]
			}
			s.Add(l, s.SetBytes(odd[32:])).FillBytes(odd[32:])
			for i := range 16 {
				odd[32+i], odd[63-i] = odd[63-i], odd[32+i]
			}
		}
		add("malleable", key.Public(), message, odd)
	}

	// A key with a component of small order signs what cofactorless checks refuse.
	torsion := curve.NewEdwardsPoint()
	if err := torsion.UnmarshalBinary(must[[]byte](t)(hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))); err != nil {
		t.Fatal(err)
	}
	wide := func(s string) *scalar.Scalar {
		sum := sha512.Sum512([]byte(s))
		return must[*scalar.Scalar](t)(scalar.NewFromBytesModOrderWide(sum[:]))
	}
	a := wide("mixed order")
	base := curve.NewEdwardsPoint().MulBasepoint(curve.ED25519_BASEPOINT_TABLE, a)
	public := must[[]byte](t)(curve.NewEdwardsPoint().Add(base, torsion).MarshalBinary())
	key := must[signer.PublicKey](t)(signer.NewPublicKey(signer.EdDSA, public))
	split := 0
	for n := range 8 {
		message := fmt.Appendf(nil, "message %d", n)
		r := wide(fmt.Sprintf("nonce %d", n))
		sig := must[[]byte](t)(curve.NewEdwardsPoint().MulBasepoint(curve.ED25519_BASEPOINT_TABLE, r).MarshalBinary())
		k := wide(string(sig) + string(public) + string(message))
		sig = append(sig, must[[]byte](t)(scalar.New().Add(r, scalar.New().Mul(k, a)).MarshalBinary())...)
		add(fmt.Sprintf("mixed order, nonce %d", n), key, message, sig)
		if !stded25519.Verify(public, message, sig) {
			split++
		}
	}
	if split == 0 {
		t.Fatal("no signature was made that cofactorless verification refuses: the test shows nothing")
	}
	// Points that are written in the way that only ZIP-215 reads: y not below p, x = 0 with
	// its sign set. Nobody gets to register one; as R they may stand in a signature.
	for _, odd := range []string{"0100000000000000000000000000000000000000000000000000000000000080", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"} {
		r := must[[]byte](t)(hex.DecodeString(odd))
		message := []byte("odd R " + odd)
		// R of small order counts as zero: S = k*a.
		k := wide(string(r) + string(public) + string(message))
		add("odd R "+odd[:4], key, message, append(r, must[[]byte](t)(scalar.New().Mul(k, a).MarshalBinary())...))
	}
	held := 0
	for _, x := range list {
		if x.want {
			held++
		}
	}
	if held < 14 || held == len(list) {
		t.Fatalf("%d of %d signatures hold: that is no test", held, len(list))
	}
	return list
}

// TestOneAcceptanceRule: the page takes just the signatures that the ledger takes,
// whatever the browser thinks of them.
func TestOneAcceptanceRule(t *testing.T) {
	b := chromium(t)
	list := signatures(t)
	hosts := serve(t, nil)
	for what, url := range hosts {
		ctx := tab(t, b, url)
		got := eval[[]bool](t, ctx, `Promise.all((`+string(must[[]byte](t)(json.Marshal(list)))+`).map((x) => {
			const [key, message, sig] = [x.key, x.message, x.sig].map((s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0)));
			return Wattmark.verifyRaw(Wattmark.publicKey(x.alg, key), message, sig);
		}))`)
		for i, x := range list {
			if got[i] != x.want {
				t.Errorf("%s, %s, %v: the page takes it: %v, the ledger: %v", what, x.What, x.Alg, got[i], x.want)
			}
		}
	}
}
