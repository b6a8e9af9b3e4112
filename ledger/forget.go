package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/ledger/state"
)

// forgottenFile names the metering points whose packs are deleted here, one a line: so
// that an oracle that was killed on the way does the rest when it starts, and no more.
const forgottenFile = "forgotten"

// ToForget returns the metering points that the ledger has closed and whose packs this
// oracle may still hold.
func (l *Ledger) ToForget() ([]state.ForgottenPoint, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, forgottenFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	done := make(map[string]bool)
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		done[lines.Text()] = true
	}
	var out []state.ForgottenPoint
	l.View(func(s *state.State) {
		for _, f := range s.Forgotten() {
			if !done[f.Subject] {
				out = append(out, f)
			}
		}
	})
	return out, nil
}

// PacksOf returns the digests of the packs of a metering point that the vault holds.
func (l *Ledger) PacksOf(subject string) ([][32]byte, error) { return l.vault.Of(subject) }

// Forget deletes the packs of metering points, salts and all, and what the index and
// snapshots hold of their values. It returns how many packs there were. On an error, or
// after a crash, it is called again.
func (l *Ledger) Forget(points []state.ForgottenPoint) (n int, err error) {
	if len(points) == 0 {
		return 0, nil
	}
	// First the index: what it lacks would have to be executed again, with the packs.
	if err := l.store.Scrub(); err != nil {
		return 0, err
	}
	if err := l.removeSnapshots(); err != nil {
		return 0, err
	}
	for _, p := range points {
		m, err := l.vault.Forget(p.Subject)
		n += m
		if err != nil {
			return n, err
		}
	}
	f, err := os.OpenFile(filepath.Join(l.dir, forgottenFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return n, err
	}
	for _, p := range points {
		fmt.Fprintln(f, p.Subject)
	}
	return n, errors.Join(f.Sync(), f.Close())
}
