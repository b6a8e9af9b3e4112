package market

import (
	"slices"

	"wattmark/ledger/unit"
)

// Correct settles one member of an interval again, with another reading, after R1. All
// of the auction and the pool stays as it is, for that member too: what the reading
// changes is settled with the supplier at the member's own prices, and a deviation is
// charged as the new reading has it. It returns the settlement's next version and
// leaves this one as it is; [Difference] of their postings is what the ledger posts.
// It returns a [*Fault] for a member that is not there, a reading that is out of range,
// or sums beyond int64.
func (s *Settlement) Correct(member string, q Quality, imported, exported unit.Energy) (*Settlement, error) {
	i := slices.IndexFunc(s.pool.Members, func(m Meter) bool { return m.Member == member })
	if i < 0 {
		return nil, top.fault("member", "%q has no part in this interval", member)
	}
	pool := *s.pool
	pool.Members = slices.Clone(pool.Members)
	m := &pool.Members[i]
	m.Quality, m.Import, m.Export = q, imported, exported
	if err := m.check(top); err != nil {
		return nil, err
	}
	next := *s
	next.pool, next.Members = &pool, slices.Clone(s.Members)
	r := &next.Members[i]
	r.Corrected = true
	r.Net, r.Unproven = Net(q, imported, exported)
	r.Residual = r.Net - r.Position
	r.toGrid()
	if err := next.payMember(i); err != nil {
		return nil, err
	}
	if err := next.sums(); err != nil {
		return nil, err
	}
	if err := next.checkInvariants(); err != nil {
		return nil, err
	}
	return &next, nil
}
