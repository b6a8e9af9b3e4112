package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong with a configuration.
type Mistake struct {
	Line   int    // 0 where no line says it
	Cause  string // what is wrong, with the name of the key
	Remedy string // what to do about it
}

// Mistakes is all that is wrong with a configuration file, in the order of its lines.
type Mistakes struct {
	File string
	List []Mistake
}

// Error returns the mistakes, one a line: "gateway.toml:14: unknown key
// "outbox.max_byte"; did you mean "max_bytes"?".
func (m *Mistakes) Error() string {
	var b strings.Builder
	for i, x := range m.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(m.File)
		if x.Line > 0 {
			fmt.Fprintf(&b, ":%d", x.Line)
		}
		b.WriteString(": " + x.Cause)
		if x.Remedy != "" {
			b.WriteString("; " + x.Remedy)
		}
	}
	return b.String()
}

// sorted puts the mistakes in the order of their lines, those without one first.
func sorted(list []Mistake) []Mistake {
	slices.SortStableFunc(list, func(a, b Mistake) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Cause, b.Cause))
	})
	return list
}
