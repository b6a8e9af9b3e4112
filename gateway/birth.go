package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// catalogDigest is the SHA-256 of the catalogue, in hex: of a line for each model, with
// its name and its part.
func catalogDigest() string {
	h := sha256.New()
	for _, name := range Models() {
		fmt.Fprintf(h, "%s %s\n", name, catalog[name].Part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// renewEvery is how often a gateway says that it needs another client certificate.
const renewEvery = time.Hour

// remind says so for as long as that is, until ctx ends: a connection may last for months,
// and the oracle that has the authority may be away for days.
func (g *Gateway) remind(ctx context.Context) {
	if g.cfg.Certificate == nil {
		return
	}
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if g.cfg.Certificate.Leaf().NotAfter.Sub(g.cfg.Clock.Now()) < wire.RenewBefore {
			g.uplink.Announce()
		}
	}
}

// birth signs what the gateway is just now.
func (g *Gateway) birth(ctx context.Context) (b []byte, err error) {
	about := wire.Birth{Gateway: g.cfg.Name, Version: Version(), Catalog: catalogDigest(), Config: g.cfg.Digest}
	trusts := g.uplink.Oracles()
	about.Trusts = trusts.Trusts()
	if c := g.cfg.Certificate; c != nil {
		leaf := c.Leaf()
		about.Certificate = &wire.Certificate{Ends: leaf.NotAfter.UTC(), Key: leaf.RawSubjectPublicKeyInfo}
	}
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
		b, err = signer.Sign(g.cfg.Key, signer.Header{Type: wire.TypeBirth, ContentType: wire.ContentBirth, Claims: claims}, payload)
		return err
	})
	return b, err
}
