package deploy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"wattmark/oracle/broker"
)

// pemFile makes cert.pem and key.pem in dir: a server's, for parsers that open them.
func pemFile(t *testing.T, dir string) {
	t.Helper()
	pki, err := broker.OpenPKI(filepath.Join(dir, "pki"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files, err := pki.Node(time.Now(), "nats-1", "nats-1")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{files.Certificate: "cert.pem", files.Key: "key.pem"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
