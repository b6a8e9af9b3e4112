package export

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"time"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// What ESPI (NAESB REQ.21) calls things by, as numbers of its schema.
const (
	espiElectricity = 0  // ServiceKind
	espiDeltaData   = 4  // AccumulationKind
	espiMetered     = 1  // CommodityKind: electricity, secondary metered
	espiNormal      = 12 // DataQualifierKind
	espiForward     = 1  // FlowDirectionKind: to the customer
	espiReverse     = 19 // FlowDirectionKind: from the customer
	espiEnergy      = 12 // MeasurementKind
	espiWh          = 72 // UnitSymbolKind
	espiEstimated   = 9  // QualityOfReading: by linear interpolation
	espiValidated   = 17 // QualityOfReading
)

// GreenButton returns what the meter showed as an ESPI file: a usage point, and for each
// direction a meter reading with a block of intervals for each day of UTC. Intervals
// without a reading are absent.
func (s *Statement) GreenButton() ([]byte, error) {
	made := atomTime(time.UnixMilli(s.Time))
	base := "espi/1_1/resource/"
	point := base + "RetailCustomer/" + s.Member + "/UsagePoint/" + s.Zone
	f := atomFeed{Xmlns: "http://www.w3.org/2005/Atom", ID: s.uuid("feed"), Title: "Energy of " + s.Member + " at " + s.Ledger, Updated: made,
		Links: []atomLink{{"self", base + "Batch/Subscription/" + s.Member}}}
	add := func(title, self string, related []string, content any) {
		e := atomEntry{ID: s.uuid(self), Title: title, Published: made, Updated: made, Content: content, Links: []atomLink{{"self", self}, {"up", up(self)}}}
		for _, r := range related {
			e.Links = append(e.Links, atomLink{"related", r})
		}
		f.Entries = append(f.Entries, e)
	}
	add("Usage point", point, []string{point + "/MeterReading/1", point + "/MeterReading/19"}, espiContent{Point: &usagePoint{Xmlns: espiNS, Kind: espiElectricity}})
	for _, d := range []struct {
		flow int
		name string
		of   func(*Spot) unit.Energy
	}{
		{espiForward, "Energy from the grid and neighbours", func(p *Spot) unit.Energy { return p.Import }},
		{espiReverse, "Energy to the grid and neighbours", func(p *Spot) unit.Energy { return p.Export }},
	} {
		reading, kind := fmt.Sprintf("%s/MeterReading/%d", point, d.flow), fmt.Sprintf("%sReadingType/%d", base, d.flow)
		days := s.days(d.of)
		related := []string{kind}
		for i := range days {
			related = append(related, fmt.Sprintf("%s/IntervalBlock/%d", reading, i+1))
		}
		add(d.name, reading, related, espiContent{Reading: &meterReading{Xmlns: espiNS}})
		add(d.name+", type", kind, nil, espiContent{Type: &readingType{Xmlns: espiNS, Accumulation: espiDeltaData, Commodity: espiMetered, Qualifier: espiNormal,
			Flow: d.flow, Length: unit.IntervalSeconds, Kind: espiEnergy, Power: 0, Unit: espiWh}})
		for i := range days {
			add(d.name+", "+days[i].day, related[i+1], nil, espiContent{Block: &days[i].block})
		}
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<!-- %s -->\n", comment(fmt.Sprintf("Ledger %s, block %d, rules %d; SHA-256 of the statement's CSV %s", s.Ledger, s.Height, s.Rules, s.Digest())))
	e := xml.NewEncoder(&b)
	e.Indent("", " ")
	if err := e.Encode(f); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// comment keeps a text from ending the comment that it is in.
func comment(s string) string {
	return string(bytes.ReplaceAll([]byte(s), []byte("--"), []byte("- -")))
}

// uuid names an entry of the feed: always by the same name for the same thing (RFC 9562,
// version 8).
func (s *Statement) uuid(what string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "wattmark green button %s %s %s", s.Ledger, s.Member, what))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

func up(self string) string { return self[:bytes.LastIndexByte([]byte(self), '/')] }

func atomTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

type espiDay struct {
	day   string
	block intervalBlock
}

// days are the readings of one direction, a block for each day that has any.
func (s *Statement) days(of func(*Spot) unit.Energy) (out []espiDay) {
	for i := range s.Spots {
		p := &s.Spots[i]
		quality := espiValidated
		switch p.Quality {
		case market.Estimated:
			quality = espiEstimated
		case market.Missing:
			continue
		}
		day := p.Interval.Day()
		name := time.Unix(day.Start(), 0).UTC().Format(time.DateOnly)
		if n := len(out); n == 0 || out[n-1].day != name {
			out = append(out, espiDay{name, intervalBlock{Xmlns: espiNS, Interval: espiPeriod{unit.IntervalSeconds * unit.IntervalsPerDay, day.Start()}}})
		}
		b := &out[len(out)-1].block
		b.Readings = append(b.Readings, intervalReading{quality, espiPeriod{unit.IntervalSeconds, p.Interval.Start()}, int64(of(p))})
	}
	return out
}

const espiNS = "http://naesb.org/espi"

type atomFeed struct {
	XMLName xml.Name    `xml:"feed"`
	Xmlns   string      `xml:"xmlns,attr"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Links   []atomLink  `xml:"link"`
	Entries []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID        string     `xml:"id"`
	Links     []atomLink `xml:"link"`
	Title     string     `xml:"title"`
	Content   any        `xml:"content"`
	Published string     `xml:"published"`
	Updated   string     `xml:"updated"`
}

// espiContent is one of the things of ESPI; their elements stand in the order of the schema.
type espiContent struct {
	Point   *usagePoint    `xml:"UsagePoint"`
	Reading *meterReading  `xml:"MeterReading"`
	Type    *readingType   `xml:"ReadingType"`
	Block   *intervalBlock `xml:"IntervalBlock"`
}

type usagePoint struct {
	Xmlns string `xml:"xmlns,attr"`
	Kind  int    `xml:"ServiceCategory>kind"`
}

type meterReading struct {
	Xmlns string `xml:"xmlns,attr"`
}

type readingType struct {
	Xmlns        string `xml:"xmlns,attr"`
	Accumulation int    `xml:"accumulationBehaviour"`
	Commodity    int    `xml:"commodity"`
	Qualifier    int    `xml:"dataQualifier"`
	Flow         int    `xml:"flowDirection"`
	Length       int64  `xml:"intervalLength"`
	Kind         int    `xml:"kind"`
	Power        int    `xml:"powerOfTenMultiplier"`
	Unit         int    `xml:"uom"`
}

type intervalBlock struct {
	Xmlns    string            `xml:"xmlns,attr"`
	Interval espiPeriod        `xml:"interval"`
	Readings []intervalReading `xml:"IntervalReading"`
}

type espiPeriod struct {
	Duration int64 `xml:"duration"`
	Start    int64 `xml:"start"`
}

type intervalReading struct {
	Quality int        `xml:"ReadingQuality>quality"`
	Period  espiPeriod `xml:"timePeriod"`
	Value   int64      `xml:"value"`
}
