package carbon

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrRegister is wrapped by errors about claims and stored pairs that are none.
var ErrRegister = errors.New("carbon: invalid claim")

// TwiceError refuses a claim: an interval, or a part of it, is claimed already.
type TwiceError struct {
	Rule string // D1 or D7
	// Claimed is the id of the claim that stands, Refused of the one that does not.
	Claimed, Refused string
	Device           string
	// From and To are what both would have, in Unix seconds.
	From, To int64
}

// Error names both claims.
func (e *TwiceError) Error() string {
	return fmt.Sprintf("carbon: %s: claim %s has device %s from %s to %s, which %s wants too",
		e.Rule, quote(e.Claimed), quote(e.Device), timeText(e.From), timeText(e.To), quote(e.Refused))
}

// Register knows which intervals of which devices back which claims: each interval
// backs one claim of each kind, whoever signs it, and none a certificate and an
// offset. A refused claim changes nothing, and what stands does not depend on the
// order in which claims that do not touch each other came.
//
// The zero Register is empty and ready to use. It has one owner.
type Register struct {
	series  map[series][]span // in order of time, disjoint
	changed map[string][]byte // stored pairs since the last Changes
}

// series is the claims of one kind on one device.
type series struct {
	device string
	kind   ClaimKind
}

type span struct {
	from, to int64
	claim    string
}

// Limits of names in a register, in bytes.
const (
	maxDevice = 200
	maxClaim  = 200
)

// Claim enters claims, all of them or none. It returns a [TwiceError] for the first
// that touches one which stands, or an error that wraps [ErrRegister].
func (r *Register) Claim(claims ...Claim) error {
	for i, c := range claims {
		if err := r.enter(c); err != nil {
			for _, done := range claims[:i] {
				r.remove(done)
			}
			return err
		}
	}
	for _, c := range claims {
		key, value := c.pair()
		if r.changed == nil {
			r.changed = map[string][]byte{}
		}
		r.changed[string(key)] = value
	}
	return nil
}

// Check returns the error that Claim would return, and enters nothing. It may run beside
// itself and Standing.
func (r *Register) Check(claims ...Claim) error {
	for i, c := range claims {
		if err := r.conflict(c); err != nil {
			return err
		}
		for _, o := range claims[:i] {
			if rule := c.Kind.excludes(o.Kind); rule != "" && c.Device == o.Device && c.From < o.To && o.From < c.To {
				return &TwiceError{rule, o.ID, c.ID, c.Device, max(c.From, o.From), min(c.To, o.To)}
			}
		}
	}
	return nil
}

// Standing returns the id of the claim of a kind that has any of the device's
// interval [from, to): the first in time.
func (r *Register) Standing(device string, kind ClaimKind, from, to int64) (claim string, ok bool) {
	spans := r.series[series{device, kind}]
	if i := firstAfter(spans, from); i < len(spans) && spans[i].from < to {
		return spans[i].claim, true
	}
	return "", false
}

// firstAfter returns the first span that ends after a time.
func firstAfter(spans []span, t int64) int {
	i, _ := slices.BinarySearchFunc(spans, t, func(s span, t int64) int {
		if s.to <= t {
			return -1
		}
		return 1
	})
	return i
}

// check returns an error unless c can stand in a register at all.
func (c Claim) check() error {
	switch {
	case !slices.Contains(claimKinds, string(c.Kind)):
		return fmt.Errorf("%w: kind %s", ErrRegister, quote(string(c.Kind)))
	case c.Device == "" || len(c.Device) > maxDevice || strings.ContainsRune(c.Device, 0):
		return fmt.Errorf("%w: device %s", ErrRegister, quote(c.Device))
	case c.ID == "" || len(c.ID) > maxClaim:
		return fmt.Errorf("%w: id %s", ErrRegister, quote(c.ID))
	case c.From < 0 || c.To <= c.From:
		return fmt.Errorf("%w: interval from %d to %d", ErrRegister, c.From, c.To)
	case !c.withinCapacity():
		return fmt.Errorf("%w: D5: %d Wh are more than %d W give in %d s", ErrRegister, int64(*c.Energy), c.CapacityW, c.To-c.From)
	}
	return nil
}

// conflict returns why a claim may not be entered.
func (r *Register) conflict(c Claim) error {
	if err := c.check(); err != nil {
		return err
	}
	for _, kind := range claimKinds {
		rule := c.Kind.excludes(ClaimKind(kind))
		if rule == "" {
			continue
		}
		spans := r.series[series{c.Device, ClaimKind(kind)}]
		if i := firstAfter(spans, c.From); i < len(spans) && spans[i].from < c.To {
			return &TwiceError{rule, spans[i].claim, c.ID, c.Device, max(c.From, spans[i].from), min(c.To, spans[i].to)}
		}
	}
	return nil
}

func (r *Register) enter(c Claim) error {
	if err := r.conflict(c); err != nil {
		return err
	}
	if r.series == nil {
		r.series = map[series][]span{}
	}
	own := series{c.Device, c.Kind}
	spans := r.series[own]
	r.series[own] = slices.Insert(spans, firstAfter(spans, c.From), span{c.From, c.To, c.ID})
	return nil
}

// remove takes back a claim that has just been entered.
func (r *Register) remove(c Claim) {
	own := series{c.Device, c.Kind}
	spans := r.series[own]
	i := firstAfter(spans, c.From)
	r.series[own] = slices.Delete(spans, i, i+1)
}

// Pair is one claimed interval as it is stored:
//
//	key    kind (1 byte: 1 gc, 2 offset, 3 scope2, 4 contract) device 0x00 from
//	value  to, claim's id
//
// with times as 8 bytes, big-endian Unix seconds, so that keys of one device and kind
// are in order of time.
type Pair struct {
	Key, Value []byte
}

func (c Claim) pair() (key, value []byte) {
	key = append(key, byte(slices.Index(claimKinds, string(c.Kind))+1))
	key = append(key, c.Device...)
	key = append(key, 0)
	key = binary.BigEndian.AppendUint64(key, uint64(c.From))
	value = binary.BigEndian.AppendUint64(value, uint64(c.To))
	return key, append(value, c.ID...)
}

// Changes returns the pairs of claims entered since the last call, in order of their
// keys, and forgets that they are new.
func (r *Register) Changes() []Pair {
	pairs := make([]Pair, 0, len(r.changed))
	for _, key := range slices.Sorted(maps.Keys(r.changed)) {
		pairs = append(pairs, Pair{[]byte(key), r.changed[key]})
	}
	clear(r.changed)
	return pairs
}

// Export returns the pairs of all claims, in order of their keys: what [Register.Load]
// makes the same register of.
func (r *Register) Export() []Pair {
	var pairs []Pair
	all := slices.SortedFunc(maps.Keys(r.series), func(a, b series) int {
		return cmp.Or(cmp.Compare(slices.Index(claimKinds, string(a.kind)), slices.Index(claimKinds, string(b.kind))), strings.Compare(a.device, b.device))
	})
	for _, s := range all {
		for _, span := range r.series[s] {
			key, value := Claim{ID: span.claim, Kind: s.kind, Device: s.device, From: span.from, To: span.to}.pair()
			pairs = append(pairs, Pair{key, value})
		}
	}
	return pairs
}

// Load puts one stored pair into the register; it does not count as a change. It
// returns an error, and changes nothing, for a pair that Export would not have
// written beside those that are there.
func (r *Register) Load(key, value []byte) error {
	const number = 8
	if len(key) < 1+1+1+number || len(value) < number+1 {
		return fmt.Errorf("%w: pair of %d and %d bytes", ErrRegister, len(key), len(value))
	}
	device, zero := strings.CutSuffix(string(key[1:len(key)-number]), "\x00")
	kind := int(key[0])
	if kind < 1 || kind > len(claimKinds) || !zero {
		return fmt.Errorf("%w: key %x", ErrRegister, key)
	}
	return r.enter(Claim{
		ID: string(value[number:]), Kind: ClaimKind(claimKinds[kind-1]), Device: device,
		From: int64(binary.BigEndian.Uint64(key[len(key)-number:])), To: int64(binary.BigEndian.Uint64(value)),
	})
}
