package dashboard_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"

	"github.com/google/go-cmp/cmp"

	"wattmark/oracle/dashboard"
	"wattmark/oracle/dashboard/locale"
)

// TestTexts: German has every text that code, templates and scripts say, and none besides; what
// is filled into it and its elements are those of the English one.
func TestTexts(t *testing.T) {
	said := make(map[string]string) // where, by text
	goTexts(t, said)
	templateTexts(t, said)
	scriptTexts(t, said)
	for dir, texts := range dashboard.Outside {
		for _, text := range texts {
			said[text] = dir
		}
	}
	german := locale.German.Texts()
	for _, text := range missing(said, german) {
		t.Errorf("%s: German has no text for\n%s", said[text], strconv.Quote(text))
	}
	for _, text := range missing(german, said) {
		t.Errorf("de.json has a text that nobody says: %q", text)
	}
	for text, its := range german {
		if diff := cmp.Diff(verbs(text), verbs(its)); diff != "" {
			t.Errorf("%q: what is filled in (-English +German)\n%s", text, diff)
		}
		if diff := cmp.Diff(elements(text), elements(its)); diff != "" {
			t.Errorf("%q: elements (-English +German)\n%s", text, diff)
		}
		if strings.TrimSpace(its) == "" || strings.HasSuffix(text, ".") != strings.HasSuffix(its, ".") {
			t.Errorf("%q is %q: the stop at the end is not the same", text, its)
		}
	}
}

// missing are the keys of a that b does not have.
func missing[A, B any](a map[string]A, b map[string]B) (list []string) {
	for text := range a {
		if _, ok := b[text]; !ok {
			list = append(list, text)
		}
	}
	sort.Strings(list)
	return list
}

var (
	verb    = regexp.MustCompile(`%(?:\[(\d+)\])?[-+# 0-9.]*([a-zA-Z%])`)
	element = regexp.MustCompile(`<[^>]*>`)
)

// verbs are the arguments that a format takes and how, in their order.
func verbs(format string) (list []string) {
	at := 0
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[2] == "%" {
			continue
		}
		at++
		if m[1] != "" {
			at, _ = strconv.Atoi(m[1])
		}
		list = append(list, fmt.Sprint(at, m[2]))
	}
	sort.Strings(list)
	return list
}

func elements(text string) []string {
	list := element.FindAllString(text, -1)
	sort.Strings(list)
	return list
}

// saying are the functions that say texts, and which of their arguments are texts.
var saying = map[string][]int{"Say": {0}, "Text": {0}, "Count": {1, 2}}

// goTexts finds what the package's code says.
func goTexts(t *testing.T, said map[string]string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			for _, i := range saying[fun.Sel.Name] {
				if i >= len(call.Args) {
					continue
				}
				if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					said[text] = set.Position(lit.Pos()).String()
				}
			}
			return true
		})
	}
}

// templateTexts finds what the templates say. Text that a template has and does not say would be
// English in every language.
func templateTexts(t *testing.T, said map[string]string) {
	t.Helper()
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		trees := make(map[string]*parse.Tree)
		p := parse.New(name)
		p.Mode = parse.SkipFuncCheck
		if _, err := p.Parse(string(b), "", "", trees); err != nil {
			t.Fatal(err)
		}
		for _, tree := range trees {
			var text strings.Builder
			walk(tree.Root, &text, func(c *parse.CommandNode) {
				fun, ok := c.Args[0].(*parse.IdentifierNode)
				if !ok {
					return
				}
				for _, i := range map[string][]int{"t": {1}, "plural": {2, 3}}[fun.Ident] {
					lit, ok := c.Args[i].(*parse.StringNode)
					if !ok {
						t.Errorf("%s: %s is no constant text", name, c)
						continue
					}
					said[lit.Text] = name
				}
			})
			unsaid(t, name, text.String())
		}
	}
}

// walk writes a template's text, with a mark for each action, and visits its commands.
func walk(n parse.Node, text *strings.Builder, visit func(*parse.CommandNode)) {
	branch := func(b *parse.BranchNode) {
		pipe(b.Pipe, visit)
		walk(b.List, text, visit)
		if b.ElseList != nil {
			walk(b.ElseList, text, visit)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, each := range n.Nodes {
			walk(each, text, visit)
		}
	case *parse.TextNode:
		text.Write(n.Text)
	case *parse.ActionNode:
		text.WriteString("{}")
		pipe(n.Pipe, visit)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	}
}

func pipe(p *parse.PipeNode, visit func(*parse.CommandNode)) {
	for _, c := range p.Cmds {
		visit(c)
		for _, a := range c.Args {
			if inner, ok := a.(*parse.PipeNode); ok {
				pipe(inner, visit)
			}
		}
	}
}

var (
	code      = regexp.MustCompile(`(?s)<(code|pre)>.*?</(code|pre)>`)
	attribute = regexp.MustCompile(`(?:aria-label|alt|title|placeholder)="([^"]*[a-z][^"]*)"`)
	letters   = regexp.MustCompile(`\pL[\pL’]*`)
)

// everywhere is what is the same in each language.
var everywhere = []string{"Wattmark", "UTC", "CSV", "XLSX", "JSON", "PDF", "Green", "Button", "OpenAPI", "SHA", "s", "t", "CO", "doctype", "html", "e", "nbsp"}

func unsaid(t *testing.T, name, text string) {
	t.Helper()
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		t.Errorf("%s has a text in an attribute that it does not say: %q", name, m[1])
	}
	text = element.ReplaceAllString(code.ReplaceAllString(text, ""), " ")
	for _, word := range letters.FindAllString(text, -1) {
		if !slices.Contains(everywhere, word) {
			t.Errorf("%s has a text that it does not say, with %q in it", name, word)
		}
	}
}

var phrase = regexp.MustCompile(`phrase\("((?:[^"\\]|\\.)*)"`)

// scriptTexts finds what the scripts say.
func scriptTexts(t *testing.T, said map[string]string) {
	t.Helper()
	files, err := filepath.Glob("static/*.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range phrase.FindAllSubmatch(b, -1) {
			text, err := strconv.Unquote(`"` + string(m[1]) + `"`)
			if err != nil {
				t.Fatal(err)
			}
			said[text] = name
		}
	}
}

// says reports whether source has a text, or the text without what makes a sentence of it.
func says(source, text string) bool {
	begin, _, _ := strings.Cut(text, ". Both")
	begin = strings.TrimSuffix(begin, ".")
	for _, t := range []string{text, begin, strings.ToLower(begin[:1]) + begin[1:]} {
		if strings.Contains(source, strconv.Quote(t)) {
			return true
		}
	}
	return false
}

// TestOutside: what is said to be another package's text is.
func TestOutside(t *testing.T) {
	for dir, texts := range dashboard.Outside {
		var source strings.Builder
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, "_test.go") {
				source.Write(b)
			}
		}
		for _, text := range texts {
			if !says(source.String(), text) {
				t.Errorf("%s does not say %q", dir, text)
			}
		}
	}
}
