package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/firmware/manifest"
	"wattmark/oracle/api"
	"wattmark/oracle/wire"
)

var stagedAt = time.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC)

func stagedBy(percent uint64) *manifest.Rollout {
	return &manifest.Rollout{Origin: "a.example", Board: "rpi", Version: 7, Percent: percent, Issued: stagedAt.Unix()}
}

// within is the gateways g0, g1, … that a percentage includes, or does not.
func within(o *manifest.Rollout, in bool, n int) []string {
	var names []string
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprint("g", i); o.Includes(name) == in {
			names = append(names, name)
		}
	}
	return names
}

func TestStage(t *testing.T) {
	plan := stagePlan{steps: []uint64{5, 50, 100}, hold: time.Hour}
	at50 := stagedBy(50)
	in, out := within(at50, true, 3), within(at50, false, 2)
	gateway := func(name string, result, reason string) api.FleetGateway {
		g := api.FleetGateway{Gateway: name, Board: "rpi", Release: &api.FleetRelease{Origin: "a.example", Board: "rpi", Version: 6}}
		if result != "" {
			g.Update = &wire.Update{Version: 7, Result: result, Reason: reason}
		}
		return g
	}
	runs := func(name string) api.FleetGateway {
		g := gateway(name, "", "")
		g.Release.Version = 7
		return g
	}
	stranger := api.FleetGateway{Gateway: "other", Board: "lab", Update: &wire.Update{Version: 7, Result: "fell_back"}}
	older := gateway(in[2], "", "")
	older.Update = &wire.Update{Version: 5, Result: "fell_back", Reason: "unhealthy"}
	back := gateway(in[2], "", "")
	back.WentBack = 7
	for name, c := range map[string]struct {
		at    *manifest.Rollout
		fleet []api.FleetGateway
		after time.Duration
		plan  stagePlan
		next  uint64
		done  bool
		why   string
	}{
		"begins":                {stagedBy(0), []api.FleetGateway{gateway(in[0], "", "")}, 0, plan, 5, false, "goes on to 5%"},
		"nobody's turn":         {stagedBy(5), []api.FleetGateway{stranger}, 0, plan, 50, false, "goes on to 50%"},
		"waits":                 {at50, []api.FleetGateway{runs(in[0]), gateway(in[1], "", "")}, 48 * time.Hour, plan, 50, false, "waits for 1 gateway"},
		"looks on":              {at50, []api.FleetGateway{runs(in[0]), gateway(in[1], "kept", ""), gateway(out[0], "", "")}, time.Minute, plan, 50, false, "looks on until 2026-06-17T13:00:00Z"},
		"goes on":               {at50, []api.FleetGateway{runs(in[0]), gateway(in[1], "kept", ""), gateway(out[0], "", "")}, time.Hour, plan, 100, false, "goes on to 100%"},
		"stops":                 {at50, []api.FleetGateway{runs(in[0]), gateway(in[1], "fell_back", "unhealthy")}, time.Minute, plan, 0, true, "stopped: 1 gateway failed, and 0 may"},
		"refused":               {at50, []api.FleetGateway{gateway(in[1], "refused", "not_logged")}, time.Minute, plan, 0, true, "stopped: 1 gateway failed"},
		"went back":             {at50, []api.FleetGateway{back}, time.Minute, plan, 0, true, "stopped: 1 gateway failed"},
		"stays stopped":         {stagedBy(0), []api.FleetGateway{gateway(in[1], "fell_back", "unhealthy")}, 48 * time.Hour, plan, 0, true, "stopped"},
		"some may":              {at50, []api.FleetGateway{gateway(in[1], "fell_back", "unhealthy")}, time.Hour, stagePlan{plan.steps, plan.hold, 1}, 100, false, "goes on"},
		"another's, an older's": {at50, []api.FleetGateway{stranger, older}, time.Hour, plan, 50, false, "waits for 1 gateway"},
		"done":                  {stagedBy(100), []api.FleetGateway{runs(in[0]), gateway(in[1], "kept", "")}, 0, plan, 100, true, "done: every gateway that may take it has it, 2 in all"},
	} {
		t.Run(name, func(t *testing.T) {
			got := stageOf(c.plan, c.at, c.fleet, stagedAt.Add(c.after).Unix())
			if got.Next != c.next || got.Done != c.done || !strings.HasPrefix(got.Why, c.why) {
				t.Errorf("%+v, want %d%%, done %t, %q", got, c.next, c.done, c.why)
			}
		})
	}
}

// TestStageAnyFleet plays roll-outs to their end on drawn fleets: a healthy fleet is all
// updated, step by step; one whose gateways fail is stopped before more have begun than
// the step allowed.
func TestStageAnyFleet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bad := make(map[string]bool)
		var fleet []api.FleetGateway
		for i := range rapid.IntRange(1, 40).Draw(t, "gateways") {
			g := api.FleetGateway{Gateway: fmt.Sprint("g", i), Board: "rpi"}
			bad[g.Gateway] = rapid.IntRange(0, 9).Draw(t, "bad") == 0
			fleet = append(fleet, g)
		}
		plan := stagePlan{steps: []uint64{5, 25, 100}, hold: time.Hour, failures: rapid.IntRange(0, 2).Draw(t, "may fail")}
		o, now := stagedBy(0), stagedAt.Unix()
		var last staged
		seen := []uint64{0}
		for range 50 {
			last = stageOf(plan, o, fleet, now)
			if last.Next != o.Percent {
				o.Percent, o.Issued = last.Next, now
				seen = append(seen, o.Percent)
			}
			if last.Done {
				break
			}
			for i := range fleet {
				g := &fleet[i]
				if o.Includes(g.Gateway) && g.Update == nil {
					g.Update = &wire.Update{Version: 7, Result: "kept"}
					if bad[g.Gateway] {
						g.Update = &wire.Update{Version: 7, Result: "fell_back", Reason: "unhealthy"}
					}
				}
			}
			now += 1800
		}
		failed, asked := 0, 0
		for i := range fleet {
			if u := fleet[i].Update; u != nil {
				asked++
				if u.Result == "fell_back" {
					failed++
				}
			}
		}
		if !last.Done || failed != len(last.Failed) {
			t.Fatalf("after all: %+v, %d failed", last, failed)
		}
		if stopped := failed > plan.failures; stopped != (o.Percent == 0) {
			t.Errorf("%d failed, %d may, and it stands at %d%%", failed, plan.failures, o.Percent)
		}
		if o.Percent != 0 && asked != len(fleet) {
			t.Errorf("done with %d of %d", asked, len(fleet))
		}
		if diff := cmp.Diff([]uint64{0, 5, 25, 100}[:min(4, len(seen))], seen); diff != "" && o.Percent != 0 {
			t.Errorf("steps: %s", diff)
		}
		if o.Percent == 0 {
			step := seen[len(seen)-2]
			for i := range fleet {
				if fleet[i].Update != nil && !stagedBy(step).Includes(fleet[i].Gateway) {
					t.Errorf("%s had not been its turn at %d%%", fleet[i].Gateway, step)
				}
			}
		}
	})
}
