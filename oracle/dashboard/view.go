package dashboard

import (
	"time"

	"wattmark/oracle/dashboard/locale"
)

// Source is what the pages ask for figures. Now must be quick, as each page and
// each second asks once, and safe for concurrent use; the slices it returns must
// not change afterwards.
type Source interface {
	Now() View
}

// View is the state of things at one moment.
type View struct {
	// At is the time of the clock that the street lives by.
	At    time.Time
	Homes []Home
	// Feeder is the street's own connection; nil where it has no meter.
	Feeder *Feeder
	// Stack is what the stack's sensors read; nil where there is none.
	Stack   *Stack
	Oracles []Oracle
	// Signed, Acknowledged and Waiting count statements: all that gateways signed,
	// those for which a receipt arrived, those still kept in outboxes.
	Signed, Acknowledged, Waiting uint64
	// Refusals counts refused statements by reason.
	Refusals []Refusals
}

// Home is one home and the gateway in it.
type Home struct {
	Name string
	// GridW is the power at the home's connection in W: positive from the grid,
	// negative to it.
	GridW int64
	// SolarW is what its generator makes in W, 0 or more.
	SolarW int64
	Solar  bool // whether it has a generator
	State  State
	// Waiting is the number of statements in its outbox.
	Waiting uint64
}

// Feeder is the meter where the street meets the grid.
type Feeder struct {
	GridW   int64 // W, positive from the grid
	State   State
	Waiting uint64
}

// Stack is a chimney with sensors in it.
type Stack struct {
	CO2PPM           int64
	TemperatureCenti int64 // hundredths of a degree Celsius
	HumidityCenti    int64 // hundredths of a per cent, relative
	State            State
	Waiting          uint64
}

// Oracle is one oracle of the ledger.
type Oracle struct {
	Name   string
	Height uint64 // of its newest durable block
	Final  uint64 // height of the newest block that it knows to be final
	State  State
}

// Refusals is how often statements were refused for a reason.
type Refusals struct {
	Reason string // a word of entry.Reason
	Count  uint64
	// Remedy says what to do about it, and Last whose statement was refused last;
	// both may be empty.
	Remedy, Last string
}

// State says how a gateway or an oracle does. The zero value is StateStarting.
type State int

// The states.
const (
	StateStarting State = iota // not heard of yet
	StateGood
	StateSilent // nothing heard for longer than it should take
	StateHalted // it stopped by itself, and a person has to decide
)

// Word returns the state in a word.
func (s State) Word() string {
	switch s {
	case StateGood:
		return locale.Text("good")
	case StateSilent:
		return locale.Text("silent")
	case StateHalted:
		return locale.Text("halted")
	}
	return locale.Text("starting")
}

// Sign returns the character that stands before the word, so that a state never
// is a colour alone.
func (s State) Sign() string {
	switch s {
	case StateGood:
		return "✓"
	case StateSilent:
		return "!"
	case StateHalted:
		return "✕"
	}
	return "○"
}

// Tone names the colour, as the stylesheet does.
func (s State) Tone() string {
	switch s {
	case StateGood:
		return "good"
	case StateSilent:
		return "warn"
	case StateHalted:
		return "bad"
	}
	return "muted"
}

// Block is a block that an oracle has made durable.
type Block struct {
	Height     uint64
	Time       time.Time // block time
	Statements int
	Outcomes   int
	Size       uint64 // leaves of the ledger with this block's header
	// Final says that a quorum has cosigned it, or a later one, and Cosigners how
	// many signatures that took.
	Final     bool
	Cosigners int
}

// Receipt is a receipt that a gateway has accepted.
type Receipt struct {
	Gateway     string
	Boot, Count uint64 // the statement's sequence number
	Leaf        uint64
	Bytes       int           // of the statement
	Took        time.Duration // from publishing to the receipt, 0 where unknown
}

// Notice is something that a person may want to have seen happen.
type Notice struct {
	At   time.Time // of the street's clock
	Tone Tone
	// Text is what happened, in English. With Args it is a fmt format; the pages say both in the
	// language of who reads, where they have the text.
	Text string
	Args []any
	// Leaf, where not nil, is the leaf that proves it.
	Leaf *uint64
}

// Said is an argument of a text that is a text itself, and Decimal one that is a number in plain
// digits, which is written as the language does.
type (
	Said    string
	Decimal string
)

// Tone says how news is to be taken.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Good       // it holds, it is back
	Warn       // somebody should look
	Bad        // false, refused or halted
)

// Word returns "", "good", "look" or "refused or false" for those who do not see
// the sign.
func (t Tone) Word() string {
	return [...]string{"", locale.Text("good"), locale.Text("look"), locale.Text("refused or false")}[t.index()]
}

// Sign returns the character that stands before the text.
func (t Tone) Sign() string { return [...]string{"·", "✓", "!", "✕"}[t.index()] }

// Tone names the colour, as the stylesheet does.
func (t Tone) Tone() string { return [...]string{"muted", "good", "warn", "bad"}[t.index()] }

func (t Tone) index() int {
	if t < Plain || t > Bad {
		return 0
	}
	return int(t)
}
