package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// PowerItem is the power of one channel of a member's own metering points over one period
// of its gateway, as the gateway has signed it.
type PowerItem struct {
	At      string `json:"at" format:"date-time" doc:"The end of the period"`
	Point   string `json:"metering_point"`
	Device  bool   `json:"device" doc:"Whether it is of a device behind the member's connection"`
	Channel string `json:"channel" doc:"Of the meter, as it is enrolled"`
	Power   int64  `json:"power_mw" doc:"The mean of the period; above nothing it flows in"`
	Least   *int64 `json:"least_power_mw,omitempty"`
	Most    *int64 `json:"most_power_mw,omitempty"`
	Leaf    uint64 `json:"leaf"`
	State   string `json:"state" enum:"pending,final"`

	milli int64
}

// Time is At.
func (p *PowerItem) Time() time.Time { return time.UnixMilli(p.milli).UTC() }

const (
	powerStatements = 24               // of each gateway, the newest
	powerFor        = 15 * time.Minute // before the newest
	powerHoles      = 8                // sequence numbers that are passed over
)

const wattUnit = "W"

// Power returns what the meters of a member have last said of power, in order of time. A
// channel has it if its unit is W; what was forgotten is not there.
func (a *API) Power(member string) ([]PowerItem, error) {
	type source struct {
		key  signer.KeyID
		last entry.Sequence
	}
	var sources []source
	points, connections := make(map[string]bool), make(map[string]bool)
	admitted := uint64(0)
	a.cfg.Ledger.View(func(s *state.State) {
		m, ok := s.Member(member)
		if !ok || m.Revoked != 0 {
			return
		}
		admitted = m.Admitted
		owner := make(map[string]string)
		for _, m := range s.Members() {
			for _, c := range m.Connections {
				owner[c.Subject] = m.Member
			}
		}
		for _, c := range m.Connections {
			connections[c.Subject] = true
		}
		for _, k := range s.Keys() {
			own := slices.ContainsFunc(k.Points, func(p string) bool { return owner[p] == member })
			others := slices.ContainsFunc(k.Points, func(p string) bool { return owner[p] != "" && owner[p] != member })
			last, ok := s.LastSequence(k.Public.ID())
			if k.Revoked != 0 || !own || !ok {
				continue
			}
			for _, p := range k.Points { // devices behind the connection, unless the gateway serves others too
				points[p] = points[p] || owner[p] == member || !others
			}
			sources = append(sources, source{k.Public.ID(), last})
		}
	})
	_, final, any := a.finalSize()
	var out []PowerItem
	for _, src := range sources {
		newest, holes := int64(0), 0
		for q, n := src.last, 0; q.Count > 0 && n < powerStatements && holes <= powerHoles; q.Count-- {
			leaf, b, ok := a.cfg.Ledger.Logged(src.key, q)
			if !ok {
				holes++
				continue
			}
			if leaf < admitted { // somebody else's, it may be
				break
			}
			n++
			items := a.powerOf(leaf, b, points)
			if len(items) == 0 {
				continue
			}
			newest = max(newest, items[0].milli)
			if newest-items[0].milli > powerFor.Milliseconds() {
				break
			}
			for i := range items {
				items[i].Device = !connections[items[i].Point]
				items[i].State = "pending"
				if any && leaf < final {
					items[i].State = "final"
				}
			}
			out = append(out, items...)
		}
	}
	slices.SortStableFunc(out, func(a, b PowerItem) int {
		return cmp.Or(cmp.Compare(a.milli, b.milli), strings.Compare(a.Channel, b.Channel))
	})
	return out, nil
}

// finalSize is how many leaves are final.
func (a *API) finalSize() (height, size uint64, any bool) {
	_, height, any = a.cfg.Ledger.Store().Final()
	if !any {
		return 0, 0, false
	}
	b, err := a.cfg.Ledger.Store().BlockAt(height)
	return height, b.Size, err == nil
}

// powerOf reads the channels of power out of a leaf, if it is a reading of one of the points.
func (a *API) powerOf(index uint64, leaf []byte, points map[string]bool) (out []PowerItem) {
	m, err := signer.Parse(leaf)
	if err != nil || m.Type != entry.TypeReading {
		return nil
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil || !points[c.Subject] {
		return nil
	}
	e := audit.Evidence{}
	if m.Hidden() {
		if d := a.cfg.Ledger.Pack(m.Payload); d != nil {
			e.Disclosures = [][]byte{d}
		}
	}
	p := e.Pack(m)
	if p == nil {
		return nil
	}
	milli := make(map[string]int64)
	for i := range p.Records {
		if r := &p.Records[i]; r.Unit == wattUnit && r.Text == "" {
			if v, ok := milliwatts(r.Value); ok {
				milli[r.Name] = v
			}
		}
	}
	for i := range p.Records {
		r := &p.Records[i]
		v, ok := milli[r.Name]
		if !ok || strings.HasSuffix(r.Name, ".min") || strings.HasSuffix(r.Name, ".max") {
			continue
		}
		item := PowerItem{
			At: time.UnixMilli(r.Time).UTC().Format(time.RFC3339), Point: c.Subject, Channel: strings.TrimPrefix(r.Name, p.Base), Power: v, Leaf: index, milli: r.Time,
		}
		if least, ok := milli[r.Name+".min"]; ok {
			item.Least = &least
		}
		if most, ok := milli[r.Name+".max"]; ok {
			item.Most = &most
		}
		out = append(out, item)
	}
	return out
}

// milliwatts writes a number of W in thousandths, without what is below. No power of a home
// has more than fifteen digits.
func milliwatts(d entry.Decimal) (int64, bool) {
	n, places := d.Mantissa, d.Exponent+3
	for ; places < 0 && n != 0; places++ {
		n /= 10
	}
	for ; places > 0 && n != 0; places-- {
		if n > 1e14 || n < -1e14 {
			return 0, false
		}
		n *= 10
	}
	return n, n < 1e15 && n > -1e15
}

// PowerList is a member's power of the last minutes.
type PowerList struct {
	About
	Member string      `json:"member"`
	Items  []PowerItem `json:"items"`
}

func (a *API) queryPower(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "power", Method: http.MethodGet, Path: "/api/v1/power", Summary: "A member's own power of the last minutes",
		Errors:      []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError},
		Description: "As the member's gateways have signed it, each period of theirs. For who signs the request as for a session, or has one.",
		Middlewares: huma.Middlewares{a.asMember(false)},
	}, func(ctx context.Context, _ *struct{}) (*output[PowerList], error) {
		member := ctx.Value(asked{}).(asked).member
		items, err := a.Power(member)
		if err != nil {
			return nil, err
		}
		return &output[PowerList]{CacheControl: "private, no-store", Body: PowerList{a.about("power"), member, append([]PowerItem{}, items...)}}, nil
	})
}

// AccountsMark changes whenever what the market's or the carbon accounts' pages show does.
func (a *API) AccountsMark() string {
	var zones any
	a.cfg.Ledger.View(func(s *state.State) {
		zones = []any{s.Zones(), s.Disputes()}
	})
	b, err := json.Marshal([]any{zones, a.Accounts()})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
