module wattmark/firmware/image

go 1.26.0

// Where mkimage puts this file, the project is five folders up. What the project needs
// is in its own go.mod, and its checksums are added to those here.
replace wattmark => ../../../../..

require (
	github.com/gokrazy/firmware v0.0.0-20260522070551-527ce0ed43cf
	github.com/gokrazy/gokrazy v0.0.0-20260418085648-c38c3134b8a7
	github.com/gokrazy/kernel.rpi v0.0.0-20251127164438-9778ec0261de
	wattmark v0.0.0
)
