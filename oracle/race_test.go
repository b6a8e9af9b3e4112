//go:build race

package oracle

// The race detector makes a schedule ten times as dear, and one thread runs each: what it
// looks for is between threads. All schedules are those of make simulation.
func init() { *simSchedules = 150 }
