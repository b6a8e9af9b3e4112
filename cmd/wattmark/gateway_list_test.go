package main

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// TestGatewayList tells of gateways by what they signed on.
func TestGatewayList(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1 +home2 +stack")
	append1 := func(s *ledgertest.Statement) {
		t.Helper()
		if b := c.Append(c.Deliver(s.Sign(t))); b.Result.Reasons[0] != "" {
			t.Fatalf("refused: %s", b.Result.Reasons[0])
		}
	}
	roots := [][32]byte{sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two")), sha256.Sum256([]byte("none"))}
	for i := range 2 {
		r := entry.Release{Origin: "a.example", Board: "rpi", Version: uint64(i + 1), Commit: strings.Repeat("0a", 20), Root: roots[i], Size: 4096, Kernel: "6"}
		text, err := r.Text()
		if err != nil {
			t.Fatal(err)
		}
		payload, err := (&entry.LoggedRelease{Manifest: []byte(text + "\n— a.example AAAA\n")}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		append1(c.Stated(0, entry.TypeRelease, payload))
	}
	signs := func(name string, root int) {
		t.Helper()
		s := c.Reading(name, ledgertest.Record(name, "energy", 1000, c.State.Time()))
		if root >= 0 {
			s.Claims.Firmware = roots[root][:]
		}
		append1(s)
	}
	signs("home1", 0)
	signs("home1", 1)
	signs("home1", 0) // it fell back
	signs("home2", 0)
	signs("home2", 1)
	signs("stack", -1)
	signs("stack", 2)
	dir := t.TempDir()
	c.Save(dir)
	var b bytes.Buffer
	if err := listGateways(&b, dir, false, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"home1: heard ", "release 1 for rpi of a.example, logged as leaf ", "! went_back: it has signed on version 2", "release 2 for rpi of a.example, logged as leaf ",
		"! firmware_not_logged: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	fleet, err := fleetIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][2]uint64)
	for _, g := range fleet {
		var version uint64
		if g.Release != nil {
			version = g.Release.Version
		}
		got[g.Gateway] = [2]uint64{version, g.WentBack}
	}
	if diff := cmp.Diff(map[string][2]uint64{"home1": {1, 2}, "home2": {2, 0}, "stack": {0, 0}}, got); diff != "" {
		t.Error(diff)
	}
}
