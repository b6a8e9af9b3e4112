// Package cmd_test holds the whole source tree to its floor plan: which packages
// there are, who may import whom, what the pure packages may use, that every
// package says what it is, and which modules each binary links.
//
// The plan is the table [plan] in floorplan_test.go. A package that comes gets a
// row there, and the reviewer of that row decides where it stands. The checks read
// every Go file of the tree, those for other platforms and those of nested modules
// too, so nothing is skipped for being built elsewhere. Each check is shown, on
// small sources held in memory, to report what it forbids.
//
// After a change of what is linked, review and rewrite the lists with
//
//	go test ./cmd -run TestLinkedModules -update
package cmd_test
