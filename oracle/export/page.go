package export

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"kWh": kWh, "cents": cents, "amount": amount, "abs": abs,
	"signed": func(m unit.Money) string {
		if m < 0 {
			return "bad"
		}
		return "good"
	},
}).Parse(pageSource))

// Page returns the statement as a page of its own: one file without script that asks
// nothing of any server, reads on a phone, and prints.
func (s *Statement) Page() ([]byte, error) {
	hash := sha256.Sum256([]byte(pageStyle))
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		*Statement
		Style     template.CSS
		StyleHash string
		Chart     *svgChart
	}{s, template.CSS(pageStyle), base64.StdEncoding.EncodeToString(hash[:]), s.svg()})
	if err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return b.Bytes(), nil
}

// svgChart is the picture of a statement: paths of a plot 100 wide and 100 high, whose
// strokes and type do not scale with it.
type svgChart struct {
	In, Out                                        string // labels of the ends of the y axis
	Zero                                           string // where the line between stands
	FromNeighbours, FromGrid, ToNeighbours, ToGrid string
	Labels                                         []svgLabel
	Title                                          string
}

type svgLabel struct{ At, Text string }

// svg draws the bars, nil where there are none.
func (s *Statement) svg() *svgChart {
	bars := s.Bars()
	var in, out unit.Energy
	for i := range bars {
		in, out = max(in, bars[i].FromGrid+bars[i].FromNeighbours), max(out, bars[i].ToGrid+bars[i].ToNeighbours)
	}
	if len(bars) == 0 || in+out == 0 {
		return nil
	}
	c := &svgChart{Title: fmt.Sprintf("Energy by the %s: at most %s in and %s out.", map[bool]string{true: "day", false: "quarter of an hour"}[len(s.Spots) > maxBars], short(in), short(out))}
	if in > 0 {
		c.In = short(in) + " in"
	}
	if out > 0 {
		c.Out = short(out) + " out"
	}
	all := int64(in + out)
	at := func(e unit.Energy) string { return hundredths(int64(e), all) } // from the top
	c.Zero = at(in)
	var paths [4]strings.Builder
	n := int64(len(bars))
	for i := range bars {
		b := &bars[i]
		left, right := hundredths(int64(i)*10, n*10), hundredths(int64(i)*10+8, n*10)
		bar := func(k int, from, to unit.Energy) {
			if from != to {
				fmt.Fprintf(&paths[k], "M%s %sH%sV%sH%sZ", left, at(from), right, at(to), left)
			}
		}
		bar(0, in-b.FromNeighbours, in)
		bar(1, in-b.FromNeighbours-b.FromGrid, in-b.FromNeighbours)
		bar(2, in, in+b.ToNeighbours)
		bar(3, in+b.ToNeighbours, in+b.ToNeighbours+b.ToGrid)
	}
	c.FromNeighbours, c.FromGrid, c.ToNeighbours, c.ToGrid = paths[0].String(), paths[1].String(), paths[2].String(), paths[3].String()
	every := max(1, (len(bars)+5)/6)
	for i := 0; i < len(bars); i += every {
		c.Labels = append(c.Labels, svgLabel{hundredths(int64(i), n), bars[i].Label})
	}
	return c
}

// hundredths writes a of all as a number of 0 to 100 with two decimals.
func hundredths(a, all int64) string {
	v := a * 10_000 / all
	return fmt.Sprintf("%d.%02d", v/100, v%100)
}

// Shown are the lines that a page lists.
func (s *Statement) Shown() []market.Line { return s.Lines[:min(len(s.Lines), maxShown)] }

// More is how many lines the page leaves to the files.
func (s *Statement) More() int { return max(0, len(s.Lines)-maxShown) }

// maxShown bounds the lines on a page, so that a phone reads it.
const maxShown = 400
