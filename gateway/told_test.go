package gateway_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/firmware/update"
	"wattmark/gateway"
	"wattmark/gateway/uplink"
	"wattmark/ledger/entry"
	"wattmark/oracle/api"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// TestOutcomeIsSigned has a gateway that runs tell whatever can become of an update, each
// reason, over a real broker: what arrives is signed and says the same, and the list of
// the fleet names it as trouble where it is.
func TestOutcomeIsSigned(t *testing.T) {
	port, _ := line(t)
	key := newKey(t, signer.EdDSA)
	cfg := config(t, t.TempDir(), port, key)
	cfg.Devices[0].Mode = entry.ModeOpen
	c := newConsortium(t, cfg)
	var err error
	if c.Transport, err = uplink.MQTT(c.link(t, c.far.MQTTURL())); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC)
	outcomes := []update.Outcome{{Version: 7, Result: update.Kept, At: at}}
	for _, r := range []update.Reason{
		update.Malformed, update.BadSignature, update.NoQuorum, update.NotLogged, update.WrongBoard, update.OlderVersion, update.TooOldToFollow, update.OtherKernel,
		update.Truncated, update.Altered,
	} {
		outcomes = append(outcomes, update.Outcome{Version: 7, Result: update.Rejected, Reason: r, Detail: "as the log says", At: at})
	}
	for _, r := range []update.Reason{update.NotBooted, update.Interrupted, update.Unhealthy} {
		outcomes = append(outcomes, update.Outcome{Version: 7, Result: update.FellBack, Reason: r, At: at})
	}
	var last atomic.Pointer[update.Outcome]
	c.Firmware = func() *wire.Firmware {
		return &wire.Firmware{Board: "rpi", Version: 6, Update: gateway.Told(last.Load())}
	}
	births := listenFor(t, c, wire.For(c.Origin).Birth(name))
	g, _, err := gateway.Open(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	told := func() *wire.Birth {
		t.Helper()
		select {
		case b := <-births:
			about, _, err := wire.OpenBirth(b, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			return about
		case <-ctx.Done():
			t.Fatal("it says nothing more")
			return nil
		}
	}
	if about := told(); about.Firmware == nil || about.Firmware.Update != nil {
		t.Errorf("before any update: %+v", about.Firmware)
	}
	for i := range outcomes {
		o := &outcomes[i]
		last.Store(o)
		g.Announce()
		about := told()
		want := &wire.Update{Version: 7, Result: string(o.Result), Reason: string(o.Reason), Detail: o.Detail, At: at}
		if diff := cmp.Diff(want, about.Firmware.Update); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", o.Result, o.Reason, diff)
		}
		fleet := api.Fleet(map[string]signer.KeyID{name: key.Public().ID()}, nil, map[string]api.Announced{name: {Birth: *about}}, at.UnixMilli())
		kind := map[update.Result]string{update.Rejected: "update_refused", update.FellBack: "update_fell_back"}[o.Result]
		for _, x := range fleet[0].Trouble {
			if x.Kind == kind {
				kind = ""
			}
		}
		if kind != "" || fleet[0].Board != "rpi" {
			t.Errorf("%s %s: the fleet has no trouble %q: %+v", o.Result, o.Reason, kind, fleet[0])
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
