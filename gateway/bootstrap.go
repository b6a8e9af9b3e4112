package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"wattmark/gateway/uplink"
)

// EnrolTransport prepares the connection over which the gateway asks for its enrolment:
// with its own certificate where it has one, else with the one that all share who have
// none yet, which shared reports. It leaves neither birth nor will.
func (f *File) EnrolTransport() (t uplink.Transport, shared bool, err error) {
	with := *f // its mistakes are not the file's
	u := &with.Uplink
	if u.Certificate != "" {
		if _, err := os.Stat(f.Path(u.Certificate)); errors.Is(err, fs.ErrNotExist) {
			if u.Bootstrap == "" {
				return nil, false, fmt.Errorf("there is no certificate at %s yet: set uplink.bootstrap to the one that the consortium gives technicians, or carry the request with --offline --request FILE", f.Path(u.Certificate))
			}
			u.Certificate, u.CertificateKey, shared = u.Bootstrap, u.Bootstrap, true
		}
	}
	t, err = with.quietTransport()
	return t, shared, err
}
