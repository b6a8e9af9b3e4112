package audit

import (
	"encoding/hex"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// conflict says what two statements say that no honest holder of their key signs both.
func (d *Description) conflict(payload []byte) error {
	c, err := entry.ParseConflict(payload)
	if err != nil {
		return err
	}
	for i, b := range [][]byte{c.First, c.Second} {
		m, err := signer.Parse(b)
		if err != nil {
			return fmt.Errorf("statement %d of a conflict: %w", i+1, err)
		}
		claims, err := entry.ParseClaims(m.Claims)
		if err != nil {
			return fmt.Errorf("statement %d of a conflict: %w", i+1, err)
		}
		if i == 0 {
			d.add("accuses", claims.Issuer)
			d.add("of key", m.KeyID)
		}
		what := fmt.Sprintf("%s with sequence number %v", shortType(m.Type), claims.Sequence)
		if m.Type == entry.TypePromise {
			p, err := entry.ParsePromise(m.Payload)
			if err != nil {
				return fmt.Errorf("statement %d of a conflict: %w", i+1, err)
			}
			what = fmt.Sprintf("the checkpoint of block %d has %d leaves", p.Height, p.Size)
			d.add("it signed that", what)
			d.add("with root", hex.EncodeToString(p.Root[:]))
			continue
		}
		h := m.Hash()
		d.add("it signed a", what)
		d.add("identity", hex.EncodeToString(h[:]))
	}
	return nil
}

// restoration says which key the oracles are asked to let sign again.
func (d *Description) restoration(m *entry.Motion) error {
	r, err := entry.ParseRestoration(m.Body)
	if err != nil {
		return err
	}
	d.add("restores key", hex.EncodeToString(r.KeyID))
	d.add("because", r.Reason)
	d.add("from block", m.Height)
	return nil
}
