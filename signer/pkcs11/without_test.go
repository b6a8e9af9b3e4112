//go:build !pkcs11 || !cgo

package pkcs11_test

import (
	"strings"
	"testing"

	"wattmark/signer/pkcs11"
)

func TestAProgramWithoutPKCS11SaysSo(t *testing.T) {
	var cfg pkcs11.Config
	for name, open := range map[string]func(pkcs11.Config) (*pkcs11.Key, error){"create": pkcs11.Create, "open": pkcs11.Open} {
		if k, err := open(cfg); k != nil || err == nil || !strings.Contains(err.Error(), "-tags pkcs11") {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	if err := pkcs11.Advance(cfg, "next", "replaced"); err == nil || !strings.Contains(err.Error(), "-tags pkcs11") {
		t.Errorf("advance: %v", err)
	}
}
