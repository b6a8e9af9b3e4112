package carbon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/carbon"
	"wattmark/ledger/unit"
)

// TestUnitsLife does anything to blocks in any order: after each step postings are
// balanced, each block stands for what its issuance account owes, what was issued is
// there once, and no serial stands twice.
func TestUnitsLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var book account.Book
		var blocks []carbon.Owned
		next := int64(1)
		issued, rejected := int64(0), int64(0)
		post := func(legs []account.Leg, err error) bool {
			if err != nil {
				return false
			}
			if err := book.Post(legs...); err != nil {
				t.Fatal(err)
			}
			return true
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				n := rapid.Int64Range(1, 1000).Draw(t, "units")
				o := carbon.Owned{Owner: "issuer", Block: carbon.Block{
					ID: fmt.Sprintf("b%d", len(blocks)), Registry: "R", Program: "P", Issuance: "i", Vintage: 2025,
					Prefix: "W", Serials: carbon.Serials{Start: next, End: next + n - 1}, Status: carbon.Issued,
				}}
				if !post(o.Create()) {
					t.Fatal("not created")
				}
				next += n
				issued += n
				blocks = append(blocks, o)
			},
			"become": func(t *rapid.T) {
				if len(blocks) == 0 {
					t.Skip("no block")
				}
				i := rapid.IntRange(0, len(blocks)-1).Draw(t, "block")
				to := carbon.Status(rapid.IntRange(0, 10).Draw(t, "to"))
				before := blocks[i]
				after, legs, err := before.Become(to, rapid.SampledFrom([]string{"anna", "ben", "issuer"}).Draw(t, "owner"))
				if can := before.Status.CanBecome(to) && to != carbon.Split; can != (err == nil) {
					t.Fatalf("%s to %s: %v", before.Status, to, err)
				}
				if post(legs, err) {
					blocks[i] = after
					if to == carbon.Rejected {
						rejected += int64(after.Count())
					}
				}
			},
			"divide": func(t *rapid.T) {
				if len(blocks) == 0 {
					t.Skip("no block")
				}
				i := rapid.IntRange(0, len(blocks)-1).Draw(t, "block")
				size := int64(blocks[i].Count())
				first := rapid.Int64Range(0, size).Draw(t, "first")
				ids := []string{fmt.Sprintf("b%d", len(blocks)), fmt.Sprintf("b%d", len(blocks)+1)}
				parent, children, legs, err := blocks[i].Divide(ids, []unit.Amount{unit.Amount(first), unit.Amount(size - first)})
				if can := blocks[i].Status.CanBecome(carbon.Split) && first > 0 && first < size; can != (err == nil) {
					t.Fatalf("%s into %d and %d: %v", blocks[i].Status, first, size-first, err)
				}
				if !post(legs, err) {
					return
				}
				parts := []carbon.Serials{children[1].Serials, children[0].Serials}
				if !blocks[i].Partition(parts) || blocks[i].Partition(parts[:1]) {
					t.Fatalf("%v is not divided by %v", blocks[i].Serials, parts)
				}
				blocks[i] = parent
				blocks = append(blocks, children...)
			},
			"": func(t *rapid.T) {
				if err := book.Check(); err != nil {
					t.Fatal(err)
				}
				var plain []carbon.Block
				standing := int64(0)
				for _, b := range blocks {
					plain = append(plain, b.Block)
					owed := -book.Balance(account.ID{Asset: account.Asset{Class: account.Unit, Name: b.ID}, Kind: account.Issuance, Owner: "i"})
					want := unit.Amount(0)
					if b.Status.Standing() {
						want = b.Count()
					}
					if owed != want {
						t.Fatalf("%s owes %d and stands for %d", b.ID, owed, want)
					}
					standing += int64(want)
				}
				if standing != issued-rejected {
					t.Fatalf("%d units stand of %d issued less %d rejected", standing, issued, rejected)
				}
				var found carbon.Findings
				carbon.CheckBlocks(plain, &found)
				if list, _ := found.Sorted(); len(list) > 0 {
					t.Fatal(list)
				}
			},
		})
	})
}

// TestCheckBlocks compares the sweep with looking at every pair, in any order.
func TestCheckBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) carbon.Block {
			start := rapid.Int64Range(0, 30).Draw(t, "start")
			b := carbon.Block{
				Registry: rapid.SampledFrom([]string{"R", "S"}).Draw(t, "registry"),
				Prefix:   rapid.SampledFrom([]string{"", "W-7", "w 7", "X"}).Draw(t, "prefix"),
				Serials:  carbon.Serials{Start: start, End: start + rapid.Int64Range(0, 5).Draw(t, "more")},
				Status:   carbon.Status(rapid.IntRange(1, 9).Draw(t, "status")),
			}
			if rapid.IntRange(0, 3).Draw(t, "origin") == 0 {
				b.Origin = &carbon.Origin{Registry: "R", ID: fmt.Sprintf("b%d", rapid.IntRange(0, 9).Draw(t, "of"))}
			}
			return b
		}), 0, 10).Draw(t, "blocks")
		for i := range blocks {
			blocks[i].ID = fmt.Sprintf("b%d", i)
		}
		var want []string
		originOf := func(a, b carbon.Block) bool {
			return a.Origin != nil && *a.Origin == carbon.Origin{Registry: b.Registry, ID: b.ID}
		}
		for i, a := range blocks {
			if a.Origin != nil && !slices.ContainsFunc(blocks, func(b carbon.Block) bool { return originOf(a, b) && b.Status == carbon.Inactive }) {
				want = append(want, "D6 "+a.ID)
			}
			for _, b := range blocks[i+1:] {
				p := carbon.NormalPrefix(a.Prefix)
				switch {
				case !a.Status.Standing() || !b.Status.Standing() || p != carbon.NormalPrefix(b.Prefix) || !a.Overlaps(b.Serials):
				case a.Registry == b.Registry:
					want = append(want, "I1 "+a.ID+" "+b.ID)
				case p != "" && !originOf(a, b) && !originOf(b, a):
					want = append(want, "D2 "+a.ID+" "+b.ID)
				}
			}
		}
		slices.Sort(want)
		var found carbon.Findings
		carbon.CheckBlocks(rapid.Permutation(blocks).Draw(t, "order"), &found)
		var got []string
		list, _ := found.Sorted()
		for _, f := range list {
			got = append(got, f.Rule+" "+strings.Join(f.IDs, " "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func drawClaims(t *rapid.T) []carbon.Claim {
	claims := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) carbon.Claim {
		from := rapid.Int64Range(0, 40).Draw(t, "from")
		return carbon.Claim{
			Device: rapid.SampledFrom([]string{"d", "e"}).Draw(t, "device"),
			Kind:   carbon.ClaimKind(rapid.SampledFrom([]string{"gc", "offset", "scope2", "contract"}).Draw(t, "kind")),
			From:   from, To: from + rapid.Int64Range(1, 8).Draw(t, "long"),
		}
	}), 0, 14).Draw(t, "claims")
	for i := range claims {
		claims[i].ID = fmt.Sprintf("c%02d", i)
	}
	return claims
}

func touch(a, b carbon.Claim) bool {
	kinds := a.Kind == b.Kind || a.Kind+b.Kind == "gcoffset" || a.Kind+b.Kind == "offsetgc"
	return a.Device == b.Device && kinds && a.From < b.To && b.From < a.To
}

// TestCheckClaims compares the sweep with looking at every pair, in any order.
func TestCheckClaims(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		var want []string
		for i, a := range claims {
			for _, b := range claims[i+1:] {
				if touch(a, b) {
					want = append(want, a.ID+" "+b.ID)
				}
			}
		}
		var found carbon.Findings
		carbon.CheckClaims(rapid.Permutation(claims).Draw(t, "order"), &found)
		list, _ := found.Sorted()
		var got []string
		for _, f := range list {
			got = append(got, strings.Join(f.IDs, " "))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

// TestRegister appends claims in groups: no interval is ever under two, a refusal
// names both and changes nothing, and a register that was stored and loaded goes on
// as the one that was not.
func TestRegister(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r carbon.Register
		var stored []carbon.Pair
		var standing []carbon.Claim
		rest := drawClaims(t)
		for len(rest) > 0 {
			n := rapid.IntRange(1, len(rest)).Draw(t, "group")
			group := rest[:n]
			rest = rest[n:]
			fits := true
			for i, c := range group {
				fits = fits && !slices.ContainsFunc(slices.Concat(standing, group[:i]), func(s carbon.Claim) bool { return touch(c, s) })
			}
			before := r.Export()
			checked := r.Check(group...)
			if diff := cmp.Diff(before, r.Export()); diff != "" {
				t.Fatalf("a check changed:\n%s", diff)
			}
			err := r.Claim(group...)
			if (checked == nil) != (err == nil) {
				t.Fatalf("a check says %v, the claim %v", checked, err)
			}
			var twice *carbon.TwiceError
			switch {
			case fits && err != nil:
				t.Fatal(err)
			case fits:
				standing = append(standing, group...)
			case !errors.As(err, &twice):
				t.Fatalf("%v was taken beside %v: %v", group, standing, err)
			default:
				if diff := cmp.Diff(before, r.Export()); diff != "" {
					t.Fatalf("a refusal changed:\n%s", diff)
				}
				named := 0
				for _, c := range slices.Concat(standing, group) {
					if c.ID == twice.Claimed || c.ID == twice.Refused {
						named++
					}
				}
				if named != 2 || !strings.Contains(err.Error(), twice.Claimed) || !strings.Contains(err.Error(), twice.Refused) {
					t.Fatalf("does not name two claims: %v", err)
				}
			}
			stored = append(stored, r.Changes()...)
			if rapid.Bool().Draw(t, "restart") {
				var again carbon.Register
				for _, p := range stored {
					if err := again.Load(p.Key, p.Value); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(r.Export(), again.Export()); diff != "" {
					t.Fatalf("loaded -want +got:\n%s", diff)
				}
				r = again
			}
		}
		for _, c := range standing {
			if id, ok := r.Standing(c.Device, c.Kind, c.From, c.To); !ok || id != c.ID {
				t.Fatalf("%v: %s, %v", c, id, ok)
			}
		}
	})
}

// TestRegisterLoad refuses pairs that no register writes.
func TestRegisterLoad(t *testing.T) {
	var r carbon.Register
	if err := r.Claim(carbon.Claim{ID: "c", Kind: "gc", Device: "d", From: 0, To: 10}); err != nil {
		t.Fatal(err)
	}
	good := r.Export()[0]
	for name, p := range map[string]carbon.Pair{
		"twice":      good,
		"kind":       {append([]byte{5}, good.Key[1:]...), good.Value},
		"no end":     {good.Key, good.Value[:8]},
		"no device":  {append([]byte{2, 0}, good.Key[3:]...), good.Value},
		"no zero":    {bytes.Replace(good.Key, []byte{'d', 0}, []byte{'d', 'd'}, 1), good.Value},
		"no time":    {append([]byte{2}, good.Key[1:]...), append(make([]byte, 8), 'c')},
		"past":       {append(good.Key[:len(good.Key)-8:len(good.Key)-8], 0xff, 0, 0, 0, 0, 0, 0, 0), good.Value},
		"empty":      {},
		"gc, offset": {append([]byte{2}, good.Key[1:]...), good.Value},
	} {
		if err := r.Load(p.Key, p.Value); err == nil {
			t.Errorf("%s: %x %x was loaded", name, p.Key, p.Value)
		}
	}
}

// TestScope2 holds the three figures against each other in any order of instruments.
func TestScope2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := carbon.Electricity{Boundary: "GB", Grid: big.NewRat(rapid.Int64Range(0, 99).Draw(t, "grid"), 1_000_000_000)}
		sum := unit.Energy(0)
		for i := range rapid.Int64Range(0, 5).Draw(t, "hours") {
			l := carbon.Load{From: i * 3600, To: i*3600 + 3600, Energy: unit.Energy(rapid.Int64Range(0, 1000).Draw(t, "load"))}
			sum += l.Energy
			e.Load = append(e.Load, l)
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "instruments") {
			from := 3600 * rapid.Int64Range(0, 6).Draw(t, "t")
			e.Instruments = append(e.Instruments, carbon.Instrument{
				ID: fmt.Sprint(i), Boundary: rapid.SampledFrom([]string{"GB", "GB", "FR"}).Draw(t, "boundary"),
				Energy: unit.Energy(rapid.Int64Range(0, 1500).Draw(t, "wh")), From: &from, Factor: new(big.Rat),
			})
		}
		s, err := e.Scope2()
		if err != nil {
			t.Fatal(err)
		}
		if s.Load != sum || s.MarketMatched > sum || s.HourlyMatched > s.MarketMatched {
			t.Fatalf("of %d Wh %d are matched at any time and %d in their hour", sum, s.MarketMatched, s.HourlyMatched)
		}
		market, hourly := unit.Energy(0), unit.Energy(0)
		for _, u := range s.Used {
			i := slices.IndexFunc(e.Instruments, func(i carbon.Instrument) bool { return i.ID == u.ID })
			if in := e.Instruments[i]; in.Boundary != "GB" || u.Market > in.Energy || u.Hourly > in.Energy {
				t.Fatalf("%v of %v", u, in)
			}
			market += u.Market
			hourly += u.Hourly
		}
		if market != s.MarketMatched || hourly != s.HourlyMatched {
			t.Fatalf("used %d and %d, matched %d and %d", market, hourly, s.MarketMatched, s.HourlyMatched)
		}
		e.Instruments = rapid.Permutation(e.Instruments).Draw(t, "order")
		again, err := e.Scope2()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatalf("another order:\n%s", diff)
		}
	})
}

// TestStorage issues no more than was charged, whatever the discharges, and conserves
// energy: what is left, was given and was lost is what went in.
func TestStorage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		efficiency := rapid.Int64Range(1, 10_000).Draw(t, "efficiency")
		var charges []carbon.Charge
		in := unit.Energy(0)
		for i, wh := range rapid.SliceOfN(rapid.Int64Range(0, 10_000), 0, 5).Draw(t, "charges") {
			charges = append(charges, carbon.Charge{ID: fmt.Sprint(i), Left: unit.Energy(wh)})
			in += unit.Energy(wh)
		}
		out, consumed := unit.Energy(0), unit.Energy(0)
		for _, d := range rapid.SliceOfN(rapid.Int64Range(0, 8_000), 0, 6).Draw(t, "discharges") {
			draws, left, err := carbon.Discharge(unit.Energy(d), efficiency, charges)
			if err != nil {
				t.Fatal(err)
			}
			given := unit.Energy(0)
			for _, w := range draws {
				want, err := unit.MulDiv(w.Discharged, 10_000, efficiency, unit.Up)
				if err != nil || w.Consumed != want {
					t.Fatalf("%v at %d: consumed %d, want %d", w, efficiency, w.Consumed, want)
				}
				given += w.Discharged
				consumed += w.Consumed
			}
			if given > unit.Energy(d) {
				t.Fatalf("gave %d of %d", given, d)
			}
			out += given
			charges = left
		}
		rest := unit.Energy(0)
		for _, c := range charges {
			if c.Left < 0 {
				t.Fatalf("%v", c)
			}
			rest += c.Left
		}
		if consumed < out || rest+consumed != in {
			t.Fatalf("in %d, out %d for %d, left %d", in, out, consumed, rest)
		}
	})
}

// TestCertificates cuts an issue up and passes it on: energy is conserved, and a
// claim needs a cancel that named its beneficiary.
func TestCertificates(t *testing.T) {
	issue, err := carbon.IssueCertificates("i1", "meter", 0, 3600, 5000, 5000, 10)
	if err != nil || issue.Serials != (carbon.Serials{Start: 11, End: 5010}) {
		t.Fatal(issue, err)
	}
	for _, bad := range []func() (carbon.Issue, error){
		func() (carbon.Issue, error) { return carbon.IssueCertificates("i", "m", 0, 3600, 5001, 5000, 0) },
		func() (carbon.Issue, error) { return carbon.IssueCertificates("i", "m", 0, 3601, 1, 5000, 0) },
		func() (carbon.Issue, error) { return carbon.IssueCertificates("i", "m", 0, 3600, 0, 5000, 0) },
		func() (carbon.Issue, error) { return carbon.IssueCertificates("i", "m", 0, 3600, 5, 5000, 1<<63-3) },
	} {
		if i, err := bad(); !errors.Is(err, carbon.ErrIssue) {
			t.Errorf("%v, %v, want ErrIssue", i, err)
		}
	}
	var book account.Book
	post := func(legs []account.Leg, err error) {
		t.Helper()
		if err == nil {
			err = book.Post(legs...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	whole, legs := issue.Whole("anna")
	post(legs, nil)
	_, parts, err := whole.Divide([]string{"a", "b"}, []unit.Amount{2000, 3000})
	if err != nil {
		t.Fatal(err)
	}
	moved, legs, err := parts[0].Transfer("cleo")
	post(legs, err)
	cancelled, legs, err := moved.Cancel("cleo")
	post(legs, err)
	for name, refused := range map[string]error{
		"claim of what is active":     third(parts[1].Claim("cleo", 0, 3600)),
		"claim for somebody else":     third(cancelled.Claim("dan", 0, 3600)),
		"transfer of what is gone":    third(cancelled.Transfer("dan")),
		"cancel without beneficiary":  third(parts[1].Cancel("")),
		"withdrawal of what is gone":  third(cancelled.End(carbon.CertificateWithdrawn, "meter")),
		"expiry into something other": third(parts[1].End(carbon.CertificateSplit, "meter")),
	} {
		if !errors.Is(refused, carbon.ErrState) {
			t.Errorf("%s: %v, want ErrState", name, refused)
		}
	}
	claimed, legs, err := cancelled.Claim("cleo", 0, 3600)
	post(legs, err)
	if _, _, err := claimed.Claim("cleo", 0, 3600); !errors.Is(err, carbon.ErrState) {
		t.Errorf("claimed twice: %v", err)
	}
	locked, err := parts[1].Set(carbon.CertificateLocked)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := locked.Transfer("dan"); !errors.Is(err, carbon.ErrState) {
		t.Errorf("a locked bundle was passed on: %v", err)
	}
	_, legs, err = parts[1].End(carbon.CertificateWithdrawn, "meter")
	post(legs, err)
	asset := account.Asset{Class: account.Certificate, Name: "i1"}
	if got := book.Balance(account.ID{Asset: asset, Kind: account.Issuance, Owner: "meter"}); got != -2000 {
		t.Errorf("%d Wh are issued, want the 2000 that were not withdrawn", -got)
	}
	if err := book.Check(); err != nil {
		t.Error(err)
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }

// TestReverse covers a reversal from the oldest buffer first.
func TestReverse(t *testing.T) {
	buffer := []carbon.Block{
		{ID: "old", Serials: carbon.Serials{Start: 1, End: 10}, Status: carbon.Buffer},
		{ID: "gone", Serials: carbon.Serials{Start: 11, End: 20}, Status: carbon.Cancelled},
		{ID: "new", Serials: carbon.Serials{Start: 21, End: 30}, Status: carbon.Buffer},
	}
	for _, c := range []struct {
		q, owed unit.Amount
		want    []carbon.Cut
	}{
		{0, 0, nil},
		{4, 0, []carbon.Cut{{ID: "old", Serials: carbon.Serials{Start: 1, End: 4}}}},
		{15, 0, []carbon.Cut{{ID: "old", Serials: buffer[0].Serials, Whole: true}, {ID: "new", Serials: carbon.Serials{Start: 21, End: 25}}}},
		{25, 5, []carbon.Cut{{ID: "old", Serials: buffer[0].Serials, Whole: true}, {ID: "new", Serials: buffer[2].Serials, Whole: true}}},
	} {
		cuts, owed := carbon.Reverse(c.q, buffer)
		if diff := cmp.Diff(c.want, cuts); diff != "" || owed != c.owed {
			t.Errorf("%d: owed %d, want %d\n%s", c.q, owed, c.owed, diff)
		}
	}
	if n, err := carbon.BufferShare(101, 1000); n != 11 || err != nil {
		t.Errorf("a tenth of 101 is %d, %v", n, err)
	}
	if a, err := carbon.Adjust(7, "NO", "CH"); err != nil || a[0].Amount+a[1].Amount != 0 || a[0].Country != "NO" || a[0].Amount != 7 {
		t.Errorf("%v, %v", a, err)
	}
}

// TestLine adds results in any order and in any groups, and restates by replaying
// them under another set: the same as if it had been that set from the beginning.
func TestLine(t *testing.T) {
	type result struct {
		class carbon.Class
		mass  unit.Mass
	}
	rapid.Check(t, func(t *rapid.T) {
		results := rapid.SliceOf(rapid.Custom(func(t *rapid.T) result {
			return result{carbon.Class(rapid.IntRange(1, 3).Draw(t, "class")), unit.Mass(rapid.Int64Range(0, 1e12).Draw(t, "mg"))}
		})).Draw(t, "results")
		add := func(set carbon.Set, results []result) *carbon.Line {
			var l carbon.Line
			for _, r := range results {
				if err := l.Add(set, r.class, carbon.GasMass{Gas: "CH4", Mass: r.mass}, carbon.GasMass{Gas: "NOx", Mass: 1}); err != nil {
					t.Fatal(err)
				}
			}
			return &l
		}
		told := func(l *carbon.Line) string {
			return fmt.Sprint(l.Gases, l.Class, l.Hours, l.Equivalence, l.Share(carbon.Measured), l.Share(carbon.Substituted), l.Share(carbon.Declared))
		}
		first := add(carbon.AR5, results)
		if got, want := told(add(carbon.AR5, rapid.Permutation(results).Draw(t, "order"))), told(first); got != want {
			t.Fatalf("in another order %s, want %s", got, want)
		}
		restated := add(carbon.AR4, results)
		if shares := restated.Share(carbon.Measured) + restated.Share(carbon.Substituted) + restated.Share(carbon.Declared); restated.Equivalence.Mass > 0 && (shares < unit.Million || shares > unit.Million+2) {
			t.Fatalf("shares come to %d", shares)
		}
		// 25 against 28 for CH4, exactly, as each product is whole.
		m, err := carbon.Materiality(first.Equivalence.Mass, restated.Equivalence.Mass)
		if first.Equivalence.Mass > 0 && (err != nil || m != 107_143) {
			t.Fatalf("a materiality of %d, %v", m, err)
		}
		if len(results) > 0 {
			if err := first.Add(carbon.AR4, carbon.Measured); !errors.Is(err, carbon.ErrSets) {
				t.Fatalf("two sets in one line: %v", err)
			}
		}
	})
}

// TestOrder gives files of units in any order, to the same bytes.
func TestOrder(t *testing.T) {
	var file struct {
		Blocks    []json.RawMessage `json:"blocks"`
		Issuances []json.RawMessage `json:"issuances"`
		Splits    json.RawMessage   `json:"splits"`
		Claims    []json.RawMessage `json:"claims"`
		Projects  []json.RawMessage `json:"projects"`
		Compat    []string          `json:"compat"`
	}
	if err := json.Unmarshal([]byte(page(t, "every-rule.check.in")), &file); err != nil {
		t.Fatal(err)
	}
	want := page(t, "every-rule.check.out")
	rapid.Check(t, func(t *rapid.T) {
		f := file
		f.Blocks = rapid.Permutation(file.Blocks).Draw(t, "blocks")
		f.Issuances = rapid.Permutation(file.Issuances).Draw(t, "issuances")
		f.Claims = rapid.Permutation(file.Claims).Draw(t, "claims")
		f.Projects = rapid.Permutation(file.Projects).Draw(t, "projects")
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		got, holds, err := carbon.CheckUnits(b)
		if err != nil || holds {
			t.Fatal(holds, err)
		}
		if diff := cmp.Diff(blank([]byte(want)), blank(got)); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}
