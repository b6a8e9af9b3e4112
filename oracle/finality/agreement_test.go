package finality_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/finality"
)

// consortium is oracles that exchange votes over a network that loses, repeats
// and reorders, and of which some lie.
type consortium struct {
	*ledgertest.Consortium
	t      *testing.T
	liars  int // the last ones
	honest []*member
	sent   [][]byte // every vote that was ever sent: it may arrive any time, any number of times
	finals map[uint64]block.Checkpoint
	lies   map[[2]int]*finality.Vote // by oracle, height and variant, to sign each once
}

// member is an honest oracle: its durable blocks, and a tally that a restart
// loses.
type member struct {
	index  int
	blocks []block.Checkpoint
	tally  *finality.Tally
}

const heights = 4

func (c *consortium) send(v *finality.Vote) { c.sent = append(c.sent, v.Encode()) }

// took notes what became final, which must be the same for everybody for ever.
func (c *consortium) took(t *rapid.T, f *finality.Final) {
	if f == nil {
		return
	}
	if old, ok := c.finals[f.Height]; ok && old != f.Checkpoint {
		t.Fatalf("two final checkpoints at height %d: %v and %v", f.Height, old, f.Checkpoint)
	}
	c.finals[f.Height] = f.Checkpoint
	checkFinal(c.t, c.Consortium, f)
}

func (c *consortium) cast(t *rapid.T, m *member) {
	height := uint64(len(m.blocks) - 1)
	v, f, err := m.tally.Cast(height, m.blocks[height], now)
	if err != nil {
		t.Fatalf("oracle %d, height %d: %v", m.index, height, err)
	}
	c.send(v)
	c.took(t, f)
}

// arrive delivers a vote to m.
func (c *consortium) arrive(t *rapid.T, m *member, b []byte) {
	v, err := finality.ParseVote(b, ledgertest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	f, again, err := m.tally.Receive(v)
	if err != nil && !errors.Is(err, finality.ErrVote) {
		t.Fatalf("oracle %d: %v", m.index, err)
	}
	if again != nil {
		c.send(again)
	}
	c.took(t, f)
}

func (c *consortium) restart(t *rapid.T, m *member) {
	m.tally = tally(c.Consortium, m.index)
	if len(m.blocks) > 0 {
		c.cast(t, m)
	}
}

// lie sends a vote of a liar: for anything, or with parts of somebody else's.
func (c *consortium) lie(t *rapid.T) {
	liar := len(c.Oracles) - 1 - rapid.IntRange(0, c.liars-1).Draw(t, "liar")
	height, variant := rapid.IntRange(0, heights-1).Draw(t, "height"), rapid.IntRange(0, 2).Draw(t, "variant")
	key := [2]int{liar, 3*height + variant}
	if c.lies[key] == nil {
		c.lies[key] = vote(c.t, c.Consortium, liar, uint64(height), checkpoint(uint64(height), variant))
	}
	v := *c.lies[key]
	v.Asking = rapid.Bool().Draw(t, "asking")
	if len(c.sent) > 0 && rapid.IntRange(0, 3).Draw(t, "forge") == 0 {
		other, err := finality.ParseVote(rapid.SampledFrom(c.sent).Draw(t, "other"), ledgertest.Origin)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			v.KeyID = other.KeyID
		case 1:
			v.Cosigned, v.KeyID, v.Receipts = other.Cosigned, other.KeyID, other.Receipts
		case 2:
			v.Height = other.Height
		case 3:
			v.Log += other.Cosigned
		case 4:
			v.Cosigned += other.Cosigned
		}
	}
	c.send(&v)
}

// Up to a third of the oracles lie, the order itself may have told honest oracles
// two stories, and votes are lost, repeated and late: still no height gets two
// final checkpoints.
func TestNeverTwoFinalCheckpoints(t *testing.T) {
	sizes := map[int]*ledgertest.Consortium{}
	for _, n := range []int{4, 5, 7} {
		sizes[n] = ledgertest.NewConsortium(t, n)
	}
	finals := 0
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.SampledFrom([]int{4, 5, 7}).Draw(r, "oracles")
		c := &consortium{Consortium: sizes[n], t: t, liars: (n - 1) / 3, finals: make(map[uint64]block.Checkpoint), lies: make(map[[2]int]*finality.Vote)}
		for i := range n - c.liars {
			c.honest = append(c.honest, &member{index: i, tally: tally(c.Consortium, i)})
		}
		split := rapid.IntRange(0, 3).Draw(r, "split") // 0: nearly always one story
		for range rapid.IntRange(20, 120).Draw(r, "steps") {
			m := rapid.SampledFrom(c.honest).Draw(r, "oracle")
			switch what := rapid.IntRange(0, 9).Draw(r, "what"); {
			case what <= 2 && len(m.blocks) < heights:
				variant := 0
				if rapid.IntRange(0, 9).Draw(r, "story") < 2*split {
					variant = 1
				}
				m.blocks = append(m.blocks, checkpoint(uint64(len(m.blocks)), variant))
				c.cast(r, m)
			case what == 3:
				c.lie(r)
			case what == 4:
				c.restart(r, m)
			case what == 5:
				for _, v := range m.tally.Pending() {
					c.send(v)
				}
			case len(c.sent) > 0:
				c.arrive(r, m, rapid.SampledFrom(c.sent).Draw(r, "vote"))
			}
		}
		finals += len(c.finals)
	})
	if finals == 0 {
		t.Error("nothing ever became final, so this shows nothing")
	}
}

// With one story, and once the network works for a while, asking again makes the
// newest height final for every honest oracle, whatever was lost before.
func TestLostVotesDelayAndNoMore(t *testing.T) {
	four := ledgertest.NewConsortium(t, 4)
	rapid.Check(t, func(r *rapid.T) {
		c := &consortium{Consortium: four, t: t, liars: 1, finals: make(map[uint64]block.Checkpoint), lies: make(map[[2]int]*finality.Vote)}
		for i := range 3 {
			c.honest = append(c.honest, &member{index: i, tally: tally(c.Consortium, i)})
		}
		for _, m := range c.honest {
			for h := range uint64(heights) {
				m.blocks = append(m.blocks, checkpoint(h, 0))
				c.cast(r, m)
				for range rapid.IntRange(0, 3).Draw(r, "arrive") {
					to := rapid.SampledFrom(c.honest).Draw(r, "to")
					if len(to.blocks) > 0 {
						c.arrive(r, to, rapid.SampledFrom(c.sent).Draw(r, "vote"))
					}
				}
				c.lie(r)
			}
			if rapid.Bool().Draw(r, "restart") {
				c.restart(r, m)
			}
		}
		c.sent = nil // all of it lost
		for _, m := range c.honest {
			for _, v := range m.tally.Pending() {
				c.send(v)
			}
		}
		for len(c.sent) > 0 {
			b := c.sent[0]
			c.sent = c.sent[1:]
			for _, m := range c.honest {
				c.arrive(r, m, b)
			}
		}
		for _, m := range c.honest {
			if f := m.tally.Final(); f == nil || f.Height != heights-1 || m.tally.Pending() != nil {
				r.Fatalf("oracle %d: final is %+v, want height %d", m.index, f, heights-1)
			}
		}
	})
}
