package carbon

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Candidates finds, among records in the form that [Export] takes, what two registries may
// both have: projects (D3) and issuances (D4). Ids are those of the records. What a record
// does not say is taken to be anything: without dates periods overlap, without a position
// names decide. A file that is wrong as such is a [Fault].
func Candidates(file []byte, f *Findings) error {
	form, top := readForm(file)
	rs := readRecords(top)
	if !form.ok() {
		return form.fault
	}
	of := relate(rs)
	var projects []Project
	var issuances []Issuance
	for _, r := range rs.all {
		switch r.table.Table {
		case "project":
			projects = append(projects, of.projects(r)...)
		case "issuance":
			issuances = append(issuances, of.issuances(r)...)
		}
	}
	var all Findings
	CheckProjects(projects, &all)
	CheckSameIssuances(issuances, &all)
	list, whole := all.Sorted()
	for i, found := range list {
		// A pair with two methodologies or sectors in common is one pair.
		if i == 0 || found.Rule != list[i-1].Rule || !slices.Equal(found.IDs, list[i-1].IDs) {
			f.add(found.Rule, found.Severity, found.Note, found.IDs...)
		}
	}
	f.full = f.full || !whole
	return nil
}

// relations are records by what they refer to.
type relations struct {
	byKey map[[2]string]*record
	// about are the records of a table that refer to a project, in the order of the file.
	about map[[2]string][]*record
}

func relate(rs *records) *relations {
	out := &relations{byKey: make(map[[2]string]*record), about: make(map[[2]string][]*record)}
	for _, r := range rs.all {
		out.byKey[[2]string{r.table.Table, r.key}] = r
		if to := r.refs["project"]; to != "" {
			at := [2]string{r.table.Table, to}
			out.about[at] = append(out.about[at], r)
		}
	}
	return out
}

// forever is all time that a record may mean.
const forever = 1 << 40

// datesOf is the time from the first to the last date of some fields, all time without any.
func datesOf(from, to int64, records []*record, start, end string) (int64, int64) {
	for _, r := range records {
		a, okA := dayOf(r.values[start].text)
		b, okB := dayOf(r.values[end].text)
		if !okA || !okB || b < a {
			continue
		}
		b += 24 * hour // the last day is in it
		if from == 0 && to == forever {
			from, to = a, b
		}
		from, to = min(from, a), max(to, b)
	}
	return from, to
}

func dayOf(text string) (int64, bool) {
	day, ok := checkDate(text)
	if !ok {
		return 0, false
	}
	t, err := time.Parse(time.DateOnly, day)
	return t.Unix(), err == nil && t.Unix() >= 0
}

// projects is a project once for each methodology that it goes by.
func (of *relations) projects(r *record) []Project {
	p := Project{ID: r.key, Registry: r.values["projectRegistryName"].text, Name: r.values["projectName"].text, Placeless: true}
	p.From, p.To = datesOf(0, forever, of.about[[2]string{"validation", r.key}], "validationCreditPeriodStartDate", "validationCreditPeriodEndDate")
	p.From, p.To = datesOf(p.From, p.To, of.about[[2]string{"estimation", r.key}], "estimationStartDate", "estimationEndDate")
	p.From, p.To = datesOf(p.From, p.To, of.about[[2]string{"verification", r.key}], "verificationStartDate", "verificationEndDate")
	for _, at := range of.about[[2]string{"location", r.key}] {
		if lat, lon, ok := ParsePosition(at.values["locationGis"].text); ok && p.Placeless {
			p.Lat, p.Lon, p.Placeless = lat, lon, false
		}
	}
	var out []Project
	for _, by := range of.about[[2]string{"project_methodology", r.key}] {
		if m := of.byKey[[2]string{"methodology", by.refs["methodology"]}]; m != nil {
			p.Family = NormalPrefix(m.values["methodologyCode"].text)
			out = append(out, p)
		}
	}
	return out
}

// issuances is an issuance once for each sector of its project.
func (of *relations) issuances(r *record) []Issuance {
	verification := of.byKey[[2]string{"verification", r.refs["verification"]}]
	if verification == nil {
		return nil
	}
	project := of.byKey[[2]string{"project", verification.refs["project"]}]
	if project == nil {
		return nil
	}
	s := Issuance{ID: r.key, Registry: project.values["projectRegistryName"].text}
	s.From, s.To = datesOf(0, forever, []*record{verification}, "verificationStartDate", "verificationEndDate")
	if at := of.byKey[[2]string{"location", r.refs["location"]}]; at != nil {
		s.Country = at.values["locationCountry"].text
	}
	if s.Country == "" {
		return nil
	}
	var out []Issuance
	for _, sector := range project.values["projectSector"].texts() {
		if s.Sector = sector; sector != "" {
			out = append(out, s)
		}
	}
	return out
}

// ParsePosition reads a position as records have it: degrees with decimals, latitude first,
// as 48.137, 11.575, or degrees, minutes and seconds with the directions behind, as
// 1°26′46″N 103°43′44″E. It returns microdegrees.
func ParsePosition(s string) (lat, lon int64, ok bool) {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	if len(parts) != 2 {
		return 0, 0, false
	}
	lat, okLat := parseAngle(parts[0], 'N', 'S', maxLatitude)
	lon, okLon := parseAngle(parts[1], 'E', 'W', maxLongitude)
	return lat, lon, okLat && okLon
}

func parseAngle(s string, positive, negative byte, most int64) (int64, bool) {
	sign := int64(1)
	if n := len(s); n > 0 && (s[n-1] == positive || s[n-1] == negative) {
		if s[n-1] == negative {
			sign = -1
		}
		s = s[:n-1]
	} else if rest, minus := strings.CutPrefix(s, "-"); minus {
		sign, s = -1, rest
	}
	var total int64
	divisor := int64(1)
	for _, marks := range []string{"°º", "′'’", "″\"”"} {
		number, rest := s, ""
		if i := strings.IndexAny(s, marks); i >= 0 {
			_, size := utf8.DecodeRuneInString(s[i:])
			number, rest = s[:i], s[i+size:]
		}
		micro, ok := parseMicro(number)
		if !ok || micro > most {
			return 0, false
		}
		total += micro / divisor
		if s = rest; s == "" {
			return sign * total, total <= most
		}
		divisor *= 60
	}
	return 0, false
}

// parseMicro reads a decimal of at most six places in millionths; more are cut off.
func parseMicro(s string) (int64, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) == 0 || len(whole) > 3 {
		return 0, false
	}
	fraction = (fraction + "000000")[:6]
	for _, digits := range []string{whole, fraction} {
		for i := range len(digits) {
			if !isDigit(digits[i]) {
				return 0, false
			}
		}
	}
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	return n, err == nil
}
