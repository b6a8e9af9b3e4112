package finality

// Keep is how many heights a Tally remembers, and how far ahead it listens.
const Keep = keep

// MaxVote bounds a vote in bytes.
const MaxVote = maxVote

// Kept returns how many heights and votes t remembers.
func (t *Tally) Kept() (heights, votes int) {
	for _, r := range t.rounds {
		votes += len(r.votes)
	}
	return len(t.rounds), votes
}
