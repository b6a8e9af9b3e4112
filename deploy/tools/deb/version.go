package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// changelogFile is where the version of the next release stands, in the checkout.
const changelogFile = "deploy/debian/changelog"

// describe returns the version and the time of the commit that is checked out at
// source. Where files differ from the commit, the version ends in ".dirty".
func describe(source string) (version string, at time.Time, err error) {
	fail := func(err error) (string, time.Time, error) {
		return "", time.Time{}, fmt.Errorf("which commit is this? %w: say it with -version and -time", err)
	}
	base, err := release(source)
	if err != nil {
		return "", time.Time{}, err
	}
	commit, err := git(source, "log", "-1", "--format=%ct %H")
	if err != nil {
		return fail(err)
	}
	seconds, hash, _ := strings.Cut(commit, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || len(hash) < 12 {
		return fail(fmt.Errorf("git log says %q", commit))
	}
	at = time.Unix(unix, 0).UTC()
	changed, err := git(source, "status", "--porcelain")
	if err != nil {
		return fail(err)
	}
	tags, err := git(source, "tag", "--points-at", "HEAD")
	if err != nil {
		return fail(err)
	}
	for tag := range strings.FieldsSeq(tags) {
		if tag == "v"+base && changed == "" {
			return base, at, nil
		}
	}
	version = base + "~" + at.Format("20060102150405") + "." + hash[:12]
	if changed != "" {
		version += ".dirty"
	}
	return version, at, nil
}

// entry is the first line of an entry of a changelog (deb-changelog(5)).
var entry = regexp.MustCompile(`^wattmark-gateway \(([0-9][0-9A-Za-z.+~]*)\) \S+; urgency=\w+$`)

// release returns the version of the newest entry of the changelog.
func release(source string) (string, error) {
	text, err := os.ReadFile(filepath.Join(source, changelogFile))
	if err != nil {
		return "", err
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	m := entry.FindSubmatch(first)
	if m == nil {
		return "", fmt.Errorf("%s begins with %q, want: wattmark-gateway (VERSION) unstable; urgency=medium", changelogFile, first)
	}
	return string(m[1]), nil
}

// changelog returns the changelog of a package, with an entry for version if it has none.
// All packages have one changelog in the checkout, under the name of the first.
func changelog(source, name, version string, at time.Time) ([]byte, error) {
	base, err := release(source)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(source, changelogFile))
	text = regexp.MustCompile(`(?m)^wattmark-gateway \(`).ReplaceAll(text, []byte(name+" ("))
	if err != nil || base == version {
		return text, err
	}
	maintained := regexp.MustCompile(`(?m)^ -- (.+>)  `).FindSubmatch(text)
	if maintained == nil {
		return nil, fmt.Errorf("%s: no entry ends with its maintainer", changelogFile)
	}
	head := fmt.Sprintf("%s (%s) unstable; urgency=medium\n\n  * Built before the release.\n\n -- %s  %s\n\n",
		name, version, maintained[1], at.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return append([]byte(head), text...), nil
}

// git asks git something about the checkout. That it may belong to somebody else, as
// where a build runs as root, changes nothing of the answer.
func git(dir string, args ...string) (string, error) {
	c := exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}
