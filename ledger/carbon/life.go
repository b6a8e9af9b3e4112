package carbon

import (
	"errors"
	"fmt"

	"wattmark/ledger/account"
	"wattmark/ledger/unit"
)

// ErrState is wrapped where a block or bundle may not go from its status to another.
var ErrState = errors.New("carbon: not from this status")

// statusAccounts say on which kind of account the units of a standing block are.
// Those of a block that is issued and not yet held are with the issuer.
var statusAccounts = [...]account.Kind{
	Issued: account.Holding, Held: account.Holding, Buffer: account.Buffer, Inactive: account.Inactive,
	Retired: account.Retired, Cancelled: account.Cancelled, Expired: account.Expired, Rejected: 0, Split: 0,
}

// Owned is a block with who has it.
type Owned struct {
	Block
	// Owner is an account's owner; of a final block, who brought it there.
	Owner string
}

// asset is what the block's units are counted as. Its name is the block's id, which
// must be one that accounts can have.
func (o Owned) asset() account.Asset { return account.Asset{Class: account.Unit, Name: o.ID} }

// at returns the account that the block's units are on; ok is false where there are
// none, as in a split or rejected block.
func (o Owned) at() (id account.ID, ok bool) {
	kind := statusAccounts[o.Status]
	return account.ID{Asset: o.asset(), Kind: kind, Owner: o.Owner}, kind != 0
}

// issuance is the account that owes what stands of the block.
func (o Owned) issuance() account.ID {
	return account.ID{Asset: o.asset(), Kind: account.Issuance, Owner: o.Issuance}
}

// move returns the legs that take the units of a block from one account to another,
// with the issuance account for what comes from nowhere or goes there.
func move(from, to Owned) []account.Leg {
	out, standing := from.at()
	if !standing {
		out = from.issuance()
	}
	in, standing := to.at()
	if !standing {
		in = to.issuance()
	}
	if out == in {
		return nil
	}
	n := from.Count()
	return []account.Leg{{Account: out, Amount: -n}, {Account: in, Amount: n}}
}

// Create returns the posting of a new block, which is Issued to its owner.
func (o Owned) Create() ([]account.Leg, error) {
	if o.Status != Issued || o.End < o.Start {
		return nil, fmt.Errorf("%w: a new block is Issued, with one serial or more", ErrState)
	}
	unissued := o
	unissued.Status = Rejected
	return move(unissued, o), nil
}

// Become returns the block in another status with an owner, and the posting that goes
// with it: Held to Held is a transfer. Splitting is [Owned.Divide].
func (o Owned) Become(to Status, owner string) (Owned, []account.Leg, error) {
	if !o.Status.CanBecome(to) || to == Split {
		return o, nil, fmt.Errorf("%w: %s does not become %s", ErrState, o.Status, to)
	}
	after := o
	after.Status, after.Owner = to, owner
	return after, move(o, after), nil
}

// Divide splits the block into parts with the given ids and sizes, in the order of
// serials. The children have its status and owner; the block itself is Split.
func (o Owned) Divide(ids []string, sizes []unit.Amount) (parent Owned, children []Owned, legs []account.Leg, err error) {
	if !o.Status.CanBecome(Split) {
		return o, nil, nil, fmt.Errorf("%w: %s does not become %s", ErrState, o.Status, Split)
	}
	if len(ids) != len(sizes) || len(sizes) < 2 {
		return o, nil, nil, fmt.Errorf("carbon: %d ids for %d parts, want two or more", len(ids), len(sizes))
	}
	parts, err := o.SplitSerials(sizes)
	if err != nil {
		return o, nil, nil, err
	}
	parent = o
	parent.Status = Split
	legs = move(o, parent)
	for i, p := range parts {
		child := o
		child.ID, child.Serials, child.Origin = ids[i], p, nil
		unissued := child
		unissued.Status = Rejected
		children = append(children, child)
		legs = append(legs, move(unissued, child)...)
	}
	return parent, children, legs, nil
}

// BufferShare returns how many units of an issuance go to the buffer: its share in
// basis points, rounded up.
func BufferShare(q unit.Amount, bufferBP int64) (unit.Amount, error) {
	if q < 0 || bufferBP < 0 || bufferBP > 10_000 {
		return 0, fmt.Errorf("carbon: %d basis points of %d units", bufferBP, q)
	}
	return unit.MulDiv(q, bufferBP, 10_000, unit.Up)
}

// Cut is serials of a block that a reversal cancels: all of it, or after a split.
type Cut struct {
	ID string
	Serials
	Whole bool
}

// Reverse chooses what a reversal of q units cancels from the buffer, whose blocks
// come oldest first, and returns what is then still owed by the project. A
// restatement that lowers an issuance is covered the same way, and what is left owed
// by the issuer.
func Reverse(q unit.Amount, buffer []Block) (cuts []Cut, owed unit.Amount) {
	owed = max(q, 0)
	for _, b := range buffer {
		if owed == 0 {
			break
		}
		if b.Status != Buffer {
			continue
		}
		n := min(owed, b.Count())
		cuts = append(cuts, Cut{b.ID, Serials{b.Start, b.Start + int64(n) - 1}, n == b.Count()})
		owed -= n
	}
	return cuts, owed
}

// Adjustment is what a country adds to its balance of emissions for units that left
// or came: a corresponding adjustment.
type Adjustment struct {
	Country string
	Amount  unit.Amount
}

// Adjust returns both adjustments of an authorised unit's first international
// transfer: the host adds what it gave, the acquirer takes off what it got. There is
// no writing one of them.
func Adjust(q unit.Amount, host, acquirer string) ([2]Adjustment, error) {
	if q < 1 || host == "" || acquirer == "" || host == acquirer {
		return [2]Adjustment{}, fmt.Errorf("carbon: an adjustment of %d units between %s and %s", q, quote(host), quote(acquirer))
	}
	return [2]Adjustment{{host, q}, {acquirer, -q}}, nil
}
