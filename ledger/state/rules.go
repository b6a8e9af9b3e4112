package state

import (
	"slices"
	"strings"

	"wattmark/ledger/entry"
)

// knownRules are the rules that have versions, and the newest version that this
// program knows, in order of names. The first version is in force where nothing was
// voted. A rule that a final block has used is never edited: the next version stands
// beside it, and its number here is raised.
var knownRules = []entry.RuleVersion{
	{Rules: "carbon", Version: 1},
	{Rules: "market", Version: 1},
}

// RuleVersion returns the version in force of some rules, 0 for unknown ones.
func (s *State) RuleVersion(rules string) uint64 {
	if i := slices.IndexFunc(s.meta.Rules, func(r entry.RuleVersion) bool { return r.Rules == rules }); i >= 0 {
		return s.meta.Rules[i].Version
	}
	if newestVersion(rules) > 0 {
		return 1
	}
	return 0
}

func newestVersion(rules string) uint64 {
	for _, r := range knownRules {
		if r.Rules == rules {
			return r.Version
		}
	}
	return 0
}

// judgeRules is for motions of the kind MotionRules: versions only rise, and a
// program that does not know one refuses it, with which it has another ledger than
// those that know it. Programs are replaced before rules are.
func (s *State) judgeRules(m *entry.Motion) (string, entry.Reason) {
	r, err := entry.ParseRuleVersion(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	if r.Version <= s.RuleVersion(r.Rules) || r.Version > newestVersion(r.Rules) {
		return "", entry.ReasonUnknownSetting
	}
	return r.Rules, ""
}

func (s *State) enactRules(m *entry.Motion, _ uint64) {
	r, err := entry.ParseRuleVersion(m.Body)
	must(0, err)
	i, found := slices.BinarySearchFunc(s.meta.Rules, r.Rules, func(v entry.RuleVersion, name string) int { return strings.Compare(v.Rules, name) })
	if found {
		s.meta.Rules[i].Version = r.Version
		return
	}
	s.meta.Rules = slices.Insert(s.meta.Rules, i, *r)
}

// judgeParameter is for motions of the kind MotionParameter.
func (s *State) judgeParameter(m *entry.Motion) (string, entry.Reason) {
	p, err := entry.ParseParameter(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	if !knownParameter(p.Name) || !allowedValue(p.Value) {
		return "", entry.ReasonUnknownSetting
	}
	return p.Name, ""
}

func (s *State) enactParameter(m *entry.Motion, _ uint64) {
	p, err := entry.ParseParameter(m.Body)
	must(0, err)
	s.set(p.Name, p.Value)
}
