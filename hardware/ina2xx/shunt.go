package ina2xx

import (
	"fmt"
	"strings"

	"periph.io/x/conn/v3/physic"
)

// ParseShunt reads a resistance in ohms as it stands in a configuration: "0.1",
// "0.00075". What is finer than a nanoohm, or not within 1 uOhm to 1 kOhm, is refused:
// rounding it would change every number that is made with it.
func ParseShunt(text string) (physic.ElectricResistance, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	digits := whole + strings.TrimRight(fraction, "0")
	decimals := len(digits) - len(whole)
	if decimals > 9 || len(whole) > 4 || len(digits) == 0 {
		return 0, notAShunt(text)
	}
	var n physic.ElectricResistance
	for _, c := range digits + strings.Repeat("0", 9-decimals) {
		if c < '0' || c > '9' {
			return 0, notAShunt(text)
		}
		n = n*10 + physic.ElectricResistance(c-'0')
	}
	if n < minShunt || n > maxShunt {
		return 0, notAShunt(text)
	}
	return n, nil
}

func notAShunt(text string) error {
	return fmt.Errorf("%q is no resistance in ohms from 0.000001 to 1000 with at most nine decimals, such as 0.1", text)
}
