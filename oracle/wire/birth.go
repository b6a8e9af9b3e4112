package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// TypeBirth is the type (COSE typ) of a signed birth. It is never logged.
const TypeBirth = "application/vnd.wattmark.birth+cose"

// ContentBirth is the type of its payload.
const ContentBirth = "application/json"

// MaxBirth bounds a birth, in bytes.
const MaxBirth = 16 << 10

// Offline is what stands in a birth's place when the gateway has gone. The broker says it
// as the gateway's will, so it is unsigned: a word for people, no more.
const Offline = "offline"

// Birth is what a gateway announces after each connection, and when it has changed, for
// those who operate it.
type Birth struct {
	Gateway string `json:"gateway"`
	Version string `json:"version"`
	Catalog string `json:"catalog"`       // SHA-256 of the models it can read, in hex
	Config  string `json:"configuration"` // SHA-256 of the file in force, in hex
	Boot    uint64 `json:"boot_count"`
	Last    string `json:"last_sequence,omitempty"` // of the last statement, "boot-count"
	// Firmware is the image that it runs from, nil for none.
	Firmware *Firmware `json:"firmware,omitempty"`
	// Trusts is whose receipts it takes: oracles who see that it lacks handovers send them.
	// A gateway of before does not say it, and is sent none.
	Trusts *Trusts `json:"trusts,omitempty"`
	// Certificate is the one with which it reaches the broker, nil for none: an oracle that
	// has the authority sees from it that another is due. A gateway of before does not say it.
	Certificate *Certificate `json:"certificate,omitempty"`
}

// Trusts is what is told of the policy that a gateway goes by.
type Trusts struct {
	Policy string `json:"policy"` // SHA-256 of its text, in hex
	// Height is that of the first block of its oracle set, where the gateway came to that
	// by handovers; 0 for the policy of its configuration.
	Height uint64 `json:"height"`
}

// TrustsOf is what is told of a policy.
func TrustsOf(p *block.Policy, height uint64) *Trusts {
	sum := sha256.Sum256([]byte(p.String()))
	return &Trusts{hex.EncodeToString(sum[:]), height}
}

// Firmware is what is told of the image that a gateway runs from.
type Firmware struct {
	Board   string  `json:"board"`
	Version uint64  `json:"version"`
	Commit  string  `json:"commit"`
	Root    string  `json:"root"`             // SHA-256 of the root file system, in hex
	Update  *Update `json:"update,omitempty"` // what became of the last update, nil for none
}

// Update is the last thing that became of an update, in the words of firmware/update.
type Update struct {
	Version uint64    `json:"version"` // 0 where it could not be read
	Result  string    `json:"result"`
	Reason  string    `json:"reason,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	At      time.Time `json:"at"`
}

// ErrBirth is wrapped by the errors of OpenBirth.
var ErrBirth = errors.New("not a birth of this gateway")

// OpenBirth reads a signed birth under the key of the gateway that is to have made it, and
// returns when it says that it was, in Unix seconds.
func OpenBirth(b []byte, key signer.PublicKey) (about *Birth, at int64, err error) {
	if len(b) > MaxBirth {
		return nil, 0, fmt.Errorf("%w: %d bytes, more than %d", ErrBirth, len(b), MaxBirth)
	}
	m, err := signer.Parse(b)
	if err == nil {
		_, err = signer.Verify(m, key)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrBirth, err)
	}
	if m.Type != TypeBirth || m.ContentType != ContentBirth {
		return nil, 0, fmt.Errorf("%w: it is of type %q", ErrBirth, m.Type)
	}
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrBirth, err)
	}
	about = new(Birth)
	if err := json.Unmarshal(m.Payload, about); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrBirth, err)
	}
	return about, claims.IssuedAt, nil
}
