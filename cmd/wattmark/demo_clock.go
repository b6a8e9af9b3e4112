package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"wattmark/cmd/internal/street"
)

// The street's first moment: late on a summer morning, so that the first hours show
// roofs that make more than the homes use.
var streetStart = time.Date(2026, time.June, 17, 10, 0, 0, 0, time.UTC)

// streetFile says which street lives in a directory, so that it goes on when it is
// started again. Its time is a function of the wall's: while nothing runs it goes
// on too, as an outage of everything.
type streetFile struct {
	Seed   uint64    `json:"seed"`
	Homes  int       `json:"homes"`
	Wall   time.Time `json:"wall"`   // at the last start
	Street time.Time `json:"street"` // what its clock showed then
	Speed  int       `json:"speed"`
}

// openClock starts the street's clock, where it would be by now.
func (d *demo) openClock() error {
	name := filepath.Join(d.dir, "street.json")
	now := time.Now().UTC()
	s := streetFile{Seed: d.seed, Homes: d.gateways, Street: streetStart}
	b, err := readLimited(name, 1<<16)
	switch {
	case err == nil:
		var was streetFile
		if err := json.Unmarshal(b, &was); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := d.sameStreet(&was); err != nil {
			return err
		}
		s.Seed, s.Homes = was.Seed, was.Homes
		// A wall clock that was set back must not take the street's along.
		s.Street = was.Street.Add(max(0, now.Sub(was.Wall)) * time.Duration(was.Speed))
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	d.seed, d.gateways = s.Seed, s.Homes
	s.Wall, s.Speed = now, d.speed
	if d.clock, err = street.NewClock(s.Street, d.speed); err != nil {
		return fmt.Errorf("the street in %s has been standing for too long at its speed, start a new one in another directory: %w", d.dir, err)
	}
	if b, err = json.Marshal(s); err != nil {
		return err
	}
	return writeFile(name, append(b, '\n'))
}

// sameStreet refuses flags that would make another street of the one there: its
// registers would fall.
func (d *demo) sameStreet(was *streetFile) error {
	switch {
	case was.Homes < 1 || was.Homes > maxDemoHomes || was.Speed < 1 || was.Speed > street.MaxSpeed || was.Street.Before(street.Epoch):
		return fmt.Errorf("street.json in %s is not one of a demonstration", d.dir)
	case d.given("seed") && d.seed != was.Seed:
		return fmt.Errorf("the street in %s has the seed %d: leave --seed out, or give another directory", d.dir, was.Seed)
	case d.given("gateways") && d.gateways != was.Homes:
		return fmt.Errorf("the street in %s has %d homes: leave --gateways out, or give another directory", d.dir, was.Homes)
	}
	return nil
}

// lockDir takes a directory for this process alone. The kernel gives it back when
// the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another demonstration runs in %s: stop it, or give another --dir", dir)
	}
	return f, nil
}
