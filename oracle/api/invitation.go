package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// TypeInvitation is the type of the statement by which an operator invites a member. It is
// handed to the member in a link and never logged: the rules know no such entry.
const TypeInvitation = "application/vnd.wattmark.invitation+cose"

// InvitedFor is how long an invitation is good.
const InvitedFor = 24 * time.Hour

// contentJSON is the media type of an invitation's payload.
const contentJSON = "application/json"

// Invitation is what a member is invited as. The device adds a key, and signs it as a
// request to be admitted.
type Invitation struct {
	Ledger    string            `json:"ledger"`
	Member    string            `json:"member"`
	Zone      string            `json:"zone"`
	PowerW    int64             `json:"power_w"`
	Renewable bool              `json:"renewable"`
	Points    []InvitationPoint `json:"metering_points"`
	Expires   int64             `json:"expires"` // Unix seconds
}

// InvitationPoint is a metering point, with the channels of its registers.
type InvitationPoint struct {
	Subject string `json:"subject"`
	Import  string `json:"import"`
	Export  string `json:"export,omitempty"`
}

// Request is what a device is to ask for, without its key.
func (i *Invitation) Request() entry.MemberRequest {
	r := entry.MemberRequest{Member: i.Member, Zone: i.Zone, Power: i.PowerW, Renewable: i.Renewable}
	for _, p := range i.Points {
		r.Connections = append(r.Connections, entry.Connection{Subject: p.Subject, Import: p.Import, Export: p.Export})
	}
	return r
}

// SignInvitation writes an invitation as the part of a link behind the #, which browsers send
// to no server. The key is that of an oracle in force, by name; the time is in Unix seconds.
func SignInvitation(key signer.Signer, oracle string, i *Invitation, seconds int64) (string, error) {
	r := i.Request()
	probe := r // what the device will send must be well formed
	probe.Algorithm, probe.Key = int(key.Public().Algorithm()), key.Public().Bytes()
	if _, err := probe.Encode(); err != nil {
		return "", err
	}
	payload, err := json.Marshal(i)
	if err != nil {
		return "", err
	}
	c := entry.Claims{Issuer: "urn:wattmark:oracle:" + oracle, Audience: i.Ledger, IssuedAt: seconds}
	claims, err := c.Encode()
	if err != nil {
		return "", err
	}
	b, err := signer.Sign(key, signer.Header{Type: TypeInvitation, ContentType: contentJSON, Claims: claims}, payload)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// errInvitation is wrapped where an invitation is none.
var errInvitation = errors.New("not an invitation to this ledger")

// openInvitation verifies an invitation for a ledger under the keys of its oracles.
func openInvitation(text, origin string, oracle func(signer.KeyID) (signer.PublicKey, bool), now int64) (*Invitation, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) > entry.MaxRequest {
		return nil, fmt.Errorf("%w: it is no base64url of at most %d bytes", errInvitation, entry.MaxRequest)
	}
	m, err := signer.Parse(b)
	if err != nil || m.Type != TypeInvitation || m.Hidden() {
		return nil, fmt.Errorf("%w: it is another thing", errInvitation)
	}
	key, ok := oracle(m.KeyID)
	if !ok {
		return nil, fmt.Errorf("%w: the key %v is of no oracle in force", errInvitation, m.KeyID)
	}
	if _, err := signer.Verify(m, key); err != nil {
		return nil, fmt.Errorf("%w: %w", errInvitation, err)
	}
	var i Invitation
	if err := json.Unmarshal(m.Payload, &i); err != nil || i.Ledger != origin {
		return nil, fmt.Errorf("%w: it is for ledger %q", errInvitation, shorten(i.Ledger))
	}
	if now > i.Expires {
		return nil, fmt.Errorf("%w: it was good until %s", errInvitation, second(i.Expires))
	}
	return &i, nil
}
