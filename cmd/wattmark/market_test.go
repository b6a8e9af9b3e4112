package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"wattmark/ledger/unit"
	"wattmark/oracle/oracletest"
)

// What is read of the commands' JSON; they may print more.
type (
	listedInterval struct {
		Interval, Kind, Run string
		Totals              *struct{ Measured, Missing uint64 }
	}
	listedOrder struct {
		ID    string
		Steps []struct{ Quantity int64 }
	}
	opened     struct{ Member, URL string }
	shownPrefs struct {
		MaxBuy *int64 `json:"max_buy"`
		Leaf   uint64
	}
	billedLine struct {
		Run, Quality string
		Amount       int64 `json:"amount_nano"`
	}
	billed struct {
		Total  int64 `json:"total_nano"`
		Saving int64 `json:"saving_nano"`
		Lines  []billedLine
	}
)

// lines reads what a command printed with --json, one object a line.
func lines[T any](t *testing.T, o outcome) (out []T) {
	t.Helper()
	if o.code != 0 {
		t.Fatalf("status %d: %s", o.code, o.stderr)
	}
	d := json.NewDecoder(strings.NewReader(o.stdout))
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%v in %s", err, o.stdout)
		}
		out = append(out, v)
	}
	return out
}

// provesTonne goes from the unit that the demonstration retired down to its sensors: by the
// file that it wrote, and by the same made again, of the unit and of the period.
func (s *street) provesTonne(t *testing.T, file string) {
	t.Helper()
	policy := filepath.Join(s.dir, "policy")
	o := s.run(t, "verify", "--policy", policy, file)
	for _, words := range []string{"retired for The Bakery", "issuance iss-", "line stack (mass)", "values by mass-flow/1", "urn:wattmark:gateway:stack-01", "grid: 363 g/kWh CO2e", "rerun        holds:"} {
		if o.code != 0 || !strings.Contains(o.stdout, words) {
			t.Fatalf("verify: status %d, want %q in\n%s%s", o.code, words, o.stdout, o.stderr)
		}
	}
	var retired string
	for _, b := range lines[struct{ Block, Status string }](t, s.run(t, "carbon", "units", "--dir", s.dir, "--json")) {
		if b.Status == "Retired" {
			retired = b.Block
		}
	}
	period := lines[struct{ Period string }](t, s.run(t, "carbon", "inventory", "--dir", s.dir, "--json"))[0].Period
	for _, id := range []string{retired, period} {
		again := filepath.Join(t.TempDir(), "again.evidence")
		if o := s.run(t, "carbon", "prove", id, "--dir", s.dir, "--out", again); o.code != 0 {
			t.Fatalf("prove %s: %s", id, o.stderr)
		}
		if o := s.run(t, "verify", "--policy", policy, again); o.code != 0 {
			t.Errorf("verify %s: status %d\n%s%s", id, o.code, o.stdout, o.stderr)
		}
	}
	if got := lines[struct {
		Standing string `json:"standing_claim"`
		Refused  string `json:"refused_claim"`
	}](t, s.run(t, "carbon", "conflicts", "--dir", s.dir, "--json")); len(got) != 1 || got[0].Standing == "" || got[0].Refused == "" {
		t.Errorf("conflicts: %+v", got)
	}
}

// agreed has as many oracles as change a rule agree to a proposal.
func (s *street) agreed(t *testing.T, args ...string) {
	t.Helper()
	p := lines[struct{ Hash string }](t, s.run(t, append([]string{"ledger", "propose"}, append(args, "--in", "40", "--dir", s.dir, "--json")...)...))[0]
	for _, oracle := range []string{"2", "3"} {
		if o := s.run(t, "ledger", "vote", p.Hash, "--oracle", oracle, "--dir", s.dir); o.code != 0 {
			t.Fatalf("vote: %s", o.stderr)
		}
	}
}

// disputes has a member dispute an invoiced line, and the oracles decide it.
func (s *street) disputes(t *testing.T, interval string) {
	t.Helper()
	type listed struct {
		Member, Interval, Status string
		Decided                  *int64 `json:"decided_import_wh"`
	}
	key, shown := filepath.Join(s.dir, "members", "home-09.pem"), filepath.Join(t.TempDir(), "photo.jpg")
	if err := os.WriteFile(shown, []byte("a meter"), 0o600); err != nil {
		t.Fatal(err)
	}
	dispute := []string{"market", "dispute", "--dir", s.dir, "--key", key, "--interval", interval, "--import", "40", "--export", "0", "--evidence", shown, "--json"}
	if got := lines[listed](t, s.run(t, dispute...))[0]; got.Member != "home-09" || got.Status != "open" {
		t.Errorf("disputed: %+v", got)
	}
	if o := s.run(t, dispute...); o.code != 1 || !strings.Contains(o.stderr, "already_known") {
		t.Errorf("a second dispute: status %d, %s", o.code, o.stderr)
	}
	if got := lines[listed](t, s.run(t, "market", "disputes", "--dir", s.dir, "--open", "--json")); len(got) != 1 || got[0].Interval != interval {
		t.Errorf("disputes: %+v", got)
	}
	if o := s.run(t, "member", "bill", "home-09", "--dir", s.dir, "--month", "2026-06"); !strings.Contains(o.stdout, "in dispute: "+interval) {
		t.Errorf("the bill does not say what is in dispute: %.400s", o.stdout)
	}
	s.agreed(t, "decision", "home-09", "--interval", interval, "--import", "40", "--export", "0")
	await(t, "a decision in force", func() bool {
		got := lines[listed](t, s.run(t, "market", "disputes", "--dir", s.dir, "--json"))
		return len(got) == 1 && got[0].Status == "decided" && got[0].Decided != nil && *got[0].Decided == 40
	})
}

// seals has the oracles seal the market, and a member place an order that nobody reads
// before its gate.
func (s *street) seals(t *testing.T, key string) {
	t.Helper()
	s.agreed(t, "parameter", "market_reveal_s", "3600")
	s.agreed(t, "parameter", "market_sealed", "1")
	place := func() outcome {
		list := lines[listedInterval](t, s.run(t, "market", "intervals", "--dir", s.dir, "--json"))
		var last unit.Interval
		for _, i := range list {
			at, err := unit.ParseInterval(i.Interval)
			if err != nil {
				t.Fatal(err)
			}
			last = max(last, at)
		}
		return s.run(t, "market", "order", "place", "--dir", s.dir, "--key", key, "--side", "sell", "--interval", (last + 11*unit.IntervalSeconds).String(),
			"--price", "90000", "--quantity", "100", "--opening", filepath.Join(t.TempDir(), "an.opening"), "--json")
	}
	var sealed struct {
		Seal    string
		Opening string `json:"opening_file"`
	}
	await(t, "a market that seals", func() bool {
		o := place()
		return o.code == 0 && json.Unmarshal([]byte(o.stdout), &sealed) == nil && sealed.Seal != ""
	})
	if o := s.run(t, "market", "order", "open", sealed.Opening, "--dir", s.dir, "--key", key); o.code != 1 || !strings.Contains(o.stderr, "gate_closed") {
		t.Errorf("opened before the gate: status %d, %s", o.code, o.stderr)
	}
	opened := lines[listedOrder](t, s.run(t, "market", "order", "open", sealed.Opening, "--dir", s.dir, "--key", key, "--wait", "--json"))
	if len(opened) != 1 || opened[0].Steps[0].Quantity != 100 {
		t.Errorf("opened: %+v", opened)
	}
}

// enters has a holder of units split its block and give a part to a neighbour, by entries
// that are typed field by field.
func (s *street) enters(t *testing.T) {
	t.Helper()
	type block struct {
		Block, Holder, Status string
		Units                 int64
	}
	blocks := func() []block { return lines[block](t, s.run(t, "carbon", "units", "--dir", s.dir, "--json")) }
	i := slices.IndexFunc(blocks(), func(b block) bool { return b.Status == "Held" && b.Units > 1 })
	if i < 0 {
		t.Fatalf("nobody holds units: %+v", blocks())
	}
	had := blocks()[i]
	key := filepath.Join(s.dir, "members", had.Holder+".pem")
	enter := func(typ string, fields ...string) outcome {
		return s.run(t, append(append([]string{"carbon", "enter", typ}, fields...), "--dir", s.dir, "--key", key, "--json")...)
	}
	type entered struct {
		By     string
		Leaf   uint64
		Result []struct{ Name, Value string }
	}
	split := lines[entered](t, enter("unit-split", "block="+had.Block, fmt.Sprintf("sizes=1,%d", had.Units-1)))[0]
	if split.By != "member "+had.Holder || len(split.Result) != 3 {
		t.Errorf("split: %+v", split)
	}
	one := fmt.Sprintf("u-%d-1", split.Leaf)
	if o := enter("unit-transfer", "block="+one, "to=home-09"); o.code != 0 {
		t.Errorf("transfer: %s", o.stderr)
	}
	if !slices.ContainsFunc(blocks(), func(b block) bool { return b.Block == one && b.Holder == "home-09" && b.Units == 1 }) {
		t.Errorf("home-09 does not hold %s: %+v", one, blocks())
	}
	for words, args := range map[string][]string{
		"not_authorised":         {"unit-transfer", "block=" + one, "to=home-01"}, // it is another's by now
		"is no type":             {"unit-burn", "block=" + one},
		"there is no such field": {"unit-transfer", "bolck=" + one, "to=home-01"},
		"given twice":            {"unit-transfer", "block=a", "block=b", "to=home-01"},
		"no whole number":        {"unit-split", "block=" + one, "sizes=1,some"},
		"is stated by oracles":   {"factor-pack", "id=x"},
	} {
		if o := enter(args[0], args[1:]...); o.code == 0 || !strings.Contains(o.stderr, words) {
			t.Errorf("%q: status %d, %s", args, o.code, o.stderr)
		}
	}
	if o := s.run(t, "carbon", "enter", "verification", "--dir", s.dir); o.code != 0 || !strings.Contains(o.stdout, "digest=HEX, or @FILE") {
		t.Errorf("the fields of a type: status %d, %s%s", o.code, o.stdout, o.stderr)
	}
}

// statement writes a bill in all formats, with the evidence of its interval, and looks for
// the digest of that in the workbook.
func (s *street) statement(t *testing.T, bill []string) {
	t.Helper()
	dir := t.TempDir()
	evidence := filepath.Join(dir, "evidence")
	args := append(slices.Clone(bill), "--evidence", evidence)
	for _, name := range []string{"pdf", "html", "xlsx", "csv", "xml"} {
		args = append(args, "--out", filepath.Join(dir, "bill."+name))
	}
	if o := s.run(t, args...); o.code != 0 || !strings.Contains(o.stdout, "With the supplier alone") {
		t.Fatalf("bill: status %d, %s%s", o.code, o.stdout, o.stderr)
	}
	proofs, err := filepath.Glob(filepath.Join(evidence, "*.evidence"))
	if err != nil || len(proofs) != 1 {
		t.Fatalf("evidence of one interval: %v, %v", proofs, err)
	}
	if o := s.run(t, "verify", "--policy", filepath.Join(s.dir, "policy"), proofs[0]); o.code != 0 {
		t.Errorf("verify: status %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	b, err := os.ReadFile(proofs[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	x, err := excelize.OpenFile(filepath.Join(dir, "bill.xlsx"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got, err := x.GetCellValue("Proofs", "F2"); err != nil || got != hex.EncodeToString(sum[:]) {
		t.Errorf("the workbook says %q of the evidence %x: %v", got, sum, err)
	}
	if o := s.run(t, append(slices.Clone(bill), "--out", filepath.Join(dir, "bill.doc"))...); o.code != 2 || !strings.Contains(o.stderr, ".pdf, .html, .xlsx, .csv and .xml") {
		t.Errorf("a format that is none: status %d, %s", o.code, o.stderr)
	}
}

// TestStreetTrades has the demonstration trade until a late reading has corrected an
// interval, and goes from the bill's line down to the gateway's signature. Meanwhile a
// member trades from another process with its own key.
func TestStreetTrades(t *testing.T) {
	t.Parallel() // a demonstration waits more than it computes
	s := &street{buildBinary(t), filepath.Join(t.TempDir(), "street")}
	address := fmt.Sprintf("127.0.0.1:%d", oracletest.FreePort(t))
	p := s.start(t, "demo", "--json", "--dir", s.dir, "--speed", "300", "--http", address)
	stop := func() outcome { p.cmd.Process.Signal(os.Interrupt); return p.wait(t) }
	intervals := func() []listedInterval {
		o := s.run(t, "market", "intervals", "--dir", s.dir, "--json")
		if o.code != 0 { // no final block yet
			return nil
		}
		return lines[listedInterval](t, o)
	}
	await(t, "an interval that is settled", func() bool {
		for _, i := range intervals() {
			if i.Kind == "settled" {
				return true
			}
		}
		return false
	})

	key := filepath.Join(s.dir, "members", "home-09.pem")
	lookAtHome(t, lines[opened](t, s.run(t, "member", "open", "--key", key, "--url", "http://"+address, "--json")))
	if o := s.run(t, "member", "open", "--key", filepath.Join(s.dir, "oracles", "1", "keys", "statement.pem"), "--url", "http://"+address); o.code != 1 || !strings.Contains(o.stderr, "is no member's in force") || !strings.Contains(o.stderr, "hint: ") {
		t.Errorf("an oracle's key opens a home: status %d, %s", o.code, o.stderr)
	}
	if o := s.run(t, "member", "open", "--key", key, "--url", "oracle.example"); o.code != 2 {
		t.Errorf("an address that is none: status %d, %s", o.code, o.stderr)
	}
	// A shell offers the names of this ledger, and none of one that is not there.
	for dir, want := range map[string]string{s.dir: "home-09\nhome-10\n", s.dir + "x": ":4\n"} {
		if o := s.run(t, "__complete", "market", "orders", "--dir", dir, "--member", ""); o.code != 0 || !strings.Contains(o.stdout, want) || dir != s.dir && strings.Contains(o.stdout, "home") {
			t.Errorf("members of %s: status %d, %q", dir, o.code, o.stdout)
		}
	}
	ahead := func() string {
		list := intervals()
		var last unit.Interval
		for _, i := range list {
			at, err := unit.ParseInterval(i.Interval)
			if err != nil {
				t.Fatal(err)
			}
			last = max(last, at)
		}
		return (last + 20*unit.IntervalSeconds).String()
	}()
	placed := lines[listedOrder](t, s.run(t, "market", "order", "place", "--dir", s.dir, "--key", key, "--side", "buy", "--interval", ahead,
		"--price", "250000", "--quantity", "300", "--json"))
	standing := lines[listedOrder](t, s.run(t, "market", "orders", "--dir", s.dir, "--member", "home-09", "--json"))
	found := false
	for _, o := range standing {
		found = found || o.ID == placed[0].ID && o.Steps[0].Quantity == 300
	}
	if !found {
		t.Errorf("the order %s does not stand among %v", placed[0].ID, standing)
	}
	if o := s.run(t, "market", "order", "cancel", "--dir", s.dir, "--key", key, "--side", "buy", "--interval", ahead); o.code != 0 {
		t.Errorf("cancel: %s", o.stderr)
	}
	for field, args := range map[string][]string{
		"steps[0].quantity": {"--interval", ahead, "--price", "1", "--quantity", "0"},
		"interval":          {"--interval", "2026-06-17T10:00:00Z", "--price", "1", "--quantity", "1"},
	} {
		o := s.run(t, append([]string{"market", "order", "place", "--dir", s.dir, "--key", key, "--side", "buy"}, args...)...)
		if o.code != 1 || !strings.Contains(o.stderr, "("+field+")") {
			t.Errorf("status %d, %q: want the field %q named", o.code, o.stderr, field)
		}
	}
	prefs := lines[shownPrefs](t, s.run(t, "member", "prefs", "--dir", s.dir, "--key", key, "--max-buy", "210000", "--from", ahead, "--json"))
	if prefs[0].MaxBuy == nil || *prefs[0].MaxBuy != 210_000 || prefs[0].Leaf == 0 {
		t.Errorf("prefs: %+v", prefs)
	}

	var corrected string
	await(t, "an interval that a late reading corrects", func() bool {
		first := make(map[string]uint64)
		for _, i := range intervals() {
			switch {
			case i.Run == "R0":
				if i.Totals != nil {
					first[i.Interval] = i.Totals.Measured
				}
			case i.Run == "R1" && first[i.Interval] > 0 && i.Totals != nil && i.Totals.Measured > first[i.Interval] && i.Totals.Missing == 0:
				corrected = i.Interval
			}
		}
		return corrected != ""
	})
	tonne := filepath.Join(s.dir, "carbon", "tonne.evidence")
	await(t, "a tonne that is proved", func() bool { _, err := os.Stat(tonne); return err == nil })
	s.enters(t)
	s.disputes(t, corrected)
	s.seals(t, key)
	if o := stop(); o.code != 0 {
		t.Fatalf("the demonstration ended with status %d: %s", o.code, o.stderr)
	}
	s.provesTonne(t, tonne)

	fleet := lines[struct {
		Gateway, Program string
		Leaf             uint64 `json:"last_leaf"`
	}](t, s.run(t, "gateway", "list", s.dir, "--json"))
	announced := 0
	for _, g := range fleet {
		if g.Program != "" {
			announced++
		}
		if g.Leaf == 0 {
			t.Errorf("nothing was heard of %+v", g)
		}
	}
	if len(fleet) != 14 || announced < 10 {
		t.Errorf("%d gateways, %d of which have announced themselves", len(fleet), announced)
	}
	members := lines[struct{ Member string }](t, s.run(t, "member", "list", "--dir", s.dir, "--json"))
	if len(members) != 12 {
		t.Errorf("%d members, want 12", len(members))
	}
	at, err := unit.ParseInterval(corrected)
	if err != nil {
		t.Fatal(err)
	}
	of := []string{"member", "bill", "home-03", "--dir", s.dir, "--from", corrected, "--to", (at + unit.IntervalSeconds).String()}
	s.statement(t, of)
	bill := lines[billed](t, s.run(t, append(of, "--json")...))[0]
	var sum int64
	for _, l := range bill.Lines {
		if sum += l.Amount; l.Run != "R1" || l.Quality != "M" {
			t.Errorf("line %+v, want one of R1, measured", l)
		}
	}
	if sum != bill.Total || bill.Saving < 0 || len(bill.Lines) == 0 {
		t.Errorf("the lines add up to %d: %+v", sum, bill)
	}
	file := filepath.Join(t.TempDir(), "bill.evidence")
	if o := s.run(t, "member", "prove", "home-03", "--dir", s.dir, "--interval", corrected, "--out", file); o.code != 0 {
		t.Fatalf("prove: %s", o.stderr)
	}
	if o := s.run(t, "verify", "--policy", filepath.Join(s.dir, "policy"), file); o.code != 0 || !strings.Contains(o.stdout, "rerun        holds: registers give") {
		t.Errorf("verify: status %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`{"fee":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lines[struct{ Member string }](t, s.run(t, "market", "replay", "--rules", rules, "--month", "2026-06", "--dir", s.dir, "--json")); len(got) != 12 {
		t.Errorf("replay shows %d members", len(got))
	}
	if o := s.run(t, "ledger", "audit", s.dir); o.code != 0 {
		t.Errorf("audit: status %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}

// lookAtHome opens the link that a member has got as a browser does, and takes the
// statement that the member's page leads to.
func lookAtHome(t *testing.T, got []opened) {
	t.Helper()
	if len(got) != 1 || got[0].Member != "home-09" {
		t.Fatalf("opened: %+v", got)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	read := func(r *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v: %s", r.Request.URL, r.Status, err, b)
		}
		return string(b)
	}
	link, err := url.Parse(got[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	if page := read(browser.Get(link.String())); !strings.Contains(page, "<button>Sign in</button>") {
		t.Errorf("the link shows %s", page)
	}
	code := link.Query()
	link.RawQuery = ""
	home := read(browser.PostForm(link.String(), code))
	if !strings.Contains(home, "<h1>home-09, ") || !strings.Contains(home, "With the supplier alone") {
		t.Errorf("home is %s", home)
	}
	_, rest, ok := strings.Cut(home, `href="/api/v1/member/statement.csv?`)
	query, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("the page leads to no statement")
	}
	link.Path, link.RawQuery = "/api/v1/member/statement.csv", html.UnescapeString(query)
	if csv := read(browser.Get(link.String())); strings.Count(csv, "\n") < 2 || !strings.HasPrefix(csv, "interval,run,kind,wh,") {
		t.Errorf("the statement is %q", csv)
	}
}
