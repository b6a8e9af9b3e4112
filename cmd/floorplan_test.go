package cmd_test

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// room is one row of the plan: packages, and what of ours their code may import.
// Test files may import anything.
type room struct {
	// path is relative to the module. "x" is that package, "x/*" each package
	// directly below x that has no row of its own, "x/..." x and all below it.
	path string
	// may lists packages in the same notation, but "x/*" is everything below x.
	may []string
	// testOnly marks a folder whose Go files are all tests.
	testOnly bool
}

var (
	anything = []string{"..."}
	nothing  = []string{}
	gateway  = []string{"gateway/*", "hardware/...", "firmware/update", "signer/...",
		"ledger/entry", "ledger/unit", "ledger/block", "ledger/request", "ledger/handover", "oracle/wire"}
	oracle   = []string{"oracle/*", "ledger/...", "signer/..."}
	firmware = []string{"firmware/...", "signer/...", "ledger/block", "ledger/entry", "ledger/unit"}
	// rules are market, carbon and contract, which never import one another.
	rules = []string{"ledger/account", "ledger/entry", "ledger/unit"}
	// archive is state and below.
	archive = []string{"ledger/state", "ledger/market", "ledger/carbon", "ledger/contract",
		"ledger/account", "ledger/block", "ledger/request", "ledger/handover", "ledger/entry", "ledger/unit", "signer"}
)

// plan is every package there is or will be.
var plan = []room{
	{path: "cmd", testOnly: true},
	{path: "cmd/wattmark", may: anything},
	{path: "cmd/wattmark-gateway", may: anything},
	{path: "cmd/wattmark-oracle", may: anything},
	{path: "cmd/internal/command", may: []string{"gateway/settings"}},
	{path: "cmd/internal/command/commandtest", may: nothing},
	{path: "cmd/internal/service", may: nothing},
	{path: "cmd/internal/street", may: []string{"hardware/emulated", "hardware", "ledger/unit", "ledger/entry", "signer"}},
	{path: "deploy", testOnly: true},
	{path: "deploy/tools/...", may: []string{"deploy/tools/..."}},

	{path: "gateway", may: gateway},
	{path: "gateway/settings", may: nothing}, // how both daemons read their files
	{path: "gateway/sampler", may: gateway},
	{path: "gateway/outbox", may: gateway},
	{path: "gateway/uplink", may: gateway},
	{path: "gateway/enrol", may: gateway},
	{path: "gateway/console", may: gateway},
	{path: "gateway/doctor", may: gateway},
	{path: "gateway/homeassistant", may: gateway},
	{path: "gateway/display", may: gateway}, // a screen and a lamp on the device itself
	{path: "gateway/survey", may: gateway},
	{path: "gateway/verdict", may: gateway},
	{path: "gateway/calibration", may: gateway},

	{path: "oracle", may: oracle},
	{path: "oracle/wire", may: []string{"ledger/entry", "ledger/unit", "ledger/block", "ledger/handover", "signer"}},
	{path: "oracle/broker", may: oracle}, // the embedded broker, which a bench also starts alone
	{path: "oracle/founding", may: oracle},
	{path: "oracle/ingest", may: oracle},
	{path: "oracle/orderer", may: nothing},
	{path: "oracle/orderer/orderertest", may: []string{"oracle/orderer"}},
	{path: "oracle/orderer/jetstream", may: oracle},
	{path: "oracle/orderer/cometbft", may: oracle},
	{path: "oracle/orderer/cometbft/*", may: anything}, // a module with a binary of its own
	{path: "oracle/finality", may: oracle},
	{path: "oracle/pending", may: oracle}, // requests for enrolment that wait for an operator
	{path: "oracle/api", may: oracle},
	{path: "oracle/export", may: oracle},  // statements and lists as files
	{path: "oracle/witness", may: oracle}, // for whoever watches oracles and runs none
	{path: "oracle/dashboard", may: oracle},
	{path: "oracle/dashboard/chart", may: oracle},
	{path: "oracle/dashboard/locale", may: nothing},
	{path: "oracle/oracletest", may: append([]string{"oracle"}, oracle...)}, // for tests of gateways

	{path: "ledger", may: []string{"ledger/*", "signer"}},
	{path: "ledger/store", may: append([]string{"ledger/store"}, archive...)},
	{path: "ledger/audit", may: archive},
	{path: "ledger/audit/browser", may: append([]string{"ledger/audit"}, archive...)},
	{path: "ledger/audit/browser/wasm", may: append([]string{"ledger/audit"}, archive...)}, // a program for GOOS=js
	{path: "ledger/ledgertest", may: []string{"ledger/*", "signer"}},
	{path: "ledger/state", may: archive},
	{path: "ledger/market", may: rules},
	{path: "ledger/carbon", may: rules},
	{path: "ledger/contract", may: rules},
	{path: "ledger/account", may: []string{"ledger/unit"}},
	{path: "ledger/block", may: []string{"signer"}},
	{path: "ledger/request", may: []string{"ledger/entry", "signer"}},                  // what gateways sign, rules judge and operators read
	{path: "ledger/handover", may: []string{"ledger/block", "ledger/entry", "signer"}}, // how verifiers and gateways follow the oracles
	{path: "ledger/entry", may: []string{"ledger/unit"}},
	{path: "ledger/unit", may: nothing},

	{path: "signer", may: []string{"signer/..."}},
	{path: "signer/signertest", may: []string{"signer/..."}},
	{path: "signer/words", may: nothing},
	{path: "signer/keyfile", may: []string{"signer/..."}},
	{path: "signer/tpm", may: []string{"signer/..."}},
	{path: "signer/pkcs11", may: []string{"signer/..."}},

	{path: "hardware", may: nothing},
	{path: "hardware/*", may: []string{"hardware/..."}}, // one package a part or protocol

	// firmware imports entry too: what a release manifest says is read by the ledger's
	// readers as well, and has one parser.
	{path: "firmware/image/lab/bench", may: []string{"hardware", "hardware/emulated"}},
	{path: "firmware/manifest", may: firmware},
	{path: "firmware/manifest/manifesttest", may: firmware},
	{path: "firmware/update", may: firmware},
	{path: "firmware/update/slot", may: firmware},
	{path: "firmware/update/slot/slottest", may: firmware},
	{path: "firmware/qemutest", may: firmware},
	{path: "firmware/tools/...", may: firmware},
}

// nestedModules are the folders that may have a go.mod of their own.
var nestedModules = []string{"deploy/tools", "firmware/image/builddir", "firmware/tools", "oracle/orderer/cometbft"}

func TestFloorPlan(t *testing.T) {
	tree, err := readTree(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.packages) == 0 {
		t.Fatal("no packages found: is the test in the module's cmd folder?")
	}
	report(t, tree.unreadable)
	report(t, checkPlan(tree))
	report(t, checkImports(tree))
	report(t, checkComments(tree))
	report(t, compareWithGoList(t, tree))
}

// finding is one breach, with where it is and which rule it breaks.
type finding struct {
	where string // file:line, file or folder, relative to the module
	rule  int    // number in the floor plan's list of rules, or 0 for the table itself
	text  string
}

func (f finding) String() string {
	if f.rule == 0 {
		return fmt.Sprintf("%s: %s", f.where, f.text)
	}
	return fmt.Sprintf("%s: %s (rule %d)", f.where, f.text, f.rule)
}

func report(t *testing.T, findings []finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// checkPlan reports packages and modules that are not on the plan.
func checkPlan(tree *tree) []finding {
	var found []finding
	for _, dir := range tree.modules {
		if !slices.Contains(nestedModules, dir) {
			found = append(found, finding{dir, 0, "a module that is not on the floor plan"})
		}
	}
	for _, p := range tree.packages {
		r, ok := roomOf(p.dir)
		if !ok {
			found = append(found, finding{p.dir, 0, "a package that is not on the floor plan: give it a row in cmd/floorplan_test.go, on the floor that owns it"})
			continue
		}
		if r.testOnly && len(p.sources(false)) > 0 {
			found = append(found, finding{p.dir, 0, "the floor plan has only tests here, not a package"})
		}
	}
	return found
}

// checkImports reports imports of our packages that the plan does not allow.
func checkImports(tree *tree) []finding {
	var found []finding
	for _, p := range tree.packages {
		r, ok := roomOf(p.dir)
		if !ok {
			continue // checkPlan has reported it
		}
		for _, s := range p.sources(false) {
			for _, i := range s.imports {
				to, ours := within(i.path)
				if !ours || r.allows(to) {
					continue
				}
				rule, reason := why(p.dir, to, r)
				found = append(found, finding{i.where, rule, fmt.Sprintf("%s must not import %s: %s", p.dir, to, reason)})
			}
		}
	}
	return found
}

// why names the rule that an import from one package of another breaks.
func why(from, to string, r room) (rule int, reason string) {
	switch a, b := top(from), top(to); {
	case a == "hardware" && a != b:
		return 3, "hardware sees nothing of ours: a driver knows no reading, key or broker"
	case a == "hardware" && from == "hardware":
		return 3, "hardware is the promise of a driver and imports none"
	case a == "signer":
		return 3, "signer sees nothing of ours, so it can be audited alone"
	case a == "gateway" && b == "oracle", a == "oracle" && b == "gateway":
		return 2, "gateway and oracle do not know each other; both know oracle/wire"
	case a == "ledger" && (b == "gateway" || b == "oracle" || b == "hardware"):
		return 4, "ledger sees no gateway, oracle, hardware or broker"
	case a == b && to == b:
		return 1, fmt.Sprintf("children of %s never import the root", b)
	case strings.HasPrefix(from, "ledger/audit") && to == "ledger/store":
		return 4, "audit never imports store, so it cannot trust one"
	case from == "oracle/orderer":
		return 9, "the orderer's interface uses standard types only"
	}
	may := "none of our packages"
	if len(r.may) > 0 {
		may = "only " + strings.Join(r.may, ", ")
	}
	return 1, fmt.Sprintf("imports go down or sideways as the table says; it may import %s", may)
}

// roomOf returns the row of a package: its own, else the nearest that covers it.
func roomOf(dir string) (room, bool) {
	for _, r := range plan {
		if r.path == dir {
			return r, true
		}
	}
	for _, r := range plan {
		if base, ok := strings.CutSuffix(r.path, "/*"); ok && path.Dir(dir) == base {
			return r, true
		}
		if strings.HasSuffix(r.path, "/...") && covers(r.path, dir) {
			return r, true
		}
	}
	return room{}, false
}

// allows reports whether packages of the room may import dir.
func (r room) allows(dir string) bool {
	return slices.ContainsFunc(r.may, func(pattern string) bool { return covers(pattern, dir) })
}

// covers reports whether a pattern of the plan's may column matches dir.
func covers(pattern, dir string) bool {
	if pattern == "..." || pattern == dir {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == base || strings.HasPrefix(dir, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(dir, base+"/")
	}
	return false
}

// within returns the folder of one of our import paths.
func within(importPath string) (dir string, ours bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// top returns the first element of a folder's path.
func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// checkComments reports packages without exactly one package comment. Where all
// files are tests, the comment stands in one of those.
func checkComments(tree *tree) []finding {
	var found []finding
	for _, p := range tree.packages {
		sources := p.sources(false)
		if len(sources) == 0 {
			sources = p.sources(true)
		}
		var with []string
		for _, s := range sources {
			if s.doc == "" {
				continue
			}
			with = append(with, path.Base(s.file))
			start := "Package " + s.name + " "
			if s.name == "main" {
				start = "Command " + path.Base(p.dir) + " "
			}
			if !strings.HasPrefix(s.doc, start) {
				found = append(found, finding{s.file, 0, fmt.Sprintf("the package comment must start with %q", start)})
			}
		}
		switch len(with) {
		case 0:
			found = append(found, finding{p.dir, 0, "no file has a package comment"})
		case 1:
		default:
			found = append(found, finding{p.dir, 0, "more than one package comment: " + strings.Join(with, ", ")})
		}
	}
	return found
}
