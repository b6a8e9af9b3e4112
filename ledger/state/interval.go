package state

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// spotID is an interval of a zone.
type spotID struct {
	zone string
	at   unit.Interval
}

func compareSpotIDs(a, b spotID) int {
	if c := strings.Compare(a.zone, b.zone); c != 0 {
		return c
	}
	return compareIntervals(a.at, b.at)
}

func (id spotID) key(prefix string) string {
	return prefix + id.zone + "\x00" + string(binary.BigEndian.AppendUint64(nil, uint64(id.at)))
}

// interval is an interval of a zone from its gate to its last run.
type interval struct {
	Zone    string        `cbor:"1,keyasint"`
	At      unit.Interval `cbor:"2,keyasint"`
	Beacon  [32]byte      `cbor:"3,keyasint"`
	Cleared uint64        `cbor:"4,keyasint"` // height of the block that holds the clearing
	// Price is that of the auction's open pass, nil for none.
	Price *unit.Price `cbor:"5,keyasint,omitempty"`
	// Auction are the lines of bills that the auction made.
	Auction []auctionLine `cbor:"6,keyasint,omitempty"`
	// Rows are the members' parts, by id, encoded: there are many of them, and few are
	// looked at.
	Rows []byte `cbor:"7,keyasint"`
	// What follows is of the newest settlement; Version 0 is none.
	Version  uint64        `cbor:"8,keyasint,omitempty"`
	Run      int           `cbor:"9,keyasint,omitempty"`
	Height   uint64        `cbor:"10,keyasint,omitempty"`
	Totals   *entry.Totals `cbor:"11,keyasint,omitempty"`
	Void     string        `cbor:"12,keyasint,omitempty"`
	Invoiced int64         `cbor:"13,keyasint,omitempty"` // time of the block of R1
	Salt     []byte        `cbor:"14,keyasint,omitempty"` // of the line of totals
	// Closed: a reading that it rests on was forgotten, and it stands as it is.
	Closed bool `cbor:"15,keyasint,omitempty"`
	// Opaque: it was settled by packs that are not at hand. No oracle's state has it.
	Opaque bool `cbor:"16,keyasint,omitempty"`
	// Unaccounted is what the feeder's meter shows and no member's, nil where not known.
	Unaccounted *unit.Energy `cbor:"17,keyasint,omitempty"`
}

// row is one member's part of an interval.
type row struct {
	_    struct{} `cbor:",toarray"`
	Line entry.Line
	Salt []byte // nil before the first settlement, and where forgotten
	// Hash is the leaf hash of a line that was forgotten, else nil.
	Hash []byte
}

// auctionLine is a market.Line of the auction.
type auctionLine struct {
	_      struct{} `cbor:",toarray"`
	Member string
	Kind   int
	Energy unit.Energy
	Price  unit.Price
	Amount unit.Money
}

func (v *interval) id() spotID       { return spotID{v.Zone, v.At} }
func (v *interval) storeKey() string { return v.id().key("i") }

func (v *interval) rows() []row {
	var out []row
	must(0, decMode.Unmarshal(v.Rows, &out))
	return out
}

func (v *interval) setRows(rows []row) { v.Rows = must(encMode.Marshal(rows)) }

func (s *State) loadInterval(b []byte) error {
	var v interval
	if err := decMode.Unmarshal(b, &v); err != nil {
		return err
	}
	var rows []row
	if err := decMode.Unmarshal(v.Rows, &rows); err != nil {
		return err
	}
	s.intervals[v.id()] = &v
	return nil
}

// settled is what the outcome says of the newest settlement, without its root.
func (s *State) settled(v *interval, members int) *entry.Settled {
	z := s.zones[v.Zone]
	out := &entry.Settled{
		Zone: v.Zone, Interval: v.At, Run: v.Run, Version: v.Version, Beacon: v.Beacon,
		Terms: market.TermsOf(z.tariff(v.At)), AuctionPrice: v.Price, Members: uint64(members), Void: v.Void,
	}
	if t := v.Totals; t != nil && t.Measured+t.Estimated >= entry.LeastTotals {
		out.Totals = t
		if out.Unaccounted = v.Unaccounted; out.Unaccounted != nil {
			f := z.tariff(v.At).Feeder
			out.Alarm = f != nil && max(*v.Unaccounted, -*v.Unaccounted) > f.Tolerance
		}
	}
	return out
}

// tree returns the leaf hashes of a settled interval's lines: totals, then members.
func (v *interval) tree(rows []row) []block.Hash {
	totals := entry.Disclosed{Salt: v.Salt, Totals: v.Totals}
	out := []block.Hash{block.LeafHash(totals.Encode())}
	for i := range rows {
		r := &rows[i]
		if r.Hash != nil {
			out = append(out, block.Hash(r.Hash))
			continue
		}
		d := entry.Disclosed{Salt: r.Salt, Line: &r.Line}
		out = append(out, block.LeafHash(d.Encode()))
	}
	return out
}

// rootOf returns the root of the Merkle tree of leaf hashes.
func rootOf(leaves []block.Hash) block.Hash {
	var t block.Tree
	for _, h := range leaves {
		t.Append(h, nil)
	}
	return t.Root()
}

// saltLines gives every line of a settlement its salt, which whoever has forgotten the
// packs cannot make again.
func (s *State) saltLines(v *interval, rows []row) {
	all := sha256.New()
	all.Write([]byte("wattmark totals\x00"))
	for i := range rows {
		r := &rows[i]
		h := sha256.New()
		h.Write([]byte("wattmark line\x00"))
		if m := s.members[r.Line.Member]; m != nil {
			h.Write(s.lineSecret(m, v.At))
		}
		h.Write([]byte(v.id().key("")))
		h.Write(binary.BigEndian.AppendUint64(nil, v.Version))
		h.Write([]byte(r.Line.Member))
		r.Salt = h.Sum(nil)[:entry.SaltSize]
		all.Write(r.Salt)
	}
	v.Salt = all.Sum(nil)[:entry.SaltSize]
}

// forgetMetered erases what the state has of a metering point's energy. What is settled
// stands, and is settled no more.
func (s *State) forgetMetered(subject string) {
	var ids []spotID
	for _, id := range slices.SortedFunc(maps.Keys(s.days), compareDayIDs) {
		if id.subject == subject {
			s.erase(s.days[id])
			delete(s.days, id)
		}
	}
	c, ok := s.connections[subject]
	if !ok {
		return
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.intervals), compareSpotIDs) {
		if id.zone == c.member.Zone {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		s.forgetLine(s.intervals[id], c.member.Member)
	}
}

func (s *State) forgetLine(v *interval, member string) {
	rows := v.rows()
	i, ok := slices.BinarySearchFunc(rows, member, func(r row, id string) int { return strings.Compare(r.Line.Member, id) })
	if !ok || v.Version == 0 {
		return
	}
	h := v.tree(rows)[i+1]
	rows[i] = row{Line: entry.Line{Member: member, Quality: int(market.Missing)}, Hash: h[:]}
	v.setRows(rows)
	v.Closed = true
	s.touch(v)
}
