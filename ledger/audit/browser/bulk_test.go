package browser_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/ledger/audit/browser"
)

// archives packs files in each way that the page unpacks, and some that it refuses.
func archives(t *testing.T, names ...string) map[string][]byte {
	t.Helper()
	var flat, deflated bytes.Buffer
	w, z := tar.NewWriter(&flat), zip.NewWriter(&deflated)
	for _, name := range names {
		b := testdata(t, name)
		long := "bulk/" + strings.Repeat("a-long-folder/", 9) + name // over what ustar's name holds
		if err := w.WriteHeader(&tar.Header{Name: long, Mode: 0o644, Size: int64(len(b)), Format: tar.FormatPAX}); err != nil {
			t.Fatal(err)
		}
		w.Write(b)
		f, err := z.Create("bulk/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(b)
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("an archive did not close")
	}
	var zipped bytes.Buffer
	g := gzip.NewWriter(&zipped)
	g.Write(flat.Bytes())
	g.Close()
	return map[string][]byte{
		"good.tar": flat.Bytes(), "good.tar.gz": zipped.Bytes(), "good.zip": deflated.Bytes(),
		"cut.tar": flat.Bytes()[:700], "cut.tar.gz": zipped.Bytes()[:zipped.Len()/2], "cut.zip": deflated.Bytes()[:deflated.Len()/2],
	}
}

// saved catches what a button of the page saves.
func saved(t *testing.T, ctx context.Context, button string) string {
	t.Helper()
	return eval[string](t, ctx, fmt.Sprintf(`new Promise((done) => {
		const make = URL.createObjectURL;
		URL.createObjectURL = (b) => { URL.createObjectURL = make; b.text().then(done); return "data:,"; };
		document.getElementById(%q).click();
	})`, button))
}

// TestBulk drops archives and a folder, and reads the reports that are saved of them.
func TestBulk(t *testing.T) {
	b := chromium(t)
	dir := t.TempDir()
	names := []string{"open.evidence", "flag.evidence", "open.tlog-proof"}
	for name, b := range archives(t, names...) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := filepath.Join(dir, "verify.html")
	if err := os.WriteFile(at, browser.Page(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := tab(t, b, (&url.URL{Scheme: "file", Path: at}).String())
	upload(t, ctx, "policy-file", filepath.Join(street, "policy"))
	until(t, ctx, `document.getElementById("policy-state").textContent.startsWith("✓")`)
	for i, name := range []string{"good.tar", "good.tar.gz", "good.zip"} {
		upload(t, ctx, "files", filepath.Join(dir, name))
		until(t, ctx, fmt.Sprintf(`document.querySelectorAll("#table tbody tr").length === %d`, 3*(i+1)))
	}
	// Of each archive one holds, the flag's rule and the proof's key are not checked.
	if got, want := eval[[]string](t, ctx, `[...document.querySelectorAll("#table tbody td:nth-child(2)")].map((e) => e.innerText)`),
		[]string{"? not all checked", "? not all checked", "✓ holds"}; len(got) != 9 || got[0] != want[0] || got[5] != want[1] || got[6] != want[2] {
		t.Errorf("the table says %q", got)
	}
	shoot(t, ctx, "bulk")
	for _, name := range []string{"cut.tar", "cut.tar.gz", "cut.zip"} {
		upload(t, ctx, "files", filepath.Join(dir, name))
		until(t, ctx, fmt.Sprintf(`document.getElementById("said").textContent.includes(%q)`, name+": it is truncated or damaged"))
	}

	var report struct {
		Policy string `json:"policy_sha256"`
		Files  []struct {
			File, SHA256 string
			Verdicts     []struct{ Check, Verdict string }
		}
	}
	if err := json.Unmarshal([]byte(saved(t, ctx, "json")), &report); err != nil || len(report.Files) != 9 || len(report.Policy) != 64 {
		t.Fatalf("JSON: %d files, policy %q: %v", len(report.Files), report.Policy, err)
	}
	lines, err := csv.NewReader(strings.NewReader(saved(t, ctx, "csv"))).ReadAll()
	if err != nil || len(lines) != 1+9*9 {
		t.Fatalf("CSV: %d lines: %v", len(lines), err)
	}
	for i, f := range report.Files {
		for k, v := range f.Verdicts {
			if l := lines[1+9*i+k]; l[0] != f.File || l[1] != f.SHA256 || l[5] != v.Check || l[6] != v.Verdict {
				t.Errorf("CSV %q, JSON %+v of %s", l, v, f.File)
			}
		}
	}
}

// TestWithoutScript: the page names the command that does the same.
func TestWithoutScript(t *testing.T) {
	b := chromium(t)
	at := filepath.Join(t.TempDir(), "verify.html")
	if err := os.WriteFile(at, browser.Page(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := tab(t, b, "about:blank")
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: at}).String())); err != nil {
		t.Fatal(err)
	}
	got := eval[string](t, ctx, "document.body.innerText")
	if !strings.Contains(got, "scripts are off. This command asks the same questions: wattmark verify --policy FILE FILE…") || !strings.Contains(got, "Skripte sind abgeschaltet") || strings.Contains(got, "Choose files") {
		t.Errorf("without script the page says %q", got)
	}
}
