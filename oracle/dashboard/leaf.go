package dashboard

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
)

// hexLine is a stretch of bytes: where it starts, the bytes by eights, and what of
// them is ASCII.
type hexLine struct {
	At    string
	Bytes []string
	Text  string
}

// reading writes a record's value with its unit, or its remark.
func (l language) reading(r entry.Record) string {
	if r.Text != "" {
		return r.Text
	}
	return l.Decimal(strings.ReplaceAll(r.Value.String(), "-", minus)) + thinSpace + r.Unit
}

func hexOf(h block.Hash) string { return hex.EncodeToString(h[:]) }

// hexDump writes bytes by sixteens, for people.
func hexDump(b []byte) []hexLine {
	var out []hexLine
	for at := 0; at < len(b); at += 16 {
		part := b[at:min(at+16, len(b))]
		text := make([]byte, len(part))
		for i, c := range part {
			text[i] = '.'
			if c >= 0x20 && c < 0x7f {
				text[i] = c
			}
		}
		line := hexLine{At: fmt.Sprintf("%05x", at), Text: string(text)}
		for eight := range slices.Chunk(part, 8) {
			line.Bytes = append(line.Bytes, fmt.Sprintf("% x", eight))
		}
		out = append(out, line)
	}
	return out
}
