// Package board knows the Raspberry Pi models that gateways run on: which pin of the
// header is which GPIO line, which buses there are and on which lines, and what a
// model is bad at.
//
// All of it is data, in the TOML files of this folder; the program only reads and
// checks them. Nothing here touches the machine: callers pass in what the device tree
// says ([Detect]), and open ports themselves.
//
// GPIO chips are found by their label ([Board.GPIOChip]), since their numbers change
// between kernels; the offset of a line on the chip is its GPIO number on all models.
package board
