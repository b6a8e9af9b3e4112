package dashboard

import (
	"net/http"
	"strconv"

	"wattmark/ledger/audit/browser"
)

// serveVerify serves the verifier: the bytes that 'wattmark verify page' writes. It is the
// one page that asks nothing of this oracle, so that what it says does not depend on it.
func (d *Dashboard) serveVerify(w http.ResponseWriter, _ *http.Request) {
	page := browser.Page()
	h := w.Header()
	h.Set("Content-Security-Policy", browser.Policy()+"; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.Write(page) // an error means that nobody reads any more
}
