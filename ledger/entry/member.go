package entry

import (
	"fmt"

	"wattmark/ledger/unit"
)

// MemberRequest asks for a member's key to be admitted to a zone's market. It is
// signed with the very key that it names, which proves that whoever asks holds the
// private part. By itself it does nothing: an oracle states it again in a [Member].
type MemberRequest struct {
	Algorithm int    `cbor:"1,keyasint"` // COSE algorithm of the key
	Key       []byte `cbor:"2,keyasint"` // raw public key
	Member    string `cbor:"3,keyasint"` // the member's id, a pseudonym: see CheckID
	Zone      string `cbor:"4,keyasint"` // the zone whose market it joins: see CheckID
	// Power is the registered power of the connection in W, 1 to MaxPower: an order
	// for more than it carries is refused.
	Power int64 `cbor:"5,keyasint"`
	// Renewable says that the device behind the connection may sell green.
	Renewable bool `cbor:"6,keyasint"`
	// Connections are where the member's energy is metered, 1 to MaxConnections in
	// order of their subjects.
	Connections []Connection `cbor:"7,keyasint"`
}

// Connection is a metering point whose registers settle a member.
type Connection struct {
	Subject string `cbor:"1,keyasint"`
	// Import and Export name the channels of the two registers in Wh. Export is empty
	// where nothing is fed in.
	Import string `cbor:"2,keyasint"`
	Export string `cbor:"3,keyasint,omitempty"`
}

// Member admits a member by a request that the member's key has signed. It is signed
// by an oracle of the charter.
type Member struct {
	Request []byte `cbor:"1,keyasint"` // the statement of a MemberRequest
}

// Limits of members.
const (
	MaxID          = 64
	MaxPower       = 4_000_000_000 // W: what it carries in an interval is unit.MaxQuantity
	MaxConnections = 8
)

// CheckID checks the id of a member or a zone: 1 to 64 of 0-9 A-Z a-z . _ : -
func CheckID(what, id string) error {
	if id == "" || len(id) > MaxID {
		return fmt.Errorf("%w: %s has %d bytes instead of 1 to %d", ErrForm, what, len(id), MaxID)
	}
	for i := range len(id) {
		switch b := id[i]; {
		case '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', b == '.', b == '_', b == ':', b == '-':
		default:
			return fmt.Errorf("%w: %s %q has other letters than 0-9 A-Z a-z . _ : -", ErrForm, what, id)
		}
	}
	return nil
}

// Encode writes the payload of a member's request.
func (r *MemberRequest) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(r)
}

// ParseMemberRequest reads the payload of a member's request.
func ParseMemberRequest(b []byte) (*MemberRequest, error) {
	var r MemberRequest
	if err := decode("member request", b, &r); err != nil {
		return nil, err
	}
	return &r, r.check()
}

func (r *MemberRequest) check() error {
	if len(r.Key) > maxKey { // whether it is a key of its algorithm is for who knows keys (signer)
		return fmt.Errorf("%w: a key of %d bytes, over the limit of %d", ErrForm, len(r.Key), maxKey)
	}
	if err := CheckID("a member", r.Member); err != nil {
		return err
	}
	if err := CheckID("a zone", r.Zone); err != nil {
		return err
	}
	if r.Power < 1 || r.Power > MaxPower {
		return fmt.Errorf("%w: a connection of %d W is outside 1 to %d", ErrForm, r.Power, int64(MaxPower))
	}
	if len(r.Connections) == 0 || len(r.Connections) > MaxConnections {
		return fmt.Errorf("%w: a member has %d metering points instead of 1 to %d", ErrForm, len(r.Connections), MaxConnections)
	}
	last := ""
	for i := range r.Connections {
		c := &r.Connections[i]
		if err := c.check(); err != nil {
			return err
		}
		if c.Subject <= last {
			return fmt.Errorf("%w: a member's metering points are not in order of their subjects", ErrForm)
		}
		last = c.Subject
	}
	return nil
}

func (c *Connection) check() error {
	if err := text("metering point", c.Subject, 128); err != nil {
		return err
	}
	if err := text("import channel", c.Import, maxName); err != nil {
		return err
	}
	if err := optional("export channel", c.Export, maxName); err != nil {
		return err
	}
	if c.Import == c.Export {
		return fmt.Errorf("%w: %q is both import and export of %q", ErrForm, c.Import, c.Subject)
	}
	return nil
}

// Encode writes the payload of a member's admission.
func (m *Member) Encode() ([]byte, error) { return encodeCarried("member", m.Request, m) }

// ParseMember reads the payload of a member's admission. What it carries is for who
// knows signatures to read.
func ParseMember(b []byte) (*Member, error) {
	var m Member
	if err := decode("member", b, &m); err != nil {
		return nil, err
	}
	return &m, checkCarried("member", m.Request)
}

// checkInterval checks an interval of an entry.
func checkInterval(i unit.Interval) error {
	if err := i.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrForm, err)
	}
	return nil
}
