package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
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
	return build("<p data-t>Bills and carbon claims are computed again by the ledger’s own rules. They are in the cross-check: this same page with them inside, "+
		"as <code>wattmark verify page --cross &gt; verify-cross.html</code> writes it<span id=\"cross-here\" data-t hidden>; "+
		"where this oracle was built with it, it is <a href=\"verify-cross.html\" data-t>here, about 3 MB</a></span>. "+
		"<code>wattmark verify</code> has the rules too.</p>", "", "", nil, nil)
})

// build fills in page.html. The browser hashes what stands between the tags.
// Of the cross-check the program and its glue stand before the script.
func build(cross, extra, more string, program, glue []byte) built {
	script := "\"use strict\";\n" + Script() + "(() => {\nconst GERMAN = " + strings.TrimSpace(read("de.json")) + ";\n\n" +
		read("language.js") + read("archive.js") + read("page.js") + extra + "start();\n})();\n"
	data := ""
	if program != nil {
		script = string(glue) + "\n" + script
		data = block("wasm", program)
	}
	style := read("page.css")
	csp := "default-src 'none'; script-src '" + source(script) + "'" + more + "; style-src '" + source(style) +
		"'; img-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'"
	sum := sha256.Sum256([]byte(script))
	html := strings.NewReplacer(
		"{{policy}}", csp, "{{style}}", style, "{{script}}", script, "{{data}}", data, "{{cross}}", cross,
		"{{version}}", version, "{{digest}}", hex.EncodeToString(sum[:]),
	).Replace(inGerman(read("page.html")))
	return built{[]byte(html), csp}
}

// inGerman puts German in the places of a page that have it beside the English, for
// readers without a script: {{de: the English text}}.
func inGerman(html string) string {
	var words map[string]string
	if err := json.Unmarshal([]byte(read("de.json")), &words); err != nil {
		panic("internal error: " + err.Error())
	}
	return regexp.MustCompile(`\{\{de: (.+?)\}\}`).ReplaceAllStringFunc(html, func(s string) string {
		return words[s[len("{{de: "):len(s)-len("}}")]]
	})
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
