package block

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

const proofMagic = "c2sp.org/tlog-proof@v1"

// LogProof is a C2SP tlog-proof: a leaf, its place, and a signed checkpoint.
type LogProof struct {
	// Extra is the leaf itself.
	Extra []byte
	Index uint64
	Path  []Hash
	// Checkpoint is the signed note, verbatim.
	Checkpoint []byte
}

// Encode writes the proof in its text form.
func (p *LogProof) Encode() []byte {
	var b strings.Builder
	b.WriteString(proofMagic + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Path {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return []byte(b.String())
}

// maxLogProof bounds a tlog-proof in bytes.
const maxLogProof = 256 << 10

// ParseLogProof reads a tlog-proof.
func ParseLogProof(b []byte) (*LogProof, error) {
	if len(b) > maxLogProof {
		return nil, fmt.Errorf("tlog-proof: %w: %d bytes, over the limit of %d", ErrForm, len(b), maxLogProof)
	}
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || lines[0] != proofMagic {
		return nil, fmt.Errorf("tlog-proof: %w: it starts with %q and has an empty line before the checkpoint", ErrForm, proofMagic)
	}
	p := &LogProof{Checkpoint: []byte(checkpoint)}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		text := lines[0][len("extra "):]
		extra, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(extra) == 0 || base64.StdEncoding.EncodeToString(extra) != text {
			return nil, fmt.Errorf("tlog-proof: %w: the extra line is not base64", ErrForm)
		}
		p.Extra, lines = extra, lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return nil, fmt.Errorf("tlog-proof: %w: there is no index line", ErrForm)
	}
	text := lines[0][len("index "):]
	index, err := strconv.ParseUint(text, 10, 63)
	if err != nil || strconv.FormatUint(index, 10) != text {
		return nil, fmt.Errorf("tlog-proof: %w: %q is no index", ErrForm, text)
	}
	p.Index = index
	if len(lines)-1 > maxPath {
		return nil, fmt.Errorf("tlog-proof: %w: a path of %d hashes", ErrForm, len(lines)-1)
	}
	for _, l := range lines[1:] {
		h, err := ParseHash(l)
		if err != nil {
			return nil, fmt.Errorf("tlog-proof: %w: %w", ErrForm, err)
		}
		p.Path = append(p.Path, h)
	}
	return p, nil
}

// Verify checks the proof against a policy: the checkpoint's signatures and
// quorum, and that the leaf is in the tree it names.
func (p *LogProof) Verify(policy *Policy) (*Signed, error) {
	if len(p.Extra) == 0 {
		return nil, fmt.Errorf("%w: the extra line with the leaf is missing", ErrProof)
	}
	s, err := policy.Verify(p.Checkpoint)
	if err != nil {
		return nil, err
	}
	proof := Proof{Index: p.Index, Size: s.Size, Path: p.Path}
	root, err := proof.Root(LeafHash(p.Extra))
	if err != nil {
		return nil, err
	}
	if root != s.Root {
		return nil, fmt.Errorf("%w: the leaf is not at index %d of the checkpoint's tree", ErrProof, p.Index)
	}
	return s, nil
}
