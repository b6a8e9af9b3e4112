package carbon

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/unit"
)

// Severity says what comes of a finding.
type Severity string

// The severities.
const (
	// Refused is a finding that refuses the entry.
	Refused Severity = "error"
	// Candidate is shown with its reasons and waits for a person.
	Candidate Severity = "candidate"
)

// Finding is what a rule found.
type Finding struct {
	Rule     string
	Severity Severity
	// IDs are sorted: the pair of a rule about two, else what the rule is about.
	IDs []string
	// Note is for people.
	Note string
}

// Findings collects findings, and no more than MaxFindings: files in which
// everything overlaps everything have more than anybody can store.
type Findings struct {
	list []Finding
	full bool
}

// MaxFindings is how many findings a check lists.
const MaxFindings = 1_000_000

func (f *Findings) add(rule string, severity Severity, note string, ids ...string) {
	if len(f.list) >= MaxFindings {
		f.full = true
		return
	}
	slices.Sort(ids)
	f.list = append(f.list, Finding{rule, severity, ids, note})
}

// Sorted returns the findings by rule, then ids, and whether that is all of them.
func (f *Findings) Sorted() (list []Finding, all bool) {
	slices.SortFunc(f.list, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Rule, b.Rule), slices.Compare(a.IDs, b.IDs))
	})
	return f.list, !f.full
}

// CheckBlocks finds serials that stand twice: I1 within a registry, D2 across
// registries, and D6, origins that are not Inactive. It sorts and sweeps, so that a
// million blocks take seconds.
func CheckBlocks(blocks []Block, f *Findings) {
	standing := make([]standingBlock, 0, len(blocks))
	groups := map[[2]string]int32{} // by registry and prefix as written
	normal := map[string]int32{}
	for i := range blocks {
		b := &blocks[i]
		if !b.Status.Standing() {
			continue
		}
		group, ok := groups[[2]string{b.Registry, b.Prefix}]
		if !ok {
			name := NormalPrefix(b.Prefix)
			if name == "" { // compared within its registry alone
				name = " " + b.Registry
			}
			if group, ok = normal[name]; !ok {
				group = int32(len(normal))
				normal[name] = group
			}
			groups[[2]string{b.Registry, b.Prefix}] = group
		}
		standing = append(standing, standingBlock{b, b.Start, group})
	}
	slices.SortFunc(standing, func(a, b standingBlock) int {
		switch {
		case a.group != b.group:
			return cmp.Compare(a.group, b.group)
		case a.start != b.start:
			return cmp.Compare(a.start, b.start)
		}
		return strings.Compare(a.ID, b.ID)
	})
	var open []standingBlock // of one group, whose end is not behind yet
	for i, b := range standing {
		if i > 0 && b.group != standing[i-1].group {
			open = open[:0]
		}
		open = slices.DeleteFunc(open, func(o standingBlock) bool { return o.End < b.start })
		for _, o := range open {
			if f.full {
				return
			}
			o.compare(b, f)
		}
		open = append(open, b)
	}
	checkOrigins(blocks, f)
}

// standingBlock is a block among those whose serials could be the same.
type standingBlock struct {
	*Block
	start int64 // the block's own, beside the group for the sake of sorting
	group int32
}

// compare adds what two blocks with a serial in common are.
func (b standingBlock) compare(o standingBlock, f *Findings) {
	first, last := max(b.Start, o.Start), min(b.End, o.End)
	switch prefix := NormalPrefix(b.Prefix); {
	case b.Registry == o.Registry:
		f.add("I1", Refused, fmt.Sprintf("both have serials %d to %d of prefix %s in registry %s", first, last, quote(prefix), quote(b.Registry)), b.ID, o.ID)
	case !b.standsFor(o) && !o.standsFor(b):
		f.add("D2", Refused, fmt.Sprintf("registries %s and %s both have serials %d to %d of prefix %s, and neither is the other's origin", quote(b.Registry), quote(o.Registry), first, last, quote(prefix)), b.ID, o.ID)
	}
}

func (b standingBlock) standsFor(o standingBlock) bool {
	return b.Origin != nil && b.Origin.Registry == o.Registry && b.Origin.ID == o.ID
}

func checkOrigins(blocks []Block, f *Findings) {
	byID := map[Origin]Status{}
	for _, b := range blocks {
		if b.Origin != nil {
			byID[*b.Origin] = 0
		}
	}
	if len(byID) == 0 {
		return
	}
	for _, b := range blocks {
		if _, wanted := byID[Origin{b.Registry, b.ID}]; wanted {
			byID[Origin{b.Registry, b.ID}] = b.Status
		}
	}
	for _, b := range blocks {
		if b.Origin == nil {
			continue
		}
		switch s := byID[*b.Origin]; s {
		case Inactive:
		case 0:
			f.add("D6", Refused, fmt.Sprintf("its origin, block %s of registry %s, is not there", quote(b.Origin.ID), quote(b.Origin.Registry)), b.ID)
		default:
			f.add("D6", Refused, fmt.Sprintf("its origin, block %s of registry %s, is %s and not Inactive", quote(b.Origin.ID), quote(b.Origin.Registry), s), b.ID)
		}
	}
}

// Issuance is units that a verification allows.
type Issuance struct {
	ID string
	// Verified is the verified tonnes, rounded down.
	Verified *big.Int
	// From and To are the monitoring period [From, To), in Unix seconds.
	From, To int64
	// Registry, Sector and Country are for comparing registries.
	Registry, Sector, Country string
}

// CheckIssuances finds issuances whose standing blocks exceed the verified tonnes
// (I2) and vintages outside the monitoring period (D8). Blocks of an issuance that is
// not listed are left alone.
func CheckIssuances(blocks []Block, issuances []Issuance, f *Findings) {
	index := make(map[string]int, len(issuances))
	for i, s := range issuances {
		index[s.ID] = i
	}
	sums := make([]big.Int, len(issuances))
	for _, b := range blocks {
		i, ok := index[b.Issuance]
		if !ok {
			continue
		}
		if b.Status.Standing() {
			sums[i].Add(&sums[i], big.NewInt(int64(b.Count())))
		}
		s := issuances[i]
		if first, last := year(s.From), year(s.To-1); b.Vintage < first || b.Vintage > last {
			f.add("D8", Refused, fmt.Sprintf("vintage %d is outside the monitoring period of issuance %s, %d to %d", b.Vintage, quote(s.ID), first, last), b.ID)
		}
	}
	for i, s := range issuances {
		if sums[i].Cmp(s.Verified) > 0 {
			f.add("I2", Refused, fmt.Sprintf("its standing blocks are %s units, and %s tonnes are verified", &sums[i], s.Verified), s.ID)
		}
	}
}

func year(unixSeconds int64) int { return time.Unix(unixSeconds, 0).UTC().Year() }

// CheckSameIssuances finds issuances of two registries whose dates overlap, of one
// sector and country (D4): CAD Trust's own test.
func CheckSameIssuances(issuances []Issuance, f *Findings) {
	sorted := slices.Clone(issuances)
	slices.SortFunc(sorted, func(a, b Issuance) int {
		return cmp.Or(strings.Compare(a.Sector, b.Sector), strings.Compare(a.Country, b.Country), cmp.Compare(a.From, b.From), strings.Compare(a.ID, b.ID))
	})
	var open []Issuance
	for i, s := range sorted {
		if i > 0 && (s.Sector != sorted[i-1].Sector || s.Country != sorted[i-1].Country) {
			open = open[:0]
		}
		open = slices.DeleteFunc(open, func(o Issuance) bool { return o.To <= s.From })
		for _, o := range open {
			if f.full {
				return
			}
			if o.Registry != s.Registry {
				f.add("D4", Candidate, fmt.Sprintf("registries %s and %s issued for overlapping dates, in sector %s and country %s", quote(o.Registry), quote(s.Registry), quote(s.Sector), quote(s.Country)), o.ID, s.ID)
			}
		}
		open = append(open, s)
	}
}

// ClaimKind is what a device's interval can back, each once.
type ClaimKind string

// The kinds of claims.
const (
	ClaimCertificate ClaimKind = "gc"
	ClaimOffset      ClaimKind = "offset"
	ClaimScope2      ClaimKind = "scope2"
	ClaimContract    ClaimKind = "contract"
)

var claimKinds = []string{string(ClaimCertificate), string(ClaimOffset), string(ClaimScope2), string(ClaimContract)}

// Claim is one device's interval [From, To), in Unix seconds, behind something.
type Claim struct {
	ID       string
	Kind     ClaimKind
	Device   string
	From, To int64
	// Energy and CapacityW, together or not at all, are what is claimed and what the
	// device can do, in W.
	Energy    *unit.Energy
	CapacityW int64
}

// excludes reports which rule two claims on one interval break: D1 for one kind, D7
// for a certificate beside an offset; empty for none.
func (k ClaimKind) excludes(o ClaimKind) string {
	switch {
	case k == o:
		return "D1"
	case k == ClaimCertificate && o == ClaimOffset, k == ClaimOffset && o == ClaimCertificate:
		return "D7"
	}
	return ""
}

// CheckClaims finds intervals of a device that are claimed twice (D1, D7), and more
// energy than the device can give (D5).
func CheckClaims(claims []Claim, f *Findings) {
	sorted := slices.Clone(claims)
	slices.SortFunc(sorted, func(a, b Claim) int {
		return cmp.Or(strings.Compare(a.Device, b.Device), cmp.Compare(a.From, b.From), strings.Compare(a.ID, b.ID))
	})
	var open []Claim
	for i, c := range sorted {
		if !c.withinCapacity() {
			f.add("D5", Refused, fmt.Sprintf("%d Wh are more than %d W give in %d s", int64(*c.Energy), c.CapacityW, c.To-c.From), c.ID)
		}
		if i > 0 && c.Device != sorted[i-1].Device {
			open = open[:0]
		}
		open = slices.DeleteFunc(open, func(o Claim) bool { return o.To <= c.From })
		for _, o := range open {
			if f.full {
				return
			}
			if rule := c.Kind.excludes(o.Kind); rule != "" {
				f.add(rule, Refused, fmt.Sprintf("device %s is claimed for %s and for %s from %s to %s", quote(c.Device), o.Kind, c.Kind, timeText(c.From), timeText(min(o.To, c.To))), o.ID, c.ID)
			}
		}
		open = append(open, c)
	}
}

// withinCapacity reports that a claim's energy is at most its capacity x hours.
func (c Claim) withinCapacity() bool {
	return c.Energy == nil || withinCapacity(*c.Energy, c.CapacityW, c.To-c.From)
}

// withinCapacity reports that Wh x 3600 is at most W x s.
func withinCapacity(e unit.Energy, capacityW, seconds int64) bool {
	ws := new(big.Int).Mul(big.NewInt(int64(e)), big.NewInt(hour))
	return ws.Cmp(new(big.Int).Mul(big.NewInt(capacityW), big.NewInt(seconds))) <= 0
}

func timeText(unixSeconds int64) string { return time.Unix(unixSeconds, 0).UTC().Format(timeLayout) }

// Project is what two registries may both have registered.
type Project struct {
	ID       string
	Registry string
	Name     string
	// Family is the family of its methodology.
	Family string
	// Lat and Lon are in microdegrees. Placeless is one whose position is not known.
	Lat, Lon  int64
	Placeless bool
	// From and To are its crediting period [From, To), in Unix seconds.
	From, To int64
}

// CheckProjects finds projects of two registries that may be one (D3): their periods
// overlap, their methodologies are of one family, and they lie within 1000 m of each
// other or have names at least 0.90 similar.
func CheckProjects(projects []Project, f *Findings) {
	sorted := slices.Clone(projects)
	slices.SortFunc(sorted, func(a, b Project) int {
		return cmp.Or(strings.Compare(a.Family, b.Family), cmp.Compare(a.From, b.From), strings.Compare(a.ID, b.ID))
	})
	var open []Project
	for i, p := range sorted {
		if i > 0 && p.Family != sorted[i-1].Family {
			open = open[:0]
		}
		open = slices.DeleteFunc(open, func(o Project) bool { return o.To <= p.From })
		for _, o := range open {
			if f.full {
				return
			}
			if o.Registry == p.Registry {
				continue
			}
			var reasons []string
			if p.near(o) {
				reasons = append(reasons, fmt.Sprintf("within %d m", nearMetres))
			}
			if similarNames(o.Name, p.Name) {
				reasons = append(reasons, fmt.Sprintf("names %s and %s", quote(o.Name), quote(p.Name)))
			}
			if len(reasons) > 0 {
				f.add("D3", Candidate, "overlapping periods, one methodology family, "+strings.Join(reasons, ", "), o.ID, p.ID)
			}
		}
		open = append(open, p)
	}
}
