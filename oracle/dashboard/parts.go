package dashboard

import (
	"strings"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/entry"
)

// part is a stretch of a leaf's bytes and what it says. Its name is that of the fact in
// audit.Description, where there is one.
type part struct {
	Name     string
	From, To int
}

// Labels of a statement's protected header (RFC 9052, 3.1; RFC 9596; RFC 9597) and of its
// claims (RFC 8392; entry).
var (
	headerParts = map[int64]string{1: "algorithm", 3: "content type", 4: "key", 16: "statement"}
	claimParts  = map[int64]string{
		1: "signed by", 2: "metering point", 3: "ledger", 6: "signed at", 261: "seconds since boot", 267: "sequence number",
		entry.LabelSequence: "sequence number", entry.LabelPrevious: "statement before", entry.LabelTime: "clock",
		entry.LabelSkipped: "numbers never signed", entry.LabelFirmware: "firmware",
	}
	blockParts   = []string{"version", "ledger", "height", "header before", "leaves before it", "leaves before it", "root before it", "time of the block"}
	outcomeParts = []string{"outcome", "version", "about leaf", "statement", "code", "concerns"}
)

// claimsLabel is where a protected header has the claims (RFC 9597).
const claimsLabel = 15

// partsOf finds what a leaf's bytes say, as far as it reads; what it does not know it leaves
// out.
func partsOf(leaf []byte) []part {
	s := spans{leaf: leaf}
	switch entry.KindOf(leaf) {
	case entry.LeafStatement:
		s.statement()
	case entry.LeafHeader:
		s.array(blockParts)
	case entry.LeafOutcome:
		s.array(outcomeParts)
	}
	return s.parts
}

// spans walks over a leaf. Where something does not read it stops.
type spans struct {
	leaf  []byte
	at    int
	parts []part
}

// head passes over the head of an item (RFC 8949, 3), and returns its argument.
func (s *spans) head(major byte) (n uint64, ok bool) {
	if s.at >= len(s.leaf) || s.leaf[s.at]>>5 != major {
		return 0, false
	}
	info, size := s.leaf[s.at]&31, 0
	switch {
	case info < 24:
		n = uint64(info)
	case info < 28:
		size = 1 << (info - 24)
	default:
		return 0, false
	}
	if s.at+1+size > len(s.leaf) {
		return 0, false
	}
	for _, b := range s.leaf[s.at+1 : s.at+1+size] {
		n = n<<8 | uint64(b)
	}
	s.at += 1 + size
	return n, true
}

// item passes over a whole item, and names it.
func (s *spans) item(name string) bool {
	var raw cbor.RawMessage
	rest, err := cbor.UnmarshalFirst(s.leaf[s.at:], &raw)
	if err != nil {
		return false
	}
	from := s.at
	s.at = len(s.leaf) - len(rest)
	if name != "" {
		s.parts = append(s.parts, part{name, from, s.at})
	}
	return true
}

func (s *spans) array(names []string) {
	n, ok := s.head(4)
	for i := uint64(0); ok && i < n && i < uint64(len(names)); i++ {
		ok = s.item(names[i])
	}
}

// pairs passes over a map. A name is of key and value together; of the claims those in it.
func (s *spans) pairs(names map[int64]string) bool {
	n, ok := s.head(5)
	for ; ok && n > 0; n-- {
		from := s.at
		var key int64
		rest, err := cbor.UnmarshalFirst(s.leaf[s.at:], &key)
		if err != nil {
			return false
		}
		s.at = len(s.leaf) - len(rest)
		if key == claimsLabel && names[4] == headerParts[4] {
			ok = s.pairs(claimParts)
			continue
		}
		ok = s.item("")
		if name := names[key]; name != "" && ok {
			s.parts = append(s.parts, part{name, from, s.at})
		}
	}
	return ok
}

// statement passes over a COSE_Sign1 (RFC 9052, 4.2).
func (s *spans) statement() {
	s.at = 1 // its tag
	if n, ok := s.head(4); !ok || n != 4 {
		return
	}
	if _, ok := s.head(2); !ok || !s.pairs(headerParts) {
		return
	}
	_ = s.item("") && s.item("payload") && s.item("signature")
}

// maxParts is how many names the stylesheet can tell apart.
const maxParts = 16

// fact is a fact of a leaf's page, and the number by which its bytes are found; 0 for none.
type fact struct {
	Name, Value string
	Part        int
}

// numbered gives each name among parts a number.
func numbered(parts []part) map[string]int {
	out := make(map[string]int)
	for _, p := range parts {
		if _, known := out[p.Name]; !known && len(out) < maxParts {
			out[p.Name] = len(out) + 1
		}
	}
	return out
}

// hexRun is some bytes of a line that say the same; Part is 0 where no fact is theirs.
type hexRun struct {
	Part int
	Text string
}

// runs parts a line's bytes, by eights, where another part begins.
func runs(line hexLine, at int, parts []part, numbers map[string]int) (out [][]hexRun) {
	for _, eight := range line.Bytes {
		var list []hexRun
		for _, b := range strings.Fields(eight) {
			n := 0
			for _, p := range parts {
				if at >= p.From && at < p.To {
					n = numbers[p.Name]
				}
			}
			if k := len(list) - 1; k >= 0 && list[k].Part == n {
				list[k].Text += " " + b
			} else {
				list = append(list, hexRun{n, b})
			}
			at++
		}
		out = append(out, list)
	}
	return out
}
