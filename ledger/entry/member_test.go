package entry_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/entry"
)

func memberRequest(t *testing.T) *entry.MemberRequest {
	keys, _ := vectorKeys(t)
	return &entry.MemberRequest{
		Algorithm: -8, Key: keys[0].Public().Bytes(), Member: "m-7f3a", Zone: "street", Power: 24_000, Renewable: true,
		Connections: []entry.Connection{
			{Subject: "mp-1", Import: "active_energy_import", Export: "active_energy_export"},
			{Subject: "mp-2", Import: "heat_pump_import"},
		},
	}
}

func TestMemberVectors(t *testing.T) {
	r := memberRequest(t)
	few := memberRequest(t)
	few.Renewable, few.Connections = false, few.Connections[1:]
	m := &entry.Member{Request: []byte("a statement")}
	adopted := &entry.Outcome{Kind: entry.OutcomeAdopted, Hash: [32]byte{1}, Code: entry.AdoptedMember, Detail: "m-7f3a"}
	checkVectors(t, "members.json", []example{
		of("member request", r, r.Encode, entry.ParseMemberRequest),
		of("member request of one point without export", few, few.Encode, entry.ParseMemberRequest),
		of("member", m, m.Encode, entry.ParseMember),
		of("adopted", adopted, always(adopted.Encode), entry.ParseOutcome),
	})
}

func TestMemberRequestRefused(t *testing.T) {
	for name, change := range map[string]func(*entry.MemberRequest){
		"no member":              func(r *entry.MemberRequest) { r.Member = "" },
		"a space in the id":      func(r *entry.MemberRequest) { r.Member = "a b" },
		"a long zone":            func(r *entry.MemberRequest) { r.Zone = strings.Repeat("z", 65) },
		"no power":               func(r *entry.MemberRequest) { r.Power = 0 },
		"too much power":         func(r *entry.MemberRequest) { r.Power = entry.MaxPower + 1 },
		"no metering point":      func(r *entry.MemberRequest) { r.Connections = nil },
		"a metering point twice": func(r *entry.MemberRequest) { r.Connections[1].Subject = "mp-1" },
		"one register for both":  func(r *entry.MemberRequest) { r.Connections[0].Export = r.Connections[0].Import },
		"a long key":             func(r *entry.MemberRequest) { r.Key = make([]byte, 129) },
		"nine metering points": func(r *entry.MemberRequest) {
			r.Connections = nil
			for i := range 9 {
				r.Connections = append(r.Connections, entry.Connection{Subject: string(rune('a' + i)), Import: "i"})
			}
		},
	} {
		r := memberRequest(t)
		change(r)
		if _, err := r.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseMember(f *testing.F) {
	r := &entry.MemberRequest{Algorithm: -8, Key: make([]byte, 32), Member: "m", Zone: "z", Power: 1, Connections: []entry.Connection{{Subject: "p", Import: "i"}}}
	b, err := r.Encode()
	if err != nil {
		f.Fatal(err)
	}
	m, err := (&entry.Member{Request: b}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(m)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := entry.ParseMemberRequest(b); err == nil {
			if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("request %x encodes to %x, %v", b, again, err)
			}
		}
		if m, err := entry.ParseMember(b); err == nil {
			if again, err := m.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("member %x encodes to %x, %v", b, again, err)
			}
		}
	})
}

// readSeeds returns the bytes of a file's vectors for fuzzing.
func readSeeds(file string) (out [][]byte) {
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		return nil
	}
	var list []vector
	if json.Unmarshal(b, &list) != nil {
		return nil
	}
	for _, v := range list {
		if b, err := hex.DecodeString(v.CBOR); err == nil {
			out = append(out, b)
		}
	}
	return out
}
