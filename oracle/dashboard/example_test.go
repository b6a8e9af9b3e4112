package dashboard_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"wattmark/oracle/dashboard"
)

// house is a street of one home.
type house struct{}

func (house) Now() dashboard.View {
	return dashboard.View{
		At:    time.Date(2026, time.June, 21, 12, 0, 0, 0, time.UTC),
		Homes: []dashboard.Home{{Name: "home-1", GridW: -1_500, SolarW: 2_000, Solar: true, State: dashboard.StateGood}},
	}
}

// An oracle tells its dashboard of a block, and whoever loads the page sees it. An
// http.Server would serve d.Handler(), beside d.Run(ctx).
func Example() {
	d := dashboard.New(house{}, dashboard.Options{Origin: "example.org/street"})
	d.Block(dashboard.Block{Height: 7, Statements: 14, Size: 120})
	d.Final(7, 3)

	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	page := w.Body.String()
	fmt.Println(w.Code, strings.Contains(page, "goes to the grid"))
	fmt.Println(strings.Contains(page, "Block 7 is final: 3 oracles have cosigned it."))
	// Output:
	// 200 true
	// true
}
