//go:build race

package state_test

import "flag"

// The race detector makes the rules ten times as dear, and they start no thread that it
// could look at: properties are drawn less often. make agree draws them without it.
func init() {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
}
