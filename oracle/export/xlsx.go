package export

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/xuri/excelize/v2"
)

// XLSX returns the statement as a workbook: what it came to, its lines, and how each
// interval is proved. Numbers are numbers; texts are texts, whatever they begin with.
func (s *Statement) XLSX() ([]byte, error) {
	return workbook("Statement of "+s.Member+", "+s.Period(), s.Time,
		sheet{"Statement", []float64{44, 24, 24}, s.summaryRows()},
		sheet{"Lines", []float64{22, 6, 14, 10, 14, 18, 9, 10}, s.lineRows()},
		sheet{"Proofs", []float64{22, 6, 9, 10, 68, 68, 70}, s.proofRows()},
	)
}

type sheet struct {
	name   string
	widths []float64
	rows   [][]any
}

// workbook writes sheets, each with its first row bold and, where it is a list, in sight. The
// time is that of the ledger's newest block, in Unix milliseconds.
func workbook(title string, at int64, sheets ...sheet) ([]byte, error) {
	x := excelize.NewFile()
	defer x.Close()
	bold, err := x.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return nil, err
	}
	for i, sheet := range sheets {
		if i == 0 {
			err = x.SetSheetName(x.GetSheetName(0), sheet.name)
		} else {
			_, err = x.NewSheet(sheet.name)
		}
		if err != nil {
			return nil, err
		}
		// Not by the library's stream writer: it puts sheets into the file in any order.
		for c, width := range sheet.widths {
			column, err := excelize.ColumnNumberToName(c + 1)
			if err != nil {
				return nil, err
			}
			if err := x.SetColWidth(sheet.name, column, column, width); err != nil {
				return nil, err
			}
		}
		if sheet.name != "Statement" && sheet.name != "About" {
			if err := x.SetPanes(sheet.name, &excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
				return nil, err
			}
		}
		for r, row := range sheet.rows {
			if err := x.SetSheetRow(sheet.name, fmt.Sprintf("A%d", r+1), &row); err != nil {
				return nil, err
			}
		}
		if err := x.SetRowStyle(sheet.name, 1, 1, bold); err != nil {
			return nil, err
		}
	}
	made := time.UnixMilli(at).UTC().Format(time.RFC3339)
	if err := x.SetDocProps(&excelize.DocProperties{Title: title, Creator: "Wattmark", Created: made, Modified: made}); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := x.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (s *Statement) summaryRows() [][]any {
	rows := [][]any{
		{"Statement of " + s.Member + " in zone " + s.Zone, s.Period()},
		{s.Headline()},
		{},
		{"paid (-) or earned, billionths of " + s.Currency, int64(s.Invoice.Total)},
		{"invoiced, hundredths of " + s.Currency, int64(s.Invoice.Cents)},
		{"rounding carried to the next invoice, billionths", int64(s.Invoice.CarriedOut)},
		{"with the supplier alone, billionths", int64(s.Invoice.Counterfactual)},
		{"better by, billionths", int64(s.Invoice.Saving)},
		{"from neighbours, millionths of what was bought", int64(s.Invoice.Local)},
		{"bought as green, millionths of what was bought", int64(s.Invoice.Green)},
		{},
		{"kind", "Wh", "amount, billionths of " + s.Currency},
	}
	for _, sum := range s.Sums() {
		rows = append(rows, []any{sum.Words(), int64(sum.Energy), int64(sum.Amount)})
	}
	rows = append(rows, []any{})
	for _, n := range s.Notes() {
		rows = append(rows, []any{n})
	}
	for _, b := range s.Basis() {
		rows = append(rows, []any{b})
	}
	return rows
}

func (s *Statement) lineRows() [][]any {
	rows := [][]any{{"interval (UTC)", "run", "kind", "Wh", "price, µ" + s.Currency + "/kWh", "amount, n" + s.Currency, "quality", "block"}}
	for i := range s.Lines {
		l := &s.Lines[i]
		rows = append(rows, []any{l.Interval.String(), l.Run.String(), l.Kind.String(), int64(l.Energy), int64(l.Price), int64(l.Amount), l.Quality.String(), l.Block})
	}
	return rows
}

func (s *Statement) proofRows() [][]any {
	rows := [][]any{{"interval (UTC)", "run", "version", "block", "root of the settlement", "SHA-256 of the evidence file", "to prove it"}}
	for i := range s.Spots {
		p := &s.Spots[i]
		rows = append(rows, []any{p.Interval.String(), p.Run.String(), p.Version, p.Block, hex.EncodeToString(p.Root[:]), hex.EncodeToString(p.Evidence),
			"wattmark member prove " + s.Member + " --interval " + p.Interval.String() + " --out bill.evidence"})
	}
	return rows
}
