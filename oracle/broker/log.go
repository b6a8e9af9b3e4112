package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// serverLog passes the server's log on. Its notices are for us; its errors are mostly what strangers do to its ports, so they are
// warnings here.
type serverLog struct {
	log *slog.Logger

	// mu guards first, the first fatal message: the server goes on after one when it is embedded.
	mu    sync.Mutex
	first string
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("broker", "said", fmt.Sprintf(format, v...))
}
func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("broker", "said", fmt.Sprintf(format, v...))
}
func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Warn("broker", "said", fmt.Sprintf(format, v...))
}
func (l *serverLog) Debugf(format string, v ...any) {
	l.log.Debug("broker", "said", fmt.Sprintf(format, v...))
}
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) Fatalf(format string, v ...any) {
	said := fmt.Sprintf(format, v...)
	l.log.Error("broker", "said", said)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = said
	}
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
