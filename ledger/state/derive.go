package state

import (
	"strings"

	"wattmark/ledger/entry"
)

// derivation is what a pack says of how one channel was computed.
type derivation struct {
	channel string
	told    byte // a bit for each of entry.DerivationSuffixes
}

// derivations are those of a pack, of which few have any.
type derivations []derivation

// of returns the derivation of a channel, which is expected from here on.
func (d *derivations) of(channel string) *derivation {
	for i := range *d {
		if (*d)[i].channel == channel {
			return &(*d)[i]
		}
	}
	*d = append(*d, derivation{channel: channel})
	return &(*d)[len(*d)-1]
}

// read takes note of a remark, if it is one of those that say how a channel was
// computed.
func (d *derivations) read(name string) {
	for i, suffix := range entry.DerivationSuffixes {
		if channel, ok := strings.CutSuffix(name, suffix); ok {
			d.of(channel).told |= 1 << i
		}
	}
}

// whole reports whether the value can be computed again.
func (d *derivation) whole() bool { return d.told == 1<<len(entry.DerivationSuffixes)-1 }

// isMass reports whether a unit is one that no part measures and gateways compute: a
// mass, or mass flow, of an emission.
func isMass(unit string) bool { return unit == "kg" || unit == "kg/s" }
