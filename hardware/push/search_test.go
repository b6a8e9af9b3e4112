package push_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
	"wattmark/hardware/push"
)

// good refuses frames that hold an "x", whose text is the error's.
func good(frame []byte, dst *hardware.Batch) error {
	dst.Identity.Model = string(frame)
	if strings.Contains(string(frame), "x") {
		return errors.New(string(frame))
	}
	return nil
}

func TestSearch(t *testing.T) {
	search := push.Search{Name: "bracket", Scan: brackets, Begin: []byte("<"), BlankBefore: " ", BlankAfter: ".",
		Skip: func(b []byte) int { return strings.Index(string(b), "?") + 1 }}
	resync, trailing := "resync: skipped what came before the first good bracket", "trailing: ignored what came after the bracket"
	for _, c := range []struct {
		received string // by exchanges
		want     string // the frame that is good
		refused  string
		warnings []string
	}{
		{received: "<a>", want: "<a>"},
		{received: " <a>..", want: "<a>"},
		{received: "<a?<b>", want: "<b>"}, // the part did not say what was skipped
		{received: ".<a> ", want: "<a>", warnings: []string{resync, trailing}},
		{received: "|<a>|<b>|", want: "<a>", warnings: []string{trailing}},
		{received: "noise|<a>", want: "<a>", warnings: []string{resync}},
		{received: "<x><a>", want: "<a>", warnings: []string{resync}},
		{received: "<x<a>", want: "<a>", warnings: []string{resync}}, // its end was lost, and hid the next
		{received: "<x|<a>", want: "<a>", warnings: []string{resync}},
		{received: "<x1><x2>", refused: "<x1>"},
		{received: "<x", refused: "<x"},
		{received: "noise|>"},
		{received: ""},
	} {
		var tr hardware.Transcript
		for exchange := range strings.SplitSeq(c.received, "|") {
			tr.Send(nil)
			tr.Receive([]byte(exchange))
		}
		dst := hardware.Batch{Identity: hardware.Identity{Model: "of before"}}
		found, err := search.First(&tr, &dst, good)
		refused := ""
		if err != nil {
			refused = err.Error()
		}
		if found != (c.want != "") || dst.Identity.Model != c.want || refused != c.refused {
			t.Errorf("%q: %v, %q, refused %q; want %q, refused %q", c.received, found, dst.Identity.Model, refused, c.want, c.refused)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), dst.Warnings...)); diff != "" {
			t.Errorf("%q: warnings (-want +got):\n%s", c.received, diff)
		}
	}
}

// TestSearchFindsABeginningAcrossAnEnd: the frame's end that was seen may itself be made
// of bytes that begin the next one.
func TestSearchFindsABeginningAcrossAnEnd(t *testing.T) {
	search := push.Search{Name: "frame", Begin: []byte("<<"), Scan: func(b []byte) (start, end int) {
		if start = strings.Index(string(b), "<<"); start < 0 {
			return len(b), 0
		}
		return start, min(start+4, len(b))
	}}
	var tr hardware.Transcript
	tr.Receive([]byte("<<x<<ab"))
	var dst hardware.Batch
	if found, err := search.First(&tr, &dst, good); !found || err != nil || dst.Identity.Model != "<<ab" {
		t.Errorf("%v, %v, %q", found, err, dst.Identity.Model)
	}
}
