package tpm

import "time"

// Tries is how often a call asks a TPM that is busy.
const Tries = tries

// Pauses replaces the pauses between tries by a function until the returned one is
// called.
func Pauses(f func(time.Duration)) (restore func()) {
	sleep = f
	return func() { sleep = time.Sleep }
}

// Reencode reads the DER of a key file and writes it again.
func Reencode(der []byte) ([]byte, error) {
	b, _, err := parseFile(der)
	if err != nil {
		return nil, err
	}
	return b.marshal()
}
