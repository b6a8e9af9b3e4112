package account

import (
	"fmt"
	"slices"

	"wattmark/ledger/unit"
)

// Class is what sort of asset is counted, and so in which unit. Its numbers are
// part of stored keys and never change.
type Class uint8

// The classes of assets.
const (
	// Money is counted in billionths of the currency that the asset names.
	Money Class = 1
	// Energy is energy sold and bought ahead, in Wh; the asset names its interval.
	Energy Class = 2
	// Certificate is the energy of granular certificates, in Wh; the asset names
	// the issue: one device and interval.
	Certificate Class = 3
	// Unit is carbon units, in whole tCO2e; the asset names the block.
	Unit Class = 4
)

var classNames = [...]string{Money: "money", Energy: "energy", Certificate: "certificate", Unit: "unit"}

// String returns the class's name, as in the text of an [ID].
func (c Class) String() string {
	if c.valid() {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

func (c Class) valid() bool { return Money <= c && c <= Unit }

// Kind is what an account is for, which decides what its balance may be. Its
// numbers are part of stored keys and never change.
type Kind uint8

// The kinds of accounts.
const (
	// Issuance is where an asset comes from: minus what stands issued. It never
	// rises above zero, as no more can be taken back than was issued.
	Issuance Kind = 1
	// Running is an owner's open bill with the community, of either sign: members,
	// the network operator, the supplier, the fund for losses. Only money and
	// energy have running accounts: a certificate cannot be owed.
	Running Kind = 2
	// Holding is what an owner has and may pass on.
	Holding Kind = 3
	// Deposit is what an owner has set aside to answer for an agreement.
	Deposit Kind = 4
	// Buffer is carbon units held back against reversals.
	Buffer Kind = 5
	// Inactive is units that another registry has taken over for now.
	Inactive Kind = 6
	// Cancelled is what was taken out of circulation, such as a certificate that a
	// claim may name.
	Cancelled Kind = 7
	// Claimed is certificates behind a claim. Final.
	Claimed Kind = 8
	// Retired is units behind a claim. Final.
	Retired Kind = 9
	// Expired is what nobody claimed in time. Final.
	Expired Kind = 10
)

// kinds says what each kind of account may do.
var kinds = [...]struct {
	name    string
	minus   bool    // the balance may be below zero
	plus    bool    // the balance may be above zero
	final   bool    // the balance never falls: what came here stays
	classes []Class // the assets that have such accounts; nil for all
}{
	Issuance:  {name: "issuance", minus: true},
	Running:   {name: "running", minus: true, plus: true, classes: []Class{Money, Energy}},
	Holding:   {name: "holding", plus: true},
	Deposit:   {name: "deposit", plus: true},
	Buffer:    {name: "buffer", plus: true, classes: []Class{Unit}},
	Inactive:  {name: "inactive", plus: true, classes: []Class{Unit}},
	Cancelled: {name: "cancelled", plus: true, classes: []Class{Certificate, Unit}},
	Claimed:   {name: "claimed", plus: true, final: true, classes: []Class{Certificate}},
	Retired:   {name: "retired", plus: true, final: true, classes: []Class{Unit}},
	Expired:   {name: "expired", plus: true, final: true, classes: []Class{Certificate, Unit}},
}

// String returns the kind's name, as in the text of an [ID].
func (k Kind) String() string {
	if k.valid() {
		return kinds[k].name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

func (k Kind) valid() bool { return Issuance <= k && k <= Expired }

// holds reports whether accounts of this kind exist for assets of the class.
func (k Kind) holds(c Class) bool {
	return kinds[k].classes == nil || slices.Contains(kinds[k].classes, c)
}

// allows reports whether an account of this kind may have the balance.
func (k Kind) allows(balance unit.Amount) bool {
	return balance == 0 || balance < 0 && kinds[k].minus || balance > 0 && kinds[k].plus
}
