package gateway

import (
	"cmp"
	"runtime/debug"
)

// version is that of a package, which its build gives with -ldflags "-X
// wattmark/gateway.version=VERSION"; empty in other builds.
var version string

// Version is that of the program: its package's, else what the Go toolchain knows of
// the commit that it was built from, else "unknown".
func Version() string {
	if version != "" {
		return version
	}
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	known := b.Main.Version
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" && (known == "" || known == "(devel)") {
			known = s.Value[:min(12, len(s.Value))]
		}
	}
	return cmp.Or(known, "unknown")
}
