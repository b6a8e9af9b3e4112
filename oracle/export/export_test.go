package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/unit"
	"wattmark/oracle/export"
)

// traded draws a neighbourhood that trades and settles four intervals, one of which home2's
// meter misses.
func traded(t testing.TB) (h *ledgertest.Hood, from, to unit.Interval) {
	t.Helper()
	h = ledgertest.NewHood(t, 5)
	from = unit.Interval(ledgertest.Start/1000 + 3600)
	to = from + 4*unit.IntervalSeconds
	order, err := (&entry.Order{Zone: ledgertest.Zone, Interval: from, Member: "home2", Side: entry.SideBuy, Nonce: 1,
		Steps: []entry.OrderStep{{Price: 260_000, Quantity: 310}}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := (&entry.Order{Zone: ledgertest.Zone, Interval: from, Member: "home1", Side: entry.SideSell, Nonce: 1,
		Steps: []entry.OrderStep{{Price: 120_000, Quantity: 400}}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.At(60, h.Signed("home2", entry.TypeOrder, order), h.Signed("home1", entry.TypeOrder, offer))
	h.At(3600 - 60 - 900)
	h.At(1)
	for at := from; at <= to; at += unit.IntervalSeconds {
		var m []ledgertest.Message
		for i, name := range h.Homes {
			used, made := int64(150+100*i), int64(0)
			if i == 0 {
				used, made = 0, 1000
			}
			s := h.Read(name, at.StartMilli()+200, used, made)
			if name == "home2" && at == from+2*unit.IntervalSeconds {
				continue
			}
			m = append(m, h.Deliver(s.Sign(t)))
		}
		h.At(max(1, at.Start()+60-h.Now/1000), m...)
	}
	h.At(2700)
	return h, from, to
}

func statement(t testing.TB) *export.Statement {
	t.Helper()
	h, from, to := traded(t)
	s, err := export.Of(h.State, "home2", from, to)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// formats are all that a statement is written in.
var formats = map[string]func(*export.Statement) ([]byte, error){
	"csv":          func(s *export.Statement) ([]byte, error) { return s.CSV(), nil },
	"xlsx":         (*export.Statement).XLSX,
	"pdf":          (*export.Statement).PDF,
	"green button": (*export.Statement).GreenButton,
	"page":         (*export.Statement).Page,
}

// TestSameBytes has the same ledger give the same files, whenever they are made.
func TestSameBytes(t *testing.T) {
	one, two := statement(t), statement(t)
	for name, write := range formats {
		a, err := write(one)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := write(two)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two files of one statement differ", name)
		}
	}
}

// TestFilesSayWhatTheyRestOn has each file that has room for it name the ledger, the block
// and the digest of the lines.
func TestFilesSayWhatTheyRestOn(t *testing.T) {
	s := statement(t)
	for name, text := range map[string]func() string{
		"green button": func() string { return file(t, s.GreenButton) },
		"page":         func() string { return file(t, s.Page) },
		"xlsx":         func() string { return fmt.Sprint(rows(t, file(t, s.XLSX), "Statement")) },
		"code":         s.Code,
	} {
		got := text()
		for _, want := range []string{s.Ledger, strconv.FormatUint(s.Height, 10), s.Digest()} {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
}

func file(t *testing.T, write func() ([]byte, error)) string {
	t.Helper()
	b, err := write()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func rows(t *testing.T, book, sheet string) [][]string {
	t.Helper()
	x, err := excelize.OpenReader(strings.NewReader(book), excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	r, err := x.GetRows(sheet)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWorkbookIsTheCSV has the workbook's lines be those of the CSV, to the digit, and all
// of them add up to the total.
func TestWorkbookIsTheCSV(t *testing.T) {
	s := statement(t)
	want, err := csv.NewReader(bytes.NewReader(s.CSV())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := rows(t, file(t, s.XLSX), "Lines")
	if diff := cmp.Diff(want[1:], got[1:]); diff != "" {
		t.Errorf("lines (-csv +xlsx):\n%s", diff)
	}
	var sum int64
	for _, r := range want[1:] {
		n, err := strconv.ParseInt(r[5], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != int64(s.Invoice.Total) || len(want) < 6 {
		t.Errorf("%d lines add up to %d, the statement says %d", len(want)-1, sum, s.Invoice.Total)
	}
	proofs := rows(t, file(t, s.XLSX), "Proofs")
	if len(proofs) != len(s.Spots)+1 || len(proofs) != 5 {
		t.Errorf("%d proofs for %d intervals", len(proofs)-1, len(s.Spots))
	}
}

// TestGreenButton holds the file against what the schema (espi.xsd of NAESB REQ.21) says of
// its elements and their order, and its values against the meter's.
func TestGreenButton(t *testing.T) {
	s := statement(t)
	d := xml.NewDecoder(strings.NewReader(file(t, s.GreenButton)))
	order := map[string][]string{
		"feed": {"id", "title", "updated", "link", "entry"}, "entry": {"id", "link", "title", "content", "published", "updated"},
		"UsagePoint":      {"ServiceCategory"},
		"ReadingType":     {"accumulationBehaviour", "commodity", "dataQualifier", "flowDirection", "intervalLength", "kind", "powerOfTenMultiplier", "uom"},
		"IntervalBlock":   {"interval", "IntervalReading"},
		"IntervalReading": {"ReadingQuality", "timePeriod", "value"}, "timePeriod": {"duration", "start"}, "interval": {"duration", "start"},
	}
	counts := make(map[string]int)
	values := make(map[string][]string)
	type open struct {
		name string
		last int // position of the last child in the schema's order
	}
	var path []open
	ids := make(map[string]bool)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			name := e.Name.Local
			if n := len(path); n > 0 {
				if want, ok := order[path[n-1].name]; ok {
					i := slices.Index(want, name)
					if i < path[n-1].last {
						t.Errorf("%s in %s is out of order", name, path[n-1].name)
					}
					path[n-1].last = i
				}
			}
			space := "http://naesb.org/espi"
			if slices.Contains([]string{"feed", "entry", "id", "title", "updated", "published", "link", "content"}, name) {
				space = "http://www.w3.org/2005/Atom"
			}
			if e.Name.Space != space {
				t.Errorf("%s is of %q", name, e.Name.Space)
			}
			counts[name]++
			path = append(path, open{name: name, last: -1})
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if text := strings.TrimSpace(string(e)); text != "" {
				name := path[len(path)-1].name
				values[name] = append(values[name], text)
				if name == "id" {
					if ids[text] {
						t.Errorf("the id %s is there twice", text)
					}
					ids[text] = true
				}
			}
		}
	}
	// Two days of UTC are touched or one; the missed register makes two intervals estimated.
	if counts["MeterReading"] != 2 || counts["ReadingType"] != 2 || counts["UsagePoint"] != 1 || counts["IntervalReading"] != 8 {
		t.Errorf("elements: %v", counts)
	}
	if diff := cmp.Diff([]string{"1", "19"}, values["flowDirection"]); diff != "" {
		t.Errorf("directions: %s", diff)
	}
	if diff := cmp.Diff(map[string]int{"17": 4, "9": 4}, tally(values["quality"])); diff != "" {
		t.Errorf("qualities (-want +got): %s", diff)
	}
	sum := 0
	for _, v := range values["value"] {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 4*250 {
		t.Errorf("the values add up to %d Wh, the meter advanced by %d", sum, 4*250)
	}
}

func tally(list []string) map[string]int {
	out := make(map[string]int)
	for _, v := range list {
		out[v]++
	}
	return out
}

// TestPaper has the PDF be one page, whatever the period.
func TestPaper(t *testing.T) {
	s := statement(t)
	long := *s
	for i := range 3000 { // a month
		p := s.Spots[i%len(s.Spots)]
		p.Interval = s.From + unit.Interval(i)*unit.IntervalSeconds
		long.Spots = append(long.Spots, p)
	}
	for range 9 {
		long.Disputed = append(long.Disputed, s.From)
	}
	empty := *s
	empty.Spots, empty.Lines = nil, nil
	for name, s := range map[string]*export.Statement{"some intervals": s, "a month": &long, "nothing": &empty} {
		b := file(t, s.PDF)
		if !strings.HasPrefix(b, "%PDF-1.") || !strings.Contains(b, "/Count 1\n") {
			t.Errorf("%s: no PDF of one page", name)
		}
	}
}

// TestPage has the page say in words what its tables say, and be a file that asks nothing of
// any server.
func TestPage(t *testing.T) {
	s := statement(t)
	page := file(t, s.Page)
	for _, want := range []string{s.Headline(), "2 intervals are estimated", "bought from neighbours, pool", "default-src &#39;none&#39;"} {
		if !strings.Contains(page, want) && !strings.Contains(page, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, never := range []string{"<script", "http:", "https:", "style=", "onclick", "ZgotmplZ"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if len(page) > 60_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

func TestNobody(t *testing.T) {
	h, from, to := traded(t)
	if _, err := export.Of(h.State, "nobody", from, to); !errors.Is(err, export.ErrNoMember) {
		t.Errorf("of nobody: %v", err)
	}
}
