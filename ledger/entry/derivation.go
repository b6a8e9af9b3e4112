package entry

import (
	"fmt"
	"strings"
)

// DerivationSuffixes follow a derived channel's name in the remarks that say how its
// values were computed: the formula with its version, the names of its inputs with
// spaces between them, the SHA-256 of its configuration in 64 hexadecimal digits.
var DerivationSuffixes = [...]string{".method", ".inputs", ".config"}

// CheckClaimable says why a channel cannot be registered as a total that a claim
// could rest on, and nil where it can, or is none. The concentration of a gas in air
// is no amount of it, and eCO2 is an estimate from other gases.
func CheckClaimable(c *Channel) error {
	if c.Kind != KindCounter {
		return nil
	}
	name := c.Name[strings.LastIndexByte(c.Name, '.')+1:] // behind a device's name
	if c.Unit != "ppm" && name != "co2" && name != "eco2" {
		return nil
	}
	return fmt.Errorf("%w: channel %q in %q is a concentration and no total: register it as a gauge; a claim needs a mass (co2_mass)", ErrForm, c.Name, c.Unit)
}
