package dashboard

import (
	"net/http"

	"wattmark/oracle/api"
)

// serveDocs is the API's description for people.
func (d *Dashboard) serveDocs(w http.ResponseWriter, _ *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	d.write(w, http.StatusOK, frame{Title: spoken(w).Say("For programs"), Page: "docs", Data: struct {
		Routes   []api.Route
		Version  string
		Path     string
		Problems []api.ProblemAbout
	}{a.Routes(), api.Version, api.OpenAPIPath, api.Problems()}})
}
