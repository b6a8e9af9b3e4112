package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// Rollout says how many of the gateways of a board may take a release. Whoever releases
// raises Percent as gateways report that they kept it, and sets it to 0 to stop. It is a
// signed note of its own (FORMAT.md, section 4), since it changes and a release does not.
type Rollout struct {
	Origin  string
	Board   string
	Version uint64
	Percent uint64 // of the gateways, 0 to 100
	Issued  int64  // Unix seconds: a gateway takes none that is older than one it has seen
}

const (
	rolloutMagic = "wattmark rollout v1"
	// MaxRollout bounds a signed roll-out in bytes.
	MaxRollout = 2048
)

func (r *Rollout) text() string {
	return fmt.Sprintf("%s\norigin %s\nboard %s\nversion %d\npercent %d\nissued %d\n", rolloutMagic, r.Origin, r.Board, r.Version, r.Percent, r.Issued)
}

// SignRollout returns the signed note of a roll-out.
func SignRollout(s signer.Signer, r *Rollout) ([]byte, error) {
	if back, err := parseRollout(r.text()); err != nil {
		return nil, err
	} else if *back != *r {
		return nil, fmt.Errorf("%w: a roll-out that reads otherwise than it was meant", ErrForm)
	}
	return signText(s, r.Origin, r.text())
}

// OpenRollout reads a roll-out that one of the keys has signed. The errors wrap ErrForm
// or ErrSignature.
func OpenRollout(b []byte, keys []block.VerifierKey) (*Rollout, error) {
	text, _, ok := strings.Cut(string(b), "\n\n")
	if len(b) > MaxRollout || !ok {
		return nil, fmt.Errorf("%w: a roll-out is a signed note of at most %d bytes", ErrForm, MaxRollout)
	}
	r, err := parseRollout(text + "\n")
	if err != nil {
		return nil, err
	}
	return r, openNote(b, r.Origin, keys)
}

func parseRollout(text string) (*Rollout, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 7 || lines[0] != rolloutMagic || lines[6] != "" {
		return nil, fmt.Errorf("%w: a roll-out starts with %q and has six lines", ErrForm, rolloutMagic)
	}
	var values [5]string
	for i, name := range []string{"origin", "board", "version", "percent", "issued"} {
		value, ok := strings.CutPrefix(lines[i+1], name+" ")
		if !ok || value == "" || strings.ContainsAny(value, " \t") {
			return nil, fmt.Errorf("%w: line %d of a roll-out is %q and one word", ErrForm, i+2, name)
		}
		values[i] = value
	}
	r := &Rollout{Origin: values[0], Board: values[1]}
	var issued uint64
	for i, to := range []*uint64{&r.Version, &r.Percent, &issued} {
		n, err := strconv.ParseUint(values[i+2], 10, 40)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d of a roll-out: %w", ErrForm, i+4, err)
		}
		*to = n
	}
	r.Issued = int64(issued)
	if r.Version == 0 || r.Percent > 100 || r.text() != text {
		return nil, fmt.Errorf("%w: a roll-out of version %d to %d percent", ErrForm, r.Version, r.Percent)
	}
	return r, nil
}

// Includes reports whether a gateway is among the share that may take the release. Its
// place is drawn from its name and the version: another release begins with others, and
// who is in at a percentage stays in at a higher one.
func (r *Rollout) Includes(gateway string) bool {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s", r.Origin, r.Board, r.Version, gateway))
	return binary.BigEndian.Uint64(sum[:])%100 < r.Percent
}
