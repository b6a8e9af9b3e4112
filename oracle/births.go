package oracle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/oracle/api"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// BirthsDir is where an oracle keeps what gateways have announced last, a file each.
const BirthsDir = "births"

// births are the last of each gateway, for people, and for whoever lacks a handover or a
// certificate: nothing of the ledger depends on them.
type births struct {
	mu   sync.Mutex // guards the fields below
	last map[string]*api.Announced
	// unkept are those that are not in their files yet.
	unkept map[string][]byte
	led    map[string]led // by gateway
	// certified is when a gateway was last sent a certificate.
	certified map[string]time.Time
}

// keepEvery bounds how often the file of a gateway is written: one that connects again and
// again announces itself as often. The last time is written in the end.
const keepEvery = 10 * time.Second

// hearBirths listens to what gateways announce until ctx ends.
func (n *Node) hearBirths(ctx context.Context) error {
	dir := filepath.Join(n.cfg.Dir, BirthsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keeping what gateways announce: %w", err)
	}
	came := make(chan struct{}, 1)
	sub, err := n.cfg.Conn.Subscribe(n.subjects.Birth("*"), func(m *nats.Msg) {
		name := n.subjects.Gateway(m.Subject)
		if entry.CheckGateway(name) != nil || !n.born(name, m.Data) {
			return
		}
		n.lead(name, n.trusts(name))
		n.certify(name)
		select {
		case came <- struct{}{}:
		default: // it is about to be looked at
		}
	})
	if err == nil {
		defer sub.Unsubscribe()
		err = sub.SetPendingLimits(4096, 8<<20)
	}
	if err != nil {
		return fmt.Errorf("listening to what gateways announce: %w", err)
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	written := make(map[string]time.Time)
	for {
		select {
		case <-came:
		case <-tick.C:
		case <-ctx.Done():
			n.keepBirths(dir, nil)
			return nil
		}
		n.keepBirths(dir, written)
	}
}

// keepBirths writes what came, but for that of gateways of which something was written a
// moment ago.
func (n *Node) keepBirths(dir string, written map[string]time.Time) {
	now, list := time.Now(), make(map[string][]byte)
	n.births.mu.Lock()
	for name, b := range n.births.unkept {
		if at, ok := written[name]; !ok || now.Sub(at) >= keepEvery {
			list[name] = b
			delete(n.births.unkept, name)
		}
	}
	n.births.mu.Unlock()
	for name, b := range list {
		if written != nil {
			written[name] = now
		}
		if err := replaceFile(filepath.Join(dir, name), b); err != nil {
			n.cfg.Log.Warn("did not keep what a gateway announced", "gateway", name, "error", err)
		}
	}
}

// born takes what stands at a gateway's birth, and reports whether it is one to keep.
func (n *Node) born(name string, b []byte) bool {
	n.births.mu.Lock()
	defer n.births.mu.Unlock()
	had := n.births.last[name]
	if string(b) == wire.Offline {
		if had != nil {
			had.Offline = true
		}
		return false
	}
	now, err := openBirth(name, b, n.keysOfGateway(name))
	if err != nil || had != nil && now.At < had.At {
		return false // a stranger's, or one of before
	}
	if n.births.last == nil {
		n.births.last = make(map[string]*api.Announced)
	}
	n.births.last[name] = now
	if n.births.unkept == nil {
		n.births.unkept = make(map[string][]byte)
	}
	n.births.unkept[name] = b // a gateway that has a key, and so no more than there are
	return true
}

// trusts is what a gateway has said last of the policy that it goes by, nil for nothing.
func (n *Node) trusts(name string) *wire.Trusts {
	n.births.mu.Lock()
	defer n.births.mu.Unlock()
	if b := n.births.last[name]; b != nil {
		return b.Trusts
	}
	return nil
}

// openBirth verifies a birth under the keys that sign for a gateway.
func openBirth(name string, b []byte, keys []signer.PublicKey) (*api.Announced, error) {
	err := error(wire.ErrBirth)
	for _, k := range keys {
		about, at, wrong := wire.OpenBirth(b, k)
		if wrong == nil && about.Gateway == name {
			return &api.Announced{Birth: *about, At: at}, nil
		}
		err = errors.Join(err, wrong)
	}
	return nil, err
}

// keysOfGateway returns the keys that sign for a gateway now.
func (n *Node) keysOfGateway(name string) (keys []signer.PublicKey) {
	n.ledger.View(func(s *state.State) {
		for _, k := range s.Keys() {
			if k.Gateway == name && k.Revoked == 0 {
				keys = append(keys, k.Public)
			}
		}
	})
	return keys
}

// Births returns what gateways have announced last, to this run or one before.
func (n *Node) Births() map[string]api.Announced {
	keys := make(map[string][]signer.PublicKey)
	n.ledger.View(func(s *state.State) {
		for _, k := range s.Keys() {
			if k.Revoked == 0 {
				keys[k.Gateway] = append(keys[k.Gateway], k.Public)
			}
		}
	})
	n.births.mu.Lock()
	defer n.births.mu.Unlock()
	out := ReadBirths(n.cfg.Dir, keys)
	for name, b := range n.births.last {
		out[name] = *b
	}
	for name, b := range out {
		if b.Trusts != nil {
			b.Behind = len(n.after(b.Trusts))
			out[name] = b
		}
	}
	return out
}

// ReadBirths reads what an oracle keeps in its directory of the gateways with these keys.
// What does not verify is left out.
func ReadBirths(dir string, keys map[string][]signer.PublicKey) map[string]api.Announced {
	out := make(map[string]api.Announced)
	for name, of := range keys {
		path := filepath.Join(dir, BirthsDir, name)
		info, err := os.Stat(path)
		if err != nil || info.Size() > wire.MaxBirth {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if about, err := openBirth(name, b, of); err == nil {
			out[name] = *about
		}
	}
	return out
}

// CountBehind notes of each gateway how many changes of the oracles it has not followed,
// by the handovers of a ledger: their heights, and each one's bytes.
func CountBehind(list map[string]api.Announced, origin string, heights []uint64, read func(height uint64) ([]byte, error)) error {
	policies := make([]string, len(heights))
	for i, height := range heights {
		b, err := read(height)
		if err != nil {
			return err
		}
		h, err := handover.Parse(b)
		if err != nil {
			return fmt.Errorf("handover %d: %w", height, err)
		}
		if set := h.Next(); set != nil {
			if p, err := handover.PolicyOf(origin, set); err == nil {
				policies[i] = wire.TrustsOf(p, 0).Policy
			}
		}
	}
	for name, a := range list {
		if a.Trusts != nil {
			a.Behind = len(lacking(a.Trusts, heights, func(i int) string { return policies[i] }))
			list[name] = a
		}
	}
	return nil
}

// replaceFile writes a file that may be lost with a power cut, and is whole or not there.
func replaceFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	err := os.Rename(temporary, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, os.Remove(temporary))
	}
	return err
}
