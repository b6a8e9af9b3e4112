package wire

import (
	"fmt"

	"wattmark/ledger/handover"
)

// MaxHandover bounds a handover on its way to a gateway, in bytes: the broker takes no
// larger message.
const MaxHandover = 1 << 20

// IsHandover tells a handover (ledger/handover/FORMAT.md) from what else comes where a
// gateway hears its receipts: receipts and approvals are CBOR arrays, and it is a map of
// three.
func IsHandover(b []byte) bool { return len(b) > 0 && b[0] == 0xa3 }

// ParseHandover reads a handover that was sent. Nothing in it is verified yet.
func ParseHandover(b []byte) (*handover.Handover, error) {
	if len(b) > MaxHandover {
		return nil, fmt.Errorf("%w: a handover of %d bytes, over the limit of %d", ErrMessage, len(b), MaxHandover)
	}
	h, err := handover.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return h, nil
}
