package carbon

import (
	"errors"
	"fmt"
	"slices"

	"wattmark/ledger/account"
	"wattmark/ledger/unit"
)

// CertificateStatus is where a bundle of granular certificates stands.
type CertificateStatus uint8

// The statuses of bundles.
const (
	CertificateActive CertificateStatus = iota + 1
	CertificateLocked
	CertificateReserved
	CertificateSplit
	CertificateCancelled
	CertificateClaimed
	CertificateExpired
	CertificateWithdrawn
)

var certificateNames = [...]string{"Active", "Locked", "Reserved", "Split", "Cancelled", "Claimed", "Expired", "Withdrawn"}

// String returns the status's name.
func (s CertificateStatus) String() string {
	if CertificateActive <= s && s <= CertificateWithdrawn {
		return certificateNames[s-1]
	}
	return fmt.Sprintf("CertificateStatus(%d)", uint8(s))
}

// afterCertificate are the statuses that may follow.
var afterCertificate = [...][]CertificateStatus{
	CertificateActive: {CertificateActive, CertificateLocked, CertificateReserved, CertificateSplit,
		CertificateCancelled, CertificateExpired, CertificateWithdrawn},
	CertificateLocked:    {CertificateActive},
	CertificateReserved:  {CertificateActive},
	CertificateCancelled: {CertificateClaimed},
	CertificateWithdrawn: nil,
}

// CanBecome reports whether a bundle may go from status s to another.
func (s CertificateStatus) CanBecome(to CertificateStatus) bool {
	return int(s) < len(afterCertificate) && slices.Contains(afterCertificate[s], to)
}

// Issue is the certificates of one device's metered export over one interval, one a
// Wh, with serials that go on where the device's last issue ended.
type Issue struct {
	ID       string
	Device   string
	From, To int64
	Serials
}

// ErrIssue is wrapped where an issue is refused.
var ErrIssue = errors.New("carbon: no certificates")

// IssueCertificates returns the issue for energy exported in an interval of at most
// an hour, by a device of a capacity in W whose serials have got as far as last.
func IssueCertificates(id, device string, from, to int64, exported unit.Energy, capacityW, last int64) (Issue, error) {
	switch {
	case from < 0 || to <= from || to-from > hour:
		return Issue{}, fmt.Errorf("%w: an interval of %d s, want 1 to %d", ErrIssue, to-from, hour)
	case exported < 1:
		return Issue{}, fmt.Errorf("%w: an export of %d Wh", ErrIssue, int64(exported))
	case capacityW < 0 || !withinCapacity(exported, capacityW, to-from):
		return Issue{}, fmt.Errorf("%w: D5: %d Wh are more than %d W give in %d s", ErrIssue, int64(exported), capacityW, to-from)
	}
	end, err := unit.Add(unit.Energy(last), exported)
	if err != nil || last < 0 {
		return Issue{}, fmt.Errorf("%w: serials from %d: %w", ErrIssue, last, unit.ErrOverflow)
	}
	return Issue{id, device, from, to, Serials{last + 1, int64(end)}}, nil
}

// Bundle is a range of one issue's certificates with one owner.
type Bundle struct {
	ID string
	// Issue is the issue's id, which must be one that accounts can have.
	Issue string
	Serials
	Status CertificateStatus
	Owner  string
	// Beneficiary is who a cancel names. ClaimFrom and ClaimTo are the interval of the
	// load that a claim covers, in Unix seconds.
	Beneficiary        string
	ClaimFrom, ClaimTo int64
}

// Whole returns all of an issue as one bundle, and the posting that creates it.
func (i Issue) Whole(owner string) (Bundle, []account.Leg) {
	b := Bundle{ID: i.ID, Issue: i.ID, Serials: i.Serials, Status: CertificateActive, Owner: owner}
	return b, []account.Leg{
		{Account: b.account(account.Issuance, i.Device), Amount: -b.Count()},
		{Account: b.account(account.Holding, owner), Amount: b.Count()},
	}
}

func (b Bundle) account(kind account.Kind, owner string) account.ID {
	return account.ID{Asset: account.Asset{Class: account.Certificate, Name: b.Issue}, Kind: kind, Owner: owner}
}

func (b Bundle) become(to CertificateStatus) (Bundle, error) {
	if !b.Status.CanBecome(to) {
		return b, fmt.Errorf("%w: %s does not become %s", ErrState, b.Status, to)
	}
	b.Status = to
	return b, nil
}

func (b Bundle) legs(from account.ID, to account.ID) []account.Leg {
	if from == to {
		return nil
	}
	return []account.Leg{{Account: from, Amount: -b.Count()}, {Account: to, Amount: b.Count()}}
}

// Transfer passes the bundle on.
func (b Bundle) Transfer(owner string) (Bundle, []account.Leg, error) {
	after, err := b.become(CertificateActive)
	if err != nil || b.Status != CertificateActive {
		return b, nil, fmt.Errorf("%w: a transfer of a bundle that is %s", ErrState, b.Status)
	}
	after.Owner = owner
	return after, b.legs(b.account(account.Holding, b.Owner), b.account(account.Holding, owner)), nil
}

// Set locks, reserves or frees the bundle, which moves nothing.
func (b Bundle) Set(to CertificateStatus) (Bundle, error) {
	switch to {
	case CertificateLocked, CertificateReserved, CertificateActive:
		if b.Status != to {
			return b.become(to)
		}
	}
	return b, fmt.Errorf("%w: %s is not set to %s", ErrState, b.Status, to)
}

// Divide splits the bundle into parts with the given ids and sizes, in the order of
// serials, which moves nothing: they are the same owner's.
func (b Bundle) Divide(ids []string, sizes []unit.Amount) (parent Bundle, children []Bundle, err error) {
	if parent, err = b.become(CertificateSplit); err != nil {
		return b, nil, err
	}
	if len(ids) != len(sizes) || len(sizes) < 2 {
		return b, nil, fmt.Errorf("carbon: %d ids for %d parts, want two or more", len(ids), len(sizes))
	}
	parts, err := b.SplitSerials(sizes)
	if err != nil {
		return b, nil, err
	}
	for i, p := range parts {
		child := b
		child.ID, child.Serials = ids[i], p
		children = append(children, child)
	}
	return parent, children, nil
}

// Cancel takes the bundle out of circulation for a beneficiary, who alone may claim it.
func (b Bundle) Cancel(beneficiary string) (Bundle, []account.Leg, error) {
	after, err := b.become(CertificateCancelled)
	if err != nil {
		return b, nil, err
	}
	if beneficiary == "" {
		return b, nil, fmt.Errorf("%w: a cancel names its beneficiary", ErrState)
	}
	after.Beneficiary = beneficiary
	return after, b.legs(b.account(account.Holding, b.Owner), b.account(account.Cancelled, b.Owner)), nil
}

// Claim says for which load the cancelled bundle stands, once. A claim of what is not
// cancelled for this beneficiary is refused.
func (b Bundle) Claim(beneficiary string, from, to int64) (Bundle, []account.Leg, error) {
	after, err := b.become(CertificateClaimed)
	switch {
	case err != nil:
		return b, nil, err
	case beneficiary != b.Beneficiary:
		return b, nil, fmt.Errorf("%w: it is cancelled for %s, not for %s", ErrState, quote(b.Beneficiary), quote(beneficiary))
	case to <= from:
		return b, nil, fmt.Errorf("%w: a load from %d to %d", ErrState, from, to)
	}
	after.ClaimFrom, after.ClaimTo = from, to
	return after, b.legs(b.account(account.Cancelled, b.Owner), b.account(account.Claimed, b.Owner)), nil
}

// End expires or withdraws the bundle. What is withdrawn was never issued.
func (b Bundle) End(to CertificateStatus, device string) (Bundle, []account.Leg, error) {
	after, err := b.become(to)
	if err != nil {
		return b, nil, err
	}
	held := b.account(account.Holding, b.Owner)
	switch to {
	case CertificateExpired:
		return after, b.legs(held, b.account(account.Expired, b.Owner)), nil
	case CertificateWithdrawn:
		return after, b.legs(held, b.account(account.Issuance, device)), nil
	}
	return b, nil, fmt.Errorf("%w: %s is no end", ErrState, to)
}

// Charge is energy that went into a storage with certificates that were cancelled for
// it, and of which Left is not discharged yet.
type Charge struct {
	ID string
	// Issue is where the energy comes from, whose attributes a discharge keeps.
	Issue string
	Left  unit.Energy
}

// Draw is what a discharge takes from one charge: certificates for Discharged Wh, for
// which Consumed Wh of the charge are gone. The losses between end there.
type Draw struct {
	Charge, Issue        string
	Discharged, Consumed unit.Energy
}

// Discharge issues at most what charges cover, oldest first, for a discharge of d Wh
// at an efficiency in basis points: each charge gives n Wh for ceil(n x 10000 /
// efficiency) of its own. It returns what charges are then left with.
func Discharge(d unit.Energy, efficiencyBP int64, charges []Charge) (draws []Draw, left []Charge, err error) {
	if d < 0 || efficiencyBP < 1 || efficiencyBP > 10_000 {
		return nil, nil, fmt.Errorf("%w: a discharge of %d Wh at %d basis points", ErrIssue, int64(d), efficiencyBP)
	}
	left = slices.Clone(charges)
	for i, c := range left {
		if d == 0 {
			break
		}
		most, err := unit.MulDiv(c.Left, efficiencyBP, 10_000, unit.Down)
		if err != nil {
			return nil, nil, err
		}
		n := min(d, most)
		if n <= 0 {
			continue
		}
		consumed, err := unit.MulDiv(n, 10_000, efficiencyBP, unit.Up)
		if err != nil {
			return nil, nil, err
		}
		draws = append(draws, Draw{c.ID, c.Issue, n, consumed})
		left[i].Left -= consumed
		d -= n
	}
	return draws, left, nil
}
