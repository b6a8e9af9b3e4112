package api

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Announced is what a gateway has announced last, verified under a key that it has.
type Announced struct {
	wire.Birth
	At int64 // when it says that it was made, Unix seconds
	// Offline says that the broker, or the gateway, has said since that it is gone.
	Offline bool
	// Behind is how many changes of the ledger's oracles it has not followed.
	Behind int
}

// FleetGateway is what an operator looks at of one gateway: from what it has signed, which
// is on the ledger, and from what it has announced.
type FleetGateway struct {
	Gateway string `json:"gateway"`
	// Trouble is what is wrong with it, the worst first; empty where all is well.
	Trouble []Trouble `json:"trouble"`
	KeyID   string    `json:"key_id"`
	// Heard is when its last statement was signed, empty where none is on the ledger, and
	// DelayS how long after that the ledger had it: what it had to keep meanwhile.
	Heard    string `json:"last_heard,omitempty"`
	AgeS     int64  `json:"age_s"`
	DelayS   int64  `json:"delay_s"`
	Sequence string `json:"last_sequence,omitempty"`
	Leaf     uint64 `json:"last_leaf,omitempty"`
	Clock    string `json:"clock,omitempty"`
	ClockNS  uint64 `json:"clock_uncertainty_ns,omitempty"`
	// Board is that of the image that it runs, empty where it runs none.
	Board string `json:"board,omitempty"`
	// Root is the digest of the firmware that it signs on, empty for none, and Release the
	// logged release of it, nil where the ledger has none.
	Root    string        `json:"root,omitempty"`
	Release *FleetRelease `json:"release,omitempty"`
	// WentBack is a version that it has signed on and signs on no more, 0 for none.
	WentBack   uint64 `json:"went_back_from,omitempty"`
	Calibrated string `json:"last_calibration,omitempty"`
	// Program, Boots and Update are what it has announced.
	Program string       `json:"program,omitempty"`
	Boots   uint64       `json:"boot_count,omitempty"`
	Update  *wire.Update `json:"last_update,omitempty"`
	Offline bool         `json:"offline,omitempty"`
	// CertificateEnds is the last day of the certificate with which it reaches the broker,
	// and Behind how many changes of the oracles it has not followed.
	CertificateEnds string `json:"certificate_ends,omitempty"`
	Behind          int    `json:"oracles_behind,omitempty"`
}

// FleetRelease is the release that a gateway signs on, as it is logged.
type FleetRelease struct {
	Origin  string `json:"origin"`
	Board   string `json:"board"`
	Version uint64 `json:"version"`
	Leaf    uint64 `json:"leaf"`
}

// Trouble is a word for programs, and a sentence for people.
type Trouble struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Kinds of trouble, the worst first.
var troubles = []string{"silent", "never_heard", "offline", "firmware_not_logged", "update_fell_back", "update_refused", "went_back", "certificate", "oracles", "clock", "late"}

// SilentAfter is how long nothing may come of a gateway: a pack for a quarter of an hour is
// the longest that is usual. LateAfter is how long a statement may be on its way.
const (
	SilentAfter = 20 * time.Minute
	LateAfter   = 5 * time.Minute
	// CertificateWithin is how long before its end a certificate has usually been renewed.
	CertificateWithin = 20 * 24 * time.Hour
)

// Fleet tells of all gateways that have a key, those with the worst trouble first. now is
// in Unix milliseconds.
func Fleet(keys map[string]signer.KeyID, heard []ledger.Heard, announced map[string]Announced, now int64) []FleetGateway {
	last := make(map[string]*ledger.Heard)
	for i := range heard {
		last[heard[i].Gateway] = &heard[i]
	}
	var out []FleetGateway
	for name, id := range keys {
		g := FleetGateway{Gateway: name, KeyID: id.String(), Trouble: []Trouble{}}
		if h := last[name]; h != nil {
			g.hear(h, now)
		} else {
			g.trouble("never_heard", "nothing of it is on the ledger: see that it runs, and what its own page says")
		}
		if a, ok := announced[name]; ok {
			g.announced(&a, now)
		}
		slices.SortStableFunc(g.Trouble, func(a, b Trouble) int {
			return cmp.Compare(slices.Index(troubles, a.Kind), slices.Index(troubles, b.Kind))
		})
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b FleetGateway) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Gateway, b.Gateway))
	})
	return out
}

// rank sorts by the worst trouble.
func (g *FleetGateway) rank() int {
	if len(g.Trouble) == 0 {
		return len(troubles)
	}
	return slices.Index(troubles, g.Trouble[0].Kind)
}

func (g *FleetGateway) trouble(kind, text string, args ...any) {
	g.Trouble = append(g.Trouble, Trouble{kind, fmt.Sprintf(text, args...)})
}

func (g *FleetGateway) hear(h *ledger.Heard, now int64) {
	g.Heard, g.Sequence, g.Leaf = time.Unix(h.IssuedAt, 0).UTC().Format(time.RFC3339), h.Sequence.String(), h.Leaf
	g.AgeS, g.DelayS = max(0, now/1000-h.IssuedAt), max(0, h.Block/1000-h.IssuedAt)
	if h.Calibrated > 0 {
		g.Calibrated = time.Unix(h.Calibrated, 0).UTC().Format(time.RFC3339)
	}
	if g.AgeS > int64(SilentAfter/time.Second) {
		g.trouble("silent", "its last statement is %s old: see that it has power and its line", Age(g.AgeS))
	}
	if g.DelayS > int64(LateAfter/time.Second) {
		g.trouble("late", "its last statement came %s after it was signed: it sends a backlog, or its line is bad", Age(g.DelayS))
	}
	if c := h.Clock; c != nil {
		g.Clock, g.ClockNS = c.Quality, c.Uncertainty
		if c.Quality == entry.ClockUnsynced || c.Quality == entry.ClockRTC {
			g.trouble("clock", "its clock is %s: let it reach a time server", c.Quality)
		}
	}
	g.Root, g.WentBack = hex.EncodeToString(h.Root), h.WentBack()
	if r := h.Release; r != nil {
		g.Release = &FleetRelease{r.Release.Origin, r.Release.Board, r.Release.Version, r.Leaf}
		g.Board = r.Release.Board
	} else if len(h.Root) > 0 {
		g.trouble("firmware_not_logged", "it signs on firmware that no release on this ledger names: find out who put it there")
	}
	if g.WentBack > 0 {
		g.trouble("went_back", "it has signed on version %d and signs on it no more", g.WentBack)
	}
}

func (g *FleetGateway) announced(a *Announced, now int64) {
	g.Program, g.Boots, g.Offline, g.Behind = a.Version, a.Boot, a.Offline, a.Behind
	if a.Offline {
		g.trouble("offline", "the broker says that it has gone")
	}
	if g.Behind > 0 {
		g.trouble("oracles", "it has not followed the last change of the oracles, and takes no receipts: see what its own page says")
	}
	if c := a.Certificate; c != nil {
		g.CertificateEnds = c.Ends.UTC().Format(time.DateOnly)
		if c.Ends.Sub(time.UnixMilli(now)) < CertificateWithin {
			g.trouble("certificate", "its certificate for the broker ends on %s: see that the oracle with the broker's authority runs, which renews it", g.CertificateEnds)
		}
	}
	if a.Firmware == nil {
		return
	}
	g.Board = cmp.Or(g.Board, a.Firmware.Board)
	if a.Firmware.Update == nil {
		return
	}
	g.Update = a.Firmware.Update
	switch u := g.Update; u.Result {
	case "fell_back":
		g.trouble("update_fell_back", "version %d was tried and not kept: %s: stop the roll-out until it is known why", u.Version, u.Reason)
	case "refused":
		g.trouble("update_refused", "version %d was refused: %s", u.Version, u.Reason)
	}
}

// Age says a time span in words, roughly.
func Age(seconds int64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 2*24*3600:
		return fmt.Sprintf("%d h", seconds/3600)
	}
	return fmt.Sprintf("%d days", seconds/(24*3600))
}

// Fleet returns what there is to say of this ledger's gateways now.
func (a *API) Fleet() ([]FleetGateway, error) {
	keys := make(map[string]signer.KeyID)
	simulated := false
	a.cfg.Ledger.View(func(s *state.State) {
		simulated = s.Charter().Simulated
		for _, k := range s.Keys() {
			if k.Revoked == 0 {
				keys[k.Gateway] = k.Public.ID()
			}
		}
	})
	s := a.cfg.Ledger.Store()
	a.fleetMu.Lock()
	defer a.fleetMu.Unlock()
	if err := a.fleet.Read(s, s.Size()); err != nil {
		return nil, err
	}
	now := a.cfg.Now().UnixMilli()
	if simulated {
		now = a.fleet.Time()
	}
	var announced map[string]Announced
	if a.cfg.Births != nil {
		announced = a.cfg.Births()
	}
	return Fleet(keys, a.fleet.Gateways(), announced, now), nil
}

// serveFleet is for the operator alone.
func (a *API) serveFleet(w http.ResponseWriter, r *http.Request) {
	list, err := a.Fleet()
	if err != nil {
		a.inside(w, "telling of the fleet", err)
		return
	}
	b, err := json.Marshal(struct {
		Kind     string         `json:"kind"`
		Ledger   string         `json:"ledger"`
		Gateways []FleetGateway `json:"gateways"`
	}{"fleet", a.origin, list})
	if err != nil {
		a.inside(w, "telling of the fleet", err)
		return
	}
	a.write(w, r, answer{kind: "application/json", cache: "no-store", body: b})
}
