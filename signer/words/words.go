// Package words says a digest in words that two people can read to each other.
//
// The words are the first 80 bits of a digest, ten for each of eight, in the list of
// words.txt: 1024 English nouns of our own choice, no two of which are a letter apart.
// Somebody who wants to pass off another digest has to make about 2^80 of them.
package words

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed words.txt
var list string

var words = strings.Fields(list)

const (
	bits = 10 // that one word stands for: there are 1024
	of   = 8  // words of a digest
)

// Of returns the eight words of a digest, which has at least ten bytes.
func Of(digest []byte) []string {
	out := make([]string, of)
	for i := range out {
		n := 0
		for bit := i * bits; bit < (i+1)*bits; bit++ {
			n = n<<1 | int(digest[bit/8]>>(7-bit%8)&1)
		}
		out[i] = words[n]
	}
	return out
}

// List returns the words, in the order of what they stand for.
func List() []string { return slices.Clone(words) }
