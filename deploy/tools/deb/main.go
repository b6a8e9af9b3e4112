// Command deb builds the Debian packages of gateway and oracle, byte for byte the same from
// the same commit, in whatever directory: the program is linked without paths, stamps
// or C libraries, and every time in a package is the commit's.
//
//	go run ./deb -out DIR            in deploy/tools; or "make deb" at the root
//
// The version is that of the newest entry of deploy/debian/changelog. A commit that
// does not have it as its tag (v0.1.0) is before it: 0.1.0~20261126034752.d4ad614f36e2.
// What is in a package stands in contents.go, one line a file.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "deb:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("deb", flag.ContinueOnError)
	source := flags.String("source", "../..", "the `directory` of the checkout")
	out := flags.String("out", "../../bin", "the `directory` for the packages")
	only := flags.String("package", "", "the `name` of the one package to build (default: all)")
	architectures := flags.String("arch", "arm64,armhf,amd64", "Debian's `names` of the architectures")
	version := flags.String("version", "", "the `version` (default: from the commit)")
	at := flags.String("time", "", "the `time` in the package, RFC 3339 (default: the commit's)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q: only flags are taken", flags.Args())
	}
	b := Build{Source: *source, Version: *version}
	if (*version == "") != (*at == "") {
		return errors.New("-version and -time go together: without them both are the commit's")
	}
	var err error
	if *version == "" {
		if b.Version, b.Time, err = describe(*source); err != nil {
			return err
		}
	} else if b.Time, err = time.Parse(time.RFC3339, *at); err != nil {
		return fmt.Errorf("-time: %w", err)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for name := range strings.SplitSeq(*architectures, ",") {
		n := 0
		for i := range products {
			pr := &products[i]
			if *only != "" && pr.name != *only || !slices.Contains(pr.architectures, name) {
				continue
			}
			n++
			p, err := b.Package(pr, name, *out)
			if err != nil {
				return fmt.Errorf("building %s for %s: %w", pr.name, name, err)
			}
			fmt.Fprintf(stdout, "%s  %s\n", p.SHA256, p.Path)
			fmt.Fprintf(stdout, "  %.1f MB, its program %.1f MB\n", float64(p.Size)/1e6, float64(p.Program)/1e6)
		}
		if n == 0 {
			return fmt.Errorf("no package %s is for %q: there are wattmark-gateway for arm64, armhf and amd64, wattmark-oracle for arm64 and amd64", *only, name)
		}
	}
	return nil
}
