//go:build !(js && wasm)

package main

func main() {
	panic("this program is for a web page: go generate ./ledger/audit/browser builds it with GOOS=js GOARCH=wasm")
}
