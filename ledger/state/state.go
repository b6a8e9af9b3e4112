package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/account"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/signer"
)

// State is the machine between two blocks. It has one owner; it is not safe for
// concurrent use. After Execute or Replay returned an error it must be thrown
// away and loaded again.
type State struct {
	charter entry.Charter
	sets    []*oracleSet                      // the charter's, and each that followed, in order of heights
	oracles map[signer.KeyID]int              // statement key to position in the set in force
	past    map[signer.KeyID]signer.PublicKey // statement keys of the sets before that are in use no more
	sealing map[signer.KeyID]bool             // the oracles' keys, ever, for checkpoints and receipts, which sign no statement
	motions map[[32]byte]*motion
	keys    map[signer.KeyID]*key
	names   map[string]signer.KeyID // gateway to its newest key
	points  map[string]*point
	seen    map[seenID]*ranges
	meta    meta
	dirty   map[string]record // what this block changed, by store key; nil for a record that is dropped

	forgotten []string            // points that this block forgot
	order     entry.OrderPosition // of the last block, for snapshots
	missed    bool                // packs were not at hand in some replay

	parties     map[signer.KeyID]*party
	quarantines map[signer.KeyID]*quarantine
	named       map[partyName]signer.KeyID // role and name to the newest key
	members     map[string]*member
	releases    map[string]*release   // by origin and board
	connections map[string]connection // metering point to the member whom it settles
	zones       map[string]*zone
	carbon      carbonBooks
	replayed    [][]byte // leaves of the block that is replayed
	days        map[dayID]*day
	books       map[spotID]*market.Book           // orders that wait for their gate
	seals       map[spotID]map[sealID]*storedSeal // orders that are sealed until it
	intervals   map[spotID]*interval
	standings   map[string]*standings
	disputes    map[disputeID]*dispute
	loaded      []entry.Order // while loading
	posted      bool          // whether the block has moved money
	book        account.Book
	prev        block.Hash // leaf hash of the last block's header, while a block is executed
}

// meta is the part of the state that is one record.
type meta struct {
	Height    uint64            `cbor:"1,keyasint"` // of the next block
	Time      int64             `cbor:"2,keyasint"` // of the last block
	Clocks    []int64           `cbor:"3,keyasint"` // last clock of each oracle
	Settings  []entry.Parameter `cbor:"4,keyasint"` // in force, in order of names
	Proposals []proposal        `cbor:"5,keyasint"` // open or adopted and waiting for their height
	Approvals []approval        `cbor:"6,keyasint"` // of changes of keys, waiting for more oracles
	// Rules are the versions that were voted, in order of names.
	Rules []entry.RuleVersion `cbor:"7,keyasint,omitempty"`
}

type proposal struct {
	Proposal entry.Proposal `cbor:"1,keyasint"`
	Voters   []uint64       `cbor:"2,keyasint"` // positions in the set in force, in order of voting
	Adopted  bool           `cbor:"3,keyasint"`
}

// key is a gateway's enrolled key.
type key struct {
	Algorithm int      `cbor:"1,keyasint"`
	Raw       []byte   `cbor:"2,keyasint"`
	Gateway   string   `cbor:"3,keyasint"`
	Enrolled  uint64   `cbor:"4,keyasint"` // leaf of the enrolment
	Revoked   uint64   `cbor:"5,keyasint"` // leaf of the revocation, 0 for none (leaf 0 is the charter)
	Points    []string `cbor:"6,keyasint"`

	public signer.PublicKey
	since  uint64 // height from which it is active: the block after its enrolment; 0 when loaded
}

type point struct {
	Subject string   `cbor:"1,keyasint"`
	Mode    string   `cbor:"2,keyasint"`
	Key     []byte   `cbor:"3,keyasint"`
	Series  []series `cbor:"4,keyasint"` // in order of channel names
	Opaque  bool     `cbor:"5,keyasint"` // replayed without a pack: plausibility unknown from there
	// Proven: registered by a proven enrolment, and by the rules that came with those.
	Proven bool `cbor:"6,keyasint,omitempty"`
	// Forgotten is the leaf of the entry that closed it and had its packs deleted, 0 for none.
	Forgotten uint64 `cbor:"7,keyasint,omitempty"`
}

// series is a channel's registration and its newest reading.
type series struct {
	Channel entry.Channel `cbor:"1,keyasint"`
	Time    int64         `cbor:"2,keyasint"` // Unix milliseconds of the newest reading, 0 for none
	Value   entry.Decimal `cbor:"3,keyasint"`
	// Calibration is the identity of the newest calibration, nil for none, and Factors
	// what it left the channel with.
	Calibration []byte         `cbor:"4,keyasint,omitempty"`
	Factors     *entry.Factors `cbor:"5,keyasint,omitempty"`
}

// record is anything that is stored under one key.
type record interface{ storeKey() string }

func (*meta) storeKey() string    { return "m" }
func (k *key) storeKey() string   { id := k.public.ID(); return "k" + string(id[:]) }
func (p *point) storeKey() string { return "p" + p.Subject }

// Change is one key's new value in the store. A nil Value deletes the key.
type Change struct {
	Key   []byte
	Value []byte
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, MaxArrayElements: 1 << 20}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// Defaults of the charter's parameters, for those that a charter leaves out.
var defaults = []entry.Parameter{
	{Name: entry.ParamCutBytes, Value: 8 << 20},
	{Name: entry.ParamCutLeaves, Value: 4096},
	{Name: entry.ParamFutureLimit, Value: 120},
	{Name: entry.ParamLateAfter, Value: 24 * 3600},
}

// laterDefaults are those of parameters that came later: they are in the state only
// where a charter or a vote set them, so that ledgers without them keep their state.
// What is 0 here is off.
var laterDefaults = []entry.Parameter{
	{Name: entry.ParamMarketAhead, Value: 7 * 24 * 3600},
	{Name: entry.ParamMarketLead, Value: 900},
	{Name: entry.ParamMarketNotice, Value: 7 * 24 * 3600},
	{Name: entry.ParamMarketR0, Value: 36 * 3600},
	{Name: entry.ParamMarketR1, Value: 7*24*3600 + 12*3600},
	{Name: entry.ParamMarketRegister, Value: 60},
	{Name: entry.ParamMarketRF, Value: 90*24*3600 + 12*3600},
	{Name: entry.ParamMarketReveal, Value: 600},
	{Name: entry.ParamMarketRolling, Value: 0},
	{Name: entry.ParamMarketSealed, Value: 0},
	{Name: entry.ParamSnapshotBlocks, Value: 0},
}

// New returns the state before the genesis block of the ledger that charter
// founds.
func New(charter *entry.Charter) (*State, error) {
	s := &State{
		charter: *charter,
		oracles: make(map[signer.KeyID]int),
		past:    make(map[signer.KeyID]signer.PublicKey),
		sealing: make(map[signer.KeyID]bool),
		motions: make(map[[32]byte]*motion),
		keys:    make(map[signer.KeyID]*key),
		names:   make(map[string]signer.KeyID),
		points:  make(map[string]*point),
		seen:    make(map[seenID]*ranges),
		dirty:   make(map[string]record),

		parties:     make(map[signer.KeyID]*party),
		quarantines: make(map[signer.KeyID]*quarantine),
		named:       make(map[partyName]signer.KeyID),
		members:     make(map[string]*member),
		releases:    make(map[string]*release),
		connections: make(map[string]connection),
		zones:       make(map[string]*zone),
		carbon:      newCarbonBooks(),
		days:        make(map[dayID]*day),
		books:       make(map[spotID]*market.Book),
		seals:       make(map[spotID]map[sealID]*storedSeal),
		intervals:   make(map[spotID]*interval),
		standings:   make(map[string]*standings),
		disputes:    make(map[disputeID]*dispute),
	}
	first, err := readSet(charter.Origin, charter.OracleSet())
	if err != nil {
		return nil, fmt.Errorf("charter: %w", err)
	}
	s.install(first)
	for range charter.Oracles {
		s.meta.Clocks = append(s.meta.Clocks, charter.Time)
	}
	s.meta.Time = charter.Time
	s.meta.Settings = slices.Clone(defaults)
	for _, p := range charter.Parameters {
		if !s.set(p.Name, p.Value) {
			return nil, fmt.Errorf("charter: parameter %q with value %d is not known or out of range", p.Name, p.Value)
		}
	}
	return s, nil
}

// Load returns the state that the stored records describe. each calls its
// argument with every record, in any order.
func Load(charter *entry.Charter, each func(func(key, value []byte) error) error) (*State, error) {
	s, err := New(charter)
	if err != nil {
		return nil, err
	}
	if err := each(s.load); err != nil {
		return nil, fmt.Errorf("loading state: %w", err)
	}
	if err := s.checkLoaded(); err != nil {
		return nil, fmt.Errorf("loading state: %w", err)
	}
	return s, nil
}

// checkLoaded checks what the rules rely on between records.
func (s *State) checkLoaded() error {
	if err := s.installLoaded(); err != nil {
		return err
	}
	if n := len(s.current().Set.Oracles); len(s.meta.Clocks) != n {
		return fmt.Errorf("%d clocks of %d oracles", len(s.meta.Clocks), n)
	}
	for _, q := range s.sortedMotions() {
		if len(q.Voters) == 0 {
			return fmt.Errorf("motion %x has no voter", q.hash[:8])
		}
	}
	for i := range s.meta.Proposals {
		if len(s.meta.Proposals[i].Voters) == 0 {
			return fmt.Errorf("proposal %d has no voter", i)
		}
	}
	for i := range s.meta.Approvals {
		if len(s.meta.Approvals[i].Voters) == 0 {
			return fmt.Errorf("approval %d is nobody's", i)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(s.points)) {
		p := s.points[subject]
		if len(p.Key) != len(signer.KeyID{}) || s.keys[signer.KeyID(p.Key)] == nil {
			return fmt.Errorf("metering point %q has a key that is not enrolled", subject)
		}
	}
	if err := s.book.Check(); err != nil {
		return err
	}
	if err := s.checkMembers(); err != nil {
		return err
	}
	if err := s.checkMarket(); err != nil {
		return err
	}
	if err := s.checkCarbon(); err != nil {
		return err
	}
	return s.restoreBooks()
}

// installLoaded puts in force, one after the other, the sets that were loaded, which
// come in any order.
func (s *State) installLoaded() error {
	later := s.sets[1:]
	s.sets = s.sets[:1:1]
	slices.SortFunc(later, func(a, b *oracleSet) int { return compare(a.Height, b.Height) })
	for _, o := range later {
		read, err := readSet(s.charter.Origin, &o.Set)
		if err != nil {
			return fmt.Errorf("oracle set of block %d: %w", o.Height, err)
		}
		read.Height, read.Leaf = o.Height, o.Leaf
		s.install(read)
	}
	return nil
}

func (s *State) load(k, v []byte) error {
	if len(k) == 0 {
		return errors.New("a record without a key")
	}
	switch k[0] {
	case 'm':
		s.meta = meta{}
		return decMode.Unmarshal(v, &s.meta)
	case 'k':
		var r key
		if err := decMode.Unmarshal(v, &r); err != nil {
			return err
		}
		public, err := signer.NewPublicKey(signer.Algorithm(r.Algorithm), r.Raw)
		if err != nil {
			return err
		}
		r.public = public
		s.keys[public.ID()] = &r
		if old, ok := s.names[r.Gateway]; !ok || s.keys[old].Enrolled < r.Enrolled {
			s.names[r.Gateway] = public.ID()
		}
	case 'p':
		var p point
		if err := decMode.Unmarshal(v, &p); err != nil {
			return err
		}
		s.points[p.Subject] = &p
	case 'q':
		var r ranges
		if err := decMode.Unmarshal(v, &r); err != nil {
			return err
		}
		copy(r.id.key[:], r.Key)
		r.id.boot = r.Boot
		s.seen[r.id] = &r
	case 'o':
		var o oracleSet
		if err := decMode.Unmarshal(v, &o); err != nil {
			return err
		}
		s.sets = append(s.sets, &o)
	case 'g':
		var q motion
		if err := decMode.Unmarshal(v, &q); err != nil {
			return err
		}
		q.hash = q.Motion.Hash()
		s.motions[q.hash] = &q
	case quarantinePrefix:
		return s.loadQuarantine(v)
	case 'a':
		return s.loadParty(v)
	case 'u':
		return s.loadMember(v)
	case releasePrefix:
		return s.loadRelease(v)
	case 'z':
		return s.loadZone(v)
	case 'y':
		return s.loadDay(v)
	case 'x':
		return s.loadOrder(v)
	case sealPrefix[0]:
		return s.loadSeal(v)
	case 'i':
		return s.loadInterval(v)
	case 's':
		return s.loadStandings(v)
	case 'd':
		return s.loadDispute(v)
	case carbonPrefix:
		return s.loadCarbon(k[1:], v)
	case bookPrefix:
		return s.book.Load(k[1:], v)
	default:
		return fmt.Errorf("a record of unknown kind %q", k[0])
	}
	return nil
}

// changes returns what has changed since the last call, in order of keys.
func (s *State) changes() []Change {
	s.touch(&s.meta)
	out := make([]Change, 0, len(s.dirty))
	for _, k := range slices.Sorted(maps.Keys(s.dirty)) {
		c := Change{Key: []byte(k)}
		if r := s.dirty[k]; r != nil {
			c.Value = must(encMode.Marshal(r))
		}
		out = append(out, c)
	}
	clear(s.dirty)
	return inOrder(out, bookChanges(s.book.Changes()))
}

// inOrder puts the changes of accounts among those of everything else.
func inOrder(changes, accounts []Change) []Change {
	if len(accounts) == 0 {
		return changes
	}
	changes = append(changes, accounts...)
	slices.SortFunc(changes, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return changes
}

// Export returns the whole state as records in order of keys: what a snapshot
// is made of, and what two oracles compare.
func (s *State) Export() []Change {
	all := map[string]record{"m": &s.meta}
	for _, id := range slices.SortedFunc(maps.Keys(s.keys), compareKeyIDs) {
		all[s.keys[id].storeKey()] = s.keys[id]
	}
	for _, subject := range slices.Sorted(maps.Keys(s.points)) {
		all[s.points[subject].storeKey()] = s.points[subject]
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.seen), compareSeenIDs) {
		all[s.seen[id].storeKey()] = s.seen[id]
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.parties), compareKeyIDs) {
		all[s.parties[id].storeKey()] = s.parties[id]
	}
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		all[s.members[id].storeKey()] = s.members[id]
	}
	for _, name := range slices.Sorted(maps.Keys(s.releases)) {
		all[s.releases[name].storeKey()] = s.releases[name]
	}
	s.exportMarket(all)
	s.exportCarbon(all)
	s.exportQuarantines(all)
	for _, o := range s.sets[1:] {
		all[o.storeKey()] = o
	}
	for _, q := range s.sortedMotions() {
		all[q.storeKey()] = q
	}
	out := make([]Change, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, Change{Key: []byte(k), Value: must(encMode.Marshal(all[k]))})
	}
	return inOrder(out, bookChanges(s.book.Export()))
}

func compareKeyIDs(a, b signer.KeyID) int { return bytes.Compare(a[:], b[:]) }

func (s *State) touch(r record) { s.dirty[r.storeKey()] = r }

// erase has a record deleted.
func (s *State) erase(r record) { s.dirty[r.storeKey()] = nil }

// Charter returns the charter that the ledger started with.
func (s *State) Charter() *entry.Charter { return &s.charter }

// Height returns the height of the next block.
func (s *State) Height() uint64 { return s.meta.Height }

// Time returns the last block's time in Unix milliseconds UTC.
func (s *State) Time() int64 { return s.meta.Time }

// Setting returns the value of a parameter in force, 0 for an unknown one. Of
// what cuts blocks no more than the most that a block can hold is in force.
func (s *State) Setting(name string) int64 {
	most := int64(1 << 40)
	switch name {
	case entry.ParamCutLeaves:
		most = entry.MostCutLeaves
	case entry.ParamCutBytes:
		most = entry.MostCutBytes
	}
	for _, list := range [][]entry.Parameter{s.meta.Settings, laterDefaults} {
		for _, p := range list {
			if p.Name == name {
				return min(p.Value, most)
			}
		}
	}
	return 0
}

// set changes a known parameter to an allowed value.
func (s *State) set(name string, value int64) bool {
	if !knownParameter(name) || !allowedValue(value) {
		return false
	}
	i, found := slices.BinarySearchFunc(s.meta.Settings, name, func(p entry.Parameter, name string) int { return strings.Compare(p.Name, name) })
	if !found {
		s.meta.Settings = slices.Insert(s.meta.Settings, i, entry.Parameter{Name: name})
	}
	s.meta.Settings[i].Value = value
	return true
}

func knownParameter(name string) bool {
	named := func(p entry.Parameter) bool { return p.Name == name }
	return slices.ContainsFunc(defaults, named) || slices.ContainsFunc(laterDefaults, named)
}

func allowedValue(value int64) bool { return value >= 1 && value <= 1<<40 }

// KeyInfo is what the ledger knows of a gateway's key.
type KeyInfo struct {
	Public   signer.PublicKey
	Gateway  string
	Enrolled uint64 // leaf index of the enrolment
	Revoked  uint64 // leaf index of the revocation, 0 for none
	Points   []string
}

// Key returns the gateway key with the given id.
func (s *State) Key(id signer.KeyID) (KeyInfo, bool) {
	k, ok := s.keys[id]
	if !ok {
		return KeyInfo{}, false
	}
	return KeyInfo{k.public, k.Gateway, k.Enrolled, k.Revoked, k.Points}, true
}

// Keys returns all gateway keys in order of enrolment.
func (s *State) Keys() []KeyInfo {
	out := make([]KeyInfo, 0, len(s.keys))
	for _, id := range slices.SortedFunc(maps.Keys(s.keys), compareKeyIDs) {
		info, _ := s.Key(id)
		out = append(out, info)
	}
	slices.SortStableFunc(out, func(a, b KeyInfo) int { return compare(a.Enrolled, b.Enrolled) })
	return out
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// PublicKey returns the key under which statements of id verify in the next
// block: an oracle's statement key, or the key of a gateway or a party that was
// enrolled in an earlier block. Revoked keys are returned too, so that their statements are
// refused for the right reason.
func (s *State) PublicKey(id signer.KeyID) (signer.PublicKey, bool) {
	if i, ok := s.oracles[id]; ok {
		return s.current().keys[i], true
	}
	if k, ok := s.past[id]; ok {
		return k, true
	}
	if k, ok := s.keys[id]; ok {
		return k.public, true
	}
	if a, ok := s.parties[id]; ok {
		return a.public, true
	}
	return signer.PublicKey{}, false
}
