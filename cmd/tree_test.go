package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modulePath is the module's path, with which all our imports begin.
const modulePath = "wattmark"

// tree is what the checks know of all Go files below one folder.
type tree struct {
	packages   []*pkg   // by folder
	modules    []string // folders with a go.mod of their own
	unreadable []finding
}

// pkg is the Go files of one folder: a package and its tests.
type pkg struct {
	dir    string // relative to the module, "." for the module itself
	nested bool   // part of a module of its own
	files  []source
}

// source is what matters of one Go file, whatever platform it is for.
type source struct {
	file    string // relative to the module
	name    string // of the package
	test    bool
	doc     string
	imports []imported
}

type imported struct {
	path  string
	where string
}

// sources returns the package's files, those of its tests or all others.
func (p *pkg) sources(test bool) []source {
	var list []source
	for _, s := range p.files {
		if s.test == test {
			list = append(list, s)
		}
	}
	return list
}

// readTree reads every Go file that the go command would, and those of other
// platforms and nested modules. A file that does not parse is a finding.
func readTree(fsys fs.FS) (*tree, error) {
	tr := &tree{}
	byDir := map[string]*pkg{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			// A temporary file of somebody's editor or test may be gone by now.
			if errors.Is(err, fs.ErrNotExist) && name != "." {
				return nil
			}
			return err
		}
		base := path.Base(name)
		hidden := name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		switch {
		case d.IsDir() && (hidden || base == "testdata" || base == "vendor"):
			return fs.SkipDir
		case base == "go.mod" && path.Dir(name) != ".":
			tr.modules = append(tr.modules, path.Dir(name))
		case !d.IsDir() && !hidden && strings.HasSuffix(base, ".go"):
			s, err := readSource(fsys, name)
			if err != nil {
				tr.unreadable = append(tr.unreadable, finding{name, 0, err.Error()})
				return nil
			}
			dir := path.Dir(name)
			p := byDir[dir]
			if p == nil {
				p = &pkg{dir: dir}
				byDir[dir] = p
				tr.packages = append(tr.packages, p)
			}
			p.files = append(p.files, s)
		}
		return nil
	})
	slices.SortFunc(tr.packages, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	for _, p := range tr.packages {
		p.nested = slices.ContainsFunc(tr.modules, func(m string) bool {
			return p.dir == m || strings.HasPrefix(p.dir, m+"/")
		})
	}
	return tr, err
}

func readSource(fsys fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return source{}, err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	s := source{
		file: name,
		name: f.Name.Name,
		test: strings.HasSuffix(name, "_test.go"),
		doc:  docText(f),
	}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("import %s: %w", i.Path.Value, err)
		}
		s.imports = append(s.imports, imported{p, position(fset, i.Pos())})
	}
	return s, nil
}

// docText returns the package comment, without directives; empty if none.
func docText(f *ast.File) string {
	return f.Doc.Text()
}

// position returns file:line.
func position(fset *token.FileSet, pos token.Pos) string {
	p := fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// listed is the part of `go list -json` that the checks use.
type listed struct {
	Dir            string
	ImportPath     string
	Name           string
	Export         string
	ForTest        string
	Standard       bool
	Module         *struct{ Path string }
	GoFiles        []string
	TestGoFiles    []string
	XTestGoFiles   []string
	IgnoredGoFiles []string
	CgoFiles       []string
	SFiles         []string
	Imports        []string
	ImportMap      map[string]string
	Error          *struct{ Err string }
}

const listedFields = "-json=Dir,ImportPath,Name,Export,ForTest,Standard,Module,GoFiles,TestGoFiles,XTestGoFiles," +
	"IgnoredGoFiles,CgoFiles,SFiles,Imports,ImportMap,Error"

// goList runs go list in the module with the given settings of the environment.
func goList(t testing.TB, env []string, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", listedFields}, args...)...)
	cmd.Dir = ".."
	cmd.Env = append(cmd.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	var list []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := d.Decode(&p); {
		case err == io.EOF:
			return list
		case err != nil:
			t.Fatalf("%v: %v", cmd, err)
		}
		list = append(list, p)
	}
}

// excluded is go list's word for a package that has no file for this platform.
const excluded = "build constraints exclude all Go files"

// compareWithGoList reports where the tree as read from files differs from what
// the go command builds: a check that nothing was overlooked on either side.
func compareWithGoList(t *testing.T, tree *tree) []finding {
	t.Helper()
	var found []finding
	read := map[string]*pkg{}
	for _, p := range tree.packages {
		read[p.dir] = p
	}
	seen := map[string]bool{}
	for _, l := range goList(t, nil, "-e", "./...") {
		dir, ours := within(l.ImportPath)
		if !ours {
			found = append(found, finding{l.ImportPath, 0, "go list ./... names a package of another module"})
			continue
		}
		seen[dir] = true
		if l.Error != nil && !strings.Contains(l.Error.Err, excluded) {
			found = append(found, finding{dir, 0, "go list: " + l.Error.Err})
		}
		p := read[dir]
		if p == nil {
			found = append(found, finding{dir, 0, "go list names a package that the checks did not read"})
			continue
		}
		for _, i := range l.Imports {
			if !p.imports(i) {
				found = append(found, finding{dir, 0, "go list names an import that the checks did not read: " + i})
			}
		}
	}
	for _, p := range tree.packages {
		if !seen[p.dir] && !p.nested {
			// Without a file for this platform; all that is checked is syntax.
			t.Logf("%s: read, but not built on this platform", p.dir)
		}
	}
	return found
}

func (p *pkg) imports(importPath string) bool {
	return slices.ContainsFunc(p.files, func(s source) bool {
		return slices.ContainsFunc(s.imports, func(i imported) bool { return i.path == importPath })
	})
}
