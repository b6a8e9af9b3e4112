package unit_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/unit"
)

// keysOf returns the tie keys of ids under a beacon of zero bytes.
func keysOf(ids ...string) func(i int) unit.Key {
	return func(i int) unit.Key { return unit.TieKey([32]byte{}, ids[i]) }
}

// never is for splits in which no tie needs breaking.
func never(t interface{ Fatalf(string, ...any) }) func(int) unit.Key {
	return func(i int) unit.Key {
		t.Fatalf("asked for the key of %d without a tie", i)
		return unit.Key{}
	}
}

// The figures are those of the market rules' worked examples.
func TestLargestRemainder(t *testing.T) {
	for _, test := range []struct {
		name    string
		total   unit.Energy
		weights []unit.Energy
		key     func(int) unit.Key
		want    []unit.Energy
	}{
		{"equal remainders", 501, []unit.Energy{750, 750}, keysOf("b2", "b3"), []unit.Energy{250, 251}},
		{"pool deficits", 2000, []unit.Energy{1200, 900, 199}, never(t), []unit.Energy{1044, 783, 173}},
		{"exact", 20, []unit.Energy{5, 0, 15}, never(t), []unit.Energy{5, 0, 15}},
		{"nothing to split", 0, []unit.Energy{3, 4}, never(t), []unit.Energy{0, 0}},
		{"no weight", 5, []unit.Energy{0, 0}, never(t), []unit.Energy{0, 0}},
		{"nobody", 5, nil, never(t), []unit.Energy{}},
		{"one", 7, []unit.Energy{9}, never(t), []unit.Energy{7}},
		{"largest", math.MaxInt64, []unit.Energy{math.MaxInt64}, never(t), []unit.Energy{math.MaxInt64}},
	} {
		got, err := unit.LargestRemainder(test.total, test.weights, test.key)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestLargestRemainderRefuses(t *testing.T) {
	if _, err := unit.LargestRemainder(unit.Energy(-1), []unit.Energy{1}, never(t)); !errors.Is(err, unit.ErrNegative) {
		t.Errorf("negative total: got %v", err)
	}
	if _, err := unit.LargestRemainder(unit.Energy(1), []unit.Energy{2, -1}, never(t)); !errors.Is(err, unit.ErrNegative) {
		t.Errorf("negative weight: got %v", err)
	}
	if _, err := unit.LargestRemainder(unit.Energy(1), []unit.Energy{math.MaxInt64, 1}, never(t)); !errors.Is(err, unit.ErrOverflow) {
		t.Errorf("weights that do not add up: got %v", err)
	}
}

func TestTieKey(t *testing.T) {
	// The market rules name the first bytes of these keys.
	for id, want := range map[string]string{"b3": "ae60", "b2": "b2bf"} {
		key := unit.TieKey([32]byte{}, id)
		if got := hex.EncodeToString(key[:2]); got != want {
			t.Errorf("key of %s begins with %s, want %s", id, got, want)
		}
	}
}

func TestLargestRemainderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		// Few distinct weights, so that remainders tie; or extreme ones.
		largest := rapid.SampledFrom([]int64{2, 5, 1000, math.MaxInt64 / 30}).Draw(t, "largest")
		weights := make([]unit.Energy, n)
		ids := make([]string, n)
		for i := range weights {
			weights[i] = unit.Energy(rapid.Int64Range(0, largest).Draw(t, "weight"))
			ids[i] = fmt.Sprint("m", i)
		}
		sum, err := unit.Sum(weights...)
		if err != nil {
			t.Fatal(err)
		}
		total := unit.Money(rapid.OneOf(rapid.Int64Range(0, int64(sum)), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "total"))
		parts, err := unit.LargestRemainder(total, weights, keysOf(ids...))
		if err != nil {
			t.Fatal(err)
		}

		shared, err := unit.Sum(parts...)
		switch {
		case err != nil:
			t.Fatal(err)
		case sum == 0 && shared != 0, sum > 0 && shared != total:
			t.Fatalf("parts %v add up to %d, want %d", parts, shared, total)
		}
		for i, part := range parts {
			if sum == 0 {
				break
			}
			floor := new(big.Int).Mul(big.NewInt(int64(total)), big.NewInt(int64(weights[i])))
			floor.Quo(floor, big.NewInt(int64(sum)))
			if over := int64(part) - floor.Int64(); over != 0 && over != 1 {
				t.Fatalf("part %d is %d, want %s or one more", i, part, floor)
			}
			if int64(total) <= int64(sum) && int64(part) > int64(weights[i]) {
				t.Fatalf("part %d is %d, above its weight %d", i, part, weights[i])
			}
		}

		// The order of the input does not matter.
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		order = rapid.Permutation(order).Draw(t, "order")
		shuffled, shuffledIDs := make([]unit.Energy, n), make([]string, n)
		for to, from := range order {
			shuffled[to], shuffledIDs[to] = weights[from], ids[from]
		}
		again, err := unit.LargestRemainder(total, shuffled, keysOf(shuffledIDs...))
		if err != nil {
			t.Fatal(err)
		}
		for to, from := range order {
			if again[to] != parts[from] {
				t.Fatalf("%s got %d in one order and %d in another", ids[from], parts[from], again[to])
			}
		}
	})
}

func BenchmarkLargestRemainder(b *testing.B) {
	weights := make([]unit.Energy, 100_000)
	for i := range weights {
		weights[i] = unit.Energy(i%977 + 1)
	}
	key := func(i int) unit.Key { return unit.TieKey([32]byte{}, "member") }
	for b.Loop() {
		if _, err := unit.LargestRemainder(unit.Energy(12_345_678), weights, key); err != nil {
			b.Fatal(err)
		}
	}
}
