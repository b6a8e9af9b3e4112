package dashboard_test

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard"
	"wattmark/oracle/dashboard/locale"
	"wattmark/oracle/export"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// TestLanguage: what is chosen goes before what the browser asks for, and is kept by the browser
// alone.
func TestLanguage(t *testing.T) {
	_, l := drawn(t)
	d := dashboard.New(nil, dashboard.Options{Ledger: l, Log: logged(t)})
	for _, tt := range []struct{ accept, cookie, want, chosen string }{
		{"", "", "en", ""}, {"fr", "", "en", ""}, {"de-AT,de;q=0.9,en;q=0.5", "", "de", ""}, {"en,de;q=0.9", "", "en", ""},
		{"en", "de", "de", "de"}, {"de", "en", "en", "en"}, {"de", "fr", "de", ""}, {"", "<b>", "en", ""},
	} {
		a := get(d, "/ledger", "Accept-Language", tt.accept, "Cookie", "wattmark-language="+tt.cookie)
		checkHTML(t, "/ledger", a.body)
		a.has(t, `<html lang="`+tt.want+`"`, `name="language" value="`+tt.chosen+`"`)
		if got := regexp.MustCompile(`name="language" value="([a-z]*)"[^>]* aria-pressed="true"`).FindStringSubmatch(a.body); len(got) != 2 || got[1] != tt.chosen {
			t.Errorf("%+v: chosen is %q", tt, got)
		}
		if a.header.Get("Content-Language") != tt.want || a.header.Get("Vary") != "Accept-Language, Cookie" {
			t.Errorf("%+v: %v", tt, a.header)
		}
	}
	for query, want := range map[string]string{"1.234": "1234", "2": "2", "1.5": "1.5", "1,234": "1,234", "12.345.678": "12345678", "a.b": "a.b"} {
		if got := dashboard.In(locale.German).Digits(query); got != want {
			t.Errorf("%q is looked for as %q, want %q", query, got, want)
		}
	}
	r, _ := post(d, "/language", url.Values{"language": {"de"}, "back": {"/ledger?from=2"}}, "Origin", "null")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/ledger?from=2" || len(r.Cookies()) != 1 || r.Cookies()[0].Value != "de" || !r.Cookies()[0].HttpOnly {
		t.Errorf("German: %d %v", r.StatusCode, r.Header)
	}
	if r, _ := post(d, "/language", url.Values{"language": {""}, "back": {"//other.example"}}); len(r.Cookies()) != 1 || r.Cookies()[0].MaxAge >= 0 || r.Header.Get("Location") != "/ledger" {
		t.Errorf("going by the browser: %v", r.Header)
	}
	if r, body := post(d, "/language", url.Values{"language": {"fr"}}, "Accept-Language", "de"); r.StatusCode != http.StatusUnprocessableEntity || len(r.Cookies()) > 0 || !strings.Contains(body, "Diese Sprache gibt es nicht.") {
		t.Errorf("no language: %d", r.StatusCode)
	}
}

// germanPages are the pages of testPages, and what is on them in German.
func germanPages(spot unit.Interval) map[string][]string {
	return map[string][]string{
		"/":       {"Die Dächer erzeugen 23,6", "bezieht ", "liefert ", "✓", "endgültig", "Uhr der Straße", "21. Juni 2026", "Heute nach Viertelstunden", "Was gerade geschah"},
		"/carbon": {"CO₂-Bilanz", "Keine Periode ist offen."}, "/gateways": {"Gateways geht es gut.", "Die mit Schwierigkeiten zuerst"}, "/gateways/home-03": {"Was es unterschrieben hat"},
		"/ledger": {"Ledger", "Blöcke ab"}, "/ledger?q=nobody": {"gibt es in diesem Ledger nicht. Gesucht als Schlüssel, Gateway, Mitglied."},
		"/ledger/block/3": {"Block 3", "seinen Blockkopf mitgezählt", "Blätter"}, "/ledger/leaf/22": {"Blatt 22", "<dd class=\"break\" lang=\"en\">", "Was das Ledger dazu sagt"},
		"/ledger/block/99": {"Es gibt keinen Block", "Blöcke haben Höhen von 0 bis"}, "/ledger?q=home2": {"Gefunden"},
		"/market": {"Markt von street", "Der Lieferant verlangt", "0,30 EUR"}, "/market/street/" + spot.String(): {"bis ", "Netzbezug", "Häuser gemessen"},
		"/market?zone=x": {"In diesem Ledger gibt es keine Zone"},
		"/member":        {"Ihr Haus", "kam unverschlüsselt durch ein Netz"}, "/join": {"Ihr Schlüssel entsteht auf diesem Gerät", `id="texts"`, "Nennen Sie dem Betreiber diese Wörter"},
		"/docs": {"Für Programme", ` lang="en">`}, "/member/enter?code=x": {"meldet diesen Browser für 12 Stunden an"}, "/nowhere": {"gibt es keine Seite"},
		"/verify-cross.html": nil,
	}
}

// TestGerman: a page that is asked for in German is German, and says so.
func TestGerman(t *testing.T) {
	_, l := drawn(t)
	h := traded(t, 6, 40)
	a, _ := asked(t, h.Chain)
	d := dashboard.New(lively(), dashboard.Options{Origin: "ledgertest.example/street", Simulated: true, Quorum: 3, Ledger: l, API: a, OpenMembers: true, Dir: "demo-data/oracle-1", Fleet: fleet, Log: logged(t)}).WithoutCross()
	tell(d)
	for path, texts := range germanPages(h.State.Spots(ledgertest.Zone, 0, 1<<40)[4].Interval) {
		page := get(d, path, "Accept-Language", "de")
		checkHTML(t, path, page.body)
		page.has(t, append(texts, `<html lang="de"`, "Ledger", "Vorführung.", "Sprache:")...)
	}
	r, _ := post(d, "/member/enter", url.Values{"as": {"home1"}})
	cookie := r.Cookies()[0].Name + "=" + r.Cookies()[0].Value
	get(d, "/member", "Accept-Language", "de", "Cookie", cookie).has(t, `<html lang="de"`, "1. Januar 2026", "Mit dem Lieferanten allein", "von Nachbarn", "Viertelstunden", "0,")
	get(d, "/member/statements", "Accept-Language", "de", "Cookie", cookie).has(t, `<html lang="de"`, "Januar 2026", "1 Monat mit allem", "Vorteil gegenüber")
	get(d, "/member?day=x", "Accept-Language", "de", "Cookie", cookie).has(t, "Es gibt keinen Tag &#34;x&#34;.")
}

// TestGermanWords: the same figures, written as German has them.
func TestGermanWords(t *testing.T) {
	german := dashboard.In(locale.German)
	for _, tt := range []struct{ got, want string }{
		{german.Power(1_234), "1,23 kW"}, {german.Power(-999), "-999 W"}, {german.Power(123_456_789_000), "123.457 MW"},
		{german.Direction(1_500), "bezieht 1,50 kW"}, {german.Direction(-1_500), "liefert 1,50 kW"}, {german.Direction(0), "bezieht nichts"},
		{german.Took(0), "unbekannt"}, {german.Took(1234 * time.Millisecond), "1,2 s"}, {german.Tidy("0.300000"), "0,30"}, {german.Tidy("-0.3050"), "-0,305"}, {german.Tidy("12"), "12"},
		{german.StreetSentence(nil), "Noch hat sich kein Haus gemeldet."},
		{german.StreetSentence([]dashboard.Home{{GridW: -2_000, SolarW: 3_000}}), "Die Dächer erzeugen 3,00 kW, die Häuser verbrauchen 1,00 kW, und 2,00 kW gehen ins Netz."},
		{german.Doubt([]dashboard.Home{{Name: "a", State: dashboard.StateSilent}}), "a meldet sich nicht: In den Summen stehen die letzten Werte."},
		{german.Doubt([]dashboard.Home{{State: dashboard.StateSilent}, {}, {State: dashboard.StateHalted}}), "2 von 3 Häusern melden sich nicht: In den Summen stehen ihre letzten Werte."},
	} {
		if got := plain.Replace(tt.got); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestSaidAnew: what a page says anew from the figures is in English what the figures' own package
// says, and in German another text.
func TestSaidAnew(t *testing.T) {
	german, english := dashboard.In(locale.German), dashboard.In(locale.English)
	heard := ledger.Heard{Gateway: "a", IssuedAt: noon.Unix() - 400_000, Block: noon.UnixMilli(), Clock: &entry.TimeQuality{Quality: entry.ClockUnsynced},
		Release: &ledger.Released{Release: entry.Release{Version: 3}}, Highest: 4}
	troubles := 0
	for _, result := range []string{"fell_back", "refused"} {
		told := api.Announced{Offline: true, Behind: 1, Birth: wire.Birth{Certificate: &wire.Certificate{Ends: noon}, Firmware: &wire.Firmware{Update: &wire.Update{Version: 5, Result: result, Reason: "unhealthy"}}}}
		for _, g := range api.Fleet(map[string]signer.KeyID{"a": {}, "b": {1}}, []ledger.Heard{heard}, map[string]api.Announced{"a": told}, noon.UnixMilli()) {
			for _, k := range g.Trouble {
				troubles++
				if got := english.Trouble(&g, k); got != template.HTMLEscapeString(k.Text) {
					t.Errorf("%s: %q, and the API says %q", k.Kind, got, k.Text)
				}
				if got := german.Trouble(&g, k); strings.Contains(got, "lang=") || got == k.Text {
					t.Errorf("%s is not German: %q", k.Kind, got)
				}
			}
		}
	}
	if troubles != 18 {
		t.Errorf("%d troubles", troubles)
	}
	money := func() *rapid.Generator[unit.Money] {
		return rapid.Map(rapid.OneOf(rapid.Int64Range(-20_000_000, 20_000_000), rapid.Int64Range(-1<<50, 1<<50)), func(n int64) unit.Money { return unit.Money(n) })
	}
	rapid.Check(t, func(t *rapid.T) {
		s := &export.Statement{Currency: "EUR", Invoice: market.Invoice{Total: money().Draw(t, "total"), Counterfactual: money().Draw(t, "alone"), Saving: money().Draw(t, "saving")}}
		if got, want := english.Headline(s), s.Headline(); got != want {
			t.Errorf("%q, and the statement says %q", got, want)
		}
		if got := german.Headline(s); !strings.HasPrefix(got, "Sie haben ") || strings.Contains(got, "%!") {
			t.Errorf("in German %q", got)
		}
	})
}

// TestNotices: what is told with its arguments is said in the reader's language, and what is told
// in a text that it does not have is marked as English.
func TestNotices(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{Log: logged(t)})
	const back = "%s has caught up: every statement kept has a receipt, %s s after the network came back."
	d.Notice(dashboard.Notice{At: noon, Text: back, Args: []any{nasty, dashboard.Decimal("0.8")}})
	d.Notice(dashboard.Notice{At: noon, Text: "The %s <i>took</i> %s.", Args: []any{"day", dashboard.Decimal("1.5")}})
	d.Notice(dashboard.Notice{At: noon, Text: "A statement of %s with %s was refused: %s, %s. Nothing of it is on the ledger.",
		Args: []any{"home-1", dashboard.Said("one bit of its reading changed"), "bad_signature", dashboard.Said("ask the operator of the oracle")}})
	english, german := get(d, "/"), get(d, "/", "Accept-Language", "de")
	checkHTML(t, "/", english.body)
	checkHTML(t, "/", german.body)
	english.has(t, "0.8 s after the network came back.", "The day &lt;i&gt;took&lt;/i&gt; 1.5.", "home-1 with one bit of its reading changed was refused")
	german.has(t, "0,8 s nachdem das Netz zurückkam.", `<span lang="en">The day &lt;i&gt;took&lt;/i&gt; 1.5.</span>`,
		"Eine Meldung von home-1 mit einem geänderten Bit in ihrem Messwert wurde abgelehnt: bad_signature, fragen Sie den Betreiber des Orakels.")
}

// TestSameFigures: what is German is the same figure as in English.
func TestSameFigures(t *testing.T) {
	german, english := dashboard.In(locale.German), dashboard.In(locale.English)
	digits := strings.NewReplacer(".", ",", ",", ".")
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Int64().Draw(t, "watts")
		if g, e := german.Power(w), english.Power(w); digits.Replace(e) != g {
			t.Errorf("%d W is %q and %q", w, e, g)
		}
	})
}

// TestStreamLanguage: a page gets the stream in its own language, what is replayed included, and
// each event has the same id for all.
func TestStreamLanguage(t *testing.T) {
	s := lively()
	d := dashboard.New(s, dashboard.Options{Log: logged(t)})
	tick := d.Ticks()
	tick(true)
	from := d.Hub().Last()
	d.Block(dashboard.Block{Height: 1_234, Time: noon, Statements: 5, Size: 40})
	s.set(func(v *dashboard.View) { v.Homes[0].GridW = 4_321 })
	tick(true)
	server := httptest.NewServer(d.Handler())
	defer func() { d.Hub().Close(); server.Close() }()
	read := func(query string, header ...string) (ids []string, text string) {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/events?after=%d%s", server.URL, from, query), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b := make([]byte, 1<<20)
		for !strings.Contains(text, "event: power") || !strings.HasSuffix(text, "\n\n") {
			n, err := a.Body.Read(b)
			if text += string(b[:n]); err != nil {
				t.Fatalf("%v after %q", err, text)
			}
		}
		for _, m := range regexp.MustCompile(`(?m)^id: (\d+)$`).FindAllStringSubmatch(text, -1) {
			ids = append(ids, m[1])
		}
		return ids, text
	}
	english, text := read("")
	if !strings.Contains(text, "1,234") || !strings.Contains(text, "takes 4.32") {
		t.Errorf("in English: %s", text)
	}
	for _, how := range [][]string{{"&language=de"}, {"", "Accept-Language", "de-DE"}, {"", "Cookie", "wattmark-language=de"}, {"&language=de", "Cookie", "wattmark-language=en"}} {
		german, text := read(how[0], how[1:]...)
		if strings.Join(german, " ") != strings.Join(english, " ") {
			t.Errorf("ids are %v in German and %v in English", german, english)
		}
		if !strings.Contains(text, "1.234") || !strings.Contains(text, "bezieht 4,32") || !strings.Contains(text, "offen") || strings.Contains(text, "takes 4") {
			t.Errorf("%q: %s", how, text)
		}
	}
	if got := get(d, "/events?language=fr").status; got != http.StatusBadRequest {
		t.Errorf("a language that there is not: %d", got)
	}
}
