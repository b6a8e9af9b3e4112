//go:build js && wasm

// Command wasm is ledger/audit for a web page: the Go verifier, rules and all, as the
// cross-check of the one in JavaScript. It defines the global wattmarkAudit(name, bytes,
// policy, keys), which returns the report as JSON, or an error's text behind "error: ".
package main

import (
	"encoding/json"
	"syscall/js"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
)

func main() {
	js.Global().Set("wattmarkAudit", js.FuncOf(func(_ js.Value, args []js.Value) any {
		b := make([]byte, args[1].Length())
		js.CopyBytesToGo(b, args[1])
		out, err := verify(args[0].String(), b, args[2].String(), args[3].String())
		if err != nil {
			return "error: " + err.Error()
		}
		return out
	}))
	select {} // the page calls it until it is closed
}

func verify(name string, b []byte, policy, keys string) (string, error) {
	var t audit.Trust
	var err error
	if policy != "" {
		if t.Policy, err = block.ParsePolicy([]byte(policy)); err != nil {
			return "", err
		}
	}
	if keys != "" {
		if t.Keys, err = audit.ParseKeys([]byte(keys)); err != nil {
			return "", err
		}
	}
	out, err := json.Marshal(audit.Verify(name, b, t))
	return string(out), err
}
