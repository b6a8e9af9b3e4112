package enrol_test

import (
	"strings"
	"testing"

	"rsc.io/qr"

	"wattmark/gateway/enrol"
	"wattmark/signer"
)

// modules reads a picture back: dark is true. In half blocks, or of two columns each.
func modules(p *enrol.Picture, inverted, plain bool) [][]bool {
	var out [][]bool
	for _, line := range p.Lines {
		var upper, lower []bool
		cells := []rune(line)
		for i := 0; i < len(cells); i++ {
			drawnUpper, drawnLower := false, false
			switch cells[i] {
			case '█':
				drawnUpper, drawnLower = true, true
			case '▀':
				drawnUpper = true
			case '▄':
				drawnLower = true
			case '#':
				drawnUpper = true
			}
			if plain {
				i++
			}
			upper, lower = append(upper, drawnUpper == inverted), append(lower, drawnLower == inverted)
		}
		out = append(out, upper)
		if !plain {
			out = append(out, lower)
		}
	}
	return out
}

func TestPicturesHoldTheCode(t *testing.T) {
	text := request(t, key(t, signer.ES256, 1)).Text()
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []struct{ inverted, plain bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		p, err := enrol.QR(text, form.inverted, form.plain)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.Lines {
			if n := len([]rune(l)); n != p.Columns {
				t.Fatalf("%+v: a line of %d columns, want %d", form, n, p.Columns)
			}
		}
		m := modules(p, form.inverted, form.plain)
		for y := range code.Size + 8 {
			for x := range code.Size + 8 {
				if got, want := m[y][x], code.Black(x-4, y-4); got != want {
					t.Fatalf("%+v: module %d,%d dark %v, want %v", form, x-4, y-4, got, want)
				}
			}
		}
	}
}

func TestARequestFitsATerminal(t *testing.T) {
	k, old := key(t, signer.ES256, 1), key(t, signer.ES256, 2)
	for name, text := range map[string]string{"request": request(t, k).Text(), "rotation": rotation(t, k, old).Text()} {
		p, err := enrol.QR(text, false, false)
		if err != nil || p.Columns > 80 || len(p.Lines) > 40 {
			t.Errorf("%s of %d characters: %v, want 80 columns and 40 lines at most (%+v)", name, len(text), err, p)
		}
	}
	if p, err := enrol.QR("WM1:"+strings.Repeat("A", 3000), false, false); err == nil || !strings.Contains(err.Error(), "carry the file") {
		t.Errorf("a text that no camera reads: %v, %v", p, err)
	}
}
