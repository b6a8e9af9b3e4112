// Package browser is the verifier that runs in a web page, on the visitor's machine.
//
// The verifier is JavaScript without dependencies, in five files that are read in this
// order: curve.js has hashes and signatures, form.js and entry.js read bytes, verify.js
// and verdict.js answer what ledger/audit/FORMAT.md section 3 asks, with the codes of
// `wattmark verify --json`. It names nothing that reaches a network, and a test sees to
// it; what it is asked of a file needs a policy and that file alone.
//
// Signatures are taken by ZIP-215, as the ledger does it. Browsers are stricter: their
// true is true, their false is decided again in plain arithmetic, which also serves where
// a page has no WebCrypto.
//
// What it says of a file are sentences with what they are about. They are English as text;
// the page says them in the visitor's language, English or German, by de.json.
//
// [Page] is the verifier as one file, verify.html, which connects to nothing: its own
// policy has connect-src 'none', and its script and style are inside. [CrossPage] is the
// same with ledger/audit inside, compiled to WebAssembly: it answers each question again,
// and runs the rules, of which the JavaScript says that they are not checked. What is
// compiled is not in the repository: go generate ./ledger/audit/browser makes it.
package browser
