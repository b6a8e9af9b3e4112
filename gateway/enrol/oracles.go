package enrol

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"wattmark/ledger/block"
	"wattmark/ledger/handover"
)

// fileOracles holds the handovers that lead from the policy of the configuration to the
// oracles in force (ledger/handover/FORMAT.md section 3).
const fileOracles = "oracles"

// maxOracles bounds that file, in bytes: some hundred changes of oracles.
const maxOracles = 4 << 20

// SaveOracles keeps the handovers that a gateway has followed, oldest first, in its state
// directory in place of those before, whole or not at all, and durable on return.
func SaveOracles(dir string, list []*handover.Handover) error {
	b := handover.EncodeHistory(list)
	if len(b) > maxOracles {
		return fmt.Errorf("storing the handovers of the oracles: %d bytes, over the limit of %d: have the newest policy put at uplink.policy", len(b), maxOracles)
	}
	if err := replace(dir, fileOracles, b); err != nil {
		return fmt.Errorf("storing the handovers of the oracles: %w", err)
	}
	return nil
}

// LoadOracles reads the handovers that a gateway has followed, and follows them again from
// the policy of its configuration: the last span has the policy in force. Where none are
// kept that is the one given. With an error it is that one too: a gateway goes on with what
// its technician gave it, and is sent the handovers anew.
func LoadOracles(dir string, from *block.Policy) ([]*handover.Handover, []handover.Span, error) {
	none := []handover.Span{{Policy: from}}
	path := filepath.Join(dir, fileOracles)
	b, err := read(path, maxOracles)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none, nil
	}
	if err != nil {
		return nil, none, fmt.Errorf("reading the handovers of the oracles: %w", err)
	}
	list, err := handover.ParseHistory(b)
	var spans []handover.Span
	if err == nil {
		spans, err = handover.Follow(from, list)
	}
	if err != nil {
		return nil, none, fmt.Errorf("%s is not believed: %w: the oracles send it anew", path, err)
	}
	return list, spans, nil
}

// SaveOracles keeps the handovers that came with the approval in a state directory, where
// they lead further from the policy of the configuration than what is kept there. Then the
// gateway begins with the oracles in force, and need not be sent them.
func (e *Enrolment) SaveOracles(dir string, from *block.Policy) error {
	if len(e.approval.History) == 0 {
		return nil
	}
	spans, err := handover.Follow(from, e.approval.History)
	if err != nil {
		return fmt.Errorf("the handovers that came with the approval: %w", err)
	}
	if _, kept, err := LoadOracles(dir, from); err == nil && spans[len(spans)-1].Height <= kept[len(kept)-1].Height {
		return nil
	}
	return SaveOracles(dir, e.approval.History[len(e.approval.History)-(len(spans)-1):])
}
