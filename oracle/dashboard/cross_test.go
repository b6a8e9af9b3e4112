package dashboard_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/oracle/dashboard"
)

// TestCrossOnRequest: the cross-check is compiled once, when it is first asked for; meanwhile
// the page says so and asks again.
func TestCrossOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		compiled := make(chan struct{})
		d := dashboard.New(lively(), dashboard.Options{Log: logged(t), Cross: func(context.Context) ([]byte, string, error) {
			calls++
			<-compiled
			return []byte("<!doctype html><title>cross</title>"), "default-src 'none'; connect-src 'none'", nil
		}}).WithoutCross()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Run(ctx) })
		get(d, "/verify")
		synctest.Wait()
		if calls != 0 {
			t.Error("it is compiled before anybody asks")
		}
		first := get(d, "/verify-cross.html")
		checkHTML(t, "/verify-cross.html", first.body)
		first.has(t, "Compiling…", "ask now", `<a href="/verify">`)
		if first.status != http.StatusAccepted || first.header.Get("Refresh") != "3" {
			t.Errorf("at first: %d %v", first.status, first.header)
		}
		time.Sleep(20 * time.Second)
		get(d, "/verify-cross.html").has(t, "Compiling… for 20 s now.")
		close(compiled)
		synctest.Wait()
		for range 2 {
			page := get(d, "/verify-cross.html")
			page.has(t, "<title>cross</title>")
			if got := page.header.Get("Content-Security-Policy"); page.status != http.StatusOK || got != "default-src 'none'; connect-src 'none'; frame-ancestors 'none'" || page.header.Get("Refresh") != "" {
				t.Errorf("when it is compiled: %d, policy %q", page.status, got)
			}
		}
		if calls != 1 {
			t.Errorf("it was compiled %d times", calls)
		}
		cancel()
		running.Wait()
	})
}

// TestCrossNotCompiled: where it cannot be compiled the page says why and what to do, and
// where nobody compiles, as in an oracle, that there is none.
func TestCrossNotCompiled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dashboard.New(lively(), dashboard.Options{Log: logged(t), Cross: func(context.Context) ([]byte, string, error) {
			return nil, "", errors.New("there is no source tree <here>")
		}}).WithoutCross()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Run(ctx) })
		get(d, "/verify-cross.html")
		synctest.Wait()
		page := get(d, "/verify-cross.html")
		checkHTML(t, "/verify-cross.html", page.body)
		page.has(t, "The cross-check was not compiled", "Why: there is no source tree &lt;here&gt;.", "go generate ./ledger/audit/browser")
		if page.status != http.StatusServiceUnavailable || page.header.Get("Refresh") != "" {
			t.Errorf("%d %v", page.status, page.header)
		}
		cancel()
		running.Wait()
	})
	page := get(dashboard.New(lively(), dashboard.Options{Log: logged(t)}).WithoutCross(), "/verify-cross.html")
	page.has(t, "built without the cross-check")
	if page.status != http.StatusNotFound {
		t.Errorf("an oracle's page: %d", page.status)
	}
}

// TestCrossEnds: what compiles ends with the dashboard, which waits for it.
func TestCrossEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		d := dashboard.New(lively(), dashboard.Options{Log: logged(t), Cross: func(ctx context.Context) ([]byte, string, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // a compiler that is told to stop takes its time
			ended = true
			return nil, "", ctx.Err()
		}}).WithoutCross()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Run(ctx) })
		get(d, "/verify-cross.html")
		synctest.Wait()
		cancel()
		running.Wait()
		if !ended {
			t.Error("the dashboard has ended before what compiles for it")
		}
	})
}
