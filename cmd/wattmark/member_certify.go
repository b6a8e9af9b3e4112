package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// certify puts into an approval the certificate with which the gateway reaches the broker,
// for the TLS key that its request names, where this operator has the authority. Who has
// it not leaves it out: the operator of the broker gives the gateway its certificate then.
func (m *member) certify(a *enrol.Approval) error {
	route, err := broker.ReadRoute(m.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && route.Authority == "" {
		return nil
	}
	if err != nil {
		return err
	}
	msg, err := signer.Parse(a.Enrolment.Extra)
	if err != nil {
		return err
	}
	p, err := entry.ParseProvenEnrolment(msg.Payload)
	if err != nil {
		return err
	}
	r, err := enrol.ParseRequest(p.Request)
	if err != nil || len(r.TLS) == 0 {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(r.TLS))
	if err != nil {
		return err
	}
	pki, err := broker.OpenPKI(route.Authority, time.Now())
	if err != nil {
		return fmt.Errorf("the authority that certifies gateways: %w", err)
	}
	a.Certificate, err = pki.CertifyGateway(time.Now(), wire.ShortName(m.charter.Origin), r.Gateway, spki)
	a.Roots = pki.RootDER()
	return err
}
