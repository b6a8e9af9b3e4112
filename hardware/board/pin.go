package board

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ParsePin reads a pin as people write it: "GPIO17", or "pin 11" for the number on
// the header. A pin that carries no GPIO line is refused: nothing can be configured
// on it.
func (b *Board) ParsePin(text string) (Pin, error) {
	if digits, ok := strings.CutPrefix(text, "GPIO"); ok {
		if line, err := strconv.ParseUint(digits, 10, 8); err == nil && strconv.FormatUint(line, 10) == digits {
			return b.LinePin(int(line))
		}
	}
	if digits, ok := strings.CutPrefix(text, "pin "); ok {
		if number, err := strconv.ParseUint(digits, 10, 8); err == nil && strconv.FormatUint(number, 10) == digits {
			p, err := b.HeaderPin(int(number))
			if err == nil && p.Line == NoLine {
				err = fmt.Errorf("header pin %d of %s carries %s, not a GPIO line", number, b.Title, p.Name)
			}
			return p, err
		}
	}
	return Pin{}, fmt.Errorf("%q is no pin: write \"GPIO17\", or \"pin 11\" for the number on the header", text)
}

// Use is something that needs GPIO lines for itself.
type Use struct {
	Function string // for people: `bus "meters"`, `device "water"`
	Lines    []int
}

// ConflictError is two functions on one pin.
type ConflictError struct {
	Pin           Pin
	First, Second string // in the order of the uses
}

// Error names pin and functions.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s is wanted by %s and by %s: move one of them", e.Pin, e.First, e.Second)
}

// Check checks that each line of uses is on the header and has one function. It
// returns all that is wrong, joined, each conflict as a ConflictError.
func (b *Board) Check(uses ...Use) error {
	var wrong []error
	taken := map[int]string{}
	for _, u := range uses {
		own := slices.Compact(slices.Sorted(slices.Values(u.Lines)))
		for _, line := range own {
			p, err := b.LinePin(line)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", u.Function, err))
				continue
			}
			if first, ok := taken[line]; ok {
				wrong = append(wrong, &ConflictError{Pin: p, First: first, Second: u.Function})
				continue
			}
			taken[line] = u.Function
		}
	}
	return errors.Join(wrong...)
}
