package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"wattmark/gateway/console"
)

// TestFieldScripts runs what a technician types at a gateway that is running, with an
// emulated meter, a broker and an oracle at the far ends: testdata/field/*.txt. Before
// each script the gateway is ready.
func TestFieldScripts(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	s := newSite(t, meter(t))
	d := s.start(t, program)
	d.status("ready, with a meter that stands still", func(s *console.Status) bool {
		return s.Ready && s.Devices[0].Unchanged >= 2
	})
	params := testscript.Params{
		Dir:                 "testdata/field",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "fits": fits},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SITE", s.dir)
			e.Setenv("CONFIG", s.config)
			e.Setenv("KEY", s.key.Public().ID().String())
			// A gateway that does not run, and is not enrolled.
			stopped := strings.NewReplacer(`state = "."`, `state = "state"`, `"console.sock"`, `"stopped.sock"`, `"key.pem"`, `"other.pem"`).Replace(s.text(t))
			return os.WriteFile(filepath.Join(e.WorkDir, "stopped.toml"), []byte(stopped), 0o640)
		},
	}
	t.Run("scripts", func(t *testing.T) { testscript.Run(t, params) }) // waits for all of them
	if err := d.end(); err != nil {
		t.Errorf("asked to end it ended with %v", err)
	}
}

// fits wants the lines of a file to fit a terminal: fits FILE.
func fits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fits file")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > screenWidth {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}
