package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
)

func enrolment() *entry.Enrolment {
	return &entry.Enrolment{
		Algorithm: -8,
		Key:       bytes.Repeat([]byte{9}, 32),
		Gateway:   "home-01",
		Points: []entry.Point{
			{Subject: "mp-1", Mode: entry.ModeCommitted, Channels: []entry.Channel{
				{Name: "export", Unit: "Wh", Kind: entry.KindCounter, Least: entry.Int(0), Most: entry.Int(1_000_000_000_000), PerHour: entry.Int(30_000)},
				{Name: "voltage", Unit: "V", Kind: entry.KindGauge, Least: entry.Decimal{Mantissa: 1800, Exponent: -1}, Most: entry.Int(260)},
			}},
			{Subject: "mp-2", Mode: entry.ModeOpen, Channels: []entry.Channel{}},
		},
	}
}

func TestEnrolmentsRoundTrip(t *testing.T) {
	want := enrolment()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := entry.ParseEnrolment(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want.Points[1].Channels = nil
	if again, err := want.Encode(); err != nil || !bytes.Equal(again, b) {
		t.Errorf("no channels are written in two ways: %x, %x, %v", b, again, err)
	}
}

func TestEnrolmentsThatAreRefused(t *testing.T) {
	many := make([]entry.Channel, 257)
	for i := range many {
		many[i] = entry.Channel{Name: fmt.Sprintf("c%04d", i), Kind: entry.KindGauge}
	}
	points := make([]entry.Point, 65)
	for i := range points {
		points[i] = entry.Point{Subject: fmt.Sprint("mp-", i), Mode: entry.ModeOpen}
	}
	for name, test := range map[string]struct {
		change func(*entry.Enrolment)
		want   string
	}{
		"no gateway":        {func(e *entry.Enrolment) { e.Gateway = "" }, "0 bytes"},
		"long gateway":      {func(e *entry.Enrolment) { e.Gateway = strings.Repeat("g", 64) }, "64 bytes"},
		"capitals":          {func(e *entry.Enrolment) { e.Gateway = "Home" }, "lower-case letters"},
		"a path":            {func(e *entry.Enrolment) { e.Gateway = "../home" }, "lower-case letters"},
		"a wildcard":        {func(e *entry.Enrolment) { e.Gateway = "home.*" }, "lower-case letters"},
		"hyphen first":      {func(e *entry.Enrolment) { e.Gateway = "-home" }, "lower-case letters"},
		"long key":          {func(e *entry.Enrolment) { e.Key = make([]byte, 129) }, "key of 129 bytes"},
		"no points":         {func(e *entry.Enrolment) { e.Points = nil }, "0 metering points"},
		"many points":       {func(e *entry.Enrolment) { e.Points = points }, "65 metering points"},
		"point twice":       {func(e *entry.Enrolment) { e.Points[1].Subject = "mp-1" }, "stands twice"},
		"no subject":        {func(e *entry.Enrolment) { e.Points[0].Subject = "" }, "metering point has 0 bytes"},
		"no mode":           {func(e *entry.Enrolment) { e.Points[0].Mode = "" }, "open or committed"},
		"many channels":     {func(e *entry.Enrolment) { e.Points[0].Channels = many }, "257 channels"},
		"unordered":         {func(e *entry.Enrolment) { e.Points[0].Channels[0].Name = "x" }, "not in order"},
		"channel twice":     {func(e *entry.Enrolment) { e.Points[0].Channels[1].Name = "export" }, "not in order"},
		"nameless channel":  {func(e *entry.Enrolment) { e.Points[0].Channels[0].Name = "" }, "not in order"},
		"long channel":      {func(e *entry.Enrolment) { e.Points[0].Channels[1].Name = strings.Repeat("v", 256) }, "channel has 256"},
		"long unit":         {func(e *entry.Enrolment) { e.Points[0].Channels[0].Unit = strings.Repeat("u", 17) }, "unit has 17"},
		"no kind":           {func(e *entry.Enrolment) { e.Points[0].Channels[0].Kind = "total" }, "counter or gauge"},
		"empty range":       {func(e *entry.Enrolment) { e.Points[0].Channels[0].Most = entry.Int(-1) }, "empty range"},
		"negative rate":     {func(e *entry.Enrolment) { e.Points[0].Channels[0].PerHour = entry.Int(-1) }, "less than nothing"},
		"exponent too high": {func(e *entry.Enrolment) { e.Points[0].Channels[0].Most = entry.Decimal{Mantissa: 1, Exponent: 19} }, "exponent 19"},
	} {
		e := enrolment()
		test.change(e)
		if b, err := e.Encode(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: encoded to %d bytes, %v; want an error with %q", name, len(b), err, test.want)
		}
	}
}

func TestOtherPayloadsRoundTrip(t *testing.T) {
	r := &entry.Revocation{KeyID: bytes.Repeat([]byte{1}, 16), Reason: "stolen"}
	if got, err := entry.ParseRevocation(r.Encode()); err != nil || !cmp.Equal(got, r) {
		t.Errorf("revocation: %+v, %v", got, err)
	}
	c := &entry.Clock{Height: 7, Time: noon}
	if got, err := entry.ParseClock(c.Encode()); err != nil || !cmp.Equal(got, c) {
		t.Errorf("clock: %+v, %v", got, err)
	}
	v := &entry.Vote{Proposal: entry.Proposal{Parameter: entry.ParamLateAfter, Value: -3600, Height: 90}}
	if got, err := entry.ParseVote(v.Encode()); err != nil || !cmp.Equal(got, v) {
		t.Errorf("vote: %+v, %v", got, err)
	}
	other := v.Proposal
	other.Height++
	if v.Proposal.Hash() == other.Hash() {
		t.Error("two proposals have one hash")
	}
}

func TestOtherPayloadsThatAreRefused(t *testing.T) {
	for name, fn := range map[string]func() error{
		"short key id":       parsed(entry.ParseRevocation, (&entry.Revocation{KeyID: make([]byte, 15), Reason: "r"}).Encode()),
		"no reason":          parsed(entry.ParseRevocation, (&entry.Revocation{KeyID: make([]byte, 16)}).Encode()),
		"long reason":        parsed(entry.ParseRevocation, (&entry.Revocation{KeyID: make([]byte, 16), Reason: strings.Repeat("r", 256)}).Encode()),
		"null key id":        parsed(entry.ParseRevocation, []byte("\xa2\x01\xf6\x02\x61r")),
		"key left out":       parsed(entry.ParseClock, []byte("\xa1\x01\x00")),
		"key too many":       parsed(entry.ParseClock, []byte("\xa3\x01\x00\x02\x00\x03\x00")),
		"keys out of order":  parsed(entry.ParseClock, []byte("\xa2\x02\x00\x01\x00")),
		"key twice":          parsed(entry.ParseClock, []byte("\xa3\x01\x00\x01\x00\x02\x00")),
		"float":              parsed(entry.ParseClock, []byte("\xa2\x01\x00\x02\xf9\x3c\x00")),
		"big number":         parsed(entry.ParseClock, []byte("\xa2\x01\x00\x02\xc2\x41\x01")),
		"long integer":       parsed(entry.ParseClock, []byte("\xa2\x01\x00\x02\x18\x01")),
		"indefinite":         parsed(entry.ParseClock, []byte("\xbf\x01\x00\x02\x00\xff")),
		"trailing byte":      parsed(entry.ParseClock, []byte("\xa2\x01\x00\x02\x00\x00")),
		"array":              parsed(entry.ParseClock, []byte("\x82\x00\x00")),
		"clock before 1970":  parsed(entry.ParseClock, (&entry.Clock{Time: -1}).Encode()),
		"clock far ahead":    parsed(entry.ParseClock, (&entry.Clock{Time: 1<<50 + 1}).Encode()),
		"no parameter":       parsed(entry.ParseVote, (&entry.Vote{}).Encode()),
		"long parameter":     parsed(entry.ParseVote, (&entry.Vote{Proposal: entry.Proposal{Parameter: strings.Repeat("p", 65)}}).Encode()),
		"null proposal":      parsed(entry.ParseVote, []byte("\xa1\x01\xf6")),
		"nothing":            parsed(entry.ParseVote, nil),
		"half of a key name": parsed(entry.ParseVote, []byte("\xa1\x01\xa3\x01\x61\xc3\x02\x00\x03\x00")),
	} {
		if err := fn(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v, want ErrForm", name, err)
		}
	}
}

func parsed[T any](parse func([]byte) (T, error), b []byte) func() error {
	return func() error { _, err := parse(b); return err }
}

func charter() *entry.Charter {
	c := &entry.Charter{
		Origin: "example.org/street", Time: noon, Quorum: 3, Governance: 3, Simulated: true,
		Parameters: []entry.Parameter{{Name: entry.ParamCutLeaves, Value: 512}, {Name: entry.ParamFutureLimit, Value: 120}},
	}
	for i := range 4 {
		c.Oracles = append(c.Oracles, entry.OracleKeys{
			Name: fmt.Sprintf("example.org/street/oracle-%d", i), Algorithm: -8, Key: bytes.Repeat([]byte{byte(i + 1)}, 32),
			Log: fmt.Sprint("log key ", i), Cosigner: fmt.Sprint("cosigner key ", i),
		})
	}
	return c
}

func TestChartersRoundTrip(t *testing.T) {
	want := charter()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := entry.ParseCharter(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if k := entry.KindOf(b); k != entry.LeafCharter {
		t.Errorf("a charter is taken for a %v", k)
	}
	for name, b := range map[string][]byte{
		"another kind":    append([]byte("\x83\x67chapter"), b[9:]...),
		"another version": append([]byte("\x83\x67charter\x02"), b[10:]...),
		"trailing byte":   append(bytes.Clone(b), 0),
		"truncated":       b[:len(b)-1],
	} {
		if _, err := entry.ParseCharter(b); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v, want ErrForm", name, err)
		}
	}
}

func TestChartersThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*entry.Charter)
		want   string
	}{
		"no origin":              {func(c *entry.Charter) { c.Origin = "" }, "origin has 0"},
		"origin with a space":    {func(c *entry.Charter) { c.Origin = "our street" }, "space or a plus"},
		"origin of two lines":    {func(c *entry.Charter) { c.Origin = "street\n7" }, "space or a plus"},
		"no oracles":             {func(c *entry.Charter) { c.Oracles = nil }, "0 oracles"},
		"two thirds":             {func(c *entry.Charter) { c.Oracles, c.Quorum = c.Oracles[:3], 2 }, "not more than two thirds"},
		"quorum of none":         {func(c *entry.Charter) { c.Quorum = 0 }, "not more than two thirds"},
		"quorum of five":         {func(c *entry.Charter) { c.Quorum = 5 }, "quorum of 5 of 4"},
		"quorum beyond counting": {func(c *entry.Charter) { c.Quorum = 1 << 63 }, "not more than two thirds"},
		"nobody governs":         {func(c *entry.Charter) { c.Governance = 0 }, "governance threshold of 0"},
		"five govern":            {func(c *entry.Charter) { c.Governance = 5 }, "governance threshold of 5"},
		"before 1970":            {func(c *entry.Charter) { c.Time = -1 }, "charter time -1"},
		"nameless oracle":        {func(c *entry.Charter) { c.Oracles[1].Name = "" }, "oracle name has 0"},
		"oracle with a plus":     {func(c *entry.Charter) { c.Oracles[1].Name = "a+b" }, "space or a plus"},
		"one name":               {func(c *entry.Charter) { c.Oracles[1].Name = c.Oracles[0].Name }, "share a name or key"},
		"one statement key":      {func(c *entry.Charter) { c.Oracles[1].Key = c.Oracles[0].Key }, "share a name or key"},
		"one log key":            {func(c *entry.Charter) { c.Oracles[3].Log = c.Oracles[0].Log }, "share a name or key"},
		"one cosigner key":       {func(c *entry.Charter) { c.Oracles[3].Cosigner = c.Oracles[0].Cosigner }, "share a name or key"},
		"no statement key":       {func(c *entry.Charter) { c.Oracles[3].Key = nil }, "key of 0 bytes"},
		"no log key":             {func(c *entry.Charter) { c.Oracles[3].Log = "" }, "log key has 0"},
		"long cosigner key":      {func(c *entry.Charter) { c.Oracles[3].Cosigner = strings.Repeat("k", 513) }, "cosigner key has 513"},
		"unordered parameters":   {func(c *entry.Charter) { c.Parameters[1].Name = "a" }, "not in order"},
		"parameter twice":        {func(c *entry.Charter) { c.Parameters[1].Name = c.Parameters[0].Name }, "not in order"},
		"long parameter":         {func(c *entry.Charter) { c.Parameters[1].Name = strings.Repeat("p", 65) }, "parameter has 65"},
	} {
		c := charter()
		test.change(c)
		if b, err := c.Encode(); !errors.Is(err, entry.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: encoded to %d bytes, %v; want ErrForm with %q", name, len(b), err, test.want)
		}
	}
}

func TestOutcomesRoundTrip(t *testing.T) {
	for _, want := range []*entry.Outcome{
		{Kind: entry.OutcomeRefused, Hash: sha256.Sum256([]byte("statement")), Code: string(entry.ReasonFuture)},
		{Kind: entry.OutcomeFlagged, Leaf: 0, Code: entry.FlagRate, Detail: "mp-1/export"},
		{Kind: entry.OutcomeFlagged, Leaf: 1 << 40, Code: entry.FlagLate},
		{Kind: entry.OutcomeAdopted, Hash: sha256.Sum256([]byte("proposal")), Detail: entry.ParamLateAfter},
	} {
		b := want.Encode()
		got, err := entry.ParseOutcome(b)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%+v: read as %+v, %v", want, got, err)
		}
		if k := entry.KindOf(b); k != entry.LeafOutcome {
			t.Errorf("%+v: an outcome is taken for a %v", want, k)
		}
	}
}

func TestOutcomesThatAreRefused(t *testing.T) {
	hash := "\x58\x20" + strings.Repeat("h", 32)
	if _, err := entry.ParseOutcome([]byte("\x86\x67refused\x01\xf6" + hash + "\x60\x60")); err != nil {
		t.Fatalf("the outcome that all others are derived from: %v", err)
	}
	for name, b := range map[string]string{
		"nothing":              "",
		"unknown kind":         "\x86\x67accused\x01\xf6" + hash + "\x60\x60",
		"unknown version":      "\x86\x67refused\x02\xf6" + hash + "\x60\x60",
		"refusal of a leaf":    "\x86\x67refused\x01\x05\xf6\x60\x60",
		"refusal of both":      "\x86\x67refused\x01\x05" + hash + "\x60\x60",
		"refusal of nothing":   "\x86\x67refused\x01\xf6\xf6\x60\x60",
		"short hash":           "\x86\x67refused\x01\xf6\x41h\x60\x60",
		"empty hash":           "\x86\x67refused\x01\xf6\x40\x60\x60",
		"hash as numbers":      "\x86\x67refused\x01\xf6\x98\x20" + strings.Repeat("\x01", 32) + "\x60\x60",
		"flag of a hash":       "\x86\x67flagged\x01\xf6" + hash + "\x60\x60",
		"undefined for a null": "\x86\x67refused\x01\xf7" + hash + "\x60\x60",
		"long code":            "\x86\x67refused\x01\xf6" + hash + "\x78\x41" + strings.Repeat("c", 65) + "\x60",
		"long detail":          "\x86\x67refused\x01\xf6" + hash + "\x60\x79\x01\x00" + strings.Repeat("d", 256),
		"five elements":        "\x85\x67refused\x01\xf6" + hash + "\x60",
		"seven elements":       "\x87\x67refused\x01\xf6" + hash + "\x60\x60\x60",
		"trailing byte":        "\x86\x67refused\x01\xf6" + hash + "\x60\x60\x60",
	} {
		if o, err := entry.ParseOutcome([]byte(b)); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: read as %+v, %v, want ErrForm", name, o, err)
		}
	}
}

func TestKindsOfLeaves(t *testing.T) {
	for want, list := range map[entry.LeafKind][]string{
		entry.LeafUnknown:   {"", "\xd2", "\xa0\x00", "\x80\x40", "\x00\x00", "\x83\x20", "\x83\xf6", "\xff\xff", "\xd1\x84"},
		entry.LeafStatement: {"\xd2\x84", "\xd2\x00"},
		entry.LeafHeader:    {"\x88\x01", "\x88\x18\x20"},
		entry.LeafCharter:   {"\x83\x67charter\x01"},
		entry.LeafOutcome:   {"\x86\x67refused", "\x83\x67charter", "\x83\x68charters\x01", "\x83\x60"},
	} {
		for _, leaf := range list {
			if got := entry.KindOf([]byte(leaf)); got != want {
				t.Errorf("%x: %v, want %v", leaf, got, want)
			}
		}
	}
	if got := entry.LeafHeader.String() + entry.LeafKind(77).String(); got != "headerunknown" {
		t.Errorf("got %q, want headerunknown", got)
	}
}

func TestEveryReasonHasItsRemedy(t *testing.T) {
	seen := make(map[entry.Reason]bool)
	for _, r := range entry.Reasons() {
		if seen[r] {
			t.Errorf("%s is listed twice", r)
		}
		seen[r] = true
		if r.Remedy() == entry.Reason("").Remedy() {
			t.Errorf("%s has no remedy of its own", r)
		}
		if strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%s is not a word of lower-case letters", r)
		}
	}
}
