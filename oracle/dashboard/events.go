package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/oracle/dashboard/locale"
)

const (
	retryMilli  = 2000             // how long a browser waits before it comes back
	beatEvery   = 15 * time.Second // between comments, so that nobody on the way gives up
	writeWithin = 20 * time.Second // how long one write may take
)

// serveEvents is the stream. It asks for ?topics=a,b (those of the street if absent) and goes on
// after the header Last-Event-ID, or ?after= the first time, when a browser has
// no such header. Its texts are in ?language=, or else in the language of a page that were asked
// for the same way.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
	wants, err := wantedTopics(r.URL.Query().Get("topics"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	after, err := d.lastSeen(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := &client{wants: wants, language: languageOf(r)}
	if tag := r.URL.Query().Get("language"); tag != "" { // that of the page, which may have been chosen anew since
		l, ok := locale.Named(tag)
		if !ok {
			http.Error(w, fmt.Sprintf("There is no language %q.", shorten(tag, 40)), http.StatusBadRequest)
			return
		}
		c.language = language{l}
	}
	if wants[topicGateway] && d.options.Fleet == nil {
		http.Error(w, "This page server does not tell of gateways: ask on the operator's listener.", http.StatusForbidden)
		return
	}
	if wants[topicMe] {
		if c.signedIn = d.signedIn(r, &c.member); !c.signedIn() {
			http.Error(w, "The topic "+topicMe+" is for members who have signed in, at /member.", http.StatusUnauthorized)
			return
		}
	}
	if r.Method == http.MethodHead {
		streamHeaders(w)
		return
	}
	missed, err := d.hub.join(c, after)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "There is no stream just now: "+err.Error()+". The page itself is complete; reload it.", http.StatusServiceUnavailable)
		return
	}
	defer d.hub.leave(c)

	s := stream{w: w, rc: http.NewResponseController(w)}
	streamHeaders(w)
	if r.ProtoMajor == 1 {
		// The write deadlines below stay with the connection: it serves no page after
		// the stream.
		w.Header().Set("Connection", "close")
	}
	first := fmt.Appendf(nil, "retry: %d\n\n", retryMilli)
	for _, e := range missed {
		first = append(first, e.in(c.language)...)
	}
	if s.write(first) != nil {
		return
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			err = s.write([]byte(": still here\n\nevent: beat\ndata: {}\n\n"))
		case e, open := <-c.queue:
			if !open {
				return
			}
			err = s.write(e.in(c.language))
		}
		if err != nil {
			return
		}
	}
}

// signedIn returns what says whether a request's member is signed in, now and later, and
// sets who it is.
func (d *Dashboard) signedIn(r *http.Request, member *string) func() bool {
	return func() bool {
		if d.options.API == nil {
			return false
		}
		name, ok := d.options.API.InSession(r)
		if *member == "" {
			*member = name
		}
		return ok && name == *member
	}
}

func streamHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// stream writes to one client.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// write lifts the server's write deadline, which is meant for pages, and sets one
// for this write alone: a client that takes nothing does not keep a goroutine.
func (s stream) write(b []byte) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.rc.Flush()
}

func wantedTopics(list string) (map[string]bool, error) {
	wants := make(map[string]bool)
	if list == "" {
		for _, t := range streetTopics {
			wants[t] = true
		}
		return wants, nil
	}
	for t := range strings.SplitSeq(list, ",") {
		if !slices.Contains(topics, t) {
			return nil, fmt.Errorf("there is no topic %q: the topics are %s", shorten(t, 40), strings.Join(topics, ", "))
		}
		wants[t] = true
	}
	return wants, nil
}

// lastSeen returns the id of the last event that the page has taken in; without
// any, the newest.
func (d *Dashboard) lastSeen(r *http.Request) (uint64, error) {
	s := r.Header.Get("Last-Event-ID")
	if s == "" {
		s = r.URL.Query().Get("after")
	}
	if s == "" {
		return d.hub.last(), nil
	}
	id, err := strconv.ParseUint(s, 10, 53)
	if err != nil {
		return 0, fmt.Errorf("the last event id %q is not a number of this stream", shorten(s, 40))
	}
	return id, nil
}
