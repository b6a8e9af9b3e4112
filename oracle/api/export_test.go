package api

// For fuzzing.
var (
	ParseTile = parseTile
	TilePath  = tilePath
	EndOf     = endOf
)
