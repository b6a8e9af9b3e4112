package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/oracle/api"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// TestFleetByTrouble has gateways with troubles of all kinds told of, the worst first.
func TestFleetByTrouble(t *testing.T) {
	now := time.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC)
	heard := func(name string, change func(*ledger.Heard)) ledger.Heard {
		h := ledger.Heard{Gateway: name, Sequence: entry.Sequence{Boot: 1, Count: 9}, IssuedAt: now.Unix() - 30, Block: now.UnixMilli() - 29_000,
			Clock: &entry.TimeQuality{Quality: entry.ClockNTP, Uncertainty: 8_000_000}}
		if change != nil {
			change(&h)
		}
		return h
	}
	logged := &ledger.Released{Leaf: 7, Release: entry.Release{Origin: "a.example", Board: "rpi", Version: 3}}
	said := func(result, reason string) api.Announced {
		return api.Announced{Birth: wire.Birth{Version: "v1", Firmware: &wire.Firmware{Update: &wire.Update{Version: 4, Result: result, Reason: reason}}}}
	}
	until := func(days int) api.Announced {
		return api.Announced{Birth: wire.Birth{Certificate: &wire.Certificate{Ends: now.AddDate(0, 0, days)}}}
	}
	keys := make(map[string]signer.KeyID)
	for _, name := range []string{"well", "kept", "silent", "late", "clock", "stranger", "back", "never", "fell", "refused", "gone", "ends", "lags"} {
		keys[name] = signer.KeyID{byte(len(keys))}
	}
	list := api.Fleet(keys, []ledger.Heard{
		heard("well", nil), heard("gone", nil), heard("refused", nil), heard("ends", nil), heard("lags", nil),
		heard("kept", func(h *ledger.Heard) { h.Root, h.Release, h.Highest = []byte{1}, logged, 3 }),
		heard("silent", func(h *ledger.Heard) { h.IssuedAt -= 3600; h.Block -= 3_600_000 }),
		heard("late", func(h *ledger.Heard) { h.IssuedAt -= 400 }),
		heard("clock", func(h *ledger.Heard) { h.Clock.Quality = entry.ClockUnsynced }),
		heard("stranger", func(h *ledger.Heard) { h.Root = []byte{2} }),
		heard("back", func(h *ledger.Heard) { h.Root, h.Release, h.Highest = []byte{1}, logged, 5 }),
		heard("fell", func(h *ledger.Heard) { h.Root, h.Release, h.Highest = []byte{1}, logged, 4 }),
		heard("revoked", nil), // it has no key any more
	}, map[string]api.Announced{"kept": said("kept", ""), "fell": said("fell_back", "unhealthy"), "refused": said("refused", "not_logged"), "gone": {Offline: true},
		"well": until(21), "ends": until(19), "lags": {Behind: 2}}, now.UnixMilli())
	var got []string
	for _, g := range list {
		line := g.Gateway
		for _, x := range g.Trouble {
			line += " " + x.Kind
		}
		got = append(got, line)
	}
	want := []string{"silent silent", "never never_heard", "gone offline", "stranger firmware_not_logged", "fell update_fell_back went_back",
		"refused update_refused", "back went_back", "ends certificate", "lags oracles", "clock clock", "late late", "kept", "well"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if g := list[11]; g.Release == nil || g.Release.Version != 3 || g.Release.Leaf != 7 || g.Program != "v1" || g.Update.Result != "kept" || g.AgeS != 30 || g.DelayS != 1 {
		t.Errorf("kept: %+v", g)
	}
}
