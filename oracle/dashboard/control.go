package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Control is something that whoever looks at a page may do to what it shows, by a plain form
// in the ribbon: in a demonstration, whose street is made up. What it does is the owner's.
type Control struct {
	// Name is its part of an address, of letters and digits.
	Name string
	// Label is what its button says, in English; the pages say it in the language of who reads,
	// where they have it.
	Label string
	// Of says what there is to choose, to who does not see the form; as Label.
	Of string
	// Each gives every choice a button of its own, where there are few.
	Each bool
	// Choices are those of this moment; while there are none the form is not shown. It is
	// safe for concurrent use and returns at once.
	Choices func() []Choice
	// Run does it, to one of the choices of this moment. Its error is shown: it names the
	// thing, the cause and the remedy. It is not called twice at a time.
	Run func(ctx context.Context, value string) error
}

// Choice is one of a control's.
type Choice struct {
	Value string
	Label string // in a list; on a button, where each choice has one; as Control.Label
	Args  []any  // where Label is a fmt format
	// Chosen says that it is so already: a list shows it first.
	Chosen bool
}

const (
	controlPath = "/control/"

	maxForm    = 1024 // bytes of a control's form
	maxButtons = 3    // of one control
	// pressWait is how long a form waits for the one before it.
	pressWait = 5 * time.Second
	// showWait is how long an answer waits for figures that have in them what was done.
	showWait = 6 * tickEvery
)

// controlForm is a control as a page shows it.
type controlForm struct {
	Control
	Now     []Choice
	Buttons bool // one for each choice
}

// Controls are the ribbon's forms.
func (f frame) Controls() []controlForm {
	var out []controlForm
	for _, c := range f.Options.Controls {
		if now := slices.Clone(c.Choices()); len(now) > 0 {
			for i := range now {
				now[i].Label = f.language.Say(now[i].Label, now[i].Args...)
			}
			c.Label, c.Of = f.language.Say(c.Label), f.language.Say(c.Of)
			out = append(out, controlForm{c, now, c.Each && len(now) <= maxButtons})
		}
	}
	return out
}

// controlMark is what there is to choose.
func (d *Dashboard) controlMark() string {
	var b strings.Builder
	for _, c := range d.options.Controls {
		fmt.Fprintf(&b, "%s %+v\n", c.Name, c.Choices())
	}
	return b.String()
}

// Topics are those of the stream that keep the page fresh, and its ribbon with it.
func (f frame) Topics() string {
	if f.Topic == "" || len(f.Options.Controls) == 0 {
		return f.Topic
	}
	return f.Topic + "," + topicControl
}

// sayWhence has a browser tell these pages, and no others, on which of them a form was. It
// then also names the page as origin, without which a form over plain HTTP is refused as one
// of another site: the browser sends "null" under no-referrer.
func sayWhence(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// takeControl does what a form in the ribbon asks for, and leads back to where it was.
func (d *Dashboard) takeControl(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(d.options.Controls, func(c Control) bool { return c.Name == r.PathValue("control") })
	if i < 0 {
		d.nowhere(w, r)
		return
	}
	l, c := spoken(w), d.options.Controls[i]
	label := l.Say(c.Label)
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		status := http.StatusBadRequest
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			status = http.StatusRequestEntityTooLarge
		}
		d.notDone(w, status, l.Say("%s: the form does not read as one of this page.", label), l.Say("Go back, load the page again, and press its button."))
		return
	}
	value := r.PostForm.Get("choice")
	if !slices.ContainsFunc(c.Choices(), func(o Choice) bool { return o.Value == value }) {
		d.notDone(w, http.StatusUnprocessableEntity, l.Say("%s: there is no %q to do this to, or not any more.", label, shorten(value, 40)),
			l.Say("Go back, load the page again, and choose one that it lists."))
		return
	}
	late := time.NewTimer(pressWait)
	defer late.Stop()
	select {
	case d.pressing <- struct{}{}:
		defer func() { <-d.pressing }()
	case <-late.C:
		w.Header().Set("Retry-After", "5")
		d.notDone(w, http.StatusTooManyRequests, l.Say("%s: somebody else has pressed a button, and that is still being done.", label), l.Say("Go back and press again in a few seconds."))
		return
	case <-r.Context().Done():
		return
	}
	if err := c.Run(r.Context(), value); err != nil {
		if r.Context().Err() != nil {
			return // nobody waits for the answer
		}
		d.notDone(w, http.StatusConflict, label+": "+err.Error()+".", l.Say("Nothing else has changed."))
		return
	}
	d.awaitFresh(r.Context(), d.options.Now())
	http.Redirect(w, r, whence(r), http.StatusSeeOther)
}

// notDone answers with a page that says why a button did nothing, and what to do.
func (d *Dashboard) notDone(w http.ResponseWriter, status int, why, remedy string) {
	d.write(w, status, frame{Title: spoken(w).Say("Not done"), Page: "missing", Data: []any{why, remedy}})
}

// awaitFresh waits until the page has figures of a moment or later, for a short time: who
// comes back without a script sees what the button did.
func (d *Dashboard) awaitFresh(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, showWait)
	defer cancel()
	look := time.NewTicker(tickEvery / 10)
	defer look.Stop()
	for d.page(english).Built.Before(at) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// whence is the page on which a form was: a path of this server, and the first page where
// the browser does not say or says another place.
func whence(r *http.Request) string {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != r.Host || from.Scheme != "http" && from.Scheme != "https" {
		return "/"
	}
	path := from.RequestURI()
	if !local(path) {
		return "/"
	}
	if strings.HasPrefix(path, controlPath) { // the page that says why a button did nothing
		return "/"
	}
	return path
}

// local reports whether a path leads to a page of this server and nowhere else: two slashes
// would begin the name of another host, and browsers take \ for /.
func local(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "\\\r\n")
}

// checkControls panics where two controls have one address, or one has none.
func checkControls(list []Control) {
	seen := make(map[string]bool)
	for _, c := range list {
		if c.Name == "" || seen[c.Name] || c.Choices == nil || c.Run == nil {
			panic(fmt.Sprintf("internal error: control %q is incomplete or there twice", c.Name))
		}
		seen[c.Name] = true
	}
}
