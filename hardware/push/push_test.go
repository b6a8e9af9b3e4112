package push_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/push"
)

// says is a part that sends one piece after another, a second apart.
type says struct{ pieces [][]byte }

func (s *says) Talk(b []byte) ([]byte, time.Duration) {
	if len(s.pieces) == 0 {
		return b, 0
	}
	b = append(b, s.pieces[0]...)
	s.pieces = s.pieces[1:]
	return b, time.Second
}

// brackets is a Scan for frames from "<" to ">".
func brackets(b []byte) (start, end int) {
	start = bytes.IndexByte(b, '<')
	if start < 0 {
		return len(b), 0
	}
	if n := bytes.IndexByte(b[start:], '>'); n >= 0 {
		return start, start + n + 1
	}
	return start, 0
}

// listening is a listener to a part that says the pieces.
func listening(pieces ...string) (*push.Listener, *emulated.Cable) {
	s := &says{}
	for _, p := range pieces {
		s.pieces = append(s.pieces, []byte(p))
	}
	cable := emulated.NewCable(s)
	return &push.Listener{Stream: cable.Conn(), Silence: 3 * time.Second, Idle: 1500 * time.Millisecond, Remedy: "plug it in"}, cable
}

func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := listening("tail><a><b", "b><c", "c", "", "", "<d>")
		take := func(want string, from func(context.Context, push.Scan, *hardware.Transcript) (time.Duration, error)) {
			t.Helper()
			var tr hardware.Transcript
			_, err := from(t.Context(), brackets, &tr)
			got := ""
			if tr.Len() > 0 {
				_, received := tr.Exchange(0)
				got = string(received)
			}
			if err != nil || got != want {
				t.Errorf("got %.20q, %v, want %.20q", got, err, want)
			}
		}
		take("<a>", l.Next)
		take("<bb>", l.Take) // what came behind is kept for an answer
		take("<cc", l.Take)  // it stopped: that it is no frame is the protocol's to say
		take("<d>", l.Next)
	})
}

func TestFrameWithoutEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pieces []string
		for range 20 {
			pieces = append(pieces, string(bytes.Repeat([]byte{'<'}, 2000)))
		}
		l, _ := listening(pieces...)
		var tr hardware.Transcript
		if _, err := l.Next(t.Context(), brackets, &tr); err != nil {
			t.Fatal(err)
		}
		if _, received := tr.Exchange(0); len(received) != push.MaxFrame {
			t.Errorf("%d bytes", len(received))
		}
	})
}

func TestNothingIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		want   error
	}{
		"silence": {nil, hardware.ErrTimeout}, "noise": {[]string{"xx", "yy", "zz", "xx", "yy"}, hardware.ErrMalformed},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, cable := listening(c.pieces...)
			var tr hardware.Transcript
			begin := time.Now()
			_, err := l.Next(t.Context(), brackets, &tr)
			var e *hardware.Error
			if hardware.Class(err) != c.want || !errors.As(err, &e) || e.Remedy == "" || time.Since(begin) < 3*time.Second || time.Since(begin) > 3100*time.Millisecond {
				t.Errorf("%s: %v after %s", name, err, time.Since(begin))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin = time.Now()
			if _, err := l.Next(ctx, brackets, &tr); hardware.Class(err) != hardware.ErrTimeout || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 1050*time.Millisecond {
				t.Errorf("%s: %v after %s", name, err, time.Since(begin))
			}
			cable.Plug(false)
			for range 2 {
				if _, err := l.Next(t.Context(), brackets, &tr); hardware.Class(err) != hardware.ErrAbsent {
					t.Errorf("%s, unplugged: %v", name, err)
				}
			}
			if err := l.Send(t.Context(), []byte("?"), &tr); hardware.Class(err) != hardware.ErrAbsent {
				t.Errorf("%s, unplugged and asked: %v", name, err)
			}
		})
	}
}

// A part that speaks each second is told of as often as is wanted, and again once its
// line is back.
func TestContinuous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin, calls := time.Now(), 0
		sense := func(ctx context.Context, dst *hardware.Batch) error {
			calls++
			if 5 < calls && calls <= 8 {
				return hardware.ErrAbsent // at once, as a port that is gone
			}
			time.Sleep(time.Second)
			at := time.Since(begin)
			dst.Span(at, at)
			return ctx.Err()
		}
		batches, err := push.Continuous(ctx, 2*time.Second, sense)
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for b := range batches {
			if got = append(got, b.At); len(got) == 5 {
				cancel()
			}
		}
		want := []time.Duration{1 * time.Second, 3 * time.Second, 5 * time.Second, 9 * time.Second, 11 * time.Second}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}
