package dashboard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/oracle/dashboard"
)

// ids returns the ids of events.
func ids(events []dashboard.Event) []uint64 {
	var out []uint64
	for _, e := range events {
		out = append(out, e.ID())
	}
	return out
}

func TestReplay(t *testing.T) {
	h := dashboard.NewHub(100)
	for i := range 10 {
		topic := dashboard.TopicBlock
		if i%2 == 1 {
			topic = dashboard.TopicState
		}
		h.Publish(topic, fmt.Sprint(i))
	}
	tests := []struct {
		name   string
		after  uint64
		topics []string
		want   []uint64
	}{
		{"nothing missed", 109, []string{dashboard.TopicBlock, dashboard.TopicState}, nil},
		{"one missed", 108, []string{dashboard.TopicBlock, dashboard.TopicState}, []uint64{109}},
		{"one topic", 102, []string{dashboard.TopicBlock}, []uint64{104, 106, 108}},
		{"everything", 99, []string{dashboard.TopicState}, []uint64{101, 103, 105, 107, 109}},
		{"no topic", 99, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, missed, err := h.Join(tt.after, tt.topics...)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Leave(c)
			if diff := cmp.Diff(tt.want, ids(missed)); diff != "" {
				t.Errorf("missed (-want +got)\n%s", diff)
			}
		})
	}
	_, missed, err := h.Join(108, dashboard.TopicState)
	if err != nil || len(missed) != 1 || missed[0].Wire() != "id: 109\nevent: state\ndata: 9\n\n" {
		t.Errorf("%d events are missed: %v", len(missed), err)
	}
}

// TestReset: a page of another run, or one that missed more than is kept, is told
// to fetch itself, and goes on from the newest event.
func TestReset(t *testing.T) {
	h := dashboard.NewHub(5)
	for range dashboard.KeptEvents + 20 {
		h.Publish(dashboard.TopicBlock, "{}")
	}
	last := h.Last()
	if want := uint64(5 + dashboard.KeptEvents + 20 - 1); last != want {
		t.Fatalf("the newest event is %d, want %d", last, want)
	}
	oldest := last - dashboard.KeptEvents
	for _, tt := range []struct {
		after uint64
		reset bool
	}{{0, true}, {oldest - 1, true}, {oldest, false}, {last, false}, {last + 1, true}, {1<<53 - 1, true}} {
		_, missed, err := h.Join(tt.after, dashboard.TopicBlock)
		if err != nil {
			t.Fatal(err)
		}
		reset := len(missed) == 1 && missed[0].Topic() == dashboard.TopicReset && missed[0].ID() == last
		if reset != tt.reset {
			t.Errorf("after %d of %d to %d: a reset: %v, want %v", tt.after, oldest+1, last, reset, tt.reset)
		}
		if !tt.reset && uint64(len(missed)) != last-tt.after {
			t.Errorf("after %d of %d to %d: %d events", tt.after, oldest+1, last, len(missed))
		}
	}
}

// TestPowerIsKeptOnce: each event of power has every value, so that who comes
// back gets the newest alone.
func TestPowerIsKeptOnce(t *testing.T) {
	h := dashboard.NewHub(1)
	for i := range 300 {
		h.Publish(dashboard.TopicPower, strings.Repeat("x", 1_000))
		if i%100 == 0 {
			h.Publish(dashboard.TopicBlock, "{}")
		}
	}
	_, missed, err := h.Join(0, dashboard.TopicPower, dashboard.TopicBlock)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{2, 103, 204, 303}, ids(missed)); diff != "" {
		t.Errorf("replayed (-want +got)\n%s", diff)
	}
	if missed[3].Topic() != dashboard.TopicPower || !strings.Contains(missed[3].Wire(), "xxx") {
		t.Errorf("the last event is %q", missed[3].Wire())
	}
}

// TestSlowClient: one whose queue is full is dropped at once, and nobody else
// misses anything.
func TestSlowClient(t *testing.T) {
	h := dashboard.NewHub(1)
	slow, _, err := h.Join(0, dashboard.TopicBlock)
	if err != nil {
		t.Fatal(err)
	}
	quick, _, err := h.Join(0, dashboard.TopicBlock)
	if err != nil {
		t.Fatal(err)
	}
	var got int
	for range dashboard.QueueEvents {
		h.Publish(dashboard.TopicBlock, "{}")
		events, served := quick.Queued()
		if got += len(events); !served {
			t.Fatal("the quick client was dropped")
		}
	}
	if s := h.Stats(); s.Clients != 2 || s.Dropped != 0 {
		t.Errorf("with full queues: %+v", s)
	}
	h.Publish(dashboard.TopicState, "{}") // not theirs
	h.Publish(dashboard.TopicBlock, "{}")
	if s := h.Stats(); s.Clients != 1 || s.Dropped != 1 {
		t.Errorf("with one event too many: %+v", s)
	}
	events, served := slow.Queued()
	if served || len(events) != dashboard.QueueEvents {
		t.Errorf("the slow client got %d events and is served: %v", len(events), served)
	}
	if events, served = quick.Queued(); !served || got+len(events) != dashboard.QueueEvents+1 {
		t.Errorf("the quick client got %d events and is served: %v", got+len(events), served)
	}
	h.Leave(slow) // as its handler does; it was dropped before
	h.Leave(quick)
	h.Leave(quick)
	if s := h.Stats(); s.Clients != 0 || s.Dropped != 1 {
		t.Errorf("when both have left: %+v", s)
	}
}

func TestCrowd(t *testing.T) {
	h := dashboard.NewHub(1)
	var first *dashboard.Client
	for i := range dashboard.MaxClients {
		c, _, err := h.Join(0)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if i == 0 {
			first = c
		}
	}
	if _, _, err := h.Join(0); !errors.Is(err, dashboard.ErrCrowded) {
		t.Errorf("one too many: %v", err)
	}
	h.Leave(first)
	if _, _, err := h.Join(0); err != nil {
		t.Errorf("when one has left: %v", err)
	}
}

// TestLargeEvent: what is too large to be kept is a reset, and comes to whoever
// asked for whatever.
func TestLargeEvent(t *testing.T) {
	h := dashboard.NewHub(1)
	c, _, err := h.Join(0, dashboard.TopicState)
	if err != nil {
		t.Fatal(err)
	}
	h.Publish(dashboard.TopicPower, strings.Repeat("x", dashboard.MaxEvent+1))
	h.Publish(dashboard.TopicState, strings.Repeat("x", dashboard.MaxEvent))
	events, _ := c.Queued()
	if len(events) != 2 || events[0].Wire() != "id: 1\nevent: reset\ndata: {}\n\n" || events[1].Topic() != dashboard.TopicState {
		t.Errorf("events %v", ids(events))
	}
}

func TestClose(t *testing.T) {
	h := dashboard.NewHub(1)
	c, _, err := h.Join(0, dashboard.TopicBlock)
	if err != nil {
		t.Fatal(err)
	}
	h.Publish(dashboard.TopicBlock, "{}")
	h.Close()
	h.Publish(dashboard.TopicBlock, "{}")
	if events, served := c.Queued(); served || len(events) != 1 {
		t.Errorf("a closed hub gives %d events and serves: %v", len(events), served)
	}
	if _, _, err := h.Join(0); !errors.Is(err, dashboard.ErrClosed) {
		t.Errorf("joining a closed hub: %v", err)
	}
	h.Leave(c)
	h.Close()
}

// TestComingBack: whatever is published, and however often a client's stream
// breaks, it gets each event of its topics once and in order; or a reset, when it
// was away too long. Of power it may get the newest alone.
func TestComingBack(t *testing.T) {
	topics := []string{dashboard.TopicBlock, dashboard.TopicState, dashboard.TopicPower}
	rapid.Check(t, func(t *rapid.T) {
		h := dashboard.NewHub(rapid.Uint64Range(0, 1_000).Draw(t, "first id"))
		mine := map[string]bool{dashboard.TopicBlock: true, dashboard.TopicPower: true}
		last := h.Last()                  // that the client has taken in
		want := make(map[uint64]string)   // what it has not
		var power uint64                  // newest of that
		var c *dashboard.Client           // nil while it is away
		take := func(e dashboard.Event) { // as a page does
			if e.ID() <= last {
				t.Fatalf("event %d comes after %d", e.ID(), last)
			}
			if want[e.ID()] != e.Topic() {
				t.Fatalf("event %d is of the topic %q, want %q", e.ID(), e.Topic(), want[e.ID()])
			}
			last = e.ID()
			delete(want, e.ID())
			for id, topic := range want {
				if id < last && topic != dashboard.TopicPower {
					t.Fatalf("event %d comes before %d of the topic %q", last, id, topic)
				}
			}
		}
		drain := func() {
			events, served := c.Queued()
			for _, e := range events {
				take(e)
			}
			if !served {
				c = nil
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				topic := rapid.SampledFrom(topics).Draw(t, "topic")
				for range rapid.SampledFrom([]int{1, 1, 5, dashboard.QueueEvents, dashboard.KeptEvents / 2}).Draw(t, "times") {
					h.Publish(topic, "{}")
					if mine[topic] {
						want[h.Last()] = topic
					}
					if topic == dashboard.TopicPower {
						power = h.Last()
					}
				}
			},
			"break": func(t *rapid.T) {
				if c == nil {
					t.Skip("away")
				}
				h.Leave(c)
				c = nil
			},
			"come": func(t *rapid.T) {
				if c != nil {
					t.Skip("here")
				}
				client, missed, err := h.Join(last, dashboard.TopicBlock, dashboard.TopicPower)
				if err != nil {
					t.Fatal(err)
				}
				c = client
				if h.Last()-last > dashboard.KeptEvents {
					if len(missed) != 1 || missed[0].Topic() != dashboard.TopicReset {
						t.Fatalf("%d events are missed, and there is no reset", h.Last()-last)
					}
					last = h.Last()
					clear(want)
					return
				}
				for id, topic := range want {
					if topic == dashboard.TopicPower && id != power {
						delete(want, id)
					}
				}
				for _, e := range missed {
					take(e)
				}
				if len(want) > 0 {
					t.Fatalf("not replayed: %v", want)
				}
			},
			"": func(t *rapid.T) {
				if c == nil {
					return
				}
				if drain(); c != nil && len(want) > 0 {
					t.Fatalf("published to a client that reads, and did not come: %v", want)
				}
			},
		})
	})
}
