package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// programs have a page each.
var programs = []string{"wattmark-gateway", "wattmark-oracle"}

// TestManPage has mandoc read the pages: it finds nothing worth a warning.
func TestManPage(t *testing.T) {
	need(t, "mandoc")
	for _, name := range programs {
		if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", name+".8").CombinedOutput(); err != nil {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
	}
}

// TestManPageIsWhole compares each page with the program's own help: the same commands,
// and of each every flag.
func TestManPageIsWhole(t *testing.T) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) { manPageIsWhole(t, name, name+".8") })
	}
}

func manPageIsWhole(t *testing.T, name, page string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), name)
	c := exec.Command("go", "build", "-o", program, "../cmd/"+name)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	help := func(args ...string) string {
		out, err := exec.Command(program, append(args, "--help")...).Output()
		if err != nil {
			t.Fatalf("%s --help: %v", args, err)
		}
		return string(out)
	}
	var commands []string
	_, list, _ := strings.Cut(help(), "Available Commands:\n")
	for line := range strings.Lines(list) {
		if strings.TrimSpace(line) == "" {
			break
		}
		commands = append(commands, strings.Fields(line)[0])
	}
	// What the page says of each command, to the next.
	said := make(map[string]string)
	for _, part := range regexp.MustCompile(`(?m)^\.It Cm `).Split(string(text), -1)[1:] {
		name := strings.Fields(part)[0]
		end := strings.Index(part, "\n.El\n")
		if end < 0 {
			end = len(part)
		}
		if said[name] != "" {
			t.Errorf("%s describes the command %q twice", page, name)
		}
		said[name] = part[:end]
		if !slices.Contains(commands, name) {
			t.Errorf("%s describes the command %q, which the program has not", page, name)
		}
	}
	if len(commands) < 4 {
		t.Fatalf("the program's help lists the commands %q", commands)
	}
	flag := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`)
	for _, name := range commands {
		if said[name] == "" {
			t.Errorf("%s does not describe the command %q", page, name)
			continue
		}
		own, _, _ := strings.Cut(help(name), "Global Flags:")
		for _, m := range flag.FindAllStringSubmatch(own, -1) {
			if m[1] != "help" && !strings.Contains(said[name], fmt.Sprintf("Fl -%s", m[1])) {
				t.Errorf("%s does not say the flag --%s of %q", page, m[1], name)
			}
		}
	}
}
