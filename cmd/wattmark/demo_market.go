package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wattmark/cmd/internal/street"
	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/oracle/dashboard"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// streetZone is the zone of the street's market.
const streetZone = "street"

// streetTariff is what energy costs in the street, in millionths of a euro per kWh: near
// to what German homes pay and get for small roofs in 2026, and a network fee for what
// neighbours share.
var streetTariff = entry.Tariff{
	Zone: streetZone, Currency: "EUR", FeedIn: 79_000, Retail: 310_000, Fee: 40_000, Loss: 20_000, Deviation: 100_000,
	Auction: entry.AuctionUniform, Pool: entry.PoolMid,
}

// trading is a home's member at work.
type trading struct {
	home street.Home
	key  signer.Signer
	id   string
	numbers
}

// openMarket admits a member for each home, and has the oracles vote the tariff, where
// that is not so already.
func (d *demo) openMarket(ctx context.Context) ([]*trading, error) {
	var list []*trading
	homes := d.street.Homes()
	for i, g := range d.street.Gateways()[:len(homes)] {
		key, path, err := memberKey(d.dir, g.Name)
		if err != nil {
			return nil, err
		}
		t := &trading{home: homes[i], key: key, id: g.Name, numbers: numbers{path}}
		list = append(list, t)
		known := false
		d.cluster.nodes[0].Ledger().View(func(s *state.State) { _, known = s.Party(key.Public().ID()) })
		if known {
			continue
		}
		if err := d.admitMember(ctx, t, &g); err != nil {
			return nil, fmt.Errorf("admitting %s: %w", t.id, err)
		}
	}
	first := d.cluster.nodes[0].Ledger()
	err := poll(ctx, func() (ok bool) {
		first.View(func(s *state.State) {
			ok = true
			for _, t := range list {
				_, known := s.Member(t.id)
				ok = ok && known
			}
		})
		return ok
	})
	if err != nil {
		return nil, err
	}
	if err := d.cluster.writeKeys(); err != nil {
		return nil, err
	}
	open := false
	first.View(func(s *state.State) { open = len(s.Zones()) > 0 })
	if !open {
		return list, d.voteTariff(ctx)
	}
	return list, nil
}

func memberKey(dir, name string) (key signer.Signer, path string, err error) {
	dir = filepath.Join(dir, "members")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	path = filepath.Join(dir, name+".pem")
	key, err = keyfile.LoadOrCreate(path, signer.EdDSA)
	return key, path, err
}

func (d *demo) admitMember(ctx context.Context, t *trading, g *street.Gateway) error {
	power := int64(12_000)
	if t.home.Phases == 3 {
		power = 36_000
	}
	r := entry.MemberRequest{Member: t.id, Zone: streetZone, Power: power, Renewable: t.home.Solar, Connections: []entry.Connection{
		{Subject: g.Devices[0].Point.Subject, Import: "active_energy_import", Export: "active_energy_export"},
	}}
	asked, err := request.SignMember(t.key, r, d.cluster.charter.Origin, d.clock.Now().Unix())
	if err != nil {
		return err
	}
	payload, err := (&entry.Member{Request: asked}).Encode()
	if err != nil {
		return err
	}
	statement, err := d.cluster.nodes[0].Sign(entry.TypeMember, payload)
	if err != nil {
		return err
	}
	return d.cluster.nodes[0].Submit(ctx, statement)
}

// voteTariff has as many oracles as change a rule state the street's tariff.
func (d *demo) voteTariff(ctx context.Context) error {
	tariff := streetTariff
	for _, g := range d.street.Gateways()[len(d.street.Homes()):] {
		if g.Name == "feeder-01" {
			// Cables lose 2 % and nobody meters the street lamps: see the street.
			tariff.Feeder = &entry.Feeder{Subject: g.Devices[0].Point.Subject, Import: "active_energy_import", Export: "active_energy_export",
				Tolerance: unit.Energy(100 + 25*d.gateways)}
		}
	}
	body, err := tariff.Encode()
	if err != nil {
		return err
	}
	var height uint64
	d.cluster.nodes[0].Ledger().View(func(s *state.State) { height = s.Height() })
	motion := entry.Motion{Kind: entry.MotionTariff, Height: height + 2, Body: body}
	payload, err := motion.Encode()
	if err != nil {
		return err
	}
	for i, n := range d.cluster.nodes[:d.cluster.charter.Governance] {
		statement, err := n.Sign(entry.TypeMotion, payload)
		if err == nil {
			err = n.Submit(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("oracle %d: stating the tariff: %w", i+1, err)
		}
	}
	return nil
}

// trade has the homes' members trade until ctx ends: standing limits once, and orders for
// each interval from what their own meters showed a quarter of an hour before.
func (d *demo) trade(ctx context.Context, list []*trading) error {
	if len(list) > 1 {
		least := streetTariff.FeedIn + 60_000
		d.state(ctx, list[1], entry.TypeStanding, func() ([]byte, error) {
			e := entry.Standing{Member: list[1].id, MinSell: &least, From: d.ahead(1)}
			return e.Encode()
		})
	}
	for now := range d.clock.Every(ctx, unit.IntervalSeconds*time.Second, 0) {
		at := unit.Interval(now.Unix()) + unit.IntervalSeconds
		if lead := d.setting(entry.ParamMarketLead); lead >= unit.IntervalSeconds {
			at += unit.Interval(lead/unit.IntervalSeconds) * unit.IntervalSeconds
		}
		d.placeOrders(ctx, list, at, now)
	}
	return nil
}

// placeOrders has the homes' members order for an interval, by what their meters show now.
func (d *demo) placeOrders(ctx context.Context, list []*trading, at unit.Interval, now time.Time) {
	for _, t := range list {
		if o := d.order(t, at, now); o != nil {
			d.state(ctx, t, entry.TypeOrder, o.Encode)
		}
	}
}

// ahead is the interval that is n behind the one that begins next.
func (d *demo) ahead(n int64) unit.Interval {
	return unit.Interval(d.clock.Now().Unix()/unit.IntervalSeconds+1+n) * unit.IntervalSeconds
}

// order is what a home's member wants of an interval: half of what the last quarter of
// an hour was on balance, at a limit of its own. Every third home has no orders: it does
// nothing, and trades in the pool all the same.
func (d *demo) order(t *trading, at unit.Interval, now time.Time) *entry.Order {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(fmt.Appendf(nil, "%d %s ", d.seed, t.id), uint64(at)))
	if t.home.Name == "" || slices.Contains([]byte{0, 1}, sum[31]%3) && sum[30]%2 == 0 {
		return nil
	}
	var was, is street.State
	for _, h := range d.street.At(now.Add(-unit.IntervalSeconds * time.Second)).Homes {
		if h.Name == t.home.Name {
			was = h
		}
	}
	for _, h := range d.street.At(now).Homes {
		if h.Name == t.home.Name {
			is = h
		}
	}
	net := (is.Exported - was.Exported) - (is.Imported - was.Imported)
	o := &entry.Order{Zone: streetZone, Interval: at, Member: t.id, Side: entry.SideBuy, Nonce: 1}
	step := entry.OrderStep{Price: unit.Price(200_000 + int64(sum[0])*400), Quantity: -net / 2}
	if net > 0 {
		o.Side = entry.SideSell
		step = entry.OrderStep{Price: unit.Price(80_000 + int64(sum[0])*300), Quantity: net / 2}
		if t.home.Solar {
			step.Class = entry.ClassGreen
		}
	} else if sum[1]%4 == 0 {
		step.Class, step.Premium = entry.ClassGreenFirst, 10_000
	}
	if step.Quantity < 1 {
		return nil
	}
	o.Steps = []entry.OrderStep{step}
	return o
}

// state puts an entry of a member into the order. One that the ledger refuses, as its gate
// has closed meanwhile, is an outcome like any other.
func (d *demo) state(ctx context.Context, t *trading, typ string, encode func() ([]byte, error)) {
	payload, err := encode()
	var count uint64
	if err == nil {
		d.cluster.nodes[0].Ledger().View(func(s *state.State) { count = s.NextCount(t.key.Public().ID(), 1) })
		count, err = t.next(count) // whoever has the member's key may have signed besides: see 'wattmark market order'
	}
	if err == nil {
		c := entry.Claims{Issuer: "urn:wattmark:member:" + t.id, Audience: d.cluster.charter.Origin, IssuedAt: d.clock.Now().Unix(),
			Sequence: entry.Sequence{Boot: 1, Count: count}}
		var claims, statement []byte
		if claims, err = c.Encode(); err == nil {
			if statement, err = signer.Sign(t.key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload); err == nil {
				err = d.cluster.nodes[0].Submit(ctx, statement)
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("did not state an entry of a member", "member", t.id, "type", typ, "error", err)
	}
}

// marketNews tells of what a block cleared and settled: the first few of each, and every
// interval that came out otherwise when it was settled again.
func (d *demo) marketNews(b *ledger.Block) {
	for _, leaf := range b.Result.Leaves[len(b.Result.Accepted):] {
		if len(leaf) == 0 || leaf[0] != 0x83 { // of those with a body
			continue
		}
		o, err := entry.ParseOutcome(leaf)
		if err != nil {
			continue
		}
		body, err := o.ParseBody()
		if err != nil {
			continue
		}
		switch o := body.(type) {
		case *entry.Cleared:
			d.news.cleared(d, o)
		case *entry.Settled:
			d.news.settled(d, o)
		}
	}
}

// news is what the market has told so far. Only the first oracle's observer calls it.
type news struct {
	traded, shared, corrected, alarms int
	first                             map[unit.Interval]*entry.Settled // R0, until R1 comes
}

// mostNews bounds the lines of each sort on the screen: a street goes on for days.
const mostNews = 2

func (n *news) cleared(d *demo, o *entry.Cleared) {
	volume := o.Open.Volume + o.Green.Volume
	if volume == 0 || d.live.Load() == nil || n.traded >= mostNews {
		return
	}
	n.traded++
	price := o.Open.Price
	if o.Open.Volume == 0 {
		price = o.Green.Price
	}
	d.screen.event(d, fmt.Sprintf("auction for %s: %d Wh change hands among neighbours, %d of them green, at %s a kWh to the seller",
		o.Interval.String()[11:16], volume, o.Green.Volume, euro(price)))
}

func (n *news) settled(d *demo, o *entry.Settled) {
	t := o.Totals
	if n.first == nil {
		n.first = make(map[unit.Interval]*entry.Settled)
	}
	if o.Alarm && d.live.Load() != nil && n.alarms < mostNews {
		n.alarms++
		d.screen.event(d, fmt.Sprintf("ALARM: in %s %d Wh went into the street that no home's meter shows", o.Interval.String()[11:16], int64(*o.Unaccounted)))
	}
	if o.Run == entry.RunPreliminary {
		n.first[o.Interval] = o
		if t == nil || d.live.Load() == nil || n.shared >= mostNews {
			return
		}
		n.shared++
		without := ""
		if t.Missing+t.Estimated > 0 {
			without = fmt.Sprintf("; %s missing", plural(t.Missing+t.Estimated, "reading is", "readings are"))
		}
		d.screen.event(d, fmt.Sprintf("settled %s (R0): neighbours share %d Wh at %s, %d Wh come from the grid%s",
			o.Interval.String()[11:16], t.Local, euro(t.LocalPrice), t.GridImport, without))
		return
	}
	was := n.first[o.Interval]
	delete(n.first, o.Interval)
	if was == nil || was.Totals == nil || t == nil || *was.Totals == *t {
		return
	}
	if n.corrected >= mostNews {
		return
	}
	n.corrected++
	if n.corrected == 1 {
		d.corrected <- o.Interval // the only one, which there is room for
	}
	at, late := o.Interval.String()[11:16], t.Measured-min(t.Measured, was.Totals.Measured)
	if t.Local != was.Totals.Local {
		format := "settled %s again (R1): %d late readings count now, neighbours share %d Wh instead of %d"
		if late == 1 {
			format = "settled %s again (R1): %d late reading counts now, neighbours share %d Wh instead of %d"
		}
		d.happened(dashboard.Good, format, at, late, t.Local, was.Totals.Local)
		return
	}
	// Whose reading came bought all of it from the grid, or sold it there.
	format := "settled %s again (R1): %d late readings count now, %d Wh come from the grid instead of %d, and %d Wh go to it instead of %d"
	if late == 1 {
		format = "settled %s again (R1): %d late reading counts now, %d Wh come from the grid instead of %d, and %d Wh go to it instead of %d"
	}
	d.happened(dashboard.Good, format, at, late, t.GridImport, was.Totals.GridImport, t.GridExport, was.Totals.GridExport)
}

// proveBill waits for an interval that a late reading has corrected, writes the evidence
// for the bill of the home whose reading it was, and verifies it with what a verifier has.
func (d *demo) proveBill(ctx context.Context) error {
	var at unit.Interval
	select {
	case at = <-d.corrected:
	case <-ctx.Done():
		return nil
	}
	id := d.wanderer().Name
	first := d.cluster.nodes[0].Ledger()
	var evidence *audit.Evidence
	err := poll(ctx, func() bool {
		note, _, ok := first.Store().Final()
		if !ok {
			return false
		}
		signed, err := d.cluster.policy.Verify(note)
		if err != nil {
			return false
		}
		first.View(func(s *state.State) {
			evidence, err = ledger.BillEvidence(first.Store(), note, signed.Checkpoint, s, id, at, first.Pack)
		})
		return err == nil // it is not final yet, or being made so
	})
	if err != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "bills"), 0o700); err != nil {
		return err
	}
	file := filepath.Join(d.dir, "bills", id+"-"+at.String()[11:13]+at.String()[14:16]+evidenceSuffix)
	if err := writeFile(file, evidence.Encode()); err != nil {
		return err
	}
	policy := filepath.Join(d.dir, "policy")
	trust, err := loadTrust(policy, "")
	if err != nil {
		return err
	}
	r := verifyFile(file, trust)
	if r.Exit() != audit.ExitHolds {
		return fmt.Errorf("%s does not verify: run 'wattmark verify --policy %s %s'", file, policy, file)
	}
	d.happened(dashboard.Good, "bill of %s for %s verified down to its gateway's signature, and settled again: no other home's energy is in the file", id, at.String()[11:16])
	d.screen.say(fmt.Sprintf("         yourself:  wattmark verify --policy %s %s", policy, file))
	return nil
}

// euro writes a price per kWh in cents.
func euro(p unit.Price) string {
	sign := ""
	if p < 0 {
		sign, p = "-", -p
	}
	return fmt.Sprintf("%s%d.%02d ct", sign, p/10_000, p/100%100)
}
