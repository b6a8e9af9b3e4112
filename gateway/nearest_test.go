package gateway_test

import (
	"testing"

	"wattmark/gateway"
)

func TestNearest(t *testing.T) {
	models := gateway.Models()
	for typed, want := range map[string]string{
		"smd630": "sdm630", "SDM630": "sdm630", "sdm-630": "sdm630", "pzem": "pzem004t", "Sun": "sunspec",
		"sdm": "", "pms": "", "scd": "", // several begin so
		"meter": "", "": "",
	} {
		if got := gateway.Nearest(typed, models); got != want {
			t.Errorf("%q may be %q, want %q", typed, got, want)
		}
	}
}
