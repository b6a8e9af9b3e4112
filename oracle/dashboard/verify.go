package dashboard

import (
	"net/http"
	"strconv"
	"sync"

	"wattmark/ledger/audit/browser"
)

// serveVerify serves the verifier: the bytes that 'wattmark verify page' writes. It is the
// one page that asks nothing of this oracle, so that what it says does not depend on it.
func (d *Dashboard) serveVerify(w http.ResponseWriter, _ *http.Request) {
	writeVerifier(w, browser.Page(), browser.Policy())
}

// crossPage is some megabytes: it is put together once, when it is first asked for.
var crossPage = sync.OnceValues(func() ([]byte, string) {
	page, policy, err := browser.CrossPage()
	if err != nil {
		return nil, ""
	}
	return page, policy
})

// serveCross serves the verifier with the cross-check inside, where this build has it.
func (d *Dashboard) serveCross(w http.ResponseWriter, r *http.Request) {
	page, policy := d.cross()
	if page == nil && d.options.Cross != nil {
		d.serveCompiled(w)
		return
	}
	if page == nil {
		l := spoken(w)
		d.missing(w, http.StatusNotFound, l.Say("This oracle was built without the cross-check."),
			l.Say("Write it yourself with: wattmark verify page --cross > verify-cross.html. The page at /verify answers all but what rules compute."))
		return
	}
	writeVerifier(w, page, policy)
}

func writeVerifier(w http.ResponseWriter, page []byte, policy string) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy+"; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.Write(page) // an error means that nobody reads any more
}
