package entry

// Limits that rules, store, vault and auditors share: what the rules accept none
// of the others may refuse, or every oracle would stop at the same block for good.
const (
	// MaxPreimage is the most bytes a committed pack's preimage may have, salt and
	// all. The rules refuse a larger one, as nobody can be made to keep it.
	MaxPreimage = 70_000

	// MostCutLeaves and MostCutBytes are the largest values of cut_leaves and
	// cut_bytes that have an effect, whatever a charter or a vote says.
	MostCutLeaves = 1 << 16
	MostCutBytes  = 64 << 20

	// MaxBlock bounds a block: the Weights of its leaves together, its header's
	// too. A block that is cut by the most that can be voted fits with everything
	// that the rules can make of it.
	MaxBlock = 512 << 20

	// MaxFlags is how many flags one statement has at most.
	MaxFlags = 16
)

// Weight is what a leaf counts towards MaxBlock, in bytes: its own and those that
// whoever holds it spends on hashes and offsets.
func Weight(leaf []byte) int { return len(leaf) + 64 }
