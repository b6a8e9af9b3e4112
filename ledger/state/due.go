package state

// made is an outcome that follows from what is due, not from a statement of the block.
type made struct {
	leaf []byte
	// like, where it is there, tells outcomes that this one may stand for: it rests on
	// packs that are forgotten, so that the ledger's own stands as it is.
	like func(leaf []byte) bool
}

// due does what the calendars of the rules ask for in a block of this time, before any
// of its statements: all of it rests on the blocks before. before is the time of the
// last block. An error is a fault of the rules, after which nothing may be signed.
func (s *State) due(before int64) ([]made, error) {
	return nil, nil
}

// closing checks after the block's statements what must hold after every block.
func (s *State) closing() error { return nil }
