package enrol

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the width of the light border that readers need (ISO/IEC 18004 section
// 5.3.8), in modules.
const quiet = 4

// maxModules is the width of the largest code that is drawn, version 25: cameras do
// not reliably read larger ones off a screen.
const maxModules = 17 + 4*25

// Picture is a QR code drawn in characters.
type Picture struct {
	Columns int // that it takes, its border included
	Lines   []string
}

// QR draws a text as a QR code in half blocks, two modules to a character, light on
// the terminal's dark ground: the border and the light modules are drawn, and the
// dark ones are left empty. Where inverted is set the terminal's ground is light and
// the dark modules are drawn. plain draws "##" and two spaces in their place, for
// terminals without block elements, and takes twice the columns.
func QR(text string, inverted, plain bool) (*Picture, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("drawing a QR code of %d characters: %w", len(text), err)
	}
	if code.Size > maxModules {
		return nil, fmt.Errorf("a QR code of %d characters has %d modules a side, and cameras read up to %d off a screen: carry the file instead", len(text), code.Size, maxModules)
	}
	drawn := func(x, y int) bool { return code.Black(x, y) == inverted }
	p := &Picture{Columns: code.Size + 2*quiet}
	if plain {
		p.Columns *= 2
	}
	step := 2
	if plain {
		step = 1
	}
	for y := -quiet; y < code.Size+quiet; y += step {
		var line strings.Builder
		for x := -quiet; x < code.Size+quiet; x++ {
			switch upper, lower := drawn(x, y), drawn(x, y+1); {
			case plain && upper:
				line.WriteString("##")
			case plain:
				line.WriteString("  ")
			case y+1 == code.Size+quiet: // an odd number of lines: the last has an upper half alone
				line.WriteString(map[bool]string{true: "▀", false: " "}[upper])
			case upper && lower:
				line.WriteString("█")
			case upper:
				line.WriteString("▀")
			case lower:
				line.WriteString("▄")
			default:
				line.WriteString(" ")
			}
		}
		p.Lines = append(p.Lines, line.String())
	}
	return p, nil
}
