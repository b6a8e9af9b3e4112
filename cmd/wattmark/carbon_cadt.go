package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf16"

	"github.com/spf13/cobra"
	"github.com/xuri/excelize/v2"

	"wattmark/ledger/carbon"
)

// formatCADT is the only format there is so far: CAD Trust, data model 2.
const formatCADT = "cadt-v2"

func newCarbonExport() *cobra.Command {
	var format, dir string
	var f memberFlags
	c := &cobra.Command{
		Use:   "export --format cadt-v2 [--xlsx DIR] FILE|--dir DIR",
		Short: "Write records as the tables of CAD Trust",
		Long: `Export reads one JSON object with tables of records, by keys of their own, and
prints the tables as CAD Trust takes them, as one line of JSON. With --xlsx it
writes projects.xlsx and units.xlsx too. FILE may be - for standard input.

With --dir in the place of FILE it exports the records that registries have
committed to the ledger of an oracle, and as their units the blocks of each
issuance whose record has the issuance's id as its key.

Exit status: 0 written, 1 records lack something, which is listed, or a file
could not be read or written, 2 wrong usage or input: then nothing is printed
but the first fault, by its field.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.dir == "" {
				return oneFile(cmd, args)
			}
			if len(args) > 0 {
				return errors.New("give FILE, or --dir DIR of an oracle's ledger")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			export := func(file []byte) ([]byte, bool, error) {
				result, books, holds, err := carbon.Export(file)
				if err != nil || dir == "" {
					return result, holds, err
				}
				return result, holds, writeWorkbooks(dir, books)
			}
			if f.dir == "" {
				return pureCommand(cmd, args[0], export)
			}
			form, err := f.exportForm(cmd)
			if err != nil {
				return failed(err)
			}
			return pureResult(cmd, form, export)
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "", "`NAME` of the format: cadt-v2")
	c.Flags().StringVar(&dir, "xlsx", "", "write workbooks to `DIR` too")
	return c
}

func newCarbonImport() *cobra.Command {
	var format string
	var partial, staging bool
	var f carbonFlags
	c := &cobra.Command{
		Use:   "import --format cadt-v2 [--stage --dir DIR] FILE",
		Short: "Check tables of CAD Trust, JSON or XLSX, and read them",
		Long: `Import reads what export writes, or a workbook of CAD Trust, and prints it as
export takes it, with findings: where each is, and what to do about it. It
writes nothing anywhere, unless --stage is given: then the records go to the
staging area of the oracle of DIR, which is its node's own, to be looked at
with 'carbon staged' and signed with 'carbon commit'. FILE may be - for
standard input.

A record with an error keeps all others from being printed or staged, unless
--partial is given: then those are that are sound, with all they refer to.

Exit status: 0 read, 1 there are errors, which are listed, or the file could
not be read, 2 wrong usage or input: then nothing is printed but the first
fault, by its field.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			read := func(file []byte) ([]byte, bool, error) {
				if !bytes.HasPrefix(file, []byte("PK")) {
					return carbon.Import(file, partial)
				}
				book, err := readWorkbook(file)
				if err != nil {
					return nil, false, err
				}
				return carbon.ImportWorkbook(book, partial)
			}
			if staging {
				return f.stageFile(cmd, args[0], read)
			}
			return pureCommand(cmd, args[0], read)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&staging, "stage", false, "put the records into the staging area of DIR")
	c.Flags().StringVar(&format, "format", "", "`NAME` of the format: cadt-v2")
	c.Flags().BoolVar(&partial, "partial", false, "leave out what has errors, and print the rest")
	return c
}

func checkFormat(format string) error {
	switch format {
	case formatCADT:
		return nil
	case "":
		return fmt.Errorf("give --format %s", formatCADT)
	}
	return fmt.Errorf("--format %q is not one of %s", format, formatCADT)
}

// writeWorkbooks writes each workbook to a file of its name, replacing it as a whole.
func writeWorkbooks(dir string, books []carbon.Workbook) error {
	if len(books) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, book := range books {
		content, err := encodeWorkbook(book)
		if err != nil {
			return fmt.Errorf("making the workbook %s: %w", book.Name, err)
		}
		if err := writeFile(filepath.Join(dir, book.Name+".xlsx"), content); err != nil {
			return err
		}
	}
	return nil
}

// encodeWorkbook writes a workbook as XLSX. A text stays a text, whatever it begins
// with: no program takes it for a formula.
func encodeWorkbook(book carbon.Workbook) ([]byte, error) {
	x := excelize.NewFile()
	defer x.Close()
	for i, sheet := range book.Sheets {
		if i == 0 {
			if err := x.SetSheetName(x.GetSheetName(0), sheet.Name); err != nil {
				return nil, err
			}
		} else if _, err := x.NewSheet(sheet.Name); err != nil {
			return nil, err
		}
		for row, cells := range sheet.Rows {
			for column, cell := range cells {
				var err error
				switch name := carbon.CellName(column, row); {
				case cell.Number != nil:
					err = x.SetCellInt(sheet.Name, name, *cell.Number)
				case len(utf16.Encode([]rune(cell.Text))) > excelize.TotalCellChars: // it would be cut off
					err = fmt.Errorf("cell %s of sheet %s: a text of %d bytes is longer than a cell takes", name, sheet.Name, len(cell.Text))
				case cell.Text != "":
					err = x.SetCellStr(sheet.Name, name, cell.Text)
				}
				if err != nil {
					return nil, err
				}
			}
		}
	}
	var b bytes.Buffer
	if err := x.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Limits of a workbook, which is a compressed file: what it may come to unpacked, all
// and in one sheet, in bytes, and how many rows and columns a sheet may have.
const (
	maxUnpacked = 512 << 20
	maxSheetXML = 256 << 20
	maxRows     = 200_000
	maxColumns  = 100
)

// readWorkbook reads an XLSX file. What is no workbook at all is a fault of the input.
func readWorkbook(file []byte) (book carbon.Workbook, err error) {
	fault := func(format string, args ...any) error {
		return &carbon.Fault{Field: "input", Reason: fmt.Sprintf(format, args...)}
	}
	x, err := excelize.OpenReader(bytes.NewReader(file), excelize.Options{
		RawCellValue: true, UnzipSizeLimit: maxUnpacked, UnzipXMLSizeLimit: maxSheetXML, TmpDir: os.TempDir(),
	})
	if err != nil {
		return book, fault("no workbook (XLSX): %q", err.Error())
	}
	defer x.Close()
	for _, name := range x.GetSheetList() {
		sheet := carbon.Sheet{Name: name}
		rows, err := x.GetRows(name)
		if err != nil {
			return book, fault("sheet %q: %q", name, err.Error())
		}
		if len(rows) > maxRows {
			return book, fault("sheet %q has more than %d rows", name, maxRows)
		}
		for r, texts := range rows {
			if len(texts) > maxColumns {
				return book, fault("row %d of sheet %q has more than %d columns", r+1, name, maxColumns)
			}
			cells := make([]carbon.Cell, len(texts))
			for c, text := range texts {
				if cells[c], err = readCell(x, name, carbon.CellName(c, r), text); err != nil {
					return book, fault("cell %s of sheet %q: %q", carbon.CellName(c, r), name, err.Error())
				}
			}
			sheet.Rows = append(sheet.Rows, cells)
		}
		book.Sheets = append(book.Sheets, sheet)
	}
	return book, nil
}

func readCell(x *excelize.File, sheet, name, text string) (carbon.Cell, error) {
	formula, err := x.GetCellFormula(sheet, name)
	if err != nil {
		return carbon.Cell{}, err
	}
	kind, err := x.GetCellType(sheet, name)
	if err != nil {
		return carbon.Cell{}, err
	}
	cell := carbon.Cell{Text: text, Formula: formula != ""}
	if kind == excelize.CellTypeNumber || kind == excelize.CellTypeUnset {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
			cell = carbon.Cell{Number: &n, Formula: cell.Formula}
		}
	}
	return cell, nil
}
