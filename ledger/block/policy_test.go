package block_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"wattmark/ledger/block"
	"wattmark/signer"
)

// policy is of four oracles of which three must cosign.
func policy(tb testing.TB) *block.Policy {
	tb.Helper()
	var logs, cosigners []block.VerifierKey
	for i := range 4 {
		logs, cosigners = append(logs, logVerifier(tb, i)), append(cosigners, cosignerVerifier(tb, i))
	}
	p, err := block.NewPolicy(logs, cosigners, 3)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestPoliciesRoundTrip(t *testing.T) {
	p := policy(t)
	if p.Origin() != origin {
		t.Errorf("origin %q", p.Origin())
	}
	again, err := block.ParsePolicy([]byte(p.String()))
	if err != nil || again.String() != p.String() {
		t.Errorf("%v:\n%s\nis read as\n%s", err, p, again)
	}
	for i := range 4 {
		if k, ok := p.Log(logKey(t, i).Public().ID()); !ok || k != logVerifier(t, i) {
			t.Errorf("log %d: %v, %v", i, k, ok)
		}
		if k, ok := p.Witness(cosignerKey(t, i).Public().ID()); !ok || k != cosignerVerifier(t, i) {
			t.Errorf("witness %d: %v, %v", i, k, ok)
		}
		if _, ok := p.Witness(logKey(t, i).Public().ID()); ok {
			t.Errorf("the key of log %d is a witness", i)
		}
		if _, ok := p.Log(cosignerKey(t, i).Public().ID()); ok {
			t.Errorf("the key of witness %d is a log", i)
		}
	}
}

func TestNamesOfWitnessesAreDistinct(t *testing.T) {
	names := []string{"a.example/oracle", "b.example/oracle", "c.example/none", "d.example/oracles", "e.example/"}
	var witnesses []block.VerifierKey
	for i, n := range names {
		witnesses = append(witnesses, block.VerifierKey{Name: n, Cosigner: true, Key: cosignerKey(t, i).Public()})
	}
	p, err := block.NewPolicy([]block.VerifierKey{logVerifier(t, 0)}, witnesses, 4)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.String(), "group oracles 4 oracle b.example/oracle c.example/none d.example/oracles e.example/\n") {
		t.Errorf("got\n%s", p)
	}
}

// lines returns the policy text of log 0, witnesses w0 to w4 and then more.
func lines(tb testing.TB, more ...string) []byte {
	s := "log " + logVerifier(tb, 0).String() + "\n"
	for i := range 5 {
		s += fmt.Sprintf("witness w%d %s\n", i, cosignerVerifier(tb, i))
	}
	return []byte(s + strings.Join(more, "\n"))
}

func TestPolicyForms(t *testing.T) {
	l, w := logVerifier(t, 0).String(), cosignerVerifier(t, 0).String()
	for name, text := range map[string]string{
		"blanks and comments":    "\n# who we trust\n  \t\n\t log\t " + l + " \n  # indented\nwitness w " + w + "\t\nquorum w",
		"addresses":              "log " + l + " https://log.example\nwitness w " + w + " https://w.example/\nquorum w\n",
		"names of any script":    "log " + l + "\nwitness свідок " + w + "\ngroup 证人 any свідок\nquorum 证人\n",
		"names of no script":     "log " + l + "\nwitness \xff\xfe " + w + "\nquorum \xff\xfe\n",
		"quorum none":            "log " + l + "\nquorum none\n",
		"log last":               "witness w " + w + "\nquorum w\nlog " + l + "\n",
		"keywords as names":      "log " + l + "\nwitness log " + w + "\ngroup any all log\nquorum any\n",
		"witness after a quorum": "log " + l + "\nquorum none\nwitness w " + w + "\n",
	} {
		p, err := block.ParsePolicy([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := block.ParsePolicy([]byte(p.String())); err != nil || again.String() != p.String() {
			t.Errorf("%s: written as\n%s\nread again: %v", name, p, err)
		}
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	l0, w0, w5 := logVerifier(t, 0), cosignerVerifier(t, 0), cosignerVerifier(t, 5)
	renamed := func(k block.VerifierKey, name string) block.VerifierKey { k.Name = name; return k }
	for name, test := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":                {nil, "no quorum line"},
		"no quorum":              {lines(t), "no quorum line"},
		"no log":                 {[]byte("witness w " + w0.String() + "\nquorum w\n"), "no log line"},
		"two quorums":            {lines(t, "quorum w0", "quorum w1"), "line 8: not well formed: a second quorum"},
		"undefined quorum":       {lines(t, "quorum w9"), `quorum "w9" is not defined`},
		"quorum defined below":   {lines(t, "quorum g", "group g any w0"), "not defined on a line before"},
		"unknown word":           {lines(t, "trust w0"), `"trust" with 2 words`},
		"too many words":         {lines(t, "quorum w0 w1"), `"quorum" with 3 words`},
		"log without a key":      {lines(t, "log"), `"log" with 1 words`},
		"log with a bad key":     {lines(t, "log x"), "not a verifier key"},
		"log of another origin":  {lines(t, "log "+renamed(l0, "example.org/other").String()), "for the origin"},
		"two origins":            {lines(t, "log "+renamed(logVerifier(t, 1), "example.org/other").String()), "for the origin"},
		"log twice":              {lines(t, "log "+l0.String()), "same key stands before"},
		"cosigner as log":        {lines(t, "log "+w5.String()), "cosigner's key, not a log's"},
		"log as witness":         {lines(t, "witness w9 "+logVerifier(t, 1).String()), "log's key, not a cosigner's"},
		"witness twice":          {lines(t, "witness w9 "+w0.String()), "same key stands before"},
		"witness renamed":        {lines(t, "witness w9 "+renamed(w0, "w9").String()), "same key stands before"},
		"name twice":             {lines(t, "witness w0 "+w5.String()), `name "w0" is defined before`},
		"witness called none":    {lines(t, "witness none "+w5.String()), `name "none" is defined before`},
		"group called none":      {lines(t, "group none any w0"), `name "none" is defined before`},
		"group called as one":    {lines(t, "group w0 any w1"), `name "w0" is defined before`},
		"group of nobody":        {lines(t, "group g any"), `"group" with 3 words`},
		"group of none":          {lines(t, "group g any none"), `"none" is not defined`},
		"group of itself":        {lines(t, "group g any g"), `"g" is not defined`},
		"group of a later one":   {lines(t, "group g any h", "group h any w0"), `"h" is not defined`},
		"member twice":           {lines(t, "group g any w0 w0"), "member of a group already"},
		"member of two":          {lines(t, "group g any w0 w1", "group h any w1 w2"), "member of a group already"},
		"threshold of 0":         {lines(t, "group g 0 w0 w1"), `threshold of "0"`},
		"threshold above":        {lines(t, "group g 3 w0 w1"), `threshold of "3"`},
		"threshold in words":     {lines(t, "group g most w0 w1"), `threshold of "most"`},
		"threshold with zeros":   {lines(t, "group g 02 w0 w1"), `threshold of "02"`},
		"threshold with a plus":  {lines(t, "group g +2 w0 w1"), `threshold of "+2"`},
		"negative threshold":     {lines(t, "group g -1 w0 w1"), `threshold of "-1"`},
		"carriage return":        {lines(t, "quorum w0\r"), "control character"},
		"delete":                 {lines(t, "# \x7f", "quorum w0"), "line 7: not well formed: control character"},
		"form feed for a space":  {lines(t, "quorum\fw0"), "control character"},
		"no-break space":         {lines(t, "quorum\u00a0w0"), "with 1 words"},
		"long":                   {lines(t, "# "+strings.Repeat("x", 256<<10)), "over the limit"},
		"comment behind a line":  {lines(t, "quorum w0 # us"), "with 4 words"},
		"a key with an id wrong": {lines(t, "log "+strings.Replace(logVerifier(t, 1).String(), "+", "+0", 1)), "has id"},
	} {
		p, err := block.ParsePolicy(test.text)
		if !errors.Is(err, block.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: read as %v, %v; want ErrForm with %q", name, p, err, test.want)
		}
	}
}

func TestPolicyLimits(t *testing.T) {
	// C2SP asks for at least 32 of each; here it is 256.
	var logs, witnesses, groups strings.Builder
	for i := range 257 {
		fmt.Fprintf(&logs, "log %s\n", block.VerifierKey{Name: origin, Key: key(t, fmt.Sprint("many ", i)).Public()})
		fmt.Fprintf(&witnesses, "witness w%d %s\n", i, block.VerifierKey{Name: "w", Cosigner: true, Key: key(t, fmt.Sprint("many ", i)).Public()})
		if i > 0 {
			fmt.Fprintf(&groups, "group g%d any w%d\n", i, i)
		}
	}
	whole := func(dropLog, dropWitness bool) []byte {
		l, w := logs.String(), witnesses.String()
		if dropLog {
			l = l[strings.IndexByte(l, '\n')+1:]
		}
		if dropWitness {
			w = w[strings.IndexByte(w, '\n')+1:]
		}
		return []byte(l + w + groups.String() + "quorum g256\n")
	}
	if _, err := block.ParsePolicy(whole(true, true)); err != nil {
		t.Errorf("256 of each: %v", err)
	}
	if _, err := block.ParsePolicy(whole(false, true)); err == nil || !strings.Contains(err.Error(), "more than 256 logs") {
		t.Errorf("257 logs: %v", err)
	}
	if _, err := block.ParsePolicy(whole(true, false)); err == nil || !strings.Contains(err.Error(), "more than 256 witnesses") {
		t.Errorf("257 witnesses: %v", err)
	}
	many := whole(true, true)
	many = append(many[:len(many)-len("quorum g256\n")], "group last any g1\nquorum last\n"...)
	if _, err := block.ParsePolicy(many); err == nil || !strings.Contains(err.Error(), "more than 256 groups") {
		t.Errorf("257 groups: %v", err)
	}
}

func TestKeysThatShareNameAndID(t *testing.T) {
	// Two keys of one id under one name, found by trying 2^16.5 names' worth of keys
	// for ids of 32 bits; nobody could tell whose signature a line is.
	seen := make(map[uint32]block.VerifierKey)
	for i := range uint32(1 << 20) {
		var raw [32]byte
		binary.BigEndian.PutUint32(raw[:], i)
		k, err := signer.NewPublicKey(signer.EdDSA, raw[:])
		if err != nil {
			continue // of what is no point of the curve, about half
		}
		v := block.VerifierKey{Name: origin, Key: k}
		other, ok := seen[v.ID()]
		if !ok {
			seen[v.ID()] = v
			continue
		}
		_, err = block.ParsePolicy([]byte("log " + other.String() + "\nlog " + v.String() + "\nquorum none\n"))
		if !errors.Is(err, block.ErrForm) || !strings.Contains(err.Error(), "has the id") {
			t.Errorf("keys %x and %x share an id: %v", other.Key.Bytes(), raw, err)
		}
		return
	}
	t.Error("no two keys share an id")
}

func TestQuorums(t *testing.T) {
	for _, test := range []struct {
		rule   []string
		signed []int
		want   bool
	}{
		{[]string{"quorum none"}, nil, true},
		{[]string{"quorum w1"}, []int{1}, true},
		{[]string{"quorum w1"}, []int{0, 2, 3, 4}, false},
		{[]string{"group g 3 w0 w1 w2 w3", "quorum g"}, []int{0, 1, 2}, true},
		{[]string{"group g 3 w0 w1 w2 w3", "quorum g"}, []int{0, 1, 4}, false},
		{[]string{"group g 3 w0 w1 w2 w3", "quorum g"}, []int{0, 1, 2, 3, 4}, true},
		{[]string{"group g all w0 w1", "quorum g"}, []int{0}, false},
		{[]string{"group g all w0 w1", "quorum g"}, []int{0, 1}, true},
		{[]string{"group g any w0 w1", "quorum g"}, nil, false},
		{[]string{"group g any w0 w1", "quorum g"}, []int{1}, true},
		{[]string{"group a 2 w0 w1 w2", "group b any w3 w4", "group both all a b", "quorum both"}, []int{0, 1, 2}, false},
		{[]string{"group a 2 w0 w1 w2", "group b any w3 w4", "group both all a b", "quorum both"}, []int{0, 2, 4}, true},
		{[]string{"group a 2 w0 w1 w2", "group b any w3 w4", "group both all a b", "quorum both"}, []int{0, 3, 4}, false},
		{[]string{"group a all w0 w1", "group mixed 2 a w2 w3", "quorum mixed"}, []int{2, 3}, true},
		{[]string{"group a all w0 w1", "group mixed 2 a w2 w3", "quorum mixed"}, []int{0, 2}, false},
	} {
		p, err := block.ParsePolicy(lines(t, test.rule...))
		if err != nil {
			t.Fatal(err)
		}
		err = p.Quorum(keysOf(t, test.signed))
		if test.want != (err == nil) || err != nil && !errors.Is(err, block.ErrQuorum) {
			t.Errorf("%q of %v: %v, want it satisfied: %v", test.rule, test.signed, err, test.want)
		}
		// The same by signatures.
		_, err = p.Verify(signed(t, checkpoint(), []int{0}, test.signed))
		if test.want != (err == nil) || err != nil && !errors.Is(err, block.ErrQuorum) {
			t.Errorf("%q signed by %v: %v, want it satisfied: %v", test.rule, test.signed, err, test.want)
		}
	}
}

func keysOf(t *testing.T, list []int) map[signer.KeyID]bool {
	t.Helper()
	ids := make(map[signer.KeyID]bool)
	for _, i := range list {
		ids[cosignerKey(t, i).Public().ID()] = true
	}
	return ids
}

func TestCheckpointsUnderAPolicy(t *testing.T) {
	p, c := policy(t), checkpoint()
	elsewhere := c
	elsewhere.Origin = "example.org/other"
	other := signed(t, elsewhere, nil, []int{0, 1, 2})
	line := func(b []byte, n int) string { return strings.SplitAfter(string(b), "\n")[4+n] }
	good := string(signed(t, c, []int{0}, []int{0, 1, 2}))
	forged := func(from []byte, n int) string { // a line of a key under another checkpoint
		return line(from, n)
	}
	d := c
	d.Size++
	wrong := signed(t, d, []int{1}, []int{3})
	for name, test := range map[string]struct {
		note string
		want error // nil for taken
	}{
		"quorum":                     {good, nil},
		"all":                        {string(signed(t, c, []int{0, 1, 2, 3}, []int{0, 1, 2, 3})), nil},
		"a line twice":               {good + line([]byte(good), 1), nil},
		"a stranger's line":          {good + "— example.org/stranger AAAAAAAA\n", nil},
		"no log":                     {string(signed(t, c, nil, []int{0, 1, 2})), block.ErrQuorum},
		"two cosigners":              {string(signed(t, c, []int{0}, []int{0, 1})), block.ErrQuorum},
		"one cosigner twice":         {string(signed(t, c, []int{0}, []int{0, 1, 1})), block.ErrQuorum},
		"logs alone":                 {string(signed(t, c, []int{0, 1, 2, 3}, nil)), block.ErrQuorum},
		"strangers alone":            {string(signed(t, c, []int{7}, []int{8, 9})), block.ErrQuorum},
		"another origin":             {string(other), block.ErrQuorum},
		"a log's forged":             {good + forged(wrong, 0), signer.ErrSignature},
		"a cosigner's forged":        {good + forged(wrong, 1), signer.ErrSignature},
		"text alone":                 {c.Text(), block.ErrForm},
		"nothing":                    {"", block.ErrForm},
		"extension line":             {strings.Replace(good, "\n\n", "\nmore\n\n", 1), signer.ErrSignature},
		"too many bytes":             {good + strings.Repeat("— x AAAAAAAA\n", 5000), block.ErrForm},
		"text after the signatures":  {good + "more\n", block.ErrForm},
		"carriage returns":           {strings.ReplaceAll(good, "\n", "\r\n"), block.ErrForm},
		"half a letter":              {"\xc3" + good, block.ErrForm},
		"signature in loose base64":  {loosen(good), block.ErrForm},
		"cosignature without a time": {good + cosignatureWithoutTime(t, c), signer.ErrSignature},
	} {
		s, err := p.Verify([]byte(test.note))
		switch {
		case test.want == nil && (err != nil || s.Checkpoint != c):
			t.Errorf("%s: %v", name, err)
		case test.want != nil && !errors.Is(err, test.want):
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// loosen changes the bits of the last signature's base64 that mean nothing.
func loosen(s string) string {
	i := strings.LastIndex(s, "==")
	return s[:i-1] + string(s[i-1]+1) + s[i:]
}

// cosignatureWithoutTime is a cosigner's signature of the bare note, in a line
// with the cosigner's id: what a log's signature of the same key would be.
func cosignatureWithoutTime(t *testing.T, c block.Checkpoint) string {
	t.Helper()
	line, err := block.SignLog(cosignerKey(t, 3), c)
	if err != nil {
		t.Fatal(err)
	}
	var id [4]byte
	binary.BigEndian.PutUint32(id[:], cosignerVerifier(t, 3).ID())
	return relabel(t, line, oracleName(3), id)
}

func TestOpenAsksForNoQuorum(t *testing.T) {
	s, err := policy(t).Open(signed(t, checkpoint(), nil, []int{2}))
	if err != nil || s.Checkpoint != checkpoint() || len(s.Logs) != 0 || len(s.Witnesses) != 1 || s.Witnesses[0] != cosignerVerifier(t, 2) {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := policy(t).Open(signed(t, checkpoint(), nil, []int{9})); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("a stranger's alone: %v", err)
	}
}

func TestCosignaturesAreNoLogSignatures(t *testing.T) {
	// The same key as a log and as a cosigner: neither line stands in for the other.
	k := cosignerKey(t, 0)
	p, err := block.NewPolicy([]block.VerifierKey{{Name: origin, Key: k.Public()}}, []block.VerifierKey{cosignerVerifier(t, 0)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := checkpoint()
	asLog, err := block.SignLog(k, c)
	if err != nil {
		t.Fatal(err)
	}
	asWitness, err := block.Cosign(k, oracleName(0), c, seconds)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify([]byte(c.Text() + "\n" + asLog)); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("the log's line alone: %v", err)
	}
	if _, err := p.Verify([]byte(c.Text() + "\n" + asWitness)); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("the cosigner's line alone: %v", err)
	}
	if _, err := p.Verify([]byte(c.Text() + "\n" + asLog + asWitness)); err != nil {
		t.Errorf("both: %v", err)
	}
}

func TestCosignatureTimes(t *testing.T) {
	p, c := policy(t), checkpoint()
	for _, at := range []uint64{0, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		line, err := block.Cosign(cosignerKey(t, 0), oracleName(0), c, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open([]byte(c.Text() + "\n" + line)); (err == nil) != (at < 1<<63) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}
