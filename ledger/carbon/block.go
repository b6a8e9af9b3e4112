package carbon

import (
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/unit"
)

// Status is where a block of carbon units stands in its life.
type Status uint8

// The statuses, in the order of results. The last five are final.
const (
	Issued Status = iota + 1
	Held
	Buffer
	Inactive
	Retired
	Cancelled
	Expired
	Rejected
	Split
)

var statusNames = []string{"Issued", "Held", "Buffer", "Inactive", "Retired", "Cancelled", "Expired", "Rejected", "Split"}

// String returns the status's name, which CAD Trust has too.
func (s Status) String() string {
	if s.valid() {
		return statusNames[s-1]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

func (s Status) valid() bool { return Issued <= s && s <= Split }

// ParseStatus reads the name of a status.
func ParseStatus(name string) (Status, error) {
	i := slices.Index(statusNames, name)
	if i < 0 {
		return 0, fmt.Errorf("%s is not one of %s", quote(name), strings.Join(statusNames, ", "))
	}
	return Status(i + 1), nil
}

// Standing reports whether a block's serials are taken: in any status but Split,
// whose children have them, and Rejected. A retired serial is still taken.
func (s Status) Standing() bool { return s.valid() && s != Split && s != Rejected }

// next are the statuses that may follow.
var next = [...][]Status{
	Issued:   {Held, Buffer, Rejected},
	Held:     {Held, Split, Buffer, Inactive, Retired, Cancelled, Expired},
	Buffer:   {Held, Split, Cancelled},
	Inactive: {Held, Cancelled},
	Split:    nil,
}

// CanBecome reports whether a block may go from status s to another.
func (s Status) CanBecome(to Status) bool {
	return s.valid() && slices.Contains(next[s], to)
}

// Serials are serial numbers from Start to End, both inclusive.
type Serials struct {
	Start, End int64
}

// Count returns how many there are: each is one unit, a tonne of CO2e.
func (s Serials) Count() unit.Amount { return unit.Amount(s.End - s.Start + 1) }

// Overlaps reports whether a serial is in both.
func (s Serials) Overlaps(o Serials) bool { return s.Start <= o.End && o.Start <= s.End }

// Partition reports whether the parts, in any order, hold each serial of s once and
// no others.
func (s Serials) Partition(parts []Serials) bool {
	sorted := slices.Clone(parts)
	slices.SortFunc(sorted, func(a, b Serials) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	at := s.Start
	for _, p := range sorted {
		if p.Start != at || p.End < p.Start {
			return false
		}
		at = p.End + 1
	}
	return len(parts) > 0 && at == s.End+1
}

// SplitSerials divides serials into parts of the given sizes, in order. It is an
// error unless every size is 1 or more and they add up to the whole.
func (s Serials) SplitSerials(sizes []unit.Amount) ([]Serials, error) {
	parts := make([]Serials, 0, len(sizes))
	at := s.Start
	for _, n := range sizes {
		if n < 1 || int64(n) > s.End-at+1 {
			return nil, fmt.Errorf("carbon: sizes %v do not divide %d units", sizes, s.Count())
		}
		parts = append(parts, Serials{at, at + int64(n) - 1})
		at += int64(n)
	}
	if at != s.End+1 {
		return nil, fmt.Errorf("carbon: sizes %v do not divide %d units", sizes, s.Count())
	}
	return parts, nil
}

// Origin names the block of another registry that a block stands for.
type Origin struct {
	Registry string
	ID       string
}

// Block is carbon units with consecutive serials and one life.
type Block struct {
	ID       string
	Registry string
	Program  string
	Issuance string
	Vintage  int
	// Prefix is as written; [NormalPrefix] is what is compared.
	Prefix string
	Serials
	Status Status
	Origin *Origin
}

// NormalPrefix returns the form in which prefixes are compared: upper-case ASCII,
// each run of characters other than A-Z and 0-9 one hyphen, none at the ends.
func NormalPrefix(prefix string) string {
	out := make([]byte, 0, len(prefix))
	gap := false
	for i := range len(prefix) {
		c := prefix[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', isDigit(c):
		default:
			gap = true
			continue
		}
		if gap && len(out) > 0 {
			out = append(out, '-')
		}
		gap = false
		out = append(out, c)
	}
	return string(out)
}

// maxSerialDigits is how many digits a serial may have: it fits an int64.
const maxSerialDigits = 18

// parseSerial divides a serial such as W-7-100 into the text before its digits and
// their number.
func parseSerial(s string) (text string, n int64, err error) {
	at := len(s)
	for at > 0 && isDigit(s[at-1]) {
		at--
	}
	digits := s[at:]
	if digits == "" || len(digits) > maxSerialDigits {
		return "", 0, fmt.Errorf("%s does not end in 1 to %d digits", quote(s), maxSerialDigits)
	}
	for _, c := range []byte(digits) {
		n = n*10 + int64(c-'0')
	}
	return s[:at], n, nil
}

// printedSerials reports whether a printed serial ends in START-END of the block's
// serials, as written or as plain numbers.
func printedSerials(serial, start, end string, s Serials) bool {
	if head, ok := strings.CutSuffix(serial, start+"-"+end); ok && !(isDigit(start[0]) && endsInDigit(head)) {
		return true
	}
	head, last, err := parseSerial(serial)
	head, hyphen := strings.CutSuffix(head, "-")
	if err != nil || last != s.End || !hyphen {
		return false
	}
	_, first, err := parseSerial(head)
	return err == nil && first == s.Start
}

func endsInDigit(s string) bool { return s != "" && isDigit(s[len(s)-1]) }
