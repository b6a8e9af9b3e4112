package settings

import (
	"slices"
	"strings"
)

// Nearest returns the word of a list that somebody who typed word may have meant,
// empty if none is near: a third of its letters may be wrong, at least one, or it may be
// the beginning of just one. Capitals are no mistakes.
func Nearest(word string, list []string) string {
	near, best := "", max(1, len(word)/3)+1
	if len(word) > 64 {
		return "" // no name is that long, and the work grows with its square
	}
	typed := strings.ToLower(word)
	var longer []string
	for _, candidate := range list {
		c := strings.ToLower(candidate)
		if d := distance(typed, c); d < best && candidate != word {
			near, best = candidate, d
		}
		if len(typed) >= enough && len(c) > len(typed) && strings.HasPrefix(c, typed) {
			longer = append(longer, candidate)
		}
	}
	if near == "" && len(longer) == 1 {
		return longer[0]
	}
	return near
}

// enough is how many letters say which word they begin.
const enough = 3

// distance is how many letters must be put in, taken out, changed or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	var before []int // the row two above
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, slices.Clone(row)
	}
	return last[len(b)]
}
