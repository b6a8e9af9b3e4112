package dashboard_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wattmark/ledger/audit/browser"
	"wattmark/oracle/dashboard"
)

// TestVerifyPage: both addresses serve the bytes that 'wattmark verify page' writes, under
// a policy by which the page connects to nothing.
func TestVerifyPage(t *testing.T) {
	d := dashboard.New(lively(), dashboard.Options{Log: logged(t)})
	for _, path := range []string{"/verify", "/verify.html"} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), browser.Page()) {
			t.Errorf("%s: status %d, %d bytes, want those of the page", path, w.Code, w.Body.Len())
		}
		for _, want := range []string{"default-src 'none'", "connect-src 'none'", "frame-ancestors 'none'"} {
			if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, want) {
				t.Errorf("%s: policy %q is without %q", path, got, want)
			}
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(w.Body.String(), browser.Digest()) {
		t.Error("the first page does not publish the verifier's SHA-256")
	}
}
