package enrol

import (
	"crypto/sha256"
	_ "embed"
	"strings"

	"wattmark/ledger/block"
	"wattmark/signer"
)

//go:embed words.txt
var wordList string

var words = strings.Fields(wordList)

// wordBits is what one word stands for: there are 1024.
const (
	wordBits = 10
	wordsOf  = 8
)

// Words returns the eight words of a key, which people compare.
func Words(id signer.KeyID) []string { return spell(id[:]) }

// PolicyWords returns the eight words of a ledger's policy: of the SHA-256 of its
// text.
func PolicyWords(p *block.Policy) []string {
	sum := sha256.Sum256([]byte(p.String()))
	return spell(sum[:])
}

// spell puts the first 80 bits of b into words.
func spell(b []byte) []string {
	out := make([]string, wordsOf)
	for i := range out {
		n := 0
		for bit := i * wordBits; bit < (i+1)*wordBits; bit++ {
			n = n<<1 | int(b[bit/8]>>(7-bit%8)&1)
		}
		out[i] = words[n]
	}
	return out
}
