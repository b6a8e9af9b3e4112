package signer_test

import (
	stded25519 "crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"

	"wattmark/signer"
)

// smallOrder are all encodings of the eight points of small order that ZIP-215
// takes: eight canonical ones, and six with y not below 2^255-19 or with the
// sign of x = 0 set.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// crafted signs with whatever it is told to.
type crafted struct {
	public signer.PublicKey
	sign   func(message []byte) []byte
}

func (c crafted) Public() signer.PublicKey            { return c.public }
func (c crafted) Sign(message []byte) ([]byte, error) { return c.sign(message), nil }

func edKey(tb testing.TB, raw []byte) signer.PublicKey {
	tb.Helper()
	k, err := signer.OddPublicKey(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// agree checks that a message is taken, or not, singly and in every batch.
func agree(t *testing.T, what string, s signer.Signer, want bool) {
	t.Helper()
	m, err := signer.Parse(sign(t, s, plain, []byte(what)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Verify(m, s.Public()); (err == nil) != want {
		t.Errorf("%s: singly: %v, want it taken: %v", what, err, want)
	}
	v := signer.NewVerifier()
	for _, n := range []int{1, 3} {
		list := jobs(t, n)
		list = append(list, signer.Job{Message: m, Key: s.Public()})
		v.VerifyBatch(list)
		if err := list[n].Err; (err == nil) != want {
			t.Errorf("%s: in a batch of %d: %v, want it taken: %v", what, n+1, err, want)
		}
		for i := range n {
			if list[i].Err != nil {
				t.Errorf("%s: its neighbour in a batch: %v", what, list[i].Err)
			}
		}
	}
}

// With A and R of small order and S = 0, 8(SB) = 8R + 8(kA) for any message.
func TestSmallOrderPointsAreTakenSinglyAndInBatches(t *testing.T) {
	for _, a := range smallOrder {
		k := edKey(t, unhex(t, a))
		for _, r := range smallOrder {
			sig := append(unhex(t, r), make([]byte, 32)...)
			agree(t, fmt.Sprintf("A %s R %s", a, r), crafted{k, func([]byte) []byte { return sig }}, true)
		}
	}
}

// Verification takes the odd keys above, as ZIP-215 says; nobody gets to register
// one. Of y from 2^255-19 on no encoding is a key, whatever its point.
func TestOddKeysAreRefused(t *testing.T) {
	odd := append([]string(nil), smallOrder...)
	for low := 0xed; low <= 0xff; low++ {
		for _, high := range []string{"7f", "ff"} {
			odd = append(odd, fmt.Sprintf("%02x", low)+strings.Repeat("ff", 30)+high)
		}
	}
	odd = append(odd, "02"+strings.Repeat("00", 31)) // y = 2 is no point of the curve
	for _, s := range odd {
		if _, err := signer.NewPublicKey(signer.EdDSA, unhex(t, s)); err == nil {
			t.Errorf("%s is taken as a key", s)
		}
	}
	taken := 0
	for i := range 256 { // of small y about half are points, and all but 0 and 1 good ones
		raw := append([]byte{byte(i)}, make([]byte, 31)...)
		err := curve.NewEdwardsPoint().UnmarshalBinary(raw)
		_, got := signer.NewPublicKey(signer.EdDSA, raw)
		if want := err == nil && i > 1; (got == nil) != want {
			t.Errorf("y = %d: %v, want it taken: %v", i, got, want)
		}
		if got == nil {
			taken++
		}
	}
	if taken < 64 {
		t.Errorf("only %d keys of 256 were taken: the test shows nothing", taken)
	}
}

// A key with a component of small order makes signatures that only cofactored
// verification takes: had we one check of each sort, such a key would split the
// oracles.
func TestMixedOrderKeysAreTakenSinglyAndInBatches(t *testing.T) {
	torsion := point(t, unhex(t, smallOrder[6])) // order 8
	wide := sha512.Sum512([]byte("mixed order"))
	a := scalarOf(t, wide[:])
	base := curve.NewEdwardsPoint().MulBasepoint(curve.ED25519_BASEPOINT_TABLE, a)
	public := compressed(t, curve.NewEdwardsPoint().Add(base, torsion))
	split := false
	for n := range 16 { // the torsion cancels for one message in eight
		wide := sha512.Sum512(fmt.Appendf(nil, "nonce %d", n))
		r := scalarOf(t, wide[:])
		point := compressed(t, curve.NewEdwardsPoint().MulBasepoint(curve.ED25519_BASEPOINT_TABLE, r))
		s := crafted{edKey(t, public), func(message []byte) []byte {
			h := sha512.New()
			h.Write(point)
			h.Write(public)
			h.Write(message)
			k := scalarOf(t, h.Sum(nil))
			s, err := scalar.New().Add(r, scalar.New().Mul(k, a)).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			sig := append(append([]byte(nil), point...), s...)
			split = split || !stded25519.Verify(public, message, sig)
			return sig
		}}
		agree(t, fmt.Sprintf("mixed order, nonce %d", n), s, true)
	}
	if !split {
		t.Error("no signature was made that cofactorless verification refuses: the test shows nothing")
	}
}

func point(t *testing.T, b []byte) *curve.EdwardsPoint {
	t.Helper()
	p := curve.NewEdwardsPoint()
	if err := p.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return p
}

func compressed(t *testing.T, p *curve.EdwardsPoint) []byte {
	t.Helper()
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func scalarOf(t *testing.T, wide []byte) *scalar.Scalar {
	t.Helper()
	s, err := scalar.NewFromBytesModOrderWide(wide)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeysThatAreNoPointsAreRefused(t *testing.T) {
	raw := make([]byte, 32)
	raw[0] = 2 // y = 2 is on no point of the curve
	sig := append(unhex(t, smallOrder[0]), make([]byte, 32)...)
	agree(t, "no point", crafted{edKey(t, raw), func([]byte) []byte { return sig }}, false)
	noPoint := append(append([]byte(nil), raw...), make([]byte, 32)...)
	agree(t, "R is no point", crafted{edKey(t, unhex(t, smallOrder[0])), func([]byte) []byte { return noPoint }}, false)
}

// The twelve cases of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko,
// 2020, table 6c), and what ZIP-215 says to each.
func TestSpeccheck(t *testing.T) {
	v := signer.NewVerifier()
	for i, test := range speccheck {
		k := edKey(t, unhex(t, test.key))
		message, sig := unhex(t, test.message), unhex(t, test.signature)
		if got := signer.VerifyRaw(k, message, sig); got != test.zip215 {
			t.Errorf("case %d: singly %v, want %v", i, got, test.zip215)
		}
		for _, n := range []int{1, 2, 64} {
			if got := v.VerifyBatchRaw(n, k, message, sig); got != test.zip215 {
				t.Errorf("case %d: %d in a batch %v, want %v", i, n, got, test.zip215)
			}
		}
	}
}

var speccheck = []struct {
	message, key, signature string
	zip215                  bool
}{
	{
		"8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
		true,
	},
	{
		"9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
		true,
	},
	{
		"aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
		true,
	},
	{
		"9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
		"cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
		true,
	},
	{
		"e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
		"cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
		true,
	},
	{
		"e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
		"cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		"21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
		true,
	},
	{
		"85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
		"442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
		"e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
		false,
	},
	{
		"85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
		"442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
		"8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
		false,
	},
	{
		"9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
		false,
	},
	{
		"9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
		"f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
		true,
	},
	{
		"e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
		true,
	},
	{
		"39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
		true,
	},
}
