package export

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"rsc.io/qr"

	"wattmark/ledger/unit"
)

// Sizes of the page, in mm.
const (
	pageWidth  = 210.0
	margin     = 16.0
	textWidth  = pageWidth - 2*margin
	chartHigh  = 52.0
	qrSize     = 26.0
	lineHeight = 5.2
)

type rgb struct{ r, g, b int }

// The colours of the pages, light: style.css of oracle/dashboard has them too.
var (
	ink        = rgb{0x17, 0x21, 0x1c}
	muted      = rgb{0x5b, 0x6a, 0x62}
	good       = rgb{0x0f, 0x7a, 0x52}
	bad        = rgb{0xb3, 0x26, 0x1e}
	faint      = rgb{0xd9, 0xdd, 0xd5}
	neighbours = rgb{0x12, 0x88, 0x6a}
	grid       = rgb{0x6b, 0x7a, 0x99}
	sold       = rgb{0x3f, 0x9c, 0x80}
)

// PDF returns the statement as one page: what was paid, what would have been, what was
// saved; a picture; the sums; and a code that says which statement it is.
func (s *Statement) PDF() ([]byte, error) {
	p := &paper{Fpdf: fpdf.New("P", "mm", "A4", ""), s: s}
	made := time.UnixMilli(s.Time).UTC()
	p.SetCreationDate(made)
	p.SetModificationDate(made)
	p.SetCatalogSort(true)
	p.SetTitle("Statement of "+s.Member+", "+s.Period(), true)
	p.SetCreator("Wattmark", true)
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(false, margin)
	p.AddUTF8FontFromBytes("go", "", goregular.TTF)
	p.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	p.AddPage()
	p.head()
	p.numbers()
	p.chart()
	p.sums()
	if err := p.foot(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := p.Output(&b); err != nil {
		return nil, fmt.Errorf("writing the PDF: %w", err)
	}
	return b.Bytes(), nil
}

// paper is the page that a statement is written on.
type paper struct {
	*fpdf.Fpdf
	s *Statement
}

func (p *paper) write(style string, size float64, c rgb) {
	p.SetFont("go", style, size)
	p.SetTextColor(c.r, c.g, c.b)
}

// row writes a text on the left and one on the right.
func (p *paper) row(left, right string, height float64) {
	y := p.GetY()
	p.SetX(margin)
	p.CellFormat(textWidth, height, left, "", 0, "L", false, 0, "")
	p.SetXY(margin, y)
	p.CellFormat(textWidth, height, right, "", 1, "R", false, 0, "")
}

func (p *paper) rule() {
	y := p.GetY() + 1.5
	p.SetDrawColor(faint.r, faint.g, faint.b)
	p.SetLineWidth(0.2)
	p.Line(margin, y, pageWidth-margin, y)
	p.SetY(y + 2.5)
}

func (p *paper) head() {
	p.write("B", 18, ink)
	p.row("Energy statement", "", 9)
	p.write("", 10.5, ink)
	p.row(p.s.Period(), p.s.Member+", zone "+p.s.Zone, 6)
	p.write("", 9, muted)
	p.row("metered by "+strings.Join(p.s.Points, ", "), "", lineHeight)
	p.rule()
	p.write("", 12, ink)
	p.MultiCell(textWidth, 6.4, p.s.Headline(), "", "L", false)
	p.Ln(3)
}

// numbers are the three that a statement is about.
func (p *paper) numbers() {
	v := &p.s.Invoice
	better := good
	if v.Saving < 0 {
		better = bad
	}
	paid, would := "earned", "would have earned"
	if v.Total < 0 {
		paid = "paid"
	}
	if v.Counterfactual < 0 {
		would = "would have paid"
	}
	y := p.GetY()
	const wide = textWidth / 3
	for i, n := range []struct {
		what  string
		value unit.Cents
		c     rgb
	}{{paid, abs(cents(v.Total)), ink}, {would + ", supplier alone", abs(cents(v.Counterfactual)), ink}, {"better by", cents(v.Saving), better}} {
		p.SetXY(margin+float64(i)*wide, y)
		p.write("B", 17, n.c)
		p.CellFormat(wide, 8, amount(n.value, p.s.Currency), "", 2, "L", false, 0, "")
		p.write("", 9, muted)
		p.CellFormat(wide, lineHeight, n.what, "", 0, "L", false, 0, "")
	}
	p.SetY(y + 8 + lineHeight)
	p.rule()
}

func abs(c unit.Cents) unit.Cents { return max(c, -c) }

// chart draws what came in above a line and what went out below it.
func (p *paper) chart() {
	bars := p.s.Bars()
	var in, out unit.Energy
	for i := range bars {
		in, out = max(in, bars[i].FromGrid+bars[i].FromNeighbours), max(out, bars[i].ToGrid+bars[i].ToNeighbours)
	}
	x, y := margin, p.GetY()
	for i, l := range []struct {
		c    rgb
		what string
	}{{neighbours, "from neighbours"}, {grid, "from the grid"}, {sold, "sold to neighbours"}, {faint, "sold to the grid"}} {
		at := x + float64(i)*(textWidth/4)
		p.SetFillColor(l.c.r, l.c.g, l.c.b)
		p.Rect(at, y+1, 3, 3, "F")
		p.write("", 9, muted)
		p.SetXY(at+4.5, y)
		p.CellFormat(40, lineHeight, l.what, "", 0, "L", false, 0, "")
	}
	y += lineHeight + 2
	if len(bars) == 0 || in+out == 0 {
		p.SetXY(x, y)
		p.write("", 10, muted)
		p.CellFormat(textWidth, lineHeight, "Nothing went in or out.", "", 1, "L", false, 0, "")
		p.rule()
		return
	}
	const left = 23.0
	per := (chartHigh - 5) / float64(in+out)
	zero := y + float64(in)*per
	wide := (textWidth - left) / float64(len(bars))
	gap := min(wide*0.2, 0.8)
	p.write("", 8, muted)
	for _, l := range []struct {
		at    float64
		value unit.Energy
		what  string
	}{{y, in, " in"}, {zero + float64(out)*per, out, " out"}} {
		if l.value == 0 {
			continue
		}
		p.SetXY(x, l.at-2)
		p.CellFormat(left, 4, short(l.value)+l.what, "", 0, "L", false, 0, "")
	}
	for i := range bars {
		b := &bars[i]
		at := x + left + float64(i)*wide
		up, down := zero, zero
		for _, part := range []struct {
			e  unit.Energy
			c  rgb
			in bool
		}{{b.FromNeighbours, neighbours, true}, {b.FromGrid, grid, true}, {b.ToNeighbours, sold, false}, {b.ToGrid, faint, false}} {
			high := float64(part.e) * per
			if part.e <= 0 {
				continue
			}
			p.SetFillColor(part.c.r, part.c.g, part.c.b)
			if part.in {
				up -= high
				p.Rect(at, up, wide-gap, high, "F")
			} else {
				p.Rect(at, down, wide-gap, high, "F")
				down += high
			}
		}
	}
	p.SetDrawColor(muted.r, muted.g, muted.b)
	p.SetLineWidth(0.2)
	p.Line(x+left, zero, pageWidth-margin, zero)
	p.write("", 8, muted)
	base := y + chartHigh - 4
	every := max(1, (len(bars)+5)/6)
	for i := 0; i < len(bars); i += every {
		p.SetXY(x+left+float64(i)*wide, base)
		p.CellFormat(24, 4, bars[i].Label, "", 0, "L", false, 0, "")
	}
	p.SetY(base + 4)
	p.rule()
}

// short writes energy for a label, to three digits.
func short(e unit.Energy) string {
	switch {
	case e < 10_000:
		return fmt.Sprintf("%d.%02d kWh", e/1000, e%1000/10)
	case e < 100_000:
		return fmt.Sprintf("%d.%d kWh", e/1000, e%1000/100)
	}
	return fmt.Sprintf("%d kWh", e/1000)
}

func (p *paper) sums() {
	widths := []float64{98, 34, textWidth - 98 - 34}
	p.write("B", 9, muted)
	for i, h := range []string{"What for", "kWh", "amount, " + p.s.Currency} {
		align := "R"
		if i == 0 {
			align = "L"
		}
		p.CellFormat(widths[i], 6, h, "", 0, align, false, 0, "")
	}
	p.Ln(6)
	p.write("", 9.5, ink)
	for _, sum := range p.s.Sums() {
		p.CellFormat(widths[0], lineHeight, sum.Words(), "", 0, "L", false, 0, "")
		p.CellFormat(widths[1], lineHeight, kWh(sum.Energy), "", 0, "R", false, 0, "")
		p.CellFormat(widths[2], lineHeight, p.s.Exact(sum.Amount), "", 1, "R", false, 0, "")
	}
	p.write("B", 9.5, ink)
	p.CellFormat(widths[0]+widths[1], 6, "Total", "", 0, "L", false, 0, "")
	p.CellFormat(widths[2], 6, p.s.Exact(p.s.Invoice.Total), "", 1, "R", false, 0, "")
	p.write("", 9, muted)
	p.row("invoiced, rounded to hundredths", amount(p.s.Invoice.Cents, p.s.Currency), lineHeight)
	p.rule()
}

// Code is the text of the code on the page: which statement of which ledger it is.
func (s *Statement) Code() string {
	return fmt.Sprintf("wattmark statement\n%s\n%s %s/%s\nblock %d\nsha256 %s", s.Ledger, s.Member, s.From, s.To, s.Height, s.Digest())
}

func (p *paper) foot() error {
	y := p.GetY()
	p.write("", 8.5, muted)
	for _, n := range p.s.Notes() {
		p.SetX(margin)
		p.MultiCell(textWidth-qrSize-6, 4.4, n, "", "L", false)
	}
	p.Ln(1.5)
	for _, b := range p.s.Basis() {
		p.SetX(margin)
		p.MultiCell(textWidth-qrSize-6, 4.4, b, "", "L", false)
	}
	code, err := qr.Encode(p.s.Code(), qr.M)
	if err != nil {
		return fmt.Errorf("making the code: %w", err)
	}
	module := qrSize / float64(code.Size)
	p.SetFillColor(0, 0, 0)
	for row := range code.Size {
		for column := range code.Size {
			if code.Black(column, row) {
				// A hair wider, so that no light shows between modules.
				p.Rect(pageWidth-margin-qrSize+float64(column)*module, y+float64(row)*module, module+0.02, module+0.02, "F")
			}
		}
	}
	return nil
}
