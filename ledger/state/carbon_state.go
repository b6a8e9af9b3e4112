package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
)

// carbonPrefix is before the keys of records of carbon accounting; the letter behind it
// tells them apart.
const carbonPrefix = 'c'

// carbonBooks is what the state keeps for carbon accounting.
type carbonBooks struct {
	sources  map[string]*carbonSource
	on       map[string][]*carbonSource // metering point to its sources, by id
	days     map[carbonDayID]*carbonDay
	packs    map[entry.Edition]*carbonPack
	projects map[string]*carbonProject
	periods  map[string]*carbonPeriod
	bundles  map[string]*carbonBundle
	blocks   map[string]*carbonBlock
	issues   map[string]*carbonIssuance
	prefixes map[string]*carbonPrefixes
	debts    map[string]*carbonDebt
	skips    map[seenID]*carbonSkips
	charges  map[string][]*carbonCharge // by storage, oldest first
	letters  map[string]*carbonLetter   // by issuance
	balances map[string]*carbonBalance  // by country
	records  map[carbon.Reference]*carbonRecord
	serials  map[string][]*carbonRecord // units' records, by prefix in normal form
	claims   carbon.Register

	checked map[string]bool // issuances that this block moved
	broken  error           // a posting that judging had allowed failed
}

func newCarbonBooks() carbonBooks {
	return carbonBooks{
		sources: make(map[string]*carbonSource), on: make(map[string][]*carbonSource), days: make(map[carbonDayID]*carbonDay),
		packs: make(map[entry.Edition]*carbonPack), projects: make(map[string]*carbonProject), periods: make(map[string]*carbonPeriod),
		bundles: make(map[string]*carbonBundle), blocks: make(map[string]*carbonBlock), issues: make(map[string]*carbonIssuance),
		prefixes: make(map[string]*carbonPrefixes), debts: make(map[string]*carbonDebt), skips: make(map[seenID]*carbonSkips),
		charges: make(map[string][]*carbonCharge), letters: make(map[string]*carbonLetter), balances: make(map[string]*carbonBalance),
		records: make(map[carbon.Reference]*carbonRecord), serials: make(map[string][]*carbonRecord),
		checked: make(map[string]bool),
	}
}

// carbonSource is a source as registered.
type carbonSource struct {
	Source   entry.CarbonSource `cbor:"1,keyasint"`
	Registry string             `cbor:"2,keyasint"`
	Leaf     uint64             `cbor:"3,keyasint"`
	Serial   int64              `cbor:"4,keyasint"` // last of its certificates
}

func (c *carbonSource) storeKey() string { return "cs" + c.Source.ID }

// carbonPack is a factor pack in force.
type carbonPack struct {
	Pack entry.FactorPack `cbor:"1,keyasint"`
	Leaf uint64           `cbor:"2,keyasint"`
}

func (c *carbonPack) edition() entry.Edition {
	return entry.Edition{Pack: c.Pack.ID, Edition: c.Pack.Edition}
}
func (c *carbonPack) storeKey() string { return "cf" + c.Pack.ID + "\x00" + c.Pack.Edition }

type carbonProject struct {
	Project  entry.CarbonProject `cbor:"1,keyasint"`
	Registry string              `cbor:"2,keyasint"`
	Leaf     uint64              `cbor:"3,keyasint"`
}

func (c *carbonProject) storeKey() string { return "cp" + c.Project.ID }

// carbonPeriod is a period with its newest version.
type carbonPeriod struct {
	Open     entry.PeriodOpen `cbor:"1,keyasint"`
	Status   uint8            `cbor:"2,keyasint"` // a carbon.PeriodStatus
	Stated   *entry.Stated    `cbor:"3,keyasint,omitempty"`
	Digest   []byte           `cbor:"4,keyasint,omitempty"` // SHA-256 of the body of Stated's leaf
	Verifier string           `cbor:"5,keyasint,omitempty"`
	Level    string           `cbor:"6,keyasint,omitempty"`
	Leaf     uint64           `cbor:"7,keyasint"` // of the statement that opened it
}

func (c *carbonPeriod) storeKey() string { return "co" + c.Open.ID }

// carbonBundle is a bundle of certificates.
type carbonBundle struct {
	ID          string `cbor:"1,keyasint"`
	Issue       string `cbor:"2,keyasint"`
	Source      string `cbor:"3,keyasint"`
	From        int64  `cbor:"4,keyasint"` // of the energy
	To          int64  `cbor:"5,keyasint"`
	Start       int64  `cbor:"6,keyasint"`
	End         int64  `cbor:"7,keyasint"`
	Status      uint8  `cbor:"8,keyasint"`
	Owner       string `cbor:"9,keyasint"` // of accounts
	Beneficiary string `cbor:"10,keyasint,omitempty"`
	Load        string `cbor:"11,keyasint,omitempty"` // that a claim covers
	ClaimFrom   int64  `cbor:"12,keyasint,omitempty"`
	ClaimTo     int64  `cbor:"13,keyasint,omitempty"`
	// Origin is where the energy came from of a bundle that a storage gave.
	Origin *carbonOrigin `cbor:"14,keyasint,omitempty"`
}

func (c *carbonBundle) storeKey() string { return "cb" + c.ID }

// rules returns the bundle as the rules have it.
func (c *carbonBundle) rules() carbon.Bundle {
	return carbon.Bundle{
		ID: c.ID, Issue: c.Issue, Serials: carbon.Serials{Start: c.Start, End: c.End}, Status: carbon.CertificateStatus(c.Status), Owner: c.Owner,
		Beneficiary: c.Beneficiary, ClaimFrom: c.ClaimFrom, ClaimTo: c.ClaimTo,
	}
}

// set makes the bundle what the rules have made of it.
func (c *carbonBundle) set(b carbon.Bundle) {
	c.ID, c.Start, c.End, c.Status, c.Owner = b.ID, b.Serials.Start, b.Serials.End, uint8(b.Status), b.Owner
	c.Beneficiary, c.ClaimFrom, c.ClaimTo = b.Beneficiary, b.ClaimFrom, b.ClaimTo
}

// carbonBlock is a block of units.
type carbonBlock struct {
	ID       string `cbor:"1,keyasint"`
	Registry string `cbor:"2,keyasint"`
	Project  string `cbor:"3,keyasint"`
	Issuance string `cbor:"4,keyasint"`
	Vintage  int64  `cbor:"5,keyasint"`
	Prefix   string `cbor:"6,keyasint"`
	Program  string `cbor:"7,keyasint"`
	Start    int64  `cbor:"8,keyasint"`
	End      int64  `cbor:"9,keyasint"`
	Status   uint8  `cbor:"10,keyasint"`
	Owner    string `cbor:"11,keyasint"` // of accounts
	Age      uint64 `cbor:"12,keyasint"` // leaf of its issuance
	// Of a retirement.
	Beneficiary string `cbor:"13,keyasint,omitempty"`
	Reason      string `cbor:"14,keyasint,omitempty"`
	From        int64  `cbor:"15,keyasint,omitempty"`
	To          int64  `cbor:"16,keyasint,omitempty"`
	Leaf        uint64 `cbor:"17,keyasint"` // of the newest statement about it
	// Acquirer is the country that it went to from the host, empty for none.
	Acquirer string `cbor:"18,keyasint,omitempty"`
}

func (c *carbonBlock) storeKey() string { return "cu" + c.ID }

func (c *carbonBlock) rules() carbon.Owned {
	return carbon.Owned{Owner: c.Owner, Block: carbon.Block{
		ID: c.ID, Registry: c.Registry, Program: c.Program, Issuance: c.Issuance, Vintage: int(c.Vintage), Prefix: c.Prefix,
		Serials: carbon.Serials{Start: c.Start, End: c.End}, Status: carbon.Status(c.Status),
	}}
}

func (c *carbonBlock) set(o carbon.Owned) {
	c.ID, c.Start, c.End, c.Status, c.Owner = o.ID, o.Start, o.End, uint8(o.Status), o.Owner
}

type carbonIssuance struct {
	Issued entry.Issued `cbor:"1,keyasint"`
	// Lowered is how many units restatements have had covered.
	Lowered int64 `cbor:"2,keyasint"`
}

func (c *carbonIssuance) storeKey() string { return "ci" + c.Issued.ID }

// carbonPrefixes is how far a registry's serials of a prefix have got.
type carbonPrefixes struct {
	Registry string `cbor:"1,keyasint"`
	Prefix   string `cbor:"2,keyasint"` // in normal form
	Last     int64  `cbor:"3,keyasint"`
}

func (c *carbonPrefixes) storeKey() string { return "cn" + c.Registry + "\x00" + c.Prefix }

// carbonDebt is what a project or a registry owes, in tonnes.
type carbonDebt struct {
	Debtor string `cbor:"1,keyasint"`
	Tonnes int64  `cbor:"2,keyasint"`
}

func (c *carbonDebt) storeKey() string { return "cw" + c.Debtor }

// carbonSkips are numbers of a gateway's boot that it says it has never signed.
type carbonSkips struct {
	Key    []byte        `cbor:"1,keyasint"`
	Boot   uint64        `cbor:"2,keyasint"`
	Ranges []entry.Range `cbor:"3,keyasint"` // in the order in which they were told

	id seenID
}

func (c *carbonSkips) storeKey() string {
	return "ck" + string(binary.BigEndian.AppendUint64(append([]byte(nil), c.id.key[:]...), c.Boot))
}

// carbonClaim is a stored pair of the register of claims.
type carbonClaim struct {
	Value []byte `cbor:"1,keyasint"`

	key string
}

func (c *carbonClaim) storeKey() string { return "cr" + c.key }

// loadCarbon reads one record, whose key is without the prefix of all.
func (s *State) loadCarbon(k, v []byte) error {
	if len(k) == 0 {
		return errors.New("a record of carbon accounting of no kind")
	}
	c := &s.carbon
	switch k[0] {
	case 's':
		return loadInto(k, v, func(r *carbonSource) { c.sources[r.Source.ID] = r })
	case 'd':
		return loadInto(k, v, func(r *carbonDay) { c.days[r.id()] = r })
	case 'f':
		return loadInto(k, v, func(r *carbonPack) { c.packs[r.edition()] = r })
	case 'p':
		return loadInto(k, v, func(r *carbonProject) { c.projects[r.Project.ID] = r })
	case 'o':
		return loadInto(k, v, func(r *carbonPeriod) { c.periods[r.Open.ID] = r })
	case 'b':
		return loadInto(k, v, func(r *carbonBundle) { c.bundles[r.ID] = r })
	case 'u':
		return loadInto(k, v, func(r *carbonBlock) { c.blocks[r.ID] = r })
	case 'i':
		return loadInto(k, v, func(r *carbonIssuance) { c.issues[r.Issued.ID] = r })
	case 'n':
		return loadInto(k, v, func(r *carbonPrefixes) { c.prefixes[r.storeKey()] = r })
	case 'w':
		return loadInto(k, v, func(r *carbonDebt) { c.debts[r.Debtor] = r })
	case 'g':
		return loadInto(k, v, func(r *carbonCharge) { c.charges[r.Storage] = append(c.charges[r.Storage], r) })
	case 'a':
		return loadInto(k, v, func(r *carbonLetter) { c.letters[r.Letter.Issuance] = r })
	case 'y':
		return loadInto(k, v, func(r *carbonBalance) { c.balances[r.Country] = r })
	case 't':
		return loadInto(k, v, func(r *carbonRecord) { c.records[r.reference()] = r })
	case 'k':
		return loadInto(k, v, func(r *carbonSkips) {
			copy(r.id.key[:], r.Key)
			r.id.boot = r.Boot
			c.skips[r.id] = r
		})
	case 'r':
		var r carbonClaim
		if err := decMode.Unmarshal(v, &r); err != nil {
			return err
		}
		return c.claims.Load(k[1:], r.Value)
	}
	return fmt.Errorf("a record of carbon accounting of unknown kind %q", k[0])
}

// loadInto decodes a record and hands it on, if it is stored where it belongs.
func loadInto[T any, R interface {
	*T
	record
}](k, v []byte, put func(R)) error {
	r := R(new(T))
	if err := decMode.Unmarshal(v, r); err != nil {
		return err
	}
	put(r)
	if r.storeKey() != string(carbonPrefix)+string(k) {
		return fmt.Errorf("a record of carbon accounting stands where another one belongs: %q", k)
	}
	return nil
}

// checkCarbon finds out again which source is on which metering point, and checks what
// the rules rely on between records.
func (s *State) checkCarbon() error {
	c := &s.carbon
	for _, id := range slices.Sorted(maps.Keys(c.sources)) {
		r := c.sources[id]
		if s.points[r.Source.Point] == nil {
			return fmt.Errorf("source %q is on metering point %q, which is not enrolled", id, r.Source.Point)
		}
		if err := wellFormed(&r.Source); err != nil {
			return fmt.Errorf("source %q is damaged: %w", id, err)
		}
		if r.Serial < 0 {
			return fmt.Errorf("source %q has issued %d certificates", id, r.Serial)
		}
		c.on[r.Source.Point] = append(c.on[r.Source.Point], r)
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.days), compareCarbonDays) {
		if d := c.days[id]; c.sources[d.Source] == nil || !d.whole(len(c.sources[d.Source].Source.Channels)) {
			return fmt.Errorf("day %d of source %q is damaged", d.Day, d.Source)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.packs), compareEditions) {
		pack := &c.packs[id].Pack
		if err := wellFormed(pack); err != nil {
			return err
		}
		for i := range pack.Rows {
			if _, err := carbon.ParseMeasure(pack.Rows[i].Unit); err != nil {
				return fmt.Errorf("factor pack %s %s: %w", id.Pack, id.Edition, err)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.projects)) {
		if err := wellFormed(&c.projects[id].Project); err != nil {
			return err
		}
		for _, source := range c.projects[id].Project.Sources {
			if c.sources[source] == nil {
				return fmt.Errorf("project %q rests on source %q, which there is not", id, source)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.periods)) {
		p := c.periods[id]
		if status := carbon.PeriodStatus(p.Status); status < carbon.PeriodOpen || status > carbon.PeriodVerified || (status == carbon.PeriodOpen) != (p.Stated == nil) {
			return fmt.Errorf("period %q is %d without what was stated", id, p.Status)
		}
		if err := wellFormed(&p.Open); err != nil {
			return err
		}
		if err := s.checkLoadedPacks(p.Open.Packs); err != nil {
			return err
		}
		if p.Stated == nil {
			continue
		}
		if err := p.Stated.Check(); err != nil {
			return err
		}
		if err := s.checkLoadedPacks(p.Stated.Packs); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.bundles)) {
		if b := c.bundles[id]; c.sources[b.Source] == nil || b.Start < 1 || b.End < b.Start {
			return fmt.Errorf("bundle %q is damaged", id)
		}
	}
	for _, storage := range slices.Sorted(maps.Keys(c.charges)) {
		slices.SortFunc(c.charges[storage], compareCharges)
		for _, r := range c.charges[storage] {
			if src := c.sources[storage]; src == nil || src.Source.Kind != entry.SourceStorage || c.bundles[r.Bundle] == nil || r.Left < 1 {
				return fmt.Errorf("the charge of storage %q by bundle %q is damaged", storage, r.Bundle)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.blocks)) {
		b := c.blocks[id]
		if c.projects[b.Project] == nil || c.issues[b.Issuance] == nil || b.Start < 1 || b.End < b.Start || carbon.Status(b.Status) < carbon.Issued || carbon.Status(b.Status) > carbon.Split {
			return fmt.Errorf("block %q is damaged", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.issues)) {
		if u := &c.issues[id].Issued; c.projects[u.Project] == nil || c.periods[u.Period] == nil {
			return fmt.Errorf("issuance %q is of no project or period", id)
		}
		if err := c.issues[id].Issued.Check(); err != nil {
			return err
		}
	}
	return s.checkAbroad()
}

// wellFormed checks a stored payload as it was checked when it came.
func wellFormed(c entry.Carbon) error {
	_, err := entry.EncodeCarbon(c)
	return err
}

// checkLoadedPacks wants the editions that a period names.
func (s *State) checkLoadedPacks(packs []entry.Edition) error {
	for _, e := range packs {
		if s.carbon.packs[e] == nil {
			return fmt.Errorf("edition %s of factor pack %s is missing", e.Edition, e.Pack)
		}
	}
	return nil
}

// exportCarbon adds all records to those of the state.
func (s *State) exportCarbon(all map[string]record) {
	c := &s.carbon
	put := func(r record) { all[r.storeKey()] = r }
	exportAll(put, c.sources, slices.Sorted(maps.Keys(c.sources)))
	exportAll(put, c.days, slices.SortedFunc(maps.Keys(c.days), compareCarbonDays))
	exportAll(put, c.packs, slices.SortedFunc(maps.Keys(c.packs), compareEditions))
	exportAll(put, c.projects, slices.Sorted(maps.Keys(c.projects)))
	exportAll(put, c.periods, slices.Sorted(maps.Keys(c.periods)))
	exportAll(put, c.bundles, slices.Sorted(maps.Keys(c.bundles)))
	exportAll(put, c.blocks, slices.Sorted(maps.Keys(c.blocks)))
	exportAll(put, c.issues, slices.Sorted(maps.Keys(c.issues)))
	exportAll(put, c.prefixes, slices.Sorted(maps.Keys(c.prefixes)))
	exportAll(put, c.debts, slices.Sorted(maps.Keys(c.debts)))
	for _, storage := range slices.Sorted(maps.Keys(c.charges)) {
		for _, r := range c.charges[storage] {
			put(r)
		}
	}
	exportAll(put, c.letters, slices.Sorted(maps.Keys(c.letters)))
	exportAll(put, c.balances, slices.Sorted(maps.Keys(c.balances)))
	exportAll(put, c.records, slices.SortedFunc(maps.Keys(c.records), compareReferences))
	exportAll(put, c.skips, slices.SortedFunc(maps.Keys(c.skips), compareSeenIDs))
	for _, p := range c.claims.Export() {
		put(&carbonClaim{Value: p.Value, key: string(p.Key)})
	}
}

func exportAll[K comparable, R record](put func(record), m map[K]R, keys []K) {
	for _, k := range keys {
		put(m[k])
	}
}

// touchClaims notes the claims that were entered.
func (s *State) touchClaims() {
	for _, p := range s.carbon.claims.Changes() {
		s.touch(&carbonClaim{Value: p.Value, key: string(p.Key)})
	}
}

func compareEditions(a, b entry.Edition) int {
	return compareText(a.Pack, b.Pack, a.Edition, b.Edition)
}

// compareText compares pairs of texts, the first pair that differs deciding.
func compareText(pairs ...string) int {
	for i := 0; i < len(pairs); i += 2 {
		switch {
		case pairs[i] < pairs[i+1]:
			return -1
		case pairs[i] > pairs[i+1]:
			return 1
		}
	}
	return 0
}

// closingCarbon checks after each block what must hold of units: what stands of an
// issuance is what was issued.
func (s *State) closingCarbon() error {
	c := &s.carbon
	if c.broken != nil {
		return c.broken
	}
	if len(c.checked) == 0 {
		return nil
	}
	sums := make(map[string]int64)
	for _, id := range slices.Sorted(maps.Keys(c.blocks)) {
		if b := c.blocks[id]; c.checked[b.Issuance] && carbon.Status(b.Status).Standing() {
			sums[b.Issuance] += b.End - b.Start + 1
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.checked)) {
		if want := c.issues[id].Issued.Units; sums[id] != want {
			return fmt.Errorf("internal error: %d units of issuance %s stand, and %d were issued", sums[id], id, want)
		}
	}
	clear(c.checked)
	var sum int64
	for _, country := range slices.Sorted(maps.Keys(c.balances)) {
		sum += c.balances[country].Tonnes
	}
	if sum != 0 {
		return fmt.Errorf("internal error: the adjustments of all countries come to %d t, not to nothing", sum)
	}
	return nil
}

// numbered is an id that follows from a statement's place.
func numbered(prefix string, leaf uint64) string {
	return prefix + "-" + strconv.FormatUint(leaf, 10)
}
