package street_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/cmd/internal/street"
	"wattmark/hardware/emulated"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// open makes a street whose clock stands at noon, with its meters answering.
func open(t *testing.T, homes int) (*street.Street, *street.Clock) {
	t.Helper()
	clock, err := street.NewClock(street.Epoch.AddDate(0, 5, 1).Add(11*time.Hour), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := street.New(street.Config{Homes: homes, Seed: 42, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s, clock
}

func TestGatewaysCanBeEnrolled(t *testing.T) {
	s, _ := open(t, 12)
	gateways := s.Gateways()
	if len(gateways) != 14 {
		t.Fatalf("%d gateways, want 14", len(gateways))
	}
	seen := make(map[string]string)
	suns := 0
	for i, g := range gateways {
		e := entry.Enrolment{Algorithm: int(g.Algorithm), Gateway: g.Name, Points: g.Points()}
		b, err := e.Encode()
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		back, err := entry.ParseEnrolment(b)
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
		} else if diff := cmp.Diff(e.Points, back.Points); diff != "" {
			t.Errorf("%s: points change on the wire:\n%s", g.Name, diff)
		}
		for _, p := range g.Points() {
			subject := p.Subject
			if other := seen[subject]; other != "" {
				t.Errorf("%s has the subject of %s", g.Name, other)
			}
			seen[subject] = g.Name
			if !strings.HasPrefix(subject, "mp-") || len(subject) != 19 || strings.Contains(subject, g.Name) {
				t.Errorf("%s: subject %q", g.Name, subject)
			}
			pack := entry.Pack{Base: subject + "/"}
			for _, c := range p.Channels {
				pack.Records = append(pack.Records, entry.Record{Name: pack.Base + c.Name, Unit: c.Unit})
			}
			if _, err := pack.Encode(); err != nil {
				t.Errorf("%s: %v", g.Name, err)
			}
		}
		for _, d := range g.Devices {
			if d.Name == "sun" {
				suns++
			}
		}
		home := i < 12
		if committed := g.Mode == entry.ModeCommitted; committed != home {
			t.Errorf("%s: mode %s", g.Name, g.Mode)
		}
		if home && (g.Algorithm == signer.EdDSA) != (i%2 == 0) {
			t.Errorf("%s: algorithm %s", g.Name, g.Algorithm)
		}
		if stack := g.Name == "stack-01"; g.Serial == "" || (g.Bus != nil) != stack || (g.Mass != nil) != stack {
			t.Errorf("%s: reads port %q and bus %v", g.Name, g.Serial, g.Bus)
		}
	}
	if stack, feeder := gateways[12], gateways[13]; stack.Algorithm != signer.ES256 || feeder.Algorithm != signer.EdDSA {
		t.Errorf("stack has %s and feeder %s", stack.Algorithm, feeder.Algorithm)
	}
	if suns != 7 {
		t.Errorf("%d generators have meters, want 7", suns)
	}
	other, _ := open(t, 12)
	if diff := cmp.Diff(s.Gateways()[3].Points(), other.Gateways()[3].Points()); diff != "" {
		t.Errorf("the same seed registers other points:\n%s", diff)
	}
}

func TestFaultsNameTheirDevice(t *testing.T) {
	s, _ := open(t, 1)
	for _, g := range s.Gateways() {
		for _, d := range g.Devices {
			if err := g.SetFaults(d.Name, emulated.Always(emulated.Silence)); err != nil {
				t.Error(err)
			}
		}
		if err := g.SetFaults("car", nil); err == nil {
			t.Errorf("%s has a car", g.Name)
		}
	}
}

func TestPortsEndWithTheStreet(t *testing.T) {
	clock, err := street.NewClock(street.Epoch, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := street.New(street.Config{Homes: 2, Seed: 1, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	port := s.Gateways()[0].Serial
	if _, err := os.Stat(port); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(port); err == nil {
		t.Errorf("%s is still there", port)
	}
}

func BenchmarkAt(b *testing.B) {
	s := newModel(b, 12, 1)
	t := street.Epoch.AddDate(0, 3, 0)
	for b.Loop() {
		s.At(t)
		t = t.Add(time.Second)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newModel(b, 12, 1)
	}
}
