package browser

import (
	"embed"
	"strings"
)

//go:embed curve.js form.js entry.js verify.js verdict.js language.js archive.js page.js cross.js de.json page.css page.html
var files embed.FS

// parts are the verifier's files, in the order in which they are read.
var parts = []string{"curve.js", "form.js", "entry.js", "verify.js", "verdict.js"}

// Script returns the verifier as one classic script, which defines the global Wattmark:
// verify(name, bytes, {policy, keys}), parsePolicy(text), parseKeys(text).
func Script() string {
	var b strings.Builder
	b.WriteString("const Wattmark = (() => {\n\"use strict\";\n\n")
	for _, name := range parts {
		b.WriteString(read(name))
	}
	b.WriteString("\nreturn { verify, parsePolicy, parseKeys, publicKey, verifyRaw, sha256, hex, tell, Sentence, Fault, VERSION };\n})();\n")
	return b.String()
}

// read returns an embedded file.
func read(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return string(b)
}
