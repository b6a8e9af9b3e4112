package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// legal are the names of files that a library's licence asks to be passed on with it.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright)([.-].*)?$`)

// apache is the licence that every Debian has, and that is therefore named and not
// repeated (Debian policy 12.5).
var apache = regexp.MustCompile(`(?s)[ \t]*Apache License\s+Version 2\.0, January 2004.*?accepting any such warranty or\s+additional liability\.(\s+END OF TERMS AND CONDITIONS)?`)

const apacheHere = "The Apache License, version 2.0: /usr/share/common-licenses/Apache-2.0"

// module is a library that is linked into the program.
type module struct{ path, version, dir string }

// copyright returns the package's copyright file: what stands in the checkout, then
// the licences of all libraries that are linked, each text once.
func copyright(source string, modules []module) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(source, "deploy/debian/copyright"))
	if err != nil {
		return nil, err
	}
	type notice struct {
		of   []string
		text string
	}
	var notices []*notice
	known := make(map[string]*notice)
	for _, m := range modules {
		texts, err := m.notices()
		if err != nil {
			return nil, err
		}
		for _, t := range texts {
			n := known[t]
			if n == nil {
				n = &notice{text: t}
				known[t] = n
				notices = append(notices, n)
			}
			n.of = append(n.of, m.path+" "+m.version)
		}
	}
	out := bytes.NewBuffer(text)
	for _, n := range notices {
		fmt.Fprintf(out, "\n%s\n\n%s\n\n%s\n", strings.Repeat("-", 78), strings.Join(n.of, "\n"), n.text)
	}
	return out.Bytes(), nil
}

// notices reads a module's licence files. One without any is not passed on.
func (m module) notices() ([]string, error) {
	files, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, f := range files {
		if f.IsDir() || !legal.MatchString(f.Name()) || strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.dir, f.Name()))
		if err != nil {
			return nil, err
		}
		b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
		b = apache.ReplaceAllLiteral(b, []byte(apacheHere))
		texts = append(texts, strings.Trim(string(b), "\n"))
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s %s has no licence file: may it be passed on?", m.path, m.version)
	}
	return texts, nil
}

// linked returns the modules that a program links, ours left out, and Go itself.
func (b *Build) linked(a architecture, program string) ([]module, error) {
	out, err := b.goTool(a, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", program)
	if err != nil {
		return nil, err
	}
	root, err := b.goTool(a, "env", "GOVERSION", "GOROOT")
	if err != nil {
		return nil, err
	}
	version, dir, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	modules := []module{{"Go", strings.TrimPrefix(version, "go"), dir}}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) == 3 {
			modules = append(modules, module{f[0], f[1], f[2]})
		}
	}
	slices.SortFunc(modules, func(x, y module) int { return cmp.Compare(x.path, y.path) })
	return slices.Compact(modules), nil
}
