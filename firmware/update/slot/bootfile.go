package slot

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Words of the kernel's command line.
const (
	// wordTry makes gokrazy's init hand over to the other slot, once.
	wordTry = "gokrazy.try_boot_inactive=1"
	// wordTaken is what init leaves in its place.
	wordTaken = "gokrazy.switch_on_boot=1"
)

// Boot files.
const (
	cmdlineFile = "cmdline.txt"                 // what a Raspberry Pi boots by, and where init looks
	loaderFile  = "loader/entries/gokrazy.conf" // what systemd-boot boots by
)

// options is the line of loaderFile that has the kernel's command line.
const options = "options "

// splitOptions returns what stands before, in and behind the command line in a boot
// file: all of cmdline.txt, one line of gokrazy.conf.
func splitOptions(file string, content []byte) (before, line, behind []byte, err error) {
	start := 0
	if file == loaderFile {
		if i := bytes.Index(content, []byte("\n"+options)); i >= 0 {
			start = i + 1 + len(options)
		} else if !bytes.HasPrefix(content, []byte(options)) {
			return nil, nil, nil, fmt.Errorf("%s has no line that starts with %q", file, options)
		} else {
			start = len(options)
		}
	}
	end := len(content)
	if i := bytes.IndexByte(content[start:], '\n'); i >= 0 {
		end = start + i
	}
	return content[:start], content[start:end], content[end:], nil
}

// words is a command line as its words.
func words(line []byte) []string { return strings.Fields(string(line)) }

// edit returns a boot file with other words and the length that it had.
func edit(file string, content []byte, change func([]string) []string) ([]byte, error) {
	before, line, behind, err := splitOptions(file, content)
	if err != nil {
		return nil, err
	}
	text := strings.Join(change(words(line)), " ")
	if len(text) > len(line) {
		return nil, fmt.Errorf("%s has room for %d bytes of command line, and %d are wanted", file, len(line), len(text))
	}
	out := slices.Concat(before, []byte(text), bytes.Repeat([]byte{' '}, len(line)-len(text)), behind)
	return out, nil
}

// without takes the words of trials away.
func without(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return w == wordTry || w == wordTaken })
}

// rootPrefix and partitionOffset are how gok names a root: by the unique id of the boot
// partition and how many partitions behind it the root is.
const (
	rootPrefix      = "root=PARTUUID="
	partitionOffset = "/PARTNROFF="
)

// rootOf returns the partition that a command line boots from.
func rootOf(list []string) (Partition, error) {
	for _, w := range list {
		if !strings.HasPrefix(w, rootPrefix) {
			continue
		}
		_, offset, ok := strings.Cut(w, partitionOffset)
		for _, p := range []Partition{RootA, RootB} {
			if ok && offset == fmt.Sprint(int(p)-1) {
				return p, nil
			}
		}
		return 0, fmt.Errorf("the root %q is neither slot of this disk", w)
	}
	return 0, fmt.Errorf("the command line %q names no root by %s", strings.Join(list, " "), rootPrefix)
}

// withRoot names another root.
func withRoot(list []string, p Partition) []string {
	list = slices.Clone(list)
	for i, w := range list {
		if id, _, ok := strings.Cut(w, partitionOffset); ok && strings.HasPrefix(w, rootPrefix) {
			list[i] = fmt.Sprintf("%s%s%d", id, partitionOffset, int(p)-1)
		}
	}
	return list
}
