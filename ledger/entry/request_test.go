package entry_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

func request() *entry.EnrolmentRequest {
	e := enrolment()
	return &entry.EnrolmentRequest{
		Algorithm: e.Algorithm, Key: e.Key, Gateway: e.Gateway, Points: e.Points,
		Devices: []entry.RequestDevice{
			{Model: "sdm630", Serial: "23451234", Where: "rs485/1", Subject: "mp-1"},
			{Model: "scd41"},
		},
		Model: "Raspberry Pi Zero 2 W", Serial: "10000000a1b2c3d4",
	}
}

// successor is the request of a key that replaces another.
func successor() *entry.EnrolmentRequest {
	return &entry.EnrolmentRequest{
		Algorithm: -7, Key: bytes.Repeat([]byte{4}, 65), Gateway: "home-01", Points: []entry.Point{},
		Devices: []entry.RequestDevice{}, Replaces: bytes.Repeat([]byte{0xa5}, 16),
	}
}

func TestRequestsRoundTrip(t *testing.T) {
	for _, want := range []*entry.EnrolmentRequest{request(), successor()} {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := entry.ParseEnrolmentRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	long := strings.Repeat("x", 65)
	for name, test := range map[string]struct {
		change func(*entry.EnrolmentRequest)
		want   string
	}{
		"a short TLS key":       {func(r *entry.EnrolmentRequest) { r.TLS = make([]byte, 31) }, "31 bytes instead of 32"},
		"no gateway":            {func(r *entry.EnrolmentRequest) { r.Gateway = "" }, "0 bytes"},
		"no points":             {func(r *entry.EnrolmentRequest) { r.Points = nil }, "0 metering points"},
		"point twice":           {func(r *entry.EnrolmentRequest) { r.Points[1].Subject = "mp-1" }, "stands twice"},
		"long key":              {func(r *entry.EnrolmentRequest) { r.Key = make([]byte, 129) }, "key of 129 bytes"},
		"long model":            {func(r *entry.EnrolmentRequest) { r.Model = long }, "model has 65"},
		"control character":     {func(r *entry.EnrolmentRequest) { r.Serial = "a\nb" }, "control character"},
		"many devices":          {func(r *entry.EnrolmentRequest) { r.Devices = make([]entry.RequestDevice, 65) }, "65 devices"},
		"a device of no model":  {func(r *entry.EnrolmentRequest) { r.Devices[0].Model = "" }, "model has 0"},
		"long serial":           {func(r *entry.EnrolmentRequest) { r.Devices[0].Serial = long }, "serial number has 65"},
		"long place":            {func(r *entry.EnrolmentRequest) { r.Devices[0].Where = long }, "place has 65"},
		"long point":            {func(r *entry.EnrolmentRequest) { r.Devices[0].Subject = strings.Repeat("x", 129) }, "point has 129"},
		"points of its own":     {func(r *entry.EnrolmentRequest) { r.Replaces = make([]byte, 16) }, "takes over its metering points"},
		"no key id to replace":  {func(r *entry.EnrolmentRequest) { r.Points, r.Replaces = nil, make([]byte, 15) }, "key id of 15"},
		"no name with it":       {func(r *entry.EnrolmentRequest) { r.Points, r.Replaces, r.Gateway = nil, make([]byte, 16), "" }, "0 bytes"},
		"long key that follows": {func(r *entry.EnrolmentRequest) { *r = *successor(); r.Key = make([]byte, 129) }, "key of 129 bytes"},
	} {
		r := request()
		test.change(r)
		if _, err := r.Encode(); !errors.Is(err, entry.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, test.want)
		}
		b, err := deterministic.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.ParseEnrolmentRequest(b); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read with error %v", name, err)
		}
	}
}

// TestCarriedRequests has the entries around a request: what is carried has 1 to
// MaxRequest bytes, which leaves room for two envelopes in the largest statement.
func TestCarriedRequests(t *testing.T) {
	for _, n := range []int{0, 1, entry.MaxRequest, entry.MaxRequest + 1} {
		carried := make([]byte, n)
		ok := n > 0 && n <= entry.MaxRequest
		r := entry.Rotation{Request: carried}
		e := entry.ProvenEnrolment{Request: carried}
		for what, encode := range map[string]func() ([]byte, error){"rotation": r.Encode, "proven enrolment": e.Encode} {
			b, err := encode()
			if (err == nil) != ok {
				t.Errorf("a %s of %d bytes is written with error %v", what, n, err)
			}
			if err == nil && len(b) > signer.MaxMessage-1000 {
				t.Errorf("a %s of %d bytes has %d: no room for an envelope", what, n, len(b))
			}
		}
		b, err := deterministic.Marshal(map[int][]byte{1: carried})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.ParseRotation(b); (err == nil) != ok {
			t.Errorf("a rotation of %d bytes is read with error %v", n, err)
		}
		if _, err := entry.ParseProvenEnrolment(b); (err == nil) != ok {
			t.Errorf("a proven enrolment of %d bytes is read with error %v", n, err)
		}
	}
}

// signed makes a statement without sequence number, as requests are.
func signed(t *testing.T, key *signer.PrivateKey, typ, issuer string, payload []byte) []byte {
	t.Helper()
	c := entry.Claims{Issuer: issuer, Audience: "example.org/street", IssuedAt: noon / 1000}
	b, err := signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: encodeClaims(t, c)}, payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRequestVectors has a first enrolment and a rotation, whole: the request signed
// by the new key, in the rotation signed by the old, in the oracle's enrolment.
func TestRequestVectors(t *testing.T) {
	keys, _ := vectorKeys(t)
	const gateway, oracle = "urn:wattmark:gateway:home-01", "urn:wattmark:oracle:example.org/street/oracle-1"
	first, next := request(), successor()
	first.Key = keys[0].Public().Bytes()
	next.Key = keys[1].Public().Bytes()
	old := keys[0].Public().ID()
	next.Replaces = old[:]
	encoded := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	asked := signed(t, keys[0], entry.TypeRequest, gateway, encoded(first.Encode()))
	askedNext := signed(t, keys[1], entry.TypeRequest, gateway, encoded(next.Encode()))
	rotation := &entry.Rotation{Request: askedNext}
	consent := signed(t, keys[0], entry.TypeRotation, gateway, encoded(rotation.Encode()))
	admitted, rotated := &entry.ProvenEnrolment{Request: asked}, &entry.ProvenEnrolment{Request: consent}
	with := *first
	with.TLS = bytes.Repeat([]byte{0xa5}, 32)
	certified := &with
	checkVectors(t, "requests.json", []example{
		of("enrolment request", first, first.Encode, entry.ParseEnrolmentRequest),
		of("enrolment request of a key that replaces another", next, next.Encode, entry.ParseEnrolmentRequest),
		of("rotation", rotation, rotation.Encode, entry.ParseRotation),
		of("proven enrolment", admitted, admitted.Encode, entry.ParseProvenEnrolment),
		of("proven enrolment of a rotation", rotated, rotated.Encode, entry.ParseProvenEnrolment),
		of("enrolment request with a TLS key", certified, certified.Encode, entry.ParseEnrolmentRequest),
	})
	var made []vector
	for _, s := range []struct {
		name string
		b    []byte
	}{
		{"enrolment request", asked},
		{"rotation", consent},
		{"proven enrolment of an oracle", signed(t, keys[2], entry.TypeProvenEnrolment, oracle, encoded(admitted.Encode()))},
	} {
		made = append(made, vector{Name: s.name, CBOR: hex.EncodeToString(s.b), Diagnostic: diagnose(t, s.b)})
	}
	sameVectors(t, "requeststatements.json", made)
	for name, b := range readVectors(t, "requeststatements.json") {
		m, err := signer.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		by := keys[0]
		if m.Type == entry.TypeProvenEnrolment {
			by = keys[2]
		}
		if _, err := signer.Verify(m, by.Public()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, r := range []*entry.EnrolmentRequest{request(), successor()} {
		b, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(fmt.Append(nil, "\xa1\x01\x41x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := entry.ParseEnrolmentRequest(b); err == nil {
			reencodes(t, b, r.Encode)
		}
		if r, err := entry.ParseRotation(b); err == nil {
			reencodes(t, b, r.Encode)
		}
		if e, err := entry.ParseProvenEnrolment(b); err == nil {
			reencodes(t, b, e.Encode)
		}
	})
}
