package wire

import "time"

// Certificate is what is told of the client certificate that a gateway shows the broker.
type Certificate struct {
	Ends time.Time `json:"ends"` // when it is of no use any more
	Key  []byte    `json:"key"`  // the public key that it is for, as SubjectPublicKeyInfo (RFC 5280 section 4.1), in base64
}

// RenewBefore is how long before a gateway's certificate ends an oracle that has the
// authority sends another, and the gateway says each hour that it needs one.
const RenewBefore = 30 * 24 * time.Hour

// MaxCertificate bounds a certificate on its way to a gateway, in bytes.
const MaxCertificate = 4 << 10

// IsCertificate tells a certificate in DER from what else comes where a gateway hears its
// receipts: it is an ASN.1 SEQUENCE, and no CBOR of ours begins with that byte.
func IsCertificate(b []byte) bool { return len(b) > 0 && b[0] == 0x30 }
