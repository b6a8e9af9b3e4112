// Generate compiles the cross-check into a folder: verify.wasm.gz, and wasm_exec.js of the
// Go that compiled it. Run it in ledger/audit/browser, with the folder as argument.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./_generate FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "compiling the cross-check:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	temp, err := os.MkdirTemp("", "wattmark-wasm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	raw := filepath.Join(temp, "verify.wasm")
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", raw, "./wasm")
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return err
	}
	b, err := os.ReadFile(raw)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // without name and time: same input, same bytes
	if err != nil {
		return err
	}
	if _, err := z.Write(b); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "verify.wasm.gz"), out.Bytes(), 0o644); err != nil {
		return err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	glue, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return err
	}
	fmt.Printf("verify.wasm.gz: %d bytes, of %d\n", out.Len(), len(b))
	return os.WriteFile(filepath.Join(dir, "wasm_exec.js"), glue, 0o644)
}
