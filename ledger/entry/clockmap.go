package entry

import "fmt"

// ClockMap says what time it was at one moment since a boot: a gateway that had no
// clock when it signed readings states it when time arrives, and again after a step of
// its clock. It is signed with a sequence number, as a reading is. The monotonic time
// of each reading's claims can then be told as UTC; the readings stay as they are.
type ClockMap struct {
	Boot        uint64 `cbor:"1,keyasint"` // boot count, that of the claims or one before
	Monotonic   uint64 `cbor:"2,keyasint"` // nanoseconds since that boot
	Time        int64  `cbor:"3,keyasint"` // Unix milliseconds UTC at that moment
	Uncertainty uint64 `cbor:"4,keyasint"` // expanded (k = 2) in nanoseconds, 0 where none is claimed
	Quality     string `cbor:"5,keyasint"` // where the time came from: one of the Clock constants but unsynced
	// Step is how far the wall clock was moved by then, in milliseconds, forward above 0;
	// 0 where time arrived for the first time in this boot.
	Step int64 `cbor:"6,keyasint,omitempty"`
}

// Encode writes the payload of a clock map.
func (m *ClockMap) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(m)
}

// ParseClockMap reads the payload of a clock map.
func ParseClockMap(b []byte) (*ClockMap, error) {
	var m ClockMap
	if err := decode("clock map", b, &m); err != nil {
		return nil, err
	}
	return &m, m.check()
}

func (m *ClockMap) check() error {
	switch {
	case m.Boot == 0 || m.Boot > 1<<53:
		return fmt.Errorf("%w: boot count %d is out of range", ErrForm, m.Boot)
	case m.Monotonic > maxUncertainty:
		return fmt.Errorf("%w: %d ns since boot are out of range", ErrForm, m.Monotonic)
	case m.Time < 0 || m.Time > maxTime:
		return fmt.Errorf("%w: time %d ms %s", ErrForm, m.Time, notInRange)
	case m.Uncertainty > maxUncertainty:
		return fmt.Errorf("%w: a clock uncertain by %d ns is out of range", ErrForm, m.Uncertainty)
	case clockQuality([]byte(m.Quality)) == "" || m.Quality == ClockUnsynced:
		return fmt.Errorf("%w: a clock of quality %q maps nothing", ErrForm, m.Quality)
	case m.Step < -maxTime || m.Step > maxTime:
		return fmt.Errorf("%w: a step of %d ms is out of range", ErrForm, m.Step)
	}
	return nil
}

// UTC returns the time in Unix milliseconds at another moment of the same boot, and
// false where that is out of range.
func (m *ClockMap) UTC(monotonic uint64) (int64, bool) {
	if monotonic > maxUncertainty {
		return 0, false
	}
	t := m.Time + (int64(monotonic)-int64(m.Monotonic))/1_000_000
	return t, t >= 0 && t <= maxTime
}
