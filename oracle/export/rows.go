package export

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Rows writes a table row by row, for one that is too long to hold. A row has a cell for each
// column, of the types of [Table]'s; it may be used again when Row has returned. What is
// written is whole when Flush has returned without an error.
type Rows interface {
	Row(cells []any) error
	Flush() error
}

// CSV writes a table as comma-separated values.
type CSV struct {
	w              *csv.Writer
	cells          []string
	ledger, height string
}

// NewCSV begins a table as comma-separated values (RFC 4180), with the ledger and the height
// in two columns of their own. Text that a spreadsheet would take for a formula has an
// apostrophe before it.
func NewCSV(w io.Writer, columns []string, ledger string, height uint64) (*CSV, error) {
	c := &CSV{w: csv.NewWriter(w), ledger: cell(ledger), height: strconv.FormatUint(height, 10)}
	c.w.UseCRLF = true
	return c, c.w.Write(append(append([]string{}, columns...), "ledger", "height"))
}

// Row implements [Rows].
func (c *CSV) Row(cells []any) error {
	c.cells = c.cells[:0]
	for _, v := range cells {
		c.cells = append(c.cells, cell(v))
	}
	return c.w.Write(append(c.cells, c.ledger, c.height))
}

// Flush implements [Rows].
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}

// Lines writes a table as JSON lines.
type Lines struct {
	w     *bufio.Writer
	heads []string // what stands before each cell
	tail  string
}

// NewLines begins a table as JSON lines: an object a row, with the columns in their order,
// those without a value left out, and the ledger and the height behind them. No apostrophe is
// put before text.
func NewLines(w io.Writer, columns []string, ledger string, height uint64) (*Lines, error) {
	l := &Lines{w: bufio.NewWriter(w)}
	for _, c := range columns {
		name, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		l.heads = append(l.heads, string(name)+":")
	}
	name, err := json.Marshal(ledger)
	if err != nil {
		return nil, err
	}
	l.tail = fmt.Sprintf(`"ledger":%s,"height":%d}`+"\n", name, height)
	return l, nil
}

// Row implements [Rows].
func (l *Lines) Row(cells []any) error {
	l.w.WriteByte('{') // the writer keeps an error until it is asked for
	for i, v := range cells {
		if v == nil {
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		l.w.WriteString(l.heads[i])
		l.w.Write(b)
		l.w.WriteByte(',')
	}
	_, err := l.w.WriteString(l.tail)
	return err
}

// Flush implements [Rows].
func (l *Lines) Flush() error { return l.w.Flush() }
