package dashboard

import (
	"net/http"
	"time"

	"wattmark/oracle/dashboard/locale"
)

// themes are what a person may choose of: as the device has it, or always one.
var themes = []Theme{{"auto", locale.Text("As the device")}, {"light", locale.Text("Light")}, {"dark", locale.Text("Dark")}}

// Theme is one of them.
type Theme struct{ Name, Label string }

const (
	themeCookie = "wattmark-theme"
	themePath   = "/theme"

	choiceFor = 365 * 24 * time.Hour // that a browser keeps a choice
	maxChoice = 4096                 // bytes of the form
)

// answering is a page's answer, which knows what was asked for: every page is drawn in the
// theme and the language that were chosen, the first time already.
type answering struct {
	http.ResponseWriter
	r        *http.Request
	language language
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
	r.Body = http.MaxBytesReader(w, r.Body, maxChoice)
	switch name := r.PostFormValue("theme"); name {
	case "light", "dark":
		keepChoice(w, r, themeCookie, name)
	case "auto":
		keepChoice(w, r, themeCookie, "")
	default:
		l := spoken(w)
		d.missing(w, http.StatusUnprocessableEntity, l.Say("There is no such theme."), l.Say("Choose one of those below each page."))
	}
}

// keepChoice has the browser keep a choice, or none for an empty value, and leads back to the
// page whose form it was.
func keepChoice(w http.ResponseWriter, r *http.Request, cookie, value string) {
	c := &http.Cookie{Name: cookie, Value: value, Path: "/", MaxAge: int(choiceFor / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
	back := r.PostFormValue("back")
	if !local(back) {
		back = "/ledger"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
