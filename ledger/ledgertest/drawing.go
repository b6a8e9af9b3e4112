package ledgertest

import (
	"fmt"
	"strconv"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// step is how far the clocks go on with a block that draws none, in
// milliseconds.
const step = 60_000

// Draw appends the blocks of a drawing, as the package comment has it, and
// returns the chain.
func (c *Chain) Draw(drawing string) *Chain {
	c.tb.Helper()
	for n, line := range strings.Split(drawing, "\n") {
		line, _, _ = strings.Cut(line, "# ")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := c.drawBlock(words); err != nil {
			c.tb.Fatalf("drawing line %d: %v", n+1, err)
		}
	}
	return c
}

func (c *Chain) drawBlock(words []string) error {
	c.tb.Helper()
	var messages []Message
	clocked := false
	for _, w := range words {
		clocked = clocked || strings.HasPrefix(w, "clock")
	}
	if !clocked {
		messages = c.Clocks(step)
	}
	for _, w := range words {
		if w == "." {
			continue
		}
		m, err := c.drawWord(w)
		if err != nil {
			return fmt.Errorf("%q: %w", w, err)
		}
		c.drawn[w] = m
		messages = append(messages, m)
	}
	c.Append(messages...)
	return nil
}

// Clocks returns a clock of every oracle, ms after the last block and a
// millisecond apart.
func (c *Chain) Clocks(ms int64) []Message {
	c.tb.Helper()
	var messages []Message
	for i := range c.Oracles {
		messages = append(messages, c.deliver(c.Clock(i, c.State.Time()+ms+int64(i))))
	}
	return messages
}

// Word returns the message that one word of a drawing stands for.
func (c *Chain) Word(w string) Message {
	c.tb.Helper()
	m, err := c.drawWord(w)
	if err != nil {
		c.tb.Fatalf("%q: %v", w, err)
	}
	return m
}

func (c *Chain) deliver(s *Statement) Message {
	c.tb.Helper()
	return c.Deliver(s.Sign(c.tb))
}

func (c *Chain) drawWord(w string) (Message, error) {
	c.tb.Helper()
	if w == "junk" {
		return c.Deliver(fmt.Appendf(nil, "no statement %d", c.Size()), nil), nil
	}
	if old, ok := strings.CutPrefix(w, "again:"); ok {
		m, ok := c.drawn[old]
		if !ok {
			return Message{}, fmt.Errorf("%q was not drawn before", old)
		}
		return c.Deliver(m.Statement, m.Pack), nil
	}
	if rest, ok := strings.CutPrefix(w, "also"); ok {
		return c.alsoWord(rest)
	}
	if rest, ok := strings.CutPrefix(w, "forged:"); ok {
		s, err := c.word(rest)
		if err != nil {
			return Message{}, err
		}
		b, pack := s.Sign(c.tb)
		b[len(b)-1] ^= 1
		return c.Deliver(b, pack), nil
	}
	s, err := c.word(w)
	if err != nil {
		return Message{}, err
	}
	return c.deliver(s), nil
}

// alsoWord makes one more oracle state what was drawn before.
func (c *Chain) alsoWord(w string) (Message, error) {
	c.tb.Helper()
	who, old, _ := strings.Cut(w, ":")
	i, err := strconv.Atoi(who)
	m, ok := c.drawn[old]
	if err != nil || i < 1 || i > len(c.Oracles) || !ok {
		return Message{}, fmt.Errorf("what was drawn before is stated again as also2:+home1")
	}
	parsed, err := signer.Parse(m.Statement)
	if err != nil {
		return Message{}, err
	}
	return c.deliver(c.Stated(i-1, parsed.Type, parsed.Payload)), nil
}

// word makes the statement that a word stands for.
func (c *Chain) word(w string) (*Statement, error) {
	c.tb.Helper()
	switch {
	case strings.HasPrefix(w, "+"):
		return c.enrolWord(w[1:])
	case strings.HasPrefix(w, ">"):
		return c.rotateWord(w[1:])
	case strings.HasPrefix(w, "cal:"), strings.HasPrefix(w, "map:"):
		return c.fieldWord(w[:3], w[4:])
	case strings.HasPrefix(w, "-"):
		g := c.gateways[w[1:]]
		if g == nil {
			return nil, fmt.Errorf("no gateway %q was enrolled", w[1:])
		}
		return c.Revocation(g.key.Public().ID()), nil
	case strings.HasPrefix(w, "end"):
		who, name, _ := strings.Cut(w[len("end"):], ":")
		i, err := strconv.Atoi(who)
		if err != nil || i < 1 || i > len(c.Oracles) || c.gateways[name] == nil {
			return nil, fmt.Errorf("an oracle ends a key of a gateway that was enrolled as in end2:home1")
		}
		return c.Ending(i-1, c.gateways[name].key.Public().ID()), nil
	case strings.HasPrefix(w, "clock"):
		return c.clockWord(w)
	case strings.HasPrefix(w, "vote"):
		return c.voteWord(w)
	}
	return c.readingWord(w)
}

func (c *Chain) clockWord(w string) (*Statement, error) {
	var i int
	var seconds int64
	height := c.State.Height()
	_, err := fmt.Sscanf(w, "clock%d@%d", &i, &seconds)
	if strings.Contains(w, ".") {
		_, err = fmt.Sscanf(w, "clock%d.%d@%d", &i, &height, &seconds)
	}
	if err != nil || i < 1 || i > len(c.Oracles) {
		return nil, fmt.Errorf("a clock is drawn as clock2@+60 or clock2.7@+60: %v", err)
	}
	k := entry.Clock{Height: height, Time: c.State.Time() + 1000*seconds}
	return c.Stated(i-1, entry.TypeClock, k.Encode()), nil
}

func (c *Chain) enrolWord(w string) (*Statement, error) {
	options := strings.Split(w, ":")
	alg, mode, enrol := signer.EdDSA, entry.ModeOpen, c.Enrolment
	for _, o := range options[1:] {
		switch o {
		case "committed":
			mode = entry.ModeCommitted
		case "es256":
			alg = signer.ES256
		case "proven":
			enrol = c.Proven
		default:
			return nil, fmt.Errorf("%q is no option of an enrolment", o)
		}
	}
	return enrol(options[0], alg, mode), nil
}

func (c *Chain) rotateWord(w string) (*Statement, error) {
	c.tb.Helper()
	name, option, _ := strings.Cut(w, ":")
	alg := signer.EdDSA
	switch {
	case c.gateways[name] == nil:
		return nil, fmt.Errorf("no gateway %q was enrolled", name)
	case option == "es256":
		alg = signer.ES256
	case option != "":
		return nil, fmt.Errorf("%q is no option of a rotation", option)
	}
	return c.Rotation(name, alg), nil
}

func (c *Chain) fieldWord(kind, w string) (*Statement, error) {
	c.tb.Helper()
	name, value, _ := strings.Cut(w, "=")
	v, err := strconv.ParseInt(value, 10, 64)
	if err != nil || c.gateways[name] == nil {
		return nil, fmt.Errorf("a gateway that was enrolled calibrates as in cal:home1=1010 and maps its clock as in map:home1=5")
	}
	if kind == "cal" {
		return c.Calibration(name, c.Calibrated(v)), nil
	}
	m := &entry.ClockMap{Boot: c.gateways[name].next.Boot, Monotonic: uint64(v) * 1e9, Time: c.State.Time(), Quality: entry.ClockNTP}
	return c.ClockMap(name, m), nil
}

func (c *Chain) voteWord(w string) (*Statement, error) {
	who, rest, _ := strings.Cut(strings.TrimPrefix(w, "vote"), ":")
	name, rest, _ := strings.Cut(rest, "=")
	value, height, _ := strings.Cut(rest, "@")
	i, err1 := strconv.Atoi(who)
	v, err2 := strconv.ParseInt(value, 10, 64)
	h, err3 := strconv.ParseUint(height, 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || i < 1 || i > len(c.Oracles) {
		return nil, fmt.Errorf("a vote is drawn as vote2:cut_leaves=100@7")
	}
	return c.Vote(i-1, entry.Proposal{Parameter: name, Value: v, Height: h}), nil
}

func (c *Chain) readingWord(w string) (*Statement, error) {
	c.tb.Helper()
	head, value, ok := strings.Cut(w, "=")
	v, err := strconv.ParseInt(value, 10, 64)
	if !ok || err != nil {
		return nil, fmt.Errorf("a reading is drawn as home1=1000")
	}
	head, ago, _ := strings.Cut(head, "@")
	head, number, numbered := strings.Cut(head, "#")
	name, channel, ok := strings.Cut(head, "/")
	if !ok {
		channel = "energy"
	}
	if c.gateways[name] == nil {
		return nil, fmt.Errorf("no gateway %q was enrolled", name)
	}
	var shift int64
	if ago != "" {
		if shift, err = strconv.ParseInt(ago, 10, 64); err != nil {
			return nil, err
		}
	}
	g := c.gateways[name]
	if numbered {
		boot, count, ok := strings.Cut(number, ".")
		if !ok {
			boot, count = "1", number
		}
		b, err1 := strconv.ParseUint(boot, 10, 64)
		n, err2 := strconv.ParseUint(count, 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%q is no sequence number", number)
		}
		g.next = entry.Sequence{Boot: b, Count: n}
	}
	s := c.Reading(name, Record(name, channel, v, c.State.Time()+1000*shift))
	s.Claims.IssuedAt += shift
	return s, nil
}

// Scribble makes a drawing of some blocks with whatever an oracle may meet, from
// choices that pick makes: it returns a number from 0 to n-1. Gateways are
// enrolled, rotated and revoked, readings come in and out of order, late, twice, forged
// and implausible, clocks lie, votes are cast. The first block enrols.
func Scribble(pick func(n int) int, oracles, blocks int) string {
	var b strings.Builder
	names := []string{"home1", "home2", "home3", "stack"}
	options := []string{"", ":committed", ":es256", ":committed:es256"}
	proven := []string{"", ":proven"}
	for i, n := range names {
		fmt.Fprintf(&b, "+%s%s%s ", n, options[(i+pick(4))%4], proven[pick(2)])
	}
	b.WriteString("\n")
	wh := make([]int, len(names))
	enrolled := make([]string, len(names)) // the last enrolment of each
	some := func(word string) {            // some of the oracles do it, often enough of them
		for o := range oracles {
			if pick(5) > 0 {
				fmt.Fprintf(&b, word+" ", o+1)
			}
		}
	}
	for h := range blocks {
		for range pick(6) + 1 {
			i := pick(len(names))
			n := names[i]
			wh[i] += pick(1000)
			switch pick(24) {
			case 0:
				if pick(2) == 0 {
					fmt.Fprintf(&b, "-%s ", n)
				} else {
					some("end%d:" + n)
				}
			case 1:
				if enrolled[i] == "" || pick(2) == 0 {
					enrolled[i] = fmt.Sprintf("+%s%s%s", n, options[pick(4)], proven[pick(2)])
					fmt.Fprintf(&b, "-%s %s ", n, enrolled[i])
				}
				some("also%d:" + enrolled[i])
			case 2:
				fmt.Fprintf(&b, "junk ")
			case 3:
				fmt.Fprintf(&b, "forged:%s=%d ", n, wh[i])
			case 4:
				fmt.Fprintf(&b, "%s#%d=%d ", n, 1+pick(12), wh[i])
			case 5:
				fmt.Fprintf(&b, "%s@%d=%d ", n, []int{300, 60, -3600, -90_000}[pick(4)], wh[i])
			case 6:
				fmt.Fprintf(&b, "%s=%d ", n, pick(2_000_000_000)-1000)
			case 7:
				some(fmt.Sprintf("vote%%d:%s=%d@%d", entry.ParamLateAfter, 1+pick(2)*3600, h+2+pick(4)))
			case 8:
				late := []string{"", "", fmt.Sprintf(".%d", pick(h+4))}[pick(3)]
				fmt.Fprintf(&b, "clock%d%s@%d ", 1+pick(oracles), late, pick(4000)-1000)
			case 9:
				fmt.Fprintf(&b, "%s/other=%d ", n, pick(10))
			case 10:
				fmt.Fprintf(&b, "%s#%d.1=%d ", n, 1+pick(3), wh[i])
			case 11:
				fmt.Fprintf(&b, "%[1]s=%[2]d again:%[1]s=%[2]d ", n, wh[i])
			case 12:
				fmt.Fprintf(&b, "%s/power=%d ", n, pick(50_000)-25_000)
			case 13:
				fmt.Fprintf(&b, "%s>%s%s ", []string{"", fmt.Sprintf("-%s ", n)}[pick(4)/3], n, []string{"", ":es256"}[pick(2)])
			case 14:
				fmt.Fprintf(&b, "cal:%s=%d ", n, 990+pick(20))
			case 15:
				fmt.Fprintf(&b, "map:%s=%d ", n, pick(1000))
			default:
				fmt.Fprintf(&b, "%s=%d ", n, wh[i])
			}
		}
		b.WriteString(". \n")
	}
	return b.String()
}
