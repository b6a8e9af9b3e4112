package browser

import (
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
)

//go:generate go run ./_generate dist

// dist holds what go generate compiled; a fresh clone has nothing there.
//
//go:embed all:dist
var dist embed.FS

// ErrNoCross is returned where this build has no cross-check inside.
var ErrNoCross = errors.New("this build has no cross-check inside")

// CrossPage returns verify-cross.html: Page with ledger/audit itself inside, compiled to
// WebAssembly, which answers the same questions and also runs the rules.
func CrossPage() ([]byte, string, error) {
	d, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, "", err
	}
	return CrossPageFrom(d)
}

// CrossPageFrom is CrossPage from another folder that _generate has filled. The
// string is the page's Content-Security-Policy.
func CrossPageFrom(dist fs.FS) ([]byte, string, error) {
	program, err := fs.ReadFile(dist, "verify.wasm.gz")
	if err != nil {
		return nil, "", ErrNoCross
	}
	glue, err := fs.ReadFile(dist, "wasm_exec.js")
	if err != nil {
		return nil, "", ErrNoCross
	}
	text := fmt.Sprintf(`<p data-t>The ledger’s own verifier is in this page too, compiled from Go, with the rules that compute bills and carbon claims. `+
		`It answers every question again; where the two do not agree, the page says so.</p>
<p><button type="button" id="cross-run"><span data-t>Run the cross-check (<data value="%.1[1]f">%.1[1]f</data> MB, already in this page)</span></button></p>`, float64(len(program))/1e6)
	b := build(text, read("cross.js"), " 'wasm-unsafe-eval'", program, glue)
	return b.html, b.policy, nil
}

// block holds bytes in a page as text that the browser does not run.
func block(id string, b []byte) string {
	return `<script type="text/plain" id="` + id + `">` + base64.StdEncoding.EncodeToString(b) + "</script>\n"
}
