package state

import (
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// carbonLetter is a host country's authorization of an issuance.
type carbonLetter struct {
	Letter entry.Authorization `cbor:"1,keyasint"`
	Leaf   uint64              `cbor:"2,keyasint"`
}

func (c *carbonLetter) storeKey() string { return "ca" + c.Letter.Issuance }

// carbonBalance is what corresponding adjustments have added to a country's emissions, in
// tonnes.
type carbonBalance struct {
	Country string `cbor:"1,keyasint"`
	Tonnes  int64  `cbor:"2,keyasint"`
}

func (c *carbonBalance) storeKey() string { return "cy" + c.Country }

// judgeAuthorization takes the letter of a project's host country for an issuance, once.
func (s *State) judgeAuthorization(c *entry.Authorization, who string) verdict {
	k := s.carbon.issues[c.Issuance]
	if k == nil {
		return refusedFor(entry.ReasonUnknownID, "%s", c.Issuance)
	}
	project := s.carbon.projects[k.Issued.Project]
	switch {
	case project.Registry != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Issuance)
	case project.Project.Country != c.Host:
		return refusedFor(entry.ReasonNotAuthorised, "%s is in %s", k.Issued.Project, project.Project.Country)
	case s.carbon.letters[c.Issuance] != nil:
		return refusedFor(entry.ReasonAlreadyKnown, "%s", c.Issuance)
	}
	return allowed(func(leaf uint64) [][]byte {
		l := &carbonLetter{*c, leaf}
		s.carbon.letters[c.Issuance] = l
		s.touch(l)
		return nil
	})
}

// judgeFirstTransfer passes an authorised block on to another country, and writes the
// adjustments of both. A block that has left its host moves by transfers from then on.
func (s *State) judgeFirstTransfer(c *entry.FirstTransfer, who string) verdict {
	b, v := s.ownBlock(c.Block, who)
	if b == nil {
		return v
	}
	letter := s.carbon.letters[b.Issuance]
	switch {
	case s.members[c.To] == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.To)
	case letter == nil:
		return refusedFor(entry.ReasonNotAuthorised, "%s", b.Issuance)
	case b.Acquirer != "":
		return refusedFor(entry.ReasonCountedTwice, "%s %s", b.ID, b.Acquirer)
	}
	n := unit.Amount(b.End - b.Start + 1)
	pair, err := carbon.Adjust(n, letter.Letter.Host, c.Acquirer)
	if err != nil {
		return refusedFor(entry.ReasonNotClaimable, "%s to %s", letter.Letter.Host, c.Acquirer)
	}
	for _, a := range pair {
		if _, err := unit.Add(unit.Amount(s.Adjusted(a.Country)), a.Amount); err != nil {
			return refusedFor(entry.ReasonTooMuch, "%s", a.Country)
		}
	}
	moved := s.blockVerdict(b, carbon.Held, memberAccount(c.To), func() { b.Acquirer = c.Acquirer })
	if moved.effect == nil {
		return moved
	}
	return allowed(func(leaf uint64) [][]byte {
		out := moved.effect(leaf)
		for _, a := range pair {
			k := s.carbon.balances[a.Country]
			if k == nil {
				k = &carbonBalance{Country: a.Country}
				s.carbon.balances[a.Country] = k
			}
			k.Tonnes += int64(a.Amount)
			s.touch(k)
		}
		return append(out, s.said(&entry.Adjusted{
			Leaf: leaf, Block: b.ID, Issuance: b.Issuance, Host: letter.Letter.Host, Acquirer: c.Acquirer, Units: int64(n), Authorization: letter.Leaf,
		})...)
	})
}

// Adjusted returns what corresponding adjustments have added to a country's emissions, in
// tonnes: less than nothing for one that took units.
func (s *State) Adjusted(country string) int64 {
	if k := s.carbon.balances[country]; k != nil {
		return k.Tonnes
	}
	return 0
}

// CountryBalance is what corresponding adjustments come to for a country.
type CountryBalance struct {
	Country string
	Tonnes  int64
}

// Adjustments returns the balances of all countries that have one, by country.
func (s *State) Adjustments() []CountryBalance {
	var out []CountryBalance
	for _, country := range slices.Sorted(maps.Keys(s.carbon.balances)) {
		out = append(out, CountryBalance{country, s.carbon.balances[country].Tonnes})
	}
	return out
}

// Authorized returns the letter that lets units of an issuance go abroad, and the leaf of
// its entry.
func (s *State) Authorized(issuance string) (letter entry.Authorization, leaf uint64, ok bool) {
	l := s.carbon.letters[issuance]
	if l == nil {
		return letter, 0, false
	}
	return l.Letter, l.Leaf, true
}

// checkAbroad checks what was loaded of letters, balances and records.
func (s *State) checkAbroad() error {
	c := &s.carbon
	for _, id := range slices.Sorted(maps.Keys(c.letters)) {
		if c.issues[id] == nil {
			return fmt.Errorf("an authorization is of issuance %q, which there is not", id)
		}
		if err := wellFormed(&c.letters[id].Letter); err != nil {
			return err
		}
	}
	want := make(map[string]int64)
	for _, id := range slices.Sorted(maps.Keys(c.blocks)) {
		b := c.blocks[id]
		if b.Acquirer == "" || !carbon.Status(b.Status).Standing() {
			continue
		}
		letter := c.letters[b.Issuance]
		if letter == nil {
			return fmt.Errorf("block %q went to %s without an authorization", id, b.Acquirer)
		}
		want[letter.Letter.Host] += b.End - b.Start + 1
		want[b.Acquirer] -= b.End - b.Start + 1
	}
	for _, country := range slices.Sorted(maps.Keys(c.balances)) {
		if c.balances[country].Tonnes != want[country] {
			return fmt.Errorf("%s has adjustments of %d t, and its blocks come to %d", country, c.balances[country].Tonnes, want[country])
		}
		delete(want, country)
	}
	for _, country := range slices.Sorted(maps.Keys(want)) {
		if want[country] != 0 {
			return fmt.Errorf("the adjustments of %s are missing", country)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.records), compareReferences) {
		r := c.records[id]
		if len(r.Digest) != 32 {
			return fmt.Errorf("record %s of table %s is damaged", id.Key, id.Table)
		}
		if r.Block != nil {
			prefix := carbon.NormalPrefix(r.Block.Prefix)
			c.serials[prefix] = append(c.serials[prefix], r)
		}
	}
	return nil
}
