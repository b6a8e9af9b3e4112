package dashboard_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/oracle/dashboard"
)

// chromium starts a browser, or skips the test where there is none.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("chromium is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("chromium is not installed: the pages are not tested in a browser")
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(stop)
	browser, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return browser
}

// served serves a dashboard of a street. The test moves it with Ticks.
func served(t *testing.T, s *street, o dashboard.Options) (d *dashboard.Dashboard, url string) {
	t.Helper()
	d = dashboard.New(s, o)
	server := httptest.NewServer(d.Handler())
	t.Cleanup(server.Close)
	return d, server.URL
}

// TestPictures takes pictures of every page for people to look at: run it with
// -artifacts, and -outputdir to choose where.
func TestPictures(t *testing.T) {
	browser := chromium(t)
	c, ledger := drawn(t)
	s := lively()
	d, url := served(t, s, dashboard.Options{Origin: ledgertestOrigin, Simulated: true, Quorum: 3, Ledger: ledger, Dir: "demo-data/oracle-1", Log: logged(t), Window: 10 * time.Minute})
	tell(d)
	_ = c
	tick := d.Ticks()
	s.morning(tick)
	for _, page := range []struct{ name, path string }{{"now", "/"}, {"ledger", "/ledger"}, {"block", "/ledger/block/3"}, {"leaf", "/ledger/leaf/12"}, {"missing", "/nowhere"}} {
		for _, width := range []int64{390, 1280} {
			for _, theme := range []string{"light", "dark"} {
				tab, done := chromedp.NewContext(browser)
				tab, stop := context.WithTimeout(tab, time.Minute)
				if _, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}); err != nil {
					t.Fatal(err)
				}
				if err := chromedp.Do(tab, chromedp.EmulateViewport(width, 844), chromedp.Navigate(url+page.path)); err != nil {
					t.Fatal(err)
				}
				png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", page.name, width, theme))
				if err := os.WriteFile(file, png, 0o644); err != nil {
					t.Fatal(err)
				}
				stop()
				done()
			}
		}
	}
}

const ledgertestOrigin = "ledgertest.example/street"
