package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wattmark/gateway/console"
	"wattmark/signer/words"
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
	s.checkPage(t)
	params := testscript.Params{
		Dir:                 "testdata/field",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "fits": fits},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SITE", s.dir)
			e.Setenv("PAGE", s.page)
			e.Setenv("CONFIG", s.config)
			e.Setenv("KEY", s.key.Public().ID().String())
			if err := os.Mkdir(filepath.Join(e.WorkDir, "opened"), 0o750); err != nil {
				return err
			}
			if _, err := console.OpenAccess(filepath.Join(e.WorkDir, "opened"), time.Now()); err != nil {
				return err
			}
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

// checkPage opens the page of the gateway that runs, as a browser without a script does.
func (s *site) checkPage(t *testing.T) {
	t.Helper()
	a, err := http.Get("http://" + s.page + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	id := s.key.Public().ID()
	text := strings.ReplaceAll(string(b), "\u00a0", " ")
	for _, want := range []string{"1 of 1 sensor good; sending; ", ">1200<", "Importing 1.2 kW.", "Ready: readings signed, sent and receipted.", strings.Join(words.Of(id[:]), " ")} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
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
