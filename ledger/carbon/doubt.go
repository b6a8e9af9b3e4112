package carbon

import (
	"cmp"
	"math/big"
	"slices"

	"wattmark/ledger/unit"
)

// RuleSO2 is the rule for missing SO2 concentrations: 40 CFR 75.33(b), over 720
// quality-assured hours. Other quantities have rules and names of their own.
const RuleSO2 = "so2-75.33b"

// Missing is a gap in what a monitor measured, and what the rule may put in it.
type Missing struct {
	Rule string
	// PMA is the monitor availability, in percent.
	PMA *big.Rat
	// Hours is how many were missing.
	Hours int64
	// HourBeforeAfter is the average of the hour before and the hour after; the others
	// are the 90th and 95th percentile and the largest of 720 quality-assured hours,
	// and what the stack can reach at most.
	HourBeforeAfter, P90, P95, Max, Potential *big.Rat
}

// Substitution says which value stands for a gap, by its name in emissions files, and
// the code of the method.
type Substitution struct {
	Chosen string
	Method string
}

// Substitute chooses by rule. Its errors are a [Fault] with the field as emissions
// files name it.
func Substitute(m Missing) (Substitution, error) {
	switch {
	case m.Rule != RuleSO2:
		return Substitution{}, faultf("rule", "%s is not one that is known: a gap without a rule stays a gap", quote(m.Rule))
	case m.PMA.Sign() < 0 || m.PMA.Cmp(hundred) > 0:
		return Substitution{}, faultf("pma_pct", "outside 0 to 100 percent")
	case m.Hours < 0:
		return Substitution{}, faultf("missing_hours", "below zero")
	}
	average := Substitution{"hbha_avg", "06"}
	larger := func(p *big.Rat, s Substitution) Substitution {
		if p.Cmp(m.HourBeforeAfter) >= 0 {
			return s
		}
		return average
	}
	switch {
	case m.PMA.Cmp(rat("95")) >= 0:
		if m.Hours <= 24 {
			return average, nil
		}
		return larger(m.P90, Substitution{"p90_720", "08"}), nil
	case m.PMA.Cmp(rat("90")) >= 0:
		if m.Hours <= 8 {
			return average, nil
		}
		return larger(m.P95, Substitution{"p95_720", "09"}), nil
	case m.PMA.Cmp(rat("80")) >= 0:
		return Substitution{"max_720", "10"}, nil
	}
	return Substitution{"mpc", "12"}, nil
}

// doubtPlaces is how many decimals uncertainties have.
const doubtPlaces = 6

// Term is one part of a sum, with its 95 % half-width in percent of it.
type Term struct {
	X, Percent *big.Rat
	// Bias names what shifts several terms together, such as the calibration of one
	// instrument, by BiasPercent of each; empty for none.
	Bias        string
	BiasPercent *big.Rat
}

// Doubt is a sum with its uncertainty.
type Doubt struct {
	X *big.Rat
	// HalfWidth is of the 95 % interval, rounded up to six places.
	HalfWidth *big.Rat
	// Percent is the half-width in percent of X, in millionths and rounded up; nil if X
	// is zero.
	Percent *big.Int
}

// SumDoubt adds terms up. Random parts join in quadrature. Parts of one bias are the
// same error everywhere and add up linearly before they join.
func SumDoubt(terms []Term) Doubt {
	d := Doubt{X: new(big.Rat)}
	variance := new(big.Rat)
	biased := make([]Term, 0, len(terms))
	for _, t := range terms {
		d.X.Add(d.X, t.X)
		part := div(mul(t.X, t.Percent), hundred)
		variance.Add(variance, part.Mul(part, part))
		if t.Bias != "" {
			biased = append(biased, t)
		}
	}
	slices.SortStableFunc(biased, func(a, b Term) int { return cmp.Compare(a.Bias, b.Bias) })
	for from := 0; from < len(biased); {
		group := new(big.Rat)
		to := from
		for ; to < len(biased) && biased[to].Bias == biased[from].Bias; to++ {
			group.Add(group, div(mul(new(big.Rat).Abs(biased[to].X), biased[to].BiasPercent), hundred))
		}
		variance.Add(variance, group.Mul(group, group))
		from = to
	}
	d.HalfWidth = new(big.Rat).SetFrac(unit.SqrtUp(variance, doubtPlaces), big.NewInt(1_000_000))
	if d.X.Sign() != 0 {
		ratio := div(hundred, d.X)
		d.Percent = unit.SqrtUp(mul(variance, ratio, ratio), doubtPlaces)
	}
	return d
}

// Lower returns the bound that units are issued against: X less the half-width.
func (d Doubt) Lower() *big.Rat { return sub(d.X, d.HalfWidth) }

// Issuable returns whole tonnes of the lower bound, rounded down and never below 0,
// where X is in tonnes. It returns [unit.ErrOverflow] beyond 2^53-1.
func (d Doubt) Issuable() (unit.Amount, error) {
	n := unit.Down.Scaled(d.Lower(), 0)
	switch {
	case n.Sign() < 0:
		return 0, nil
	case !n.IsInt64() || n.Int64() > maxInteger:
		return 0, unit.ErrOverflow
	}
	return unit.Amount(n.Int64()), nil
}

// ProductDoubt returns the uncertainty of a product of independent factors, in
// millionths of a percent and rounded up, from theirs in percent.
func ProductDoubt(percent []*big.Rat) *big.Int {
	variance := new(big.Rat)
	for _, p := range percent {
		variance.Add(variance, mul(p, p))
	}
	return unit.SqrtUp(variance, doubtPlaces)
}
