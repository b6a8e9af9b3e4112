package cmd_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pure are the packages whose results every oracle and verifier must repeat to
// the byte: rule 5.
var pure = []string{"ledger/unit", "ledger/entry", "ledger/block", "ledger/request", "ledger/handover", "ledger/account",
	"ledger/market", "ledger/carbon", "ledger/contract", "ledger/state"}

// impureImports are packages, with all below them, that a pure package has no
// business with.
var impureImports = map[string]string{
	"C":             "no cgo",
	"crypto/rand":   "no randomness",
	"database/sql":  "no files",
	"hash/maphash":  "no randomness: its seed differs from run to run",
	"io/fs":         "no files",
	"io/ioutil":     "no files",
	"log":           "no logging",
	"math/rand":     "no randomness",
	"net":           "no network",
	"os":            "no files or environment",
	"path/filepath": "no files",
	"plugin":        "no code from files",
	"runtime":       "nothing that depends on the machine",
	"syscall":       "no files or network",
	"unsafe":        "nothing that depends on the machine",
}

// browserImports are what the verifier's library may not use: rule 4.
var browserImports = map[string]string{
	"C":   "no cgo",
	"net": "no network",
	"os":  "no files",
}

// harmless are packages below a forbidden one that only compute.
var harmless = []string{"net/url", "net/netip"}

// impureObjects are functions and variables that a pure package may not use,
// named as go/types writes them.
var impureObjects = map[string]string{
	"time.Now":                  "no clock: time enters as a field of a block",
	"time.Since":                "no clock: time enters as a field of a block",
	"time.Until":                "no clock: time enters as a field of a block",
	"time.Sleep":                "no clock",
	"time.After":                "no clock",
	"time.AfterFunc":            "no clock",
	"time.Tick":                 "no clock",
	"time.NewTimer":             "no clock",
	"time.NewTicker":            "no clock",
	"time.Local":                "no machine's time zone: times are UTC",
	"(time.Time).Local":         "no machine's time zone: times are UTC",
	"time.LoadLocation":         "no files: time zones are read from the machine",
	"context.WithTimeout":       "no clock",
	"context.WithTimeoutCause":  "no clock",
	"context.WithDeadline":      "no clock",
	"context.WithDeadlineCause": "no clock",
	"context.AfterFunc":         "no goroutines",
	"(*sync.WaitGroup).Go":      "no goroutines",
	"(*sync.Map).Range":         "no map order",
	"(reflect.Value).MapKeys":   "no map order",
	"(reflect.Value).MapRange":  "no map order",
}

// signerInState is what ledger/state may use of signer. Beside the type Opened it
// is the plain data of public keys, since the charter and enrolments are where keys
// are kept: state can name and hand out a key, but neither verify nor sign with it.
// What an enrolment carries, ledger/request verifies.
var signerInState = []string{"Opened", "Algorithm", "KeyID", "PublicKey", "NewPublicKey"}

// mapIterators yield a map's elements in its order. Sorted at once they are safe.
var mapIterators = []string{"maps.All", "maps.Keys", "maps.Values"}

func TestPurity(t *testing.T) {
	tree, err := readTree(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	report(t, checkForbiddenImports(tree))
	var patterns []string
	for _, p := range tree.packages {
		if isPure(p.dir) {
			patterns = append(patterns, "./"+p.dir)
		}
	}
	if len(patterns) == 0 {
		t.Fatal("no pure package found")
	}
	all := goList(t, []string{"CGO_ENABLED=0"}, append([]string{"-export", "-deps", "-test"}, patterns...)...)
	exports := exportsOf(all)
	checked := map[string]bool{}
	for _, l := range all {
		dir, ours := within(strings.TrimSuffix(strings.Fields(l.ImportPath)[0], "_test"))
		if !ours || !isPure(dir) || l.Name == "main" && strings.HasSuffix(l.ImportPath, ".test") {
			continue
		}
		checked[dir] = true
		for _, name := range slices.Concat(l.IgnoredGoFiles, l.CgoFiles, l.SFiles) {
			report(t, checkUnbuilt(path.Join(dir, name)))
		}
		report(t, checkPackage(t, l, exports))
	}
	for _, p := range patterns {
		if !checked[strings.TrimPrefix(p, "./")] {
			t.Errorf("%s was not checked", p)
		}
	}
}

func isPure(dir string) bool {
	return slices.ContainsFunc(pure, func(p string) bool { return covers(p+"/...", dir) })
}

// checkForbiddenImports reports what pure packages, and the verifier's library,
// import from elsewhere that they may not.
func checkForbiddenImports(tree *tree) []finding {
	var found []finding
	for _, p := range tree.packages {
		rule, forbidden, what := 5, impureImports, "a pure package"
		switch {
		case isPure(p.dir):
		case covers("ledger/audit/...", p.dir):
			rule, forbidden, what = 4, browserImports, "a verifier in a browser"
		default:
			continue
		}
		for _, s := range p.sources(false) {
			for _, i := range s.imports {
				if reason, bad := lookImport(forbidden, i.path); bad {
					found = append(found, finding{i.where, rule, fmt.Sprintf("%s imports %s, which %s may not: %s", p.dir, i.path, what, reason)})
				}
			}
		}
	}
	return found
}

func lookImport(forbidden map[string]string, importPath string) (reason string, bad bool) {
	if slices.Contains(harmless, importPath) {
		return "", false
	}
	for p := importPath; p != "."; p = path.Dir(p) {
		if reason, bad = forbidden[p]; bad {
			return reason, true
		}
	}
	return "", false
}

// checkUnbuilt looks at a file of a pure package that is not built here, and so
// not type-checked. Only a test may be: what replays may not depend on platforms.
func checkUnbuilt(file string) []finding {
	if !strings.HasSuffix(file, "_test.go") {
		return []finding{{file, 5, "a pure package has no file for one platform or written in another language"}}
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, filepath.Join("..", file), nil, parser.SkipObjectResolution)
	if err != nil {
		return []finding{{file, 0, err.Error()}}
	}
	var found []finding
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if types.Universe.Lookup(n.Name) != nil && isFloat(types.Universe.Lookup(n.Name).Type()) {
				found = append(found, finding{fmt.Sprintf("%s:%d", file, fset.Position(n.Pos()).Line), 5, "no floats: " + n.Name})
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				found = append(found, finding{fmt.Sprintf("%s:%d", file, fset.Position(n.Pos()).Line), 5, "no floats: " + n.Value})
			}
		}
		return true
	})
	return found
}

// exportsOf maps import paths, as go list writes them, to files of export data.
func exportsOf(all []listed) map[string]string {
	exports := make(map[string]string, len(all))
	for _, l := range all {
		if l.Export != "" {
			exports[l.ImportPath] = l.Export
		}
	}
	return exports
}

// checkPackage type-checks one package, as it is or with its tests, and reports
// what is not pure. Of a package with its tests only the tests are looked at: the
// rest is looked at without them.
func checkPackage(t *testing.T, l listed, exports map[string]string) []finding {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range slices.Concat(l.GoFiles, l.TestGoFiles, l.XTestGoFiles) {
		if l.ForTest == "" && strings.HasSuffix(name, "_test.go") {
			continue
		}
		full := name
		if !filepath.IsAbs(name) {
			full = filepath.Join(l.Dir, name)
		}
		text, err := os.ReadFile(full)
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := within(strings.TrimSuffix(strings.Fields(l.ImportPath)[0], "_test"))
		f, err := parser.ParseFile(fset, path.Join(dir, filepath.Base(name)), text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	importPath := strings.Fields(l.ImportPath)[0]
	found, err := checkFiles(fset, importPath, files, func(p string) (io.ReadCloser, error) {
		if mapped := l.ImportMap[p]; mapped != "" {
			p = mapped
		}
		file, ok := exports[p]
		if !ok {
			return nil, fmt.Errorf("no export data of %s", p)
		}
		return os.Open(file)
	})
	if err != nil {
		t.Errorf("%s: %v", l.ImportPath, err)
	}
	return found
}

// checkFiles type-checks the files of one package and reports what is not pure.
func checkFiles(fset *token.FileSet, importPath string, files []*ast.File, lookup importer.Lookup) ([]finding, error) {
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Uses:  map[*ast.Ident]types.Object{},
		Defs:  map[*ast.Ident]types.Object{},
	}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup), Sizes: types.SizesFor("gc", "amd64")}
	if _, err := config.Check(importPath, fset, files, info); err != nil {
		return nil, err
	}
	c := &purity{fset: fset, info: info, state: importPath == modulePath+"/ledger/state", lines: map[string]bool{}}
	for _, f := range files {
		test := strings.HasSuffix(fset.Position(f.Pos()).Filename, "_test.go")
		c.floats(f)
		if !test {
			c.statements(f)
		}
	}
	slices.SortFunc(c.found, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.where, b.where), strings.Compare(a.text, b.text))
	})
	return c.found, nil
}

// purity collects the findings of one package.
type purity struct {
	fset  *token.FileSet
	info  *types.Info
	state bool // the package is ledger/state, which has a rule of its own
	lines map[string]bool
	found []finding
}

// add reports a breach once a line, so that one float is not reported for each
// part of its expression.
func (c *purity) add(n ast.Node, rule int, kind, format string, args ...any) {
	where := position(c.fset, n.Pos())
	if c.lines[kind+where] {
		return
	}
	c.lines[kind+where] = true
	c.found = append(c.found, finding{where, rule, kind + ": " + fmt.Sprintf(format, args...)})
}

// floats reports expressions and names whose type has a float in it.
func (c *purity) floats(f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		t := c.info.TypeOf(e)
		if t != nil && isFloat(t) {
			c.add(e, 5, "no floats", "%s", types.ExprString(e))
		}
		return true
	})
}

// isFloat reports whether a float or complex number is part of a type as written.
// It does not look into named types, whose own package is checked or is not ours.
func isFloat(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return t.Info()&(types.IsFloat|types.IsComplex) != 0
	case *types.Pointer:
		return isFloat(t.Elem())
	case *types.Slice:
		return isFloat(t.Elem())
	case *types.Array:
		return isFloat(t.Elem())
	case *types.Chan:
		return isFloat(t.Elem())
	case *types.Map:
		return isFloat(t.Key()) || isFloat(t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			if isFloat(v.Type()) {
				return true
			}
		}
	case *types.Signature:
		return isFloat(t.Params()) || isFloat(t.Results())
	case *types.Struct:
		for v := range t.Fields() {
			if isFloat(v.Type()) {
				return true
			}
		}
	case *types.Union:
		for term := range t.Terms() {
			if isFloat(term.Type()) {
				return true
			}
		}
	case *types.Interface:
		for e := range t.EmbeddedTypes() {
			if isFloat(e) {
				return true
			}
		}
	case *types.Named:
		if o := t.Obj(); o.Pkg() != nil && o.Pkg().Path() == "math/big" && o.Name() == "Float" {
			return true
		}
		for a := range t.TypeArgs().Types() {
			if isFloat(a) {
				return true
			}
		}
	}
	return false
}

// statements reports goroutines, map order, clocks and the like.
func (c *purity) statements(f *ast.File) {
	sorted := map[ast.Expr]bool{} // iterators that are put in order at once
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.add(n, 5, "no goroutines", "go statement")
		case *ast.SelectStmt:
			c.add(n, 5, "no goroutines", "select statement, which chooses at random")
		case *ast.RangeStmt:
			if isMap(c.info.TypeOf(n.X)) {
				c.add(n, 5, "no map order", "range over %s, which is a map: sort its keys, as slices.Sorted(maps.Keys(m)) does", types.ExprString(n.X))
			}
		case *ast.CallExpr:
			name := c.fullName(n.Fun)
			if name == "slices.Sorted" || name == "slices.SortedFunc" && c.isCallOf(n.Args[0], "maps.Keys") {
				sorted[n.Args[0]] = true
			}
			if slices.Contains(mapIterators, name) && !sorted[n] {
				c.add(n, 5, "no map order", "%s that is not sorted at once", name)
			}
		case *ast.Ident:
			c.use(n)
		}
		return true
	})
}

// use reports a name that pure packages may not use.
func (c *purity) use(id *ast.Ident) {
	o := c.info.Uses[id]
	if o == nil || o.Pkg() == nil {
		return
	}
	name := objectName(o)
	if reason, bad := impureObjects[name]; bad {
		c.add(id, 5, reason, "%s", name)
	}
	atPackageLevel := o.Parent() == o.Pkg().Scope()
	if c.state && o.Pkg().Path() == modulePath+"/signer" && atPackageLevel && !slices.Contains(signerInState, o.Name()) {
		c.add(id, 6, "state only takes what has been verified, as signer.Opened", "signer.%s", o.Name())
	}
}

// isCallOf reports whether e calls the named function. Keys are distinct, so that
// sorting them by a comparison of one's own leaves one order; values need not be.
func (c *purity) isCallOf(e ast.Expr, name string) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && c.fullName(call.Fun) == name
}

// fullName returns the name of the function an expression calls; empty if it is
// not a declared one.
func (c *purity) fullName(fun ast.Expr) string {
	switch f := ast.Unparen(fun).(type) {
	case *ast.IndexExpr: // with a type argument
		return c.fullName(f.X)
	case *ast.IndexListExpr:
		return c.fullName(f.X)
	case *ast.SelectorExpr:
		return c.fullName(f.Sel)
	case *ast.Ident:
		if o := c.info.Uses[f]; o != nil && o.Pkg() != nil {
			return objectName(o)
		}
	}
	return ""
}

func objectName(o types.Object) string {
	if f, ok := o.(*types.Func); ok {
		return f.Origin().FullName()
	}
	return o.Pkg().Path() + "." + o.Name()
}

// isMap reports whether a range over the type follows a map's order.
func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		t = p.Constraint()
	}
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for e := range u.EmbeddedTypes() {
			if isMap(e) {
				return true
			}
		}
	case *types.Union:
		for term := range u.Terms() {
			if isMap(term.Type()) {
				return true
			}
		}
	}
	return false
}
