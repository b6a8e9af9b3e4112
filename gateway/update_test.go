package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/gateway"
)

// A gateway fetches releases over TLS, or not at all.
func TestWhereReleasesComeFrom(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), []byte("no certificate\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ table, want string }{
		{"", ""},
		{"url = \"https://updates.example/firmware\"\nkeys = \"release.keys\"", "source"},
		{"url = \"http://updates.example/firmware\"", "no address that begins with https://"},
		{"url = \"https:\"", "no address that begins with https://"},
		{"url = \"https://updates.example\"\nroots = \"missing.pem\"", "update.roots"},
		{"url = \"https://updates.example\"\nroots = \"empty.pem\"", "there is no certificate in PEM"},
	} {
		// What is missing in the rest of the file is not asked for here.
		f, _ := gateway.ParseFile(filepath.Join(dir, "gateway.toml"), []byte("[update]\n"+c.table+"\n"))
		if f == nil {
			t.Fatalf("%s: not read", c.table)
		}
		source, err := f.UpdateSource()
		switch c.want {
		case "", "source":
			if err != nil || (source != nil) != (c.want == "source") {
				t.Errorf("%s: %v, %v", c.table, source, err)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.table, err, c.want)
			}
		}
	}
}
