package oracle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/oracle/finality"
)

// ConflictsDir is where an oracle keeps votes that contradict others, in its
// ledger's directory: <height>/<key id>-<root>.note for each, a signed note that
// any tool verifies with the policy's keys.
const ConflictsDir = "conflicts"

// maxConflicts bounds the conflicts that one run keeps. An oracle that lies more
// often is known by then.
const maxConflicts = 1024

// keepConflict writes both votes of a conflict down. It is best effort: what could
// not be written stands in the log.
func (n *Node) keepConflict(c *finality.Conflict) error {
	dir := filepath.Join(n.cfg.Dir, ConflictsDir, fmt.Sprint(c.Height))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keeping evidence: %w", err)
	}
	for _, v := range []*finality.Vote{c.Vote, c.Against} {
		path := filepath.Join(dir, fmt.Sprintf("%v-%x.note", v.KeyID, v.Checkpoint.Root[:8]))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("keeping evidence: %w", err)
		}
		_, err = f.Write(v.Note())
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return errors.Join(fmt.Errorf("keeping evidence: %w", err), os.Remove(path))
		}
	}
	return nil
}
