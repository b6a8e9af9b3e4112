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
	Wall   time.Time `json:"wall"`   // at the last start, or when the speed was last changed
	Street time.Time `json:"street"` // what its clock showed then
	Speed  int       `json:"speed"`
	// Loose says that the rules are still those of the prologue.
	Loose bool `json:"loose,omitempty"`
}

// at is what the clock shows at a moment of the wall. A wall clock that was set back must
// not take the street's along; more than the clock can count ends beyond its last year.
func (s *streetFile) at(wall time.Time) time.Time {
	const most = 250 * 365 * 24 * time.Hour
	speed := time.Duration(s.Speed)
	return s.Street.Add(min(max(0, wall.Sub(s.Wall)), most/speed) * speed)
}

func (d *demo) streetPath() string { return filepath.Join(d.dir, "street.json") }

// keep writes the file, and returns when it is on the disk.
func (d *demo) keep(s *streetFile) error {
	s.Loose = d.loose.Load()
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeDurable(d.streetPath(), append(b, '\n'))
}

// setSpeed makes the clock go on from where it is at another speed. At every moment the file
// makes of the wall's time one that is not before what the clock shows: a process that is
// killed meanwhile goes on a little later, never earlier, and its registers do not fall.
func setSpeed(c *street.Clock, s streetFile, speed int, keep func(*streetFile) error) error {
	was := c.Speed()
	if speed > was {
		s.Wall, s.Street, s.Speed = time.Now().UTC(), c.Now(), speed
		if err := keep(&s); err != nil {
			return err
		}
	}
	if err := c.SetSpeed(speed); err != nil {
		return err
	}
	wall, at, _ := c.Base()
	s.Wall, s.Street, s.Speed = wall.UTC(), at, speed
	if err := keep(&s); err != nil {
		return errors.Join(err, c.SetSpeed(was))
	}
	return nil
}

// openClock starts the street's clock, where it would be by now.
func (d *demo) openClock() error {
	name := d.streetPath()
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
		d.prologue = false
		d.loose.Store(was.Loose)
		s.Street = was.at(now)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	d.seed, d.gateways = s.Seed, s.Homes
	s.Wall, s.Speed = now, d.speed
	if d.prologue {
		// Who is killed in it goes on from its end.
		d.loose.Store(true)
		s.Street = prologueEnd
		if d.clock, err = street.NewClock(prologueStart, 0); err != nil {
			return err
		}
		return d.keep(&s)
	}
	if d.clock, err = street.NewClock(s.Street, d.speed); err != nil {
		return fmt.Errorf("the street in %s has been standing for too long at its speed, start a new one in another directory: %w", d.dir, err)
	}
	return d.keep(&s)
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
	case d.given("prologue") && d.prologue:
		return fmt.Errorf("the street in %s is past its prologue: leave --prologue out, or give another directory", d.dir)
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
