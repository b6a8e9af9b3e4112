package hardware

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The tables that registers stand in. TableInput and TableHolding are Modbus's; a
// part that has one table only uses TableDefault.
const (
	TableDefault = ""
	TableInput   = "input"
	TableHolding = "holding"
)

// MaxRegisters bounds a dump: all that both tables of a Modbus unit can hold.
const MaxRegisters = 1 << 17

// Registers is a dump of a part's registers: words by table and address. The zero
// value is empty and ready.
type Registers struct {
	digits int // hex digits of the longest value: 2, 4, 6 or 10; 0 while none was parsed
	words  map[place]word
}

// word is what a register holds.
type word struct {
	value  uint64
	digits int // hex digits that it was written with; 0 for a word that was set
}

type place struct {
	table   string
	address uint16
}

// compare orders places by table, then address.
func (p place) compare(q place) int {
	if c := strings.Compare(p.table, q.table); c != 0 {
		return c
	}
	return int(p.address) - int(q.address)
}

// RegisterDecoder is a device whose registers may be given instead of the frames
// that carried them.
type RegisterDecoder interface {
	// DecodeRegisters replaces dst's values, warnings and what else Decode sets by
	// those of r, under the same promises. A part of the dump that is missing leaves
	// out its channels with a warning WarnSkipped.
	DecodeRegisters(r *Registers, dst *Batch) error
}

// Set puts a word at an address of a table.
func (r *Registers) Set(table string, address, value uint16) {
	r.set(place{table, address}, word{value: uint64(value)})
}

func (r *Registers) set(p place, w word) {
	if r.words == nil {
		r.words = make(map[place]word)
	}
	r.words[p] = w
}

// Word returns the word at an address of a table, and whether there is one. Words
// given without a table count for TableInput and TableHolding too.
func (r *Registers) Word(table string, address uint16) (uint16, bool) {
	if w, ok := r.Exact(table, address); ok {
		return w, true
	}
	return r.Exact(TableDefault, address)
}

// Wide returns the word at an address of a part that has no tables, and how many hex
// digits it was given with: parts have registers of 8, 16, 24 and 40 bits. It has none
// where there is no such word.
func (r *Registers) Wide(address uint16) (value uint64, digits int) {
	w := r.words[place{TableDefault, address}]
	return w.value, w.digits
}

// Exact returns the word that was given for an address of just that table, and whether
// there is one.
func (r *Registers) Exact(table string, address uint16) (uint16, bool) {
	w, ok := r.words[place{table, address}]
	if w.digits > 4 {
		return 0, false
	}
	return uint16(w.value), ok
}

// Read appends count words from an address on to dst. It is false, and dst is
// unchanged, when one of them is not there.
func (r *Registers) Read(dst []uint16, table string, address uint16, count int) ([]uint16, bool) {
	out := dst
	for i := range count {
		at := int(address) + i
		if at > 0xffff {
			return dst, false
		}
		w, ok := r.Word(table, uint16(at))
		if !ok {
			return dst, false
		}
		out = append(out, w)
	}
	return out, true
}

// Len returns how many words there are.
func (r *Registers) Len() int { return len(r.words) }

// Digits returns how many hex digits the longest value was written with: a part's
// registers have a width, and a dump of another width is of another part. With 2 and
// with 4 all were, longer values may stand among shorter ones. It is 0 for registers
// that were not parsed.
func (r *Registers) Digits() int { return r.digits }

// String returns r in the form that ParseRegisters reads, ordered.
func (r *Registers) String() string {
	var b strings.Builder
	var last place
	for i, at := range slices.SortedFunc(maps.Keys(r.words), place.compare) {
		switch {
		case i > 0 && at.table == last.table && int(at.address) == int(last.address)+1:
		default:
			if i > 0 {
				b.WriteByte('\n')
			}
			if at.table != TableDefault {
				b.WriteString(at.table + " ")
			}
			fmt.Fprintf(&b, "%#04x:", at.address)
		}
		w := r.words[at]
		digits := w.digits
		if digits == 0 {
			digits = 4
		}
		fmt.Fprintf(&b, " %0*x", digits, w.value)
		last = at
	}
	if len(r.words) > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseRegisters reads lines "ADDRESS: VALUE VALUE ...", where the values stand at
// consecutive addresses. An address is decimal, or hex after "0x"; values are hex, of
// as many digits as the register has: all of two, or each of four, six or ten. A line may start with the name of a table, and
// "#" starts a comment. An address that is given twice is refused.
func ParseRegisters(text []byte) (*Registers, error) {
	r := new(Registers)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := r.parse(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading registers: %w", err)
	}
	return r, nil
}

// parse reads one line.
func (r *Registers) parse(line string) error {
	head, tail, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("%q has no colon after the address", line)
	}
	table := TableDefault
	fields := strings.Fields(head)
	if len(fields) == 2 {
		table, fields = fields[0], fields[1:]
		if table != TableInput && table != TableHolding {
			return fmt.Errorf("%q is neither %q nor %q", table, TableInput, TableHolding)
		}
	}
	if len(fields) != 1 {
		return fmt.Errorf("%q is no address", head)
	}
	digits, base := fields[0], 10
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		digits, base = hex, 16
	}
	start, err := strconv.ParseUint(digits, base, 16)
	if err != nil {
		return fmt.Errorf("%q is no address from 0 to 65535", fields[0])
	}
	values := strings.Fields(tail)
	if len(values) == 0 {
		return fmt.Errorf("no values at %s", fields[0])
	}
	for i, value := range values {
		number, err := strconv.ParseUint(value, 16, 40)
		switch len(value) {
		case 2, 4, 6, 10:
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return fmt.Errorf("%q is not two, four, six or ten hex digits", value)
		}
		if r.digits != 0 && (r.digits == 2) != (len(value) == 2) {
			return fmt.Errorf("%q has %d digits where a value before has %d", value, len(value), r.digits)
		}
		r.digits = max(r.digits, len(value))
		at := start + uint64(i)
		if at > 0xffff {
			return fmt.Errorf("address %d is above 65535", at)
		}
		p := place{table, uint16(at)}
		if _, twice := r.words[p]; twice {
			return fmt.Errorf("address %d is given twice", at)
		}
		if len(r.words) == MaxRegisters {
			return fmt.Errorf("more than %d registers", MaxRegisters)
		}
		r.set(p, word{number, len(value)})
	}
	return nil
}
