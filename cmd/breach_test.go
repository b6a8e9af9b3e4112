package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The tests of this file show that each check reports what it forbids: a check
// that cannot fail would be no check.

// sources makes a tree out of files held in memory.
func sources(t *testing.T, files map[string]string) *tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func lines(findings []finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.String())
	}
	return list
}

func TestImportsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		from, to string
		rule     int
		reason   string
	}{
		{"ledger/entry", "ledger/state", 1, "go down"},
		{"ledger/unit", "ledger/entry", 1, "none of our packages"},
		{"ledger/account", "ledger/entry", 1, "only ledger/unit"},
		{"ledger/market", "ledger/carbon", 1, "go down or sideways as the table says"},
		{"ledger/carbon", "ledger/contract", 1, "go down or sideways as the table says"},
		{"ledger/block", "ledger/entry", 1, "only signer"},
		{"ledger/state", "ledger/store", 1, "go down"},
		{"ledger/state", "ledger", 1, "children of ledger never import the root"},
		{"oracle/ingest", "oracle", 1, "children of oracle never import the root"},
		{"oracle/dashboard/chart", "oracle", 1, "children of oracle never import the root"},
		{"gateway/outbox", "gateway", 1, "children of gateway never import the root"},
		{"ledger", "cmd/wattmark", 1, "go down"},
		{"ledger/store", "signer/keyfile", 1, "go down"},
		{"gateway/uplink", "firmware/image", 1, "go down"},
		{"gateway/sampler", "ledger/state", 1, "go down"},
		{"firmware/update", "gateway", 1, "go down"},
		{"cmd/internal/street", "gateway", 1, "go down"},
		{"oracle/wire", "oracle/ingest", 1, "go down"},
		{"gateway/uplink", "oracle/ingest", 2, "do not know each other"},
		{"oracle/api", "gateway/console", 2, "do not know each other"},
		{"hardware/sdm", "ledger/unit", 3, "a driver knows no reading"},
		{"hardware", "hardware/sdm", 3, "imports none"},
		{"signer", "ledger/block", 3, "audited alone"},
		{"signer/keyfile", "hardware", 3, "audited alone"},
		{"ledger/store", "oracle/wire", 4, "sees no gateway, oracle"},
		{"ledger/block", "hardware", 4, "sees no gateway, oracle"},
		{"ledger/audit", "ledger/store", 4, "cannot trust one"},
		{"ledger/audit/browser", "ledger/store", 4, "cannot trust one"},
		{"oracle/orderer", "ledger/entry", 9, "standard types only"},
	} {
		tr := sources(t, map[string]string{
			test.from + "/x.go": "package x\n\nimport _ \"wattmark/" + test.to + "\"\n",
		})
		found := checkImports(tr)
		if len(found) != 1 || found[0].rule != test.rule || !strings.Contains(found[0].text, test.reason) {
			t.Errorf("%s imports %s: got %v, want rule %d with %q", test.from, test.to, lines(found), test.rule, test.reason)
		}
	}
}

func TestImportsThatAreAllowed(t *testing.T) {
	for _, test := range [][2]string{
		{"ledger/state", "ledger/market"},
		{"ledger/market", "ledger/account"},
		{"ledger", "ledger/store"},
		{"ledger/audit/browser", "ledger/audit"},
		{"gateway", "gateway/outbox"},
		{"gateway/uplink", "oracle/wire"},
		{"oracle", "ledger"},
		{"oracle/orderer/jetstream", "oracle/orderer"},
		{"hardware/sdm", "hardware"},
		{"hardware/sdm", "hardware/modbus"},
		{"signer/keyfile", "signer"},
		{"cmd/wattmark", "cmd/internal/street"},
		{"cmd/wattmark-gateway", "gateway"},
		{"firmware/update", "firmware/manifest"},
	} {
		tr := sources(t, map[string]string{
			test[0] + "/x.go": "package x\n\nimport _ \"wattmark/" + test[1] + "\"\n",
		})
		if found := append(checkImports(tr), checkPlan(tr)...); len(found) > 0 {
			t.Errorf("%s imports %s: got %v, want nothing", test[0], test[1], lines(found))
		}
	}
}

func TestEveryFileCounts(t *testing.T) {
	const bad = "package x\n\nimport _ \"wattmark/oracle/ingest\"\n"
	tr := sources(t, map[string]string{
		"gateway/uplink/x_windows.go":        bad,
		"gateway/outbox/x.go":                "//go:build never\n\n" + bad,
		"gateway/sampler/x_test.go":          bad, // tests may
		"gateway/sampler/testdata/x.go":      bad, // not part of the module
		"gateway/.hidden/x.go":               bad,
		"firmware/tools/go.mod":              "module wattmark/firmware/tools\n",
		"firmware/tools/build/x.go":          bad,
		"gateway/console/truncated.go":       "package",
		"oracle/orderer/cometbft/cmd/x.go":   "package main\n",
		"oracle/orderer/cometbft/go.mod":     "module wattmark/oracle/orderer/cometbft\n",
		"oracle/orderer/cometbft/abci/ok.go": "package abci\n\nimport _ \"wattmark/oracle\"\n",
	})
	want := []string{
		"firmware/tools/build/x.go:3",
		"gateway/outbox/x.go:5",
		"gateway/uplink/x_windows.go:3",
	}
	var got []string
	for _, f := range checkImports(tr) {
		got = append(got, f.where)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files with a refused import (-want +got):\n%s", diff)
	}
	if len(tr.unreadable) != 1 || tr.unreadable[0].where != "gateway/console/truncated.go" {
		t.Errorf("unreadable: got %v, want the truncated file", lines(tr.unreadable))
	}
}

func TestPackagesThatAreNotOnThePlan(t *testing.T) {
	tr := sources(t, map[string]string{
		"ledger/util/x.go":             "package util\n",
		"oracle/ingest/helpers/x.go":   "package helpers\n",
		"internal/x.go":                "package internal\n",
		"main.go":                      "package main\n",
		"hardware/sdm/x.go":            "package sdm\n", // a part needs no row
		"hardware/sdm/registers/x.go":  "package registers\n",
		"deploy/deploy_test.go":        "package deploy_test\n",
		"cmd/x.go":                     "package cmd\n",
		"gateway/outbox/go.mod":        "module wattmark/gateway/outbox\n",
		"deploy/tools/go.mod":          "module wattmark/deploy/tools\n",
		"deploy/tools/packages/nix.go": "package packages\n",
	})
	want := map[string]bool{".": true, "cmd": true, "gateway/outbox": true, "hardware/sdm/registers": true,
		"internal": true, "ledger/util": true, "oracle/ingest/helpers": true}
	got := map[string]bool{}
	for _, f := range checkPlan(tr) {
		got[f.where] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
}

func TestPackageComments(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // part of the only finding, empty for none
	}{
		{"none", map[string]string{"signer/a.go": "package signer\n"}, "no file has a package comment"},
		{"one", map[string]string{"signer/a.go": "// Package signer signs.\npackage signer\n", "signer/b.go": "package signer\n"}, ""},
		{"two", map[string]string{"signer/a.go": "// Package signer signs.\npackage signer\n",
			"signer/b.go": "// Package signer signs.\npackage signer\n"}, "more than one package comment: a.go, b.go"},
		{"two platforms", map[string]string{"signer/a_linux.go": "// Package signer signs.\npackage signer\n",
			"signer/b_darwin.go": "// Package signer signs.\npackage signer\n"}, "more than one"},
		{"detached", map[string]string{"signer/a.go": "// Package signer signs.\n\npackage signer\n"}, "no file has a package comment"},
		{"directive", map[string]string{"signer/a.go": "//go:debug x=1\npackage signer\n"}, "no file has a package comment"},
		{"only in a test", map[string]string{"signer/a.go": "package signer\n",
			"signer/a_test.go": "// Package signer_test tests.\npackage signer_test\n"}, "no file has a package comment"},
		{"nothing but tests", map[string]string{"deploy/a_test.go": "// Package deploy_test tests.\npackage deploy_test\n"}, ""},
		{"another name", map[string]string{"signer/a.go": "// Signer signs.\npackage signer\n"}, `must start with "Package signer "`},
		{"command", map[string]string{"cmd/wattmark/a.go": "// Command wattmark shows.\npackage main\n"}, ""},
		{"command as package", map[string]string{"cmd/wattmark/a.go": "// Package main shows.\npackage main\n"}, `must start with "Command wattmark "`},
	} {
		found := checkComments(sources(t, test.files))
		switch {
		case test.want == "" && len(found) > 0:
			t.Errorf("%s: got %v, want nothing", test.name, lines(found))
		case test.want != "" && (len(found) != 1 || !strings.Contains(found[0].text, test.want)):
			t.Errorf("%s: got %v, want %q", test.name, lines(found), test.want)
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, test := range []struct {
		dir, importPath string
		rule            int // 0 for allowed
	}{
		{"ledger/state", "os", 5},
		{"ledger/market", "os/exec", 5},
		{"ledger/market", "math/rand", 5},
		{"ledger/market", "math/rand/v2", 5},
		{"ledger/entry", "crypto/rand", 5},
		{"ledger/carbon", "net", 5},
		{"ledger/carbon", "net/http", 5},
		{"ledger/block", "log", 5},
		{"ledger/block", "log/slog", 5},
		{"ledger/unit", "unsafe", 5},
		{"ledger/account", "runtime/debug", 5},
		{"ledger/contract", "C", 5},
		{"ledger/carbon/builtin", "io/fs", 5},
		{"ledger/state", "hash/maphash", 5},
		{"ledger/entry", "net/url", 0},
		{"ledger/entry", "crypto/sha256", 0},
		{"ledger/store", "os", 0},
		{"ledger/audit", "os", 4},
		{"ledger/audit/browser", "net/http", 4},
		{"ledger/audit", "math/rand", 0},
	} {
		tr := sources(t, map[string]string{test.dir + "/x.go": "package x\n\nimport _ \"" + test.importPath + "\"\n"})
		found := checkForbiddenImports(tr)
		switch {
		case test.rule == 0 && len(found) > 0:
			t.Errorf("%s imports %s: got %v, want nothing", test.dir, test.importPath, lines(found))
		case test.rule != 0 && (len(found) != 1 || found[0].rule != test.rule):
			t.Errorf("%s imports %s: got %v, want rule %d", test.dir, test.importPath, lines(found), test.rule)
		}
	}
	inTest := sources(t, map[string]string{"ledger/state/x_test.go": "package x\n\nimport _ \"os\"\n"})
	if found := checkForbiddenImports(inTest); len(found) > 0 {
		t.Errorf("a test that imports os: got %v, want nothing", lines(found))
	}
}

func TestImpureSource(t *testing.T) {
	standard := []string{"context", "fmt", "iter", "maps", "math", "math/big", "reflect", "slices", "sync", "testing", "time", modulePath + "/signer"}
	exports := exportsOf(goList(t, []string{"CGO_ENABLED=0"}, append([]string{"-export"}, standard...)...))
	for _, test := range []struct {
		name, imports, code string
		want                string // what the one finding says; empty for none
	}{
		{"clock", `"time"`, "var x = time.Now().Unix()", "time.Now (rule 5)"},
		{"clock as a value", `"time"`, "var x = time.Now", "time.Now (rule 5)"},
		{"clock under another name", `c "time"`, "var x = c.Now()", "time.Now (rule 5)"},
		{"clock by the dot", `. "time"`, "var x = Now()", "time.Now (rule 5)"},
		{"timer", `"time"`, "var x = time.After(time.Second)", "time.After (rule 5)"},
		{"deadline", `"context"; "time"`, "var x, y = context.WithTimeout(nil, time.Second)", "context.WithTimeout (rule 5)"},
		{"time zone", `"time"`, "func f(t time.Time) time.Time { return t.Local() }", "(time.Time).Local (rule 5)"},
		{"given time", `"time"`, "func f(s int64) string { return time.Unix(s, 0).UTC().Format(time.RFC3339) }", ""},
		{"go statement", "", "func f() { go f() }", "no goroutines: go statement (rule 5)"},
		{"go by a group", `"sync"`, "func f(g *sync.WaitGroup) { g.Go(func() {}) }", "(*sync.WaitGroup).Go (rule 5)"},
		{"select", "", "func f(c chan int) { select { case <-c: default: } }", "select statement"},
		{"map range", "", "func f(m map[string]int) { for range m {} }", "range over m, which is a map"},
		{"map range of a named type", "", "type t map[int]int; func f(m t) { for k := range m { _ = k } }", "range over m, which is a map"},
		{"map range of a type parameter", "", "func f[M ~map[int]int](m M) { for k := range m { _ = k } }", "range over m, which is a map"},
		{"range over keys", `"maps"`, "func f(m map[int]int) { for range maps.Keys(m) {} }", "maps.Keys that is not sorted at once"},
		{"collected keys", `"maps"; "slices"`, "func f(m map[int]int) []int { return slices.Collect(maps.Keys(m)) }", "maps.Keys that is not sorted at once"},
		{"values by a comparison", `"maps"; "slices"`, "func f(m map[int]int, c func(a, b int) int) []int { return slices.SortedFunc(maps.Values(m), c) }",
			"maps.Values that is not sorted at once"},
		{"sorted keys", `"maps"; "slices"`, "func f(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }", ""},
		{"keys sorted by a comparison", `"maps"; "slices"`, "func f(m map[int]int, c func(a, b int) int) []int { return slices.SortedFunc(maps.Keys(m), c) }", ""},
		{"range over a slice", "", "func f(s []int) { for range s {} }", ""},
		{"map by reflection", `"reflect"`, "func f(v reflect.Value) []reflect.Value { return v.MapKeys() }", "(reflect.Value).MapKeys (rule 5)"},
		{"synchronised map", `"sync"`, "func f(m *sync.Map) { m.Range(nil) }", "(*sync.Map).Range (rule 5)"},
		{"float type", "", "type t float64", "no floats: float64 (rule 5)"},
		{"small float field", "", "type t struct { a float32 }", "no floats: struct{a float32} (rule 5)"},
		{"complex", "", "var x complex128", "no floats: x (rule 5)"},
		{"untyped float", "", "const x = 1.5", "no floats"},
		{"float without its name", `"math"`, "var x = int(math.Sqrt(4))", "no floats: math.Sqrt"},
		{"float of a rational", `"math/big"`, "func f(r *big.Rat) { _, _ = r.Float64() }", "no floats"},
		{"big float", `"math/big"`, "func f(x *big.Float) int { return x.Sign() }", "no floats"},
		{"float as a type argument", `"iter"`, "var x iter.Seq[float64]", "no floats"},
		{"whole number in scientific notation", "", "const x int64 = 1e9", ""},
		{"exact rational", `"math/big"`, "func f(r *big.Rat) string { return r.RatString() }", ""},
		{"verification in state", `"` + modulePath + `/signer"`, "var x = signer.Verify", "as signer.Opened: signer.Verify (rule 6)"},
		{"opened in state", `"` + modulePath + `/signer"`, "func f(o signer.Opened) signer.KeyID { return o.Key().ID() }", ""},
	} {
		found := checkSnippet(t, "ledger/state/x.go", test.imports, test.code, exports)
		switch {
		case test.want == "" && len(found) > 0:
			t.Errorf("%s: got %v, want nothing", test.name, lines(found))
		case test.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), test.want)):
			t.Errorf("%s: got %v, want %q", test.name, lines(found), test.want)
		case test.want != "" && !strings.HasPrefix(found[0].where, "ledger/state/x.go:"):
			t.Errorf("%s: found at %s, want file and line", test.name, found[0].where)
		}
	}

	// Of all this a test is held to floats alone.
	found := checkSnippet(t, "ledger/state/x_test.go", `"time"`, "var x = time.Now; func f() { go f() }", exports)
	if len(found) > 0 {
		t.Errorf("a test with a clock: got %v, want nothing", lines(found))
	}
	found = checkSnippet(t, "ledger/state/x_test.go", `"testing"`, "func f(b *testing.B) { b.ReportMetric(1, \"x\") }", exports)
	if len(found) != 1 {
		t.Errorf("a test with a float: got %v, want one finding", lines(found))
	}
}

// checkSnippet type-checks one file of ledger/state and returns what is found.
func checkSnippet(t *testing.T, file, imports, code string, exports map[string]string) []finding {
	t.Helper()
	fset := token.NewFileSet()
	text := "package state\n\nimport (" + imports + ")\n\n" + code + "\n"
	f, err := parser.ParseFile(fset, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	found, err := checkFiles(fset, modulePath+"/ledger/state", []*ast.File{f}, func(p string) (io.ReadCloser, error) {
		return os.Open(exports[p])
	})
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return found
}

func TestFilesThatAreNotBuilt(t *testing.T) {
	if found := checkUnbuilt("ledger/unit/add_arm.go"); len(found) != 1 || found[0].rule != 5 {
		t.Errorf("a source for one platform: got %v, want one finding", lines(found))
	}
	if found := checkUnbuilt("ledger/unit/add_amd64.s"); len(found) != 1 || found[0].rule != 5 {
		t.Errorf("assembly: got %v, want one finding", lines(found))
	}
	if found := checkUnbuilt("ledger/unit/no_such_test.go"); len(found) != 1 {
		t.Errorf("a missing file: got %v, want one finding", lines(found))
	}
}
