package carbon

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"wattmark/ledger/unit"
)

// What a file of units comes to, in the order of its fields.
type (
	unitsResult struct {
		OK       bool            `json:"ok"`
		Blocks   int             `json:"blocks"`
		Units    []statusUnits   `json:"units"`
		Findings []findingResult `json:"findings"`
	}
	statusUnits struct {
		Status string   `json:"status"`
		Units  *big.Int `json:"units"`
	}
	findingResult struct {
		Rule     string   `json:"rule"`
		Severity Severity `json:"severity"`
		IDs      []string `json:"ids"`
		Note     string   `json:"note"`
	}
)

// errFindings is returned where a file has more findings than are listed.
var errFindings = errors.New("more than a million findings: check parts of the file")

// CheckUnits checks a file of unit blocks, one JSON object. It returns the result as
// one line and whether it holds, which it does without findings that are errors; or a
// [Fault] for the first thing that is wrong with the file.
func CheckUnits(file []byte) (result []byte, holds bool, err error) {
	f, top := readForm(file)
	o := top.object("blocks", "issuances", "splits", "claims", "projects", "compat")
	var found Findings
	written := readBlocks(o.get("blocks"))
	compat := readCompat(o)
	issuances := readIssuances(o.get("issuances"), compat)
	splits := readSplits(o)
	claims := readClaims(o)
	projects := readProjects(o)
	if !f.ok() {
		return nil, false, f.fault
	}

	checkWritten(written, splits, &found)
	blocks := make([]Block, 0, len(written))
	for i := range written {
		if !written[i].badRange {
			blocks = append(blocks, written[i].Block)
		}
	}
	CheckBlocks(blocks, &found)
	CheckIssuances(blocks, issuances, &found)
	CheckClaims(claims, &found)
	CheckProjects(projects, &found)
	if compat {
		CheckSameIssuances(issuances, &found)
	}

	list, all := found.Sorted()
	if !all {
		return nil, false, errFindings
	}
	r := unitsResult{OK: true, Blocks: len(written), Units: unitsByStatus(blocks), Findings: make([]findingResult, len(list))}
	for i, x := range list {
		r.OK = r.OK && x.Severity != Refused
		r.Findings[i] = findingResult(x)
	}
	return encode(r), r.OK, nil
}

// unitsByStatus adds up units, without those of split blocks: their children have
// them.
func unitsByStatus(blocks []Block) []statusUnits {
	var sums [Split + 1]big.Int
	for _, b := range blocks {
		sums[b.Status].Add(&sums[b.Status], big.NewInt(int64(b.Count())))
	}
	r := []statusUnits{}
	for s := Issued; s < Split; s++ {
		if sums[s].Sign() != 0 {
			r = append(r, statusUnits{s.String(), &sums[s]})
		}
	}
	return r
}

// writtenBlock is a block as a file has it.
type writtenBlock struct {
	Block
	start, end string
	badRange   bool
	count      int64
	serial     string // empty where none is printed
	history    []Status
	hasHistory bool
}

func readBlocks(v *value) []writtenBlock {
	var blocks []writtenBlock
	ids := map[string]bool{}
	for v := range v.array() {
		o := v.object("id", "registry", "program", "issuance", "vintage", "prefix", "start", "end", "count", "status", "serial", "history", "origin")
		blocks = append(blocks, readBlock(o, ids, (*value).name))
	}
	return blocks
}

// readBlock reads a block; naming reads who registered and issued it, which not every
// file knows.
func readBlock(o object, ids map[string]bool, naming func(*value) string) (b writtenBlock) {
	b.ID = o.get("id").id(ids)
	b.Registry, b.Program, b.Issuance = naming(o.get("registry")), naming(o.get("program")), naming(o.get("issuance"))
	b.Vintage = int(o.get("vintage").integer(1, 9999))
	if o.has("prefix") {
		b.Prefix = o.get("prefix").text()
	}
	var startText, endText string
	b.start, startText, b.Start = readSerial(o.get("start"))
	b.end, endText, b.End = readSerial(o.get("end"))
	b.badRange = b.End < b.Start || NormalPrefix(startText) != NormalPrefix(endText)
	switch {
	case !o.has("prefix"):
		b.Prefix = startText
	case startText != "" || endText != "":
		b.badRange = b.badRange || NormalPrefix(startText) != NormalPrefix(b.Prefix)
	}
	b.count = o.get("count").integer(0, maxInteger)
	b.Status = readStatus(o.get("status"))
	if o.has("serial") {
		b.serial = o.get("serial").name()
	}
	if b.hasHistory = o.has("history"); b.hasHistory {
		for v := range o.get("history").array() {
			b.history = append(b.history, readStatus(v))
		}
	}
	if o.has("origin") {
		origin := o.get("origin").object("registry", "id")
		b.Origin = &Origin{origin.get("registry").name(), origin.get("id").name()}
	}
	return b
}

func readSerial(v *value) (written, text string, n int64) {
	written = v.name()
	if !v.form.ok() {
		return "", "", 0
	}
	text, n, err := parseSerial(written)
	v.failWith(err)
	return written, text, n
}

func readStatus(v *value) Status {
	s, err := ParseStatus(v.text())
	v.failWith(err)
	return s
}

func readCompat(o object) (cadt bool) {
	if !o.has("compat") {
		return false
	}
	for v := range o.get("compat").array() {
		v.oneOf("cadt")
		cadt = true
	}
	return cadt
}

func readIssuances(v *value, compat bool) []Issuance {
	var issuances []Issuance
	ids := map[string]bool{}
	for v := range v.array() {
		o := v.object("id", "verified_t", "from", "to", "registry", "sector", "country")
		s := Issuance{ID: o.get("id").id(ids)}
		s.Verified = unit.Down.Scaled(o.get("verified_t").positive(), 0)
		s.From, s.To = readPeriod(o)
		optional := func(name string) string {
			if compat || o.has(name) {
				return o.get(name).name()
			}
			return ""
		}
		s.Registry, s.Sector, s.Country = optional("registry"), optional("sector"), optional("country")
		issuances = append(issuances, s)
	}
	return issuances
}

// readPeriod reads from and to, which is after it.
func readPeriod(o object) (from, to int64) {
	from, to = o.get("from").time(), o.get("to").time()
	if to <= from {
		o.get("to").fail("not after from")
	}
	return from, to
}

// writtenSplit is a block that became others.
type writtenSplit struct {
	parent   string
	children []string
}

func readSplits(o object) []writtenSplit {
	if !o.has("splits") {
		return nil
	}
	var splits []writtenSplit
	parents := map[string]bool{}
	for v := range o.get("splits").array() {
		o := v.object("parent", "children")
		s := writtenSplit{parent: o.get("parent").id(parents)}
		for v := range o.get("children").array() {
			s.children = append(s.children, v.name())
		}
		splits = append(splits, s)
	}
	return splits
}

func readClaims(o object) []Claim {
	if !o.has("claims") {
		return nil
	}
	var claims []Claim
	ids := map[string]bool{}
	for v := range o.get("claims").array() {
		o := v.object("id", "kind", "device", "from", "to", "wh", "capacity_w")
		c := Claim{ID: o.get("id").id(ids), Kind: ClaimKind(o.get("kind").oneOf(claimKinds...)), Device: o.get("device").name()}
		c.From, c.To = readPeriod(o)
		if o.has("wh") || o.has("capacity_w") {
			wh := o.get("wh").energy()
			c.Energy, c.CapacityW = &wh, o.get("capacity_w").integer(0, maxInteger)
		}
		claims = append(claims, c)
	}
	return claims
}

// maxName bounds the names of projects, which are compared with one another.
const maxName = 1000

func readProjects(o object) []Project {
	if !o.has("projects") {
		return nil
	}
	var projects []Project
	ids := map[string]bool{}
	for v := range o.get("projects").array() {
		o := v.object("id", "registry", "name", "family", "lat", "lon", "from", "to")
		p := Project{ID: o.get("id").id(ids), Registry: o.get("registry").name(), Name: o.get("name").name(), Family: o.get("family").name()}
		if len(p.Name) > maxName {
			o.get("name").fail("more than %d bytes", maxName)
		}
		p.Lat, p.Lon = microdegrees(o.get("lat"), maxLatitude), microdegrees(o.get("lon"), maxLongitude)
		p.From, p.To = readPeriod(o)
		projects = append(projects, p)
	}
	return projects
}

// microdegrees reads degrees with at most six places.
func microdegrees(v *value, most int64) int64 {
	r, _ := v.decimal()
	micro := mul(r, new(big.Rat).SetInt64(microPerDegree))
	switch {
	case !micro.IsInt():
		v.fail("more than six places")
	case new(big.Int).Abs(micro.Num()).Cmp(big.NewInt(most)) > 0:
		v.fail("more than %d degrees", most/microPerDegree)
	default:
		return micro.Num().Int64()
	}
	return 0
}

// checkWritten finds what does not agree within a block, or within a split.
func checkWritten(blocks []writtenBlock, splits []writtenSplit, f *Findings) {
	for i := range blocks {
		b := &blocks[i]
		if b.badRange {
			f.add("range", Refused, fmt.Sprintf("from %s to %s under prefix %s is no range", quote(b.start), quote(b.end), quote(b.Prefix)), b.ID)
			continue
		}
		if b.count != int64(b.Count()) {
			f.add("count", Refused, fmt.Sprintf("%s to %s are %d units, not %d", b.start, b.end, b.Count(), b.count), b.ID)
		}
		if b.serial != "" && !printedSerials(b.serial, b.start, b.end, b.Serials) {
			f.add("serial", Refused, fmt.Sprintf("the printed serial %s does not end in %d-%d", quote(b.serial), b.Start, b.End), b.ID)
		}
	}
	parents := checkSplits(blocks, splits, f)
	for i := range blocks {
		b := &blocks[i]
		if b.badRange || !b.hasHistory {
			continue
		}
		if why := b.historyFault(parents[b.ID]); why != "" {
			f.add("state", Refused, why, b.ID)
		}
	}
}

// checkSplits finds splits whose children are no exact division of the parent, and
// returns the parents of children by id.
func checkSplits(blocks []writtenBlock, splits []writtenSplit, f *Findings) map[string]*writtenBlock {
	parents := map[string]*writtenBlock{}
	if len(splits) == 0 {
		return parents
	}
	byID := make(map[string]*writtenBlock, len(blocks))
	for i := range blocks {
		byID[blocks[i].ID] = &blocks[i]
	}
	for _, s := range splits {
		parent := byID[s.parent]
		if parent != nil && parent.badRange {
			continue
		}
		if parent == nil {
			f.add("split", Refused, "the parent is not among the blocks", s.parent)
			continue
		}
		if why := parent.splitFault(s.children, byID, parents); why != "" {
			f.add("split", Refused, why, s.parent)
		}
	}
	return parents
}

// splitFault says why the children are no division of b; empty where they are, or
// where one of them has no range to tell by.
func (b *writtenBlock) splitFault(children []string, byID, parents map[string]*writtenBlock) string {
	if b.Status != Split {
		return fmt.Sprintf("its status is %s and not Split", b.Status)
	}
	var parts []Serials
	for _, id := range children {
		c := byID[id]
		switch {
		case c == nil:
			return fmt.Sprintf("its child %s is not among the blocks", quote(id))
		case c.badRange:
			return ""
		case c == b || parents[id] != nil:
			return fmt.Sprintf("its child %s comes from elsewhere", quote(id))
		case c.Registry != b.Registry || c.Program != b.Program || c.Issuance != b.Issuance || c.Vintage != b.Vintage || NormalPrefix(c.Prefix) != NormalPrefix(b.Prefix):
			return fmt.Sprintf("its child %s is of another registry, program, issuance, vintage or prefix", quote(id))
		}
		parents[id] = b
		parts = append(parts, c.Serials)
	}
	if !b.Partition(parts) {
		return "its children do not have each of its serials once"
	}
	return ""
}

// historyFault says why a history cannot be; empty where it can. It begins with
// Issued, or for a child of a split with the parent's last status before Split.
func (b *writtenBlock) historyFault(parent *writtenBlock) string {
	h := b.history
	if len(h) == 0 {
		return "its history is empty"
	}
	if h[len(h)-1] != b.Status {
		return fmt.Sprintf("its history ends in %s, its status is %s", h[len(h)-1], b.Status)
	}
	for i := 1; i < len(h); i++ {
		if !h[i-1].CanBecome(h[i]) {
			return fmt.Sprintf("%s does not become %s", h[i-1], h[i])
		}
	}
	switch {
	case parent == nil:
		if h[0] != Issued {
			return fmt.Sprintf("its history begins with %s and not with Issued", h[0])
		}
	case len(parent.history) < 2:
		if h[0] != Issued && !h[0].CanBecome(Split) {
			return fmt.Sprintf("a child does not begin as %s", h[0])
		}
	default:
		before := parent.history[:len(parent.history)-1]
		inherited := len(h) >= len(before) && slices.Equal(h[:len(before)], before)
		if last := before[len(before)-1]; h[0] != last && !inherited {
			return fmt.Sprintf("its history begins with %s, its parent's was %s before the split", h[0], last)
		}
	}
	return ""
}
