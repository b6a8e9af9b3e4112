package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// Signatures of keys that a policy does not name are passed over, as C2SP
// signed-note wants it: a verifier need not know every oracle. But a signature
// that one of the policy's keys did make, under the name of another, was
// tampered with, and that is not passed over even where the quorum is reached
// without it.

// maxStrange bounds the strangers' signatures that are tried with the policy's
// keys, each at the cost of a verification a key.
const maxStrange = 16

// policyKeys returns the keys of a policy, logs before cosigners.
func policyKeys(p *block.Policy) []block.VerifierKey {
	var keys []block.VerifierKey
	for line := range strings.Lines(p.String()) {
		f := strings.Fields(line)
		if f[0] != "log" && f[0] != "witness" {
			continue
		}
		if k, err := block.ParseVerifierKey(f[len(f)-1]); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// renamedReceipt returns the name of the oracle that signed one of the strangers'
// receipts, or "".
func renamedReceipt(strange []*block.Receipt, leaf block.Hash, p *block.Policy, signed map[signer.KeyID]bool) string {
	if len(strange) == 0 {
		return ""
	}
	keys := policyKeys(p)
	for _, r := range strange[:min(len(strange), maxStrange)] {
		for _, k := range keys {
			if !k.Cosigner || signed[k.Key.ID()] {
				continue
			}
			named := *r
			named.KeyID = k.Key.ID()
			if _, err := named.Verify(k.Key, leaf); err == nil {
				return k.Name
			}
		}
	}
	return ""
}

// renamedLine returns the name of the policy's key that made a signature which
// stands under the checkpoint s as another's, or "". Renaming shows by the key
// that verifies, or by an id that is nearly right.
func renamedLine(note []byte, p *block.Policy, s *block.Signed) string {
	at := bytes.LastIndex(note, []byte("\n\n"))
	text, lines := note[:at+1], note[at+2:]
	keys := policyKeys(p)
	tried := 0
	for line := range strings.Lines(string(lines)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(f[2])
		if err != nil || len(raw) < 4 || known(keys, f[1], binary.BigEndian.Uint32(raw)) {
			continue
		}
		if tried++; tried > maxStrange {
			return ""
		}
		for _, k := range keys {
			if k.Cosigner != (len(raw) == 4+8+64) || hasSigned(s, k) {
				continue
			}
			if k.Name == f[1] && sameButOneLetter(k.ID(), binary.BigEndian.Uint32(raw)) {
				return k.Name
			}
			sig := append(binary.BigEndian.AppendUint32(nil, k.ID()), raw[4:]...)
			named := fmt.Appendf(nil, "%s\n\u2014 %s %s\n", text, k.Name, base64.StdEncoding.EncodeToString(sig))
			if _, err := p.Open(named); err == nil {
				return k.Name
			}
		}
	}
	return ""
}

// sameButOneLetter reports whether two key ids differ in no more than one letter
// of their base64. A letter that is changed where the id ends changes the
// signature behind it too, so that trying it would not tell; that a stranger's id
// is so near by accident happens once in ten million.
func sameButOneLetter(a, b uint32) bool {
	letters := 0
	for _, mask := range [...]uint32{0x3f << 26, 0x3f << 20, 0x3f << 14, 0x3f << 8, 0x3f << 2, 3} {
		if (a^b)&mask != 0 {
			letters++
		}
	}
	return letters <= 1
}

func known(keys []block.VerifierKey, name string, id uint32) bool {
	for _, k := range keys {
		if k.Name == name && k.ID() == id {
			return true
		}
	}
	return false
}

func hasSigned(s *block.Signed, k block.VerifierKey) bool {
	for _, w := range append(append([]block.VerifierKey(nil), s.Logs...), s.Witnesses...) {
		if w == k {
			return true
		}
	}
	return false
}
