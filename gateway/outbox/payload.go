package outbox

import "encoding/binary"

// markKind says what became of a number. The values are on disk.
type markKind byte

const (
	markReceipted markKind = 1 // a receipt verified; text is the receipt
	markRefused   markKind = 2 // refused for good; text is the reason
	markResend    markKind = 3 // no longer refused
	markCovered   markKind = 4 // the gap from this number to upTo is said by statement by
	markBoot      markKind = 5 // the boot count was raised; upTo is reserved
	markReserved  markKind = 6 // numbers of this boot are reserved to upTo
	markThinned   markKind = 7 // the statement replaced those of list
)

// mark is the payload of a record of kind mark.
type mark struct {
	kind markKind
	text []byte   // receipt, or reason
	by   Number   // markCovered
	upTo uint64   // markCovered, markBoot, markReserved
	list []Number // markThinned
}

func (m *mark) encode() []byte {
	b := []byte{byte(m.kind)}
	switch m.kind {
	case markReceipted, markRefused:
		b = append(b, m.text...)
	case markCovered:
		b = appendBytes(b, m.text)
		b = binary.AppendUvarint(b, m.upTo)
		b = binary.AppendUvarint(b, m.by.Boot)
		b = binary.AppendUvarint(b, m.by.Seq)
	case markBoot, markReserved:
		b = binary.AppendUvarint(b, m.upTo)
	case markThinned:
		b = appendNumbers(b, m.list)
	}
	return b
}

func decodeMark(payload []byte) (mark, error) {
	f := fields{rest: payload}
	m := mark{kind: markKind(f.byte())}
	switch m.kind {
	case markReceipted, markRefused:
		m.text, f.rest = f.rest, nil
		if len(m.text) > MaxReceipt {
			f.fail("mark too long")
		}
	case markResend:
	case markCovered:
		m.text = f.bytes(maxReason)
		m.upTo = f.uvarint(maxSeq)
		m.by = Number{f.uvarint(maxBoot), f.uvarint(maxSeq)}
	case markBoot, markReserved:
		m.upTo = f.uvarint(maxSeq)
	case markThinned:
		m.list = f.numbers()
	default:
		f.fail("kind of mark")
	}
	if len(f.rest) != 0 {
		f.fail("bytes left over")
	}
	return m, f.err
}

func markRecord(n Number, m mark) logRecord {
	return logRecord{kind: kindMark, boot: n.Boot, seq: n.Seq, payload: m.encode()}
}

func gapRecord(g Gap) logRecord {
	b := binary.AppendUvarint(nil, g.Last)
	b = binary.AppendUvarint(b, g.Count)
	b = append(b, g.Reason...)
	return logRecord{kind: kindGap, boot: g.Boot, seq: g.First, payload: b}
}

func decodeGap(r *logRecord) (Gap, error) {
	f := fields{rest: r.payload}
	g := Gap{Range: Range{Boot: r.boot, First: r.seq, Last: f.uvarint(maxSeq)}, Count: f.uvarint(maxSeq)}
	if len(f.rest) == 0 || len(f.rest) > maxReason || g.Last < g.First {
		f.fail("gap")
	}
	g.Reason = Reason(f.rest)
	return g, f.err
}

// statementPayload joins the statement, the mark it brings along (nil for none) and
// its pack.
func statementPayload(statement, pack []byte, note *mark) []byte {
	b := make([]byte, 0, len(statement)+len(pack)+8)
	b = appendBytes(b, statement)
	if note != nil {
		b = appendBytes(b, note.encode())
	}
	return append(b, pack...)
}

// decodeStatement takes a statement's payload apart. The note's kind is 0 when
// there is none. The byte slices are parts of the payload.
func decodeStatement(r *logRecord) (Record, mark, error) {
	f := fields{rest: r.payload}
	rec := Record{Boot: r.boot, Seq: r.seq, Statement: f.bytes(MaxStatement)}
	var note mark
	if r.flags&flagNoted != 0 {
		b := f.bytes(MaxReceipt + 1)
		if f.err == nil {
			note, f.err = decodeMark(b)
		}
		if note.kind != markReceipted && note.kind != markRefused && note.kind != markThinned {
			f.fail("note")
		}
	}
	if len(f.rest) > MaxPack || len(rec.Statement) == 0 || rec.Boot == 0 || rec.Seq == 0 {
		f.fail("statement")
	}
	if len(f.rest) > 0 {
		rec.Pack = f.rest
	}
	return rec, note, f.err
}
