package sml

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"wattmark/hardware"
	"wattmark/hardware/obis"
)

const (
	// getListResponse is the tag of SML_GetList.Res (section 5.1).
	getListResponse = 0x0701
	endOfMessage    = 0x00
	// maxEntries is how many values of ours one file may hold: meters send ten or twenty.
	maxEntries = 64
)

// list is what the lists of a file say. The meter's number may come after its power, so
// values wait until all is read.
type list struct {
	maker   []byte
	version []byte
	server  []byte // the meter's identification: its own entry, else the list's head
	head    []byte
	entries [maxEntries]entry
	n       int
}

// entry is the value of one of our codes.
type entry struct {
	code  obis.Code
	value obis.Quantity
	// signed is how many bytes a value had that came as signed, 0 for others.
	signed int
}

// message takes one message (section 5.1): transaction, group, what to do on errors, body,
// checksum, end. Of the bodies only lists are read; the checksum of the file has been
// looked at, and covers all.
func (l *list) message(r *reader) error {
	if err := r.list(6, "a message"); err != nil {
		return err
	}
	if err := r.skip(3); err != nil {
		return err
	}
	if err := r.list(2, "a message's body"); err != nil {
		return err
	}
	e, err := r.next()
	if err != nil {
		return err
	}
	switch tag, ok := e.unsigned(); {
	case !ok:
		return malformed("a message's tag is no number")
	case tag == getListResponse:
		err = l.response(r)
	default:
		err = r.skip(1)
	}
	if err != nil {
		return err
	}
	if err := r.skip(1); err != nil {
		return err
	}
	if len(r.rest) == 0 || r.rest[0] != endOfMessage {
		return refuse(hardware.ErrTruncated, errors.New("a message does not end where it should"))
	}
	r.rest = r.rest[1:]
	return nil
}

// response takes an SML_GetList.Res (section 5.1.15): client, server, name, time, values,
// signature, time.
func (l *list) response(r *reader) error {
	if err := r.list(7, "a list's message"); err != nil {
		return err
	}
	if err := r.skip(1); err != nil {
		return err
	}
	server, err := r.next()
	if err != nil {
		return err
	}
	if server.kind == typeOctets && l.head == nil {
		l.head = server.data
	} else if server.kind == typeList {
		return malformed("a server is no list")
	}
	if err := r.skip(2); err != nil {
		return err
	}
	values, err := r.next()
	if err != nil {
		return err
	}
	if values.kind != typeList {
		return malformed("the values are no list")
	}
	for range values.items {
		if err := l.entry(r); err != nil {
			return err
		}
	}
	return r.skip(2)
}

// entry takes an SML_ListEntry: name, status, time, unit, scaler, value, signature.
func (l *list) entry(r *reader) error {
	if err := r.list(7, "an entry"); err != nil {
		return err
	}
	name, err := r.next()
	if err != nil {
		return err
	}
	if name.kind == typeList {
		return malformed("a name is no list")
	}
	if err := r.skip(2); err != nil {
		return err
	}
	var parts [3]element // unit, scaler, value
	for i := range parts {
		if parts[i], err = r.next(); err != nil {
			return err
		}
		if parts[i].kind == typeList {
			if err := r.skip(parts[i].items); err != nil {
				return err
			}
		}
	}
	if err := r.skip(1); err != nil {
		return err
	}
	if name.kind != typeOctets || len(name.data) != 6 || parts[2].absent() {
		return nil
	}
	return l.put(name.data, parts[0], parts[1], parts[2])
}

// The names of entries that say what the meter is.
var (
	makerNames   = [][]byte{{129, 129, 199, 130, 3, 255}, {1, 0, 96, 50, 1, 1}}
	serverNames  = [][]byte{{1, 0, 0, 0, 9, 255}, {1, 0, 96, 1, 0, 255}}
	versionNames = [][]byte{{1, 0, 0, 2, 0, 0}, {1, 0, 0, 2, 0, 255}}
)

func among(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}

// put keeps the value of an entry, if it is one of ours.
func (l *list) put(name []byte, unit, scaler, value element) error {
	if value.kind == typeOctets {
		switch {
		case among(makerNames, name) && l.maker == nil:
			l.maker = value.data
		case among(serverNames, name) && l.server == nil:
			l.server = value.data
		case among(versionNames, name) && l.version == nil:
			l.version = value.data
		}
		return nil
	}
	code := obis.Code{A: uint16(name[0]), B: uint16(name[1]), C: uint16(name[2]), D: uint16(name[3]), E: uint16(name[4]), F: uint16(name[5])}
	if !obis.Known(code) {
		return nil
	}
	e := entry{code: code}
	if n, ok := unit.unsigned(); ok {
		e.value.Unit = obis.UnitNumber(n)
	}
	if n, ok := scaler.signed(); ok {
		if n < math.MinInt8 || n > math.MaxInt8 {
			return malformed("%s has the scaler %d", code, n)
		}
		e.value.Exponent = int8(n)
	}
	if n, ok := value.signed(); ok {
		e.value.Mantissa, e.signed = n, len(value.data)
	} else if n, ok := value.unsigned(); ok {
		if n > math.MaxInt64 {
			return refuse(hardware.ErrOverflow, fmt.Errorf("%s is %d", code, n))
		}
		e.value.Mantissa = int64(n)
	} else {
		return nil
	}
	if l.n < maxEntries {
		l.entries[l.n] = e
		l.n++
	}
	return nil
}

// fill puts what the lists said into dst.
func (l *list) fill(dst *hardware.Batch) {
	if l.server == nil {
		l.server = l.head
	}
	dst.Identity = l.identity()
	affected := dzg(l.server)
	var m obis.Message
	for i := range l.entries[:l.n] {
		e := &l.entries[i]
		if affected && e.value.Unit == hardware.Watt && e.signed >= 1 && e.signed <= 3 && e.value.Mantissa < 0 {
			e.value.Mantissa += 1 << (8 * e.signed)
			dst.Warn(hardware.WarnWorkaround, fmt.Sprintf("DZG DVS74 sends positive power as signed: %s was read as unsigned", e.code))
		}
		if !m.Add(e.code, e.value, wholeKilowattHours(e.value)) {
			dst.Warn(hardware.WarnSkipped, fmt.Sprintf("%s: not in its unit", e.code))
		}
	}
	m.Fill(dst, 0)
}

// wholeKilowattHours marks energies that have no digits below the kilowatt hour, which is
// what a meter gives without its PIN, whatever its scaler promises.
func wholeKilowattHours(q obis.Quantity) hardware.Quality {
	if q.Unit != hardware.WattHour && q.Unit != hardware.VarHour || q.Mantissa == 0 || q.Exponent < -15 {
		return 0
	}
	step := int64(1)
	for range 3 - int(q.Exponent) {
		step *= 10
	}
	if q.Mantissa%step != 0 {
		return 0
	}
	return hardware.Coarse
}

// server identifications have ten bytes (DIN 43863-5): how many, the medium, three
// letters of the maker, the block, and four bytes of the number.
const serverSize = 10

// fields takes a server identification apart; ok is false for those of older kinds.
func fields(server []byte) (maker []byte, number uint32, ok bool) {
	if len(server) != serverSize || server[0] != 0x0A && server[0] != 0x09 || server[1] > 9 {
		return nil, 0, false
	}
	maker = server[2:5]
	for _, c := range maker {
		if c < 'A' || c > 'Z' {
			return nil, 0, false
		}
	}
	return maker, binary.BigEndian.Uint32(server[6:]), true
}

// dzg reports whether the meter is a DVS74 of DZG that sends positive power as signed.
func dzg(server []byte) bool {
	maker, n, ok := fields(server)
	return ok && string(maker) == "DZG" && (n >= 42_000_000 && n <= 48_999_999 || n >= 55_000_000 && n <= 58_999_999)
}

// identity returns what the meter says it is, its number as it is printed on its front:
// "1ISK0067362659".
func (l *list) identity() (id hardware.Identity) {
	id.Manufacturer = printable(l.maker)
	id.Version = printable(l.version)
	maker, number, ok := fields(l.server)
	switch {
	case ok:
		id.Serial = fmt.Sprintf("%d%s%02X%08d", l.server[1], maker, l.server[5], number)
		if id.Manufacturer == "" {
			id.Manufacturer = string(maker)
		}
	case len(l.server) > 0:
		if id.Serial = printable(l.server); id.Serial == "" {
			id.Serial = hex.EncodeToString(l.server)
		}
	}
	return id
}

// printable returns b as text without the NULs and spaces around it, "" if it is none.
func printable(b []byte) string {
	b = bytes.Trim(b, "\x00 ")
	for _, c := range b {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(b)
}
