package state

// The rate rule, and its slow path alone.
var (
	TooFast       = tooFast
	TooFastSlowly = tooFastSlowly
)
