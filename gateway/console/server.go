package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Source is a gateway that tells of itself. Its methods may be called from several
// goroutines.
type Source interface {
	Status() Status
	Live() Live
	Exchanges() Exchanges
}

// Handler answers from source; metrics answers GET /metrics.
func Handler(source Source, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, source.Status()) })
	mux.HandleFunc("GET /values", func(w http.ResponseWriter, _ *http.Request) { answer(w, source.Live()) })
	mux.HandleFunc("GET /exchanges", func(w http.ResponseWriter, _ *http.Request) { answer(w, source.Exchanges()) })
	mux.Handle("GET /metrics", metrics)
	return mux
}

func answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(b, '\n')) // whoever asked may be gone
}

// Listen opens an address: "unix:PATH", or a host of the loopback and a port. A socket
// that a process left behind is replaced, one that somebody answers on is not; it
// is for the owner and the group, 0660.
func Listen(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			return nil, errors.Join(fmt.Errorf("%s is not on the loopback", address), l.Close())
		}
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		conn, answered := net.DialTimeout("unix", path, time.Second)
		if answered == nil {
			return nil, errors.Join(fmt.Errorf("%s: another process answers on it", path), conn.Close())
		}
		if info, stat := os.Lstat(path); stat != nil || info.Mode()&os.ModeSocket == 0 {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		if l, err = net.Listen("unix", path); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Limits of what a client may take.
const (
	slowest = 10 * time.Second // to send a request, and to take the answer
	goodbye = time.Second
)

// Serve answers on l until ctx ends, and closes it.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadTimeout: slowest, WriteTimeout: slowest, IdleTimeout: slowest, MaxHeaderBytes: 16 << 10}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	err := s.Shutdown(closing)
	if err != nil {
		err = s.Close()
	}
	<-ended // http.ErrServerClosed
	return err
}
