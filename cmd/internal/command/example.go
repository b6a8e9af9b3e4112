package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// AddExamples puts examples under the commands below root that have none, by their paths
// without the program's name, and folds long ones as they are typed.
func AddExamples(root *cobra.Command, examples map[string]string) {
	each(root, func(c *cobra.Command, path string) {
		if e, ok := examples[path]; ok && c.Example == "" {
			c.Example = "  " + e
		}
		c.Example = fold(c.Example)
	})
}

func each(c *cobra.Command, fn func(c *cobra.Command, path string)) {
	for _, s := range c.Commands() {
		each(s, fn)
		_, path, _ := strings.Cut(s.CommandPath(), " ")
		fn(s, path)
	}
}

// fold breaks lines that no terminal has room for, at spaces and as a shell takes them.
func fold(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for len([]rune(line)) > columns {
			room := string([]rune(line)[:columns-2])
			at := max(strings.LastIndex(room, " --"), 0)
			if at < columns/2 {
				at = max(strings.LastIndex(room, " "), 0)
			}
			if at < columns/2 {
				break // a word that nothing parts
			}
			b.WriteString(line[:at] + " \\\n")
			line = "      " + line[at+1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// ExampleFaults says what is wrong with the examples of the commands below root: each command
// has one, its flags are the command's own, and it fits a terminal. For tests.
func ExampleFaults(root *cobra.Command, examples map[string]string) (faults []string) {
	used := make(map[string]bool)
	each(root, func(c *cobra.Command, path string) {
		used[path] = true
		if c.Example == "" && c.Runnable() && !c.Hidden && !c.HasSubCommands() && c.Name() != "help" {
			faults = append(faults, path+" has no example")
		}
		for line := range strings.Lines(strings.ReplaceAll(c.Example, "\\\n", " ")) {
			words := split(line)
			if len(words) == 0 || words[0] != root.Name() {
				continue // a comment, or a file's content
			}
			found, rest, err := root.Find(words[1:])
			if err == nil && found == c {
				err = found.ParseFlags(rest)
			} else if err == nil {
				err = fmt.Errorf("it is of %s", found.CommandPath())
			}
			if err != nil {
				faults = append(faults, fmt.Sprintf("the example %q: %v", strings.TrimSpace(line), err))
			}
		}
		for line := range strings.Lines(c.Example) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > columns {
				faults = append(faults, fmt.Sprintf("%s: an example has a line of %d characters", path, n))
			}
		}
	})
	for path := range examples {
		if !used[path] {
			faults = append(faults, "there is an example of "+path+", and no such command")
		}
	}
	return faults
}

// split parts a line as a shell does, as far as examples need it.
func split(line string) (words []string) {
	for i, part := range strings.Split(strings.TrimSpace(line), `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
