package outbox_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"wattmark/gateway/outbox"
)

// aFilledLog is the files of an outbox that has seen everything, by name.
func aFilledLog(t testing.TB) map[string][]byte {
	t.Helper()
	fsys := newSim()
	o, _, err := outbox.Open(fsys, "box", simOptions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.RaiseBoot("boot"); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		boot, seq, _, err := o.NextSeq()
		if err != nil {
			t.Fatal(err)
		}
		if i%7 == 3 {
			continue
		}
		n := outbox.Number{Boot: boot, Seq: seq}
		rec := outbox.Record{Boot: boot, Seq: seq, Statement: statementOf(n), Pack: packOf(n), Covers: o.Gaps()}
		if list, err := o.Thinnable(outbox.Number{}, 2); i%11 == 9 && err == nil && len(list) > 0 {
			rec.Replaces = []outbox.Number{list[0].Number()}
		}
		if err := o.Append(rec); err != nil {
			t.Fatal(err)
		}
		if err := o.Put("total", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		switch i % 5 {
		case 1:
			err = o.Receipted(boot, seq, []byte("receipt"))
		case 2:
			err = o.Refused(boot, seq, "clock too far")
		case 4:
			err = o.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for name, f := range fsys.now {
		files[name] = f.now
	}
	return files
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func FuzzHeader(f *testing.F) {
	f.Add(outbox.MakeSegment("gw", 3, 2048, nil)[:256])
	for _, b := range aFilledLog(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 256 { // or the checksum would keep all but a few out
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b[252:], crc32.Checksum(b[:252], castagnoli))
		}
		back := outbox.RecodeHeader(b)
		if back != nil && !bytes.HasPrefix(b, back) {
			t.Errorf("%x is encoded again as %x", b, back)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte("wattmark outbox state 1\nboot 3\nboot_id \ncrc32c 00000000\n"))
	for _, b := range aFilledLog(f) {
		f.Add(b[:min(len(b), 200)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if i := bytes.Index(b, []byte("\ncrc32c ")); i >= 0 { // as above
			b = fmt.Appendf(nil, "%s\ncrc32c %08x\n", b[:i], crc32.Checksum(b[:i+1], castagnoli))
		}
		back := outbox.RecodeState(b)
		if back != nil && !bytes.Equal(b, back) {
			t.Errorf("%q is encoded again as %q", b, back)
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add(byte(1), byte(0), uint64(1), uint64(2), []byte("\x01ab"))
	f.Add(byte(1), byte(0x40), uint64(1), uint64(2), []byte("\x01a\x02\x01rpack"))
	f.Add(byte(1), byte(0x40), uint64(1), uint64(9), []byte("\x01a\x05\x07\x01\x02\x01\x03pack"))
	f.Add(byte(2), byte(0), uint64(1), uint64(2), []byte("\x05\x01full"))
	f.Add(byte(4), byte(0), uint64(0), uint64(0), []byte("\x05total12 Wh"))
	f.Add(byte(3), byte(0), uint64(1), uint64(2), []byte("\x01receipt"))
	f.Add(byte(3), byte(0), uint64(1), uint64(2), []byte("\x03"))
	f.Add(byte(3), byte(0), uint64(1), uint64(2), []byte("\x04\x04full\x05\x01\x09"))
	f.Add(byte(3), byte(0), uint64(1), uint64(0), []byte("\x06\x80\x02"))
	f.Fuzz(func(t *testing.T, kind, flag byte, boot, seq uint64, payload []byte) {
		back := outbox.RecodePayload(kind, flag, boot, seq, payload)
		if back != nil && !bytes.Equal(payload, back) {
			t.Errorf("kind %d: %x is encoded again as %x", kind, payload, back)
		}
	})
}

func FuzzSegment(f *testing.F) {
	for _, b := range aFilledLog(f) {
		f.Add(b, uint32(1))
		f.Add(b, uint32(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, ordinal uint32) {
		if back := outbox.RecodeSegment(b, ordinal); !bytes.Equal(b, back) {
			t.Errorf("the records of %x are encoded again as %x", b, back)
		}
	})
}

// FuzzOpen opens outboxes of any two segments and state file: it may refuse them,
// but what it opens works, and opens again with the same statements.
func FuzzOpen(f *testing.F) {
	log := aFilledLog(f)
	var first []byte
	for n, b := range log {
		if strings.HasPrefix(n, "box/0000000001-") {
			first = b
		}
	}
	f.Add(first, first[:300], log["box/state"], []byte(nil))
	f.Add(first, []byte(nil), []byte(nil), []byte(nil))
	// Records of good form and any sense: kind, flags, boot, sequence, length, payload.
	f.Add([]byte(nil), []byte(nil), []byte(nil), []byte("\x01\x80\x01\x01\x03\x02ab\x03\x00\x01\x01\x02\x01r\x02\x00\x01\x02\x06\x03\x01full\x03\x00\x01\x00\x02\x06\x07"))
	f.Fuzz(func(t *testing.T, one, two, state, raw []byte) {
		var records []outbox.RawRecord
		for len(raw) >= 5 {
			n := min(int(raw[4]), len(raw)-5)
			records = append(records, outbox.RawRecord{
				Kind: raw[0], Flags: raw[1], Boot: uint64(raw[2]), Seq: uint64(raw[3]), Payload: raw[5 : 5+n],
			})
			raw = raw[5+n:]
		}
		openAny(t, one, two, state, records)
	})
}

// openAny opens an outbox of three segments, the second one of the records if there
// are any, and uses it.
func openAny(t *testing.T, one, two, state []byte, records []outbox.RawRecord) {
	name := func(n uint32) string { return "box/" + outbox.SegmentName(n) }
	fsys := newSim()
	put := func(name string, b []byte) { fsys.now[name] = &simFile{now: bytes.Clone(b), durable: bytes.Clone(b)} }
	put(name(1), one)
	if len(records) > 0 {
		put(name(2), outbox.MakeSegment("gw", 2, 2048, records))
	}
	put(name(3), two)
	put("box/state", state)
	fsys.durable = fsys.now
	o, report, err := outbox.Open(fsys, "box", simOptions)
	if err != nil {
		return // of another gateway, or of a later version
	}
	if err := outbox.Check(o); err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	if _, err := o.RaiseBoot("boot"); err != nil {
		return // a boot count at its end
	}
	numbers := func(o *outbox.Outbox) (out []outbox.Number) {
		for {
			var after outbox.Number
			if len(out) > 0 {
				after = out[len(out)-1]
			}
			list, err := o.Pending(after, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				return out
			}
			for i := range list {
				out = append(out, list[i].Number())
			}
		}
	}
	boot, seq, _, err := o.NextSeq()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Append(outbox.Record{Boot: boot, Seq: seq, Statement: []byte("fresh"), Covers: o.Gaps()}); err != nil {
		t.Fatal(err)
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	want := numbers(o)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	again, _, err := outbox.Open(fsys, "box", simOptions)
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(again); len(got) != len(want) || len(got) == 0 {
		t.Errorf("opened again %v are pending, before %v\n%s", got, want, report)
	}
	if state, err := again.State(); state != outbox.OnDisk {
		t.Error(err)
	}
	if err := again.Retry(time.Unix(1, 0)); err != nil {
		t.Error(err)
	}
}
