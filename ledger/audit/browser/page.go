package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
)

// version is that of the verifier, as verify.js has it.
const version = "1"

// Page returns verify.html: one file with script and style inside, whose own policy
// (CSP) lets it run just these and connect to nothing. It is the same bytes each time.
func Page() []byte { return pages().html }

// Policy returns the Content-Security-Policy that Page has inside, for whoever serves it
// to say in a header too.
func Policy() string { return pages().policy }

// built is a page and its policy.
type built struct {
	html   []byte
	policy string
}

var pages = sync.OnceValue(func() built {
	return build("Bills and carbon claims are computed again by the ledger’s own rules, which are not in this page: "+
		"<code>wattmark verify --policy FILE FILE…</code> has them.", "", "")
})

// build fills in page.html. The browser hashes what stands between the tags.
func build(cross, extra, more string) built {
	script := "\"use strict\";\n" + Script() + "(() => {\n" + read("archive.js") + read("page.js") + extra + "})();\n"
	style := read("page.css")
	csp := "default-src 'none'; script-src '" + source(script) + "'" + more + "; style-src '" + source(style) +
		"'; img-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'"
	sum := sha256.Sum256([]byte(script))
	html := strings.NewReplacer(
		"{{policy}}", csp, "{{style}}", style, "{{script}}", script, "{{cross}}", cross,
		"{{version}}", version, "{{digest}}", hex.EncodeToString(sum[:]),
	).Replace(read("page.html"))
	return built{[]byte(html), csp}
}

// source is a CSP hash source (CSP Level 3 section 2.3.1).
func source(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Digest returns the SHA-256 of Page in hexadecimal, by which copies are compared.
func Digest() string {
	sum := sha256.Sum256(Page())
	return hex.EncodeToString(sum[:])
}
