package dashboard

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// crossing is the page with the cross-check where it is compiled when somebody first asks for
// it: in a demonstration, from its source.
type crossing struct {
	asked chan struct{} // closed by the first who asks
	once  sync.Once     // guards the closing

	mu     sync.Mutex // guards what follows
	begun  time.Time
	done   bool
	page   []byte
	policy string
	err    error
}

// lookAgain is after how many seconds a browser asks again whether it is compiled.
const lookAgain = "3"

// compiling is what a page says meanwhile, or of why it did not come about.
type compiling struct {
	Since time.Duration
	Why   string
}

// Seconds is for how long it has been going on.
func (c compiling) Seconds() int { return int(c.Since / time.Second) }

// run waits until somebody asks, and compiles once; or until ctx ends.
func (c *crossing) run(ctx context.Context, compile func(context.Context) ([]byte, string, error)) {
	select {
	case <-c.asked:
	case <-ctx.Done():
		return
	}
	page, policy, err := compile(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done, c.page, c.policy, c.err = true, page, policy, err
}

// ask has it compiled where nobody asked before, and says what has become of it.
func (c *crossing) ask(now time.Time) (page []byte, policy string, since time.Duration, err error) {
	c.once.Do(func() {
		c.mu.Lock()
		c.begun = now
		c.mu.Unlock()
		close(c.asked)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.page, c.policy, max(0, now.Sub(c.begun)), c.err
}

// crossOnRequest starts what compiles the cross-check when somebody asks for it. What it
// returns waits for its end, after that of ctx.
func (d *Dashboard) crossOnRequest(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	if d.options.Cross != nil {
		running.Go(func() { d.crossing.run(ctx, d.options.Cross) })
	}
	return running.Wait
}

// serveCompiled serves the page with the cross-check as soon as it is compiled; before, a
// page that asks again.
func (d *Dashboard) serveCompiled(w http.ResponseWriter) {
	l := spoken(w)
	page, policy, since, err := d.crossing.ask(d.options.Now())
	switch {
	case err != nil:
		why := strings.TrimSuffix(shorten(err.Error(), 400), ".")
		d.write(w, http.StatusServiceUnavailable, frame{Title: l.Say("Not compiled"), Page: "cross", Data: compiling{Why: why}})
	case page == nil:
		w.Header().Set("Refresh", lookAgain)
		d.write(w, http.StatusAccepted, frame{Title: l.Say("Compiling"), Page: "cross", Data: compiling{Since: since}})
	default:
		writeVerifier(w, page, policy)
	}
}
