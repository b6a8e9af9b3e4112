package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// TypeBirth is the type (COSE typ) of a signed birth. It is never logged.
const TypeBirth = "application/vnd.wattmark.birth+cose"

// contentBirth is the type of its payload.
const contentBirth = "application/json"

// Birth is what a gateway announces after each connection, for dashboards.
type Birth struct {
	Gateway string `json:"gateway"`
	Version string `json:"version"`
	Catalog string `json:"catalog"`       // SHA-256 of the models it can read, in hex
	Config  string `json:"configuration"` // SHA-256 of the file in force, in hex
	Boot    uint64 `json:"boot_count"`
	Last    string `json:"last_sequence,omitempty"` // of the last statement, "boot-count"
	// Firmware is the image that it runs from, nil for none, with what became of the last
	// update.
	Firmware *Firmware `json:"firmware,omitempty"`
}

// ErrBirth is wrapped by the errors of OpenBirth.
var ErrBirth = errors.New("not a birth of this gateway")

// OpenBirth reads a signed birth under the key of the gateway that is to have made it.
func OpenBirth(b []byte, key signer.PublicKey) (*Birth, error) {
	m, err := signer.Parse(b)
	if err == nil {
		_, err = signer.Verify(m, key)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBirth, err)
	}
	out := new(Birth)
	if m.Type != TypeBirth || m.ContentType != contentBirth {
		return nil, fmt.Errorf("%w: it is of type %q", ErrBirth, m.Type)
	}
	if err := json.Unmarshal(m.Payload, out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBirth, err)
	}
	return out, nil
}

// catalogDigest is the SHA-256 of the catalogue, in hex: of a line for each model, with
// its name and its part.
func catalogDigest() string {
	h := sha256.New()
	for _, name := range Models() {
		fmt.Fprintf(h, "%s %s\n", name, catalog[name].Part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// birth signs what the gateway is just now.
func (g *Gateway) birth(ctx context.Context) (b []byte, err error) {
	about := Birth{Gateway: g.cfg.Name, Version: Version(), Catalog: catalogDigest(), Config: g.cfg.Digest}
	err = g.ask(ctx, func() error {
		about.Boot = g.boot
		if n, _, ok := g.outbox.Last(); ok {
			about.Last = n.String()
		}
		if g.cfg.Firmware != nil {
			about.Firmware = g.cfg.Firmware()
		}
		payload, err := json.Marshal(about)
		if err != nil {
			return err
		}
		c := entry.Claims{Issuer: "urn:wattmark:gateway:" + g.cfg.Name, Audience: g.cfg.Origin, IssuedAt: g.cfg.Clock.Now().Unix()}
		claims, err := c.Encode()
		if err != nil {
			return err
		}
		b, err = signer.Sign(g.cfg.Key, signer.Header{Type: TypeBirth, ContentType: contentBirth, Claims: claims}, payload)
		return err
	})
	return b, err
}
