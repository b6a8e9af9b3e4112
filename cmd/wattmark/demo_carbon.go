package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"wattmark/cmd/internal/street"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/oracle/dashboard"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// The street's carbon accounts: a bakery with the stack and the load of the home it is in,
// and a roof whose certificates it takes.
const (
	carbonSite    = "bakery"
	carbonGrid    = "street-grid"
	carbonEdition = "2026"
	carbonProject = "oven"
	stackSource   = "stack"
	loadSource    = "load"
	roofSource    = "roof"
)

// streetFactors is the document that the street's factors are from. They are made up, and
// near to what the German grid was in 2024.
const streetFactors = "Factors of a street that is not there: grid 363, residual mix 550 g of CO2e for a kWh, AR5.\n"

// accounts is the demonstration's carbon accounting at work.
type accounts struct {
	d *demo
	// boot is that of all statements of this run. A member's orders have another one, and what
	// a run that was killed has left in the order is not signed twice.
	boot               uint64
	owner, roof        speaker
	verifier, registry speaker

	mu      sync.Mutex // guards what follows
	waiting map[[32]byte]chan heard
	counts  map[signer.KeyID]uint64 // the last number that each key has signed with in this boot
}

// openAccounts finds out whose the bakery and the roof are, and makes the keys of the two
// parties besides.
func (d *demo) openAccounts(members []*trading) (*accounts, error) {
	a := &accounts{d: d, boot: uint64(d.begin.UnixMilli()), waiting: make(map[[32]byte]chan heard), counts: make(map[signer.KeyID]uint64)}
	member := func(t *trading) speaker { return speaker{t.key, state.RoleMember, t.id} }
	a.owner, a.roof = member(members[len(members)-1]), member(members[0])
	for _, t := range members {
		if !t.home.Solar && t.id != d.wanderer().Name {
			a.owner = member(t)
			break
		}
	}
	for _, t := range members {
		if t.home.Solar && t.id != d.wanderer().Name {
			a.roof = member(t)
			break
		}
	}
	dir := filepath.Join(d.dir, "parties")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		to   *speaker
		role string
	}{{&a.verifier, state.RoleVerifier}, {&a.registry, state.RoleRegistry}} {
		key, err := keyfile.LoadOrCreate(filepath.Join(dir, p.role+".pem"), signer.EdDSA)
		if err != nil {
			return nil, err
		}
		*p.to = speaker{key, p.role, "street-" + p.role}
	}
	d.accounts.Store(a)
	return a, nil
}

// account keeps the street's carbon accounts until units of one period were issued, one was
// retired, and a second claim on what one has was refused; or until ctx ends. A period that
// was not measured is followed by another.
func (a *accounts) account(ctx context.Context) error {
	err := a.found(ctx)
	for err == nil {
		var done bool
		if done, err = a.period(ctx); done {
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil // it ended before
	}
	return fmt.Errorf("the carbon accounts: %w", err)
}

func (a *accounts) view(fn func(s *state.State)) { a.d.cluster.nodes[0].Ledger().View(fn) }

// until waits for the first oracle's state to be so.
func (a *accounts) until(ctx context.Context, so func(s *state.State) bool) error {
	return poll(ctx, func() (ok bool) {
		a.view(func(s *state.State) { ok = so(s) })
		return ok
	})
}

// found has the parties appointed, the factors put in force, and the sources registered,
// where that is not so already.
func (a *accounts) found(ctx context.Context) error {
	d := a.d
	var missing []speaker
	registered := false
	appointed := func(s *state.State) bool {
		registered = len(s.Projects()) > 0
		missing = missing[:0]
		for _, p := range []speaker{a.verifier, a.registry} {
			if _, ok := s.Party(p.key.Public().ID()); !ok {
				missing = append(missing, p)
			}
		}
		return len(missing) == 0
	}
	a.view(func(s *state.State) { appointed(s) })
	if registered {
		return nil
	}
	for _, p := range missing {
		r := entry.PartyRequest{Name: p.name, Role: p.role, Title: "The street's " + p.role}
		asked, err := request.SignParty(p.key, r, d.cluster.charter.Origin, d.clock.Now().Unix())
		if err == nil {
			err = a.vote(ctx, &entry.Appointment{Request: asked})
		}
		if err != nil {
			return err
		}
	}
	if err := a.vote(ctx, gridFactors()); err != nil {
		return err
	}
	if err := a.until(ctx, appointed); err != nil {
		return err
	}
	if err := d.cluster.writeKeys(); err != nil {
		return err
	}
	for _, c := range a.sources() {
		if h, err := a.say(ctx, a.registry, c); err != nil || h.reason != "" && h.reason != entry.ReasonAlreadyKnown {
			return orRefused(err, h)
		}
	}
	d.screen.event(d, fmt.Sprintf("carbon: %d of %d oracles appoint a verifier and a registry, and put factors %s %s in force; a stack, a load, a roof and a project are registered",
		d.cluster.charter.Governance, d.oracles, carbonGrid, carbonEdition))
	return nil
}

func gridFactors() *entry.FactorPack {
	digest := sha256.Sum256([]byte(streetFactors))
	year := func(y int) int64 { return time.Date(y, time.January, 1, 0, 0, 0, 0, time.UTC).Unix() }
	return &entry.FactorPack{
		ID: carbonGrid, Edition: carbonEdition, Source: "data:,made up for the demonstration", Digest: digest[:], From: year(1970), To: year(2200), Region: streetZone, Set: "AR5",
		Rows: []entry.FactorRow{
			{Key: entry.FactorGrid, Gas: carbon.Equivalent, Value: entry.Int(363), Unit: "g/kWh"},
			{Key: entry.FactorResidual, Gas: carbon.Equivalent, Value: entry.Int(550), Unit: "g/kWh"},
		},
	}
}

// sources are what the registry registers: what measures what, for whom, and the project.
func (a *accounts) sources() []entry.Carbon {
	points := make(map[string]string) // of homes, and of the stack
	for _, g := range a.d.street.Gateways() {
		points[g.Name] = g.Devices[0].Point.Subject
		if g.Mass != nil {
			points[stackSource] = g.Mass.Subject
		}
	}
	const capacity = 20_000 // W, above that of any roof of the street
	percent := func(n int64) entry.Decimal { return entry.Int(n) }
	return []entry.Carbon{
		&entry.CarbonSource{ID: stackSource, Site: carbonSite, Owner: a.owner.name, Kind: entry.SourceMass, Point: points[stackSource], Channels: []string{street.StackMass}, Gas: "CO2", Random: percent(6), Bias: percent(2)},
		&entry.CarbonSource{ID: loadSource, Site: carbonSite, Owner: a.owner.name, Kind: entry.SourceLoad, Point: points[a.owner.name], Channels: []string{"active_energy_import"}, Boundary: streetZone, Random: percent(1)},
		&entry.CarbonSource{ID: roofSource, Site: a.roof.name, Owner: a.roof.name, Kind: entry.SourceExport, Point: points[a.roof.name], Channels: []string{"active_energy_export"}, CapacityW: capacity, Boundary: streetZone, Random: percent(1)},
		// Whole tonnes in a quarter of an hour: the baseline is of a works, not of a bakery.
		&entry.CarbonProject{ID: carbonProject, Owner: a.owner.name, Program: streetZone, Methodology: "made up for the demonstration: 12 t an hour less what the stack emits", Direction: entry.DirectionReduction,
			Sources: []string{stackSource}, Baseline: entry.Int(12_000), BufferBP: 1000, Prefix: "STREET-OVEN", Country: "DE"},
	}
}

// period goes through the accounts of one period, and says whether all of it came about.
func (a *accounts) period(ctx context.Context) (done bool, err error) {
	d := a.d
	from := int64(d.ahead(0))
	to := from + max(1, int64(d.speed)/60)*unit.IntervalSeconds // a quarter of a minute by the wall
	id := carbonSite + "-" + clockOf(from, "20060102-1504")
	open := &entry.PeriodOpen{ID: id, Site: carbonSite, From: from, To: to, Set: "AR5", Packs: []entry.Edition{{Pack: carbonGrid, Edition: carbonEdition}}, Zone: "Europe/Berlin"}
	h, err := a.say(ctx, a.owner, open)
	if err != nil {
		return false, err
	}
	_, pack := pace(d.speed)
	settled := time.Unix(to, 0).Add(pack + 2*time.Second*time.Duration(d.speed))
	if err := d.clock.WaitUntil(ctx, settled); err != nil || h.reason != "" {
		return false, err // another run has opened one
	}
	certificate, err := a.certify(ctx, from)
	if err != nil {
		return false, err
	}
	stated, err := a.close(ctx, id)
	if err != nil || stated == nil {
		return false, err
	}
	block, issued, err := a.issue(ctx, stated)
	if err != nil || block == "" {
		return false, err
	}
	retired, err := a.retire(ctx, block, stated)
	if err != nil {
		return false, err
	}
	if certificate != "" {
		err = a.claimTwice(ctx, from, certificate)
	} else {
		err = a.issueTwice(ctx, stated, issued)
	}
	if err == nil {
		err = a.prove(ctx, retired)
	}
	return true, err
}

func clockOf(seconds int64, layout string) string { return time.Unix(seconds, 0).UTC().Format(layout) }

// certify issues certificates for what the roof gave in the quarter of an hour, has some of
// them stand for what the bakery used in it, and returns the issue's id; empty where the sun
// does not shine, or not enough was used.
func (a *accounts) certify(ctx context.Context, from int64) (string, error) {
	to := from + unit.IntervalSeconds
	h, err := a.say(ctx, a.roof, &entry.GCIssue{Source: roofSource, From: from, To: to})
	if err != nil || h.reason != "" {
		return "", err
	}
	issued, ok := body[*entry.Certified](h)
	if !ok {
		return "", nil
	}
	used := a.used(from, to)
	wh := min(issued.Wh, used*4/5) // the meter is read a moment behind the edge
	if wh < 1 {
		return issued.ID, nil
	}
	bundle := issued.ID
	if wh < issued.Wh {
		if h, err = a.say(ctx, a.roof, &entry.GCSplit{Bundle: bundle, Sizes: []int64{wh, issued.Wh - wh}}); err != nil || h.reason != "" {
			return "", orRefused(err, h)
		}
		parts, _ := body[*entry.Moved](h)
		bundle = parts.Moves[1].ID
	}
	for _, c := range []struct {
		who speaker
		c   entry.Carbon
	}{
		{a.roof, &entry.GCTransfer{Bundle: bundle, To: a.owner.name}},
		{a.owner, &entry.GCCancel{Bundle: bundle, Beneficiary: a.owner.name}},
		{a.owner, &entry.GCClaim{Load: loadSource, From: from, To: to, Bundles: []string{bundle}}},
	} {
		if h, err = a.say(ctx, c.who, c.c); err != nil || h.reason != "" {
			return issued.ID, err // less was used than it seemed
		}
	}
	a.tell("carbon: %s certifies %d Wh of the roof of %s, %s to %s; %d Wh of them stand for what the bakery of %s used in that quarter of an hour",
		issued.ID, issued.Wh, a.roof.name, clockOf(from, "15:04"), clockOf(to, "15:04"), wh, a.owner.name)
	return issued.ID, nil
}

// used is what the bakery's home takes from the grid.
func (a *accounts) used(from, to int64) int64 {
	at := func(seconds int64) unit.Energy {
		for _, h := range a.d.street.At(time.Unix(seconds, 0)).Homes {
			if h.Name == a.owner.name {
				return h.Imported
			}
		}
		return 0
	}
	return int64(at(to) - at(from))
}

// close ends the period, waiting for what its gateways have still to send, and has it
// verified. It returns nil where the stack was not measured in any of it.
func (a *accounts) close(ctx context.Context, id string) (*entry.Stated, error) {
	var h heard
	var err error
	for {
		if h, err = a.say(ctx, a.owner, &entry.PeriodClose{Period: id}); err != nil || h.reason != entry.ReasonSequenceGap {
			break
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil || h.reason != "" {
		return nil, orRefused(err, h)
	}
	stated, ok := body[*entry.Stated](h)
	if !ok {
		return nil, nil
	}
	var digest []byte
	a.view(func(s *state.State) {
		for _, p := range s.Periods() {
			if p.ID == id {
				digest = p.Digest
			}
		}
	})
	h, err = a.say(ctx, a.verifier, &entry.Verification{Period: id, Version: stated.Version, Digest: digest, Level: entry.AssuranceLimited})
	if err != nil || h.reason != "" {
		return nil, orRefused(err, h)
	}
	for i := range stated.Lines {
		if l := &stated.Lines[i]; l.Source == stackSource && l.Measured > 0 && len(l.Gases) > 0 {
			a.tell("carbon: the bakery's stack emitted %s kg of CO2 from %s to %s, by concentration and flow; closed and verified", dashboard.Decimal(kilograms(l.Gases[0].Mass)), clockOf(stated.From, "15:04"), clockOf(stated.To, "15:04"))
			return stated, nil
		}
	}
	return nil, nil
}

// kilograms writes a mass in mg.
func kilograms(mg int64) string { return fmt.Sprintf("%d.%03d", mg/1_000_000, mg/1_000%1_000) }

// issue issues the units of the period, and returns the owner's block; empty where there
// are none.
func (a *accounts) issue(ctx context.Context, stated *entry.Stated) (string, *entry.Issued, error) {
	h, err := a.say(ctx, a.registry, unitIssue(stated))
	if err != nil || h.reason != "" {
		return "", nil, err
	}
	issued, ok := body[*entry.Issued](h)
	if !ok || issued.Blocks[0].Status != carbon.Held.String() {
		return "", issued, nil
	}
	b := issued.Blocks[0]
	format := "carbon: %s issues %d units, the whole tonnes that are surely there of %s t ± %s t; %s, serials %s %d to %d, is the bakery's, the rest is in the buffer"
	if issued.Units == 1 {
		format = "carbon: %s issues %d unit, the whole tonnes that are surely there of %s t ± %s t; %s, serials %s %d to %d, is the bakery's, the rest is in the buffer"
	}
	a.tell(format, issued.ID, issued.Units, dashboard.Decimal(unit.Mass(issued.Reduced).String()), dashboard.Decimal(unit.Mass(issued.HalfWidth).String()),
		b.ID, issued.Prefix, b.First, b.Last)
	return b.ID, issued, nil
}

func unitIssue(stated *entry.Stated) *entry.UnitIssue {
	return &entry.UnitIssue{Project: carbonProject, Period: stated.Period, Version: stated.Version, Vintage: int64(time.Unix(stated.From, 0).UTC().Year())}
}

// retire retires one unit of the block for the bakery, and returns its block.
func (a *accounts) retire(ctx context.Context, block string, stated *entry.Stated) (string, error) {
	var size int64
	a.view(func(s *state.State) {
		for _, b := range s.Blocks() {
			if b.ID == block {
				size = int64(b.Count())
			}
		}
	})
	if size > 1 {
		h, err := a.say(ctx, a.owner, &entry.UnitSplit{Block: block, Sizes: []int64{1, size - 1}})
		if err != nil || h.reason != "" {
			return "", orRefused(err, h)
		}
		parts, _ := body[*entry.Moved](h)
		block = parts.Moves[1].ID
	}
	h, err := a.say(ctx, a.owner, &entry.UnitRetire{Block: block, Beneficiary: "The Bakery", Reason: "bread of a quarter of an hour", From: stated.From, To: stated.To})
	if err != nil || h.reason != "" {
		return "", orRefused(err, h)
	}
	a.tell("carbon: unit %s is retired for The Bakery, for good", block)
	return block, nil
}

// claimTwice has somebody ask for certificates of an interval that has some.
func (a *accounts) claimTwice(ctx context.Context, from int64, first string) error {
	h, err := a.say(ctx, a.roof, &entry.GCIssue{Source: roofSource, From: from, To: from + unit.IntervalSeconds})
	return a.refusedTwice(err, h, first, "certificates for the same quarter of an hour")
}

// issueTwice has the registry ask for the units of a period that has some.
func (a *accounts) issueTwice(ctx context.Context, stated *entry.Stated, first *entry.Issued) error {
	h, err := a.say(ctx, a.registry, unitIssue(stated))
	return a.refusedTwice(err, h, first.ID, "units for the same period")
}

func (a *accounts) refusedTwice(err error, h heard, first, what string) error {
	words := strings.Fields(h.detail)
	switch {
	case err != nil:
		return err
	case h.reason != entry.ReasonCountedTwice || len(words) != 6 || words[1] != first:
		return fmt.Errorf("a second claim on what %s has was not refused for that: %s %s", first, h.reason, h.detail)
	}
	format := "carbon: somebody asks for %s again: refused, counted_twice: %s has what %s wants too"
	args := []any{dashboard.Said(what), words[1], words[2]}
	a.d.screen.event(a.d, fmt.Sprintf(format, args...))
	a.d.notice(dashboard.Bad, capital(format)+". Both claims are named in the refusal.", args...)
	return nil
}

// tell shows a line, and the page a notice.
func (a *accounts) tell(format string, args ...any) {
	a.d.screen.event(a.d, fmt.Sprintf(format, args...))
	a.d.notice(dashboard.Good, capital(format)+".", args...)
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
