// Package commandtest holds what is said of a program's commands against the program: in
// errors, on pages and in documents.
package commandtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Named reads every text of the repository at root that people may see, and fails for each
// command of the program that has a verb or a flag which there is not.
func Named(t *testing.T, root string, program *cobra.Command) {
	t.Helper()
	program.InitDefaultHelpCmd()
	program.InitDefaultCompletionCmd()
	found := 0
	for _, text := range texts(t, root) {
		for _, m := range mention(program.Name()).FindAllStringSubmatch(text.says, -1) {
			words := strings.Fields(m[1])
			if child(program, words[0]) == nil && !strings.HasPrefix(words[0], "-") && !told.MatchString(m[0]) {
				continue // the name of a format begins so as well
			}
			found++
			if why := wrong(program, words); why != "" {
				t.Errorf("%s: %q: %s", text.at, strings.TrimSpace(m[0]), why)
			}
		}
	}
	if found < 10 {
		t.Errorf("%d commands of %s are named anywhere: the test looks in the wrong place", found, program.Name())
	}
}

// told is how a text that tells somebody what to type begins.
var told = regexp.MustCompile(`^(?:'|>|run |see |go run )`)

// mention finds a program's name and the words and flags behind it. A name in the middle of
// a sentence has no verb behind it.
func mention(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)(?:^[ \t$]*|['"` + "`" + `(>:] ?|\brun |\bsee |\bgo run \./cmd/)` + regexp.QuoteMeta(name) + `((?: +(?:--[a-z][a-z0-9-]*(?:[= ][A-Za-z0-9./_{}:%+-]+)?|[a-z][a-z-]*|[A-Z][A-Z]+))+)`)
}

// wrong says what is wrong with the words behind a program's name.
func wrong(program *cobra.Command, words []string) string {
	c, i := program, 0
	for ; i < len(words) && !strings.HasPrefix(words[i], "-"); i++ {
		next := child(c, words[i])
		if next == nil {
			break
		}
		c = next
	}
	if c == program && i < len(words) && !strings.HasPrefix(words[i], "-") || c.HasSubCommands() && c.Run == nil && c.RunE == nil && i < len(words) {
		return "there is no such verb"
	}
	for _, w := range words[i:] {
		flag, isFlag := strings.CutPrefix(w, "--")
		if !isFlag {
			continue
		}
		flag, _, _ = strings.Cut(flag, "=")
		if flag != "help" && flag != "version" && lookup(c, flag) == nil {
			return "there is no flag --" + flag
		}
	}
	return ""
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, s := range c.Commands() {
		if s.Name() == name || s.HasAlias(name) {
			return s
		}
	}
	return nil
}

func lookup(c *cobra.Command, name string) *pflag.Flag {
	if f := c.Flags().Lookup(name); f != nil {
		return f
	}
	return c.InheritedFlags().Lookup(name)
}

// said is a text and where it stands.
type said struct{ at, says string }

// texts are the string literals of programs, and pages and documents whole.
func texts(t *testing.T, root string) (out []said) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case strings.HasSuffix(name, "_test.go"):
		case strings.HasSuffix(name, ".go"):
			more, err := literals(path)
			out = append(out, more...)
			return err
		case strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".html"), strings.HasSuffix(name, ".js"), strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".service"), strings.HasSuffix(name, ".toml"):
			b, err := os.ReadFile(path)
			out = append(out, said{path, string(b)})
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func literals(path string) (out []said, err error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil && strings.Contains(text, "wattmark") {
				out = append(out, said{files.Position(l.Pos()).String(), text})
			}
		}
		return true
	})
	return out, nil
}
