package dashboard

import (
	"net/http"
	"time"
)

// themes are what a person may choose of: as the device has it, or always one.
var themes = []Theme{{"auto", "As the device"}, {"light", "Light"}, {"dark", "Dark"}}

// Theme is one of them.
type Theme struct{ Name, Label string }

const (
	themeCookie = "wattmark-theme"
	themePath   = "/theme"
	themeFor    = 365 * 24 * time.Hour
)

// answering is a page's answer, which knows what was asked for: every page is drawn in the
// theme that was chosen, the first time already.
type answering struct {
	http.ResponseWriter
	r *http.Request
}

// Unwrap is for http.ResponseController.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// theme returns the one that was chosen, "auto" for none.
func theme(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return "auto"
}

// Themes are the choices.
func (f frame) Themes() []Theme { return themes }

// takeTheme keeps a choice in the browser, and leads back to where it was made. It is open to
// forms of other sites: what they could do with it is nothing, and over plain HTTP browsers do
// not say whose a form is.
func (d *Dashboard) takeTheme(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	name := r.PostFormValue("theme")
	c := &http.Cookie{Name: themeCookie, Value: name, Path: "/", MaxAge: int(themeFor / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil}
	switch name {
	case "light", "dark":
	case "auto":
		c.MaxAge = -1
	default:
		d.missing(w, http.StatusUnprocessableEntity, "There is no such theme.", "Choose one of those below each page.")
		return
	}
	http.SetCookie(w, c)
	back := r.PostFormValue("back")
	if !local(back) {
		back = "/ledger"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
