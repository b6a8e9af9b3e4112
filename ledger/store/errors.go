package store

import (
	"errors"
	"fmt"
)

var (
	// ErrLocked says that another process writes the store.
	ErrLocked = errors.New("store is in use")
	// ErrRefused says that what was asked contradicts what is stored; nothing
	// was changed.
	ErrRefused = errors.New("refused")
	// ErrUnknown says that a write of leaves failed in a way that leaves open
	// whether the block is stored. The store takes no more blocks; closing and
	// opening it again finds out.
	ErrUnknown = errors.New("it is not known whether the block was stored: close the store and open it again")
	// ErrNotFound says that there is no such leaf, block or pack.
	ErrNotFound = errors.New("not found")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// Fault is damage found in a store.
type Fault struct {
	File string `json:"file"`
	// Offset is where in File, in bytes; -1 where that means nothing.
	Offset int64  `json:"offset"`
	What   string `json:"what"`
	// Remedy says what to do next.
	Remedy string `json:"remedy"`
}

// Error says where the damage is, what it is and what to do.
func (f *Fault) Error() string {
	at := ""
	if f.Offset >= 0 {
		at = fmt.Sprintf(" at byte %d", f.Offset)
	}
	return fmt.Sprintf("%s%s: %s; %s", f.File, at, f.What, f.Remedy)
}

// Remedies. What people do next depends on what was damaged: leaves cannot be
// computed from anything, all else can.
const (
	remedyLeaves = "keep this directory as it is, then restore the store from a backup or let an empty one fetch the ledger from another oracle"
	remedyReopen = "stop the oracle, remove hashes and offsets and open the store for writing, which computes both again from the leaves"
	remedyIndex  = "stop the oracle, remove index.db and open the store for writing, which builds it again; the state is executed again from the leaves"
	remedyTiles  = "remove the directory of tiles and publish again"
	remedyVault  = "keep this file, fetch the packs again from another oracle's vault, then remove it"
	remedyLookup = "stop the oracle and remove lookup, which it makes again when it runs"
	remedyFinal  = "move the file aside: the checkpoint is collected again from the other oracles"
)

func damaged(file string, offset int64, remedy, format string, args ...any) *Fault {
	return &Fault{File: file, Offset: offset, What: fmt.Sprintf(format, args...), Remedy: remedy}
}
