package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// linesPerSecond bounds what strangers at the ports can write into the log.
const linesPerSecond = 20

// serverLog passes the server's log on. Its notices are for us; its errors are mostly what strangers do to its ports, so they are
// warnings here, and what goes beyond linesPerSecond is counted and left out.
type serverLog struct {
	log *slog.Logger
	now func() time.Time

	// mu guards what follows.
	mu      sync.Mutex
	first   string    // the first fatal message: the server goes on after one when it is embedded
	since   time.Time // begin of the second in which lines were written
	lines   int
	dropped int
}

func (l *serverLog) Noticef(format string, v ...any) { l.debug(format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.debug(format, v) }
func (l *serverLog) Tracef(string, ...any)           {}
func (l *serverLog) Warnf(format string, v ...any)   { l.warn(format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.warn(format, v) }

func (l *serverLog) Fatalf(format string, v ...any) {
	said := fmt.Sprintf(format, v...)
	l.log.Error("broker", "said", said)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = said
	}
}

func (l *serverLog) debug(format string, v []any) {
	l.log.Debug("broker", "said", fmt.Sprintf(format, v...))
}

func (l *serverLog) warn(format string, v []any) {
	ok, dropped := l.admit()
	if !ok {
		return
	}
	if dropped > 0 {
		l.log.Warn("broker said more than is logged", "dropped", dropped)
	}
	l.log.Warn("broker", "said", fmt.Sprintf(format, v...))
}

// admit says whether another line may be written, and if so how many were left out before it.
func (l *serverLog) admit() (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= time.Second || now.Before(l.since) {
		l.since, l.lines = now, 0
	}
	if l.lines == linesPerSecond {
		l.dropped++
		return false, 0
	}
	l.lines++
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// fatal is the first fatal message as an error, or nil.
func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		return nil
	}
	return errors.New(l.first)
}
