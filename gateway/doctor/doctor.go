package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Version is that of the form of a Report in JSON. It is raised when a member changes
// its meaning or goes.
const Version = 1

// Level says how bad a finding is.
type Level int

// The levels, the best first.
const (
	OK    Level = iota
	Warn        // works, and will not or not well for long
	Fault       // does not work
)

// String returns "ok", "warn" or "fault".
func (l Level) String() string { return [...]string{"ok", "warn", "fault"}[l] }

// MarshalText returns the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the name of a level.
func (l *Level) UnmarshalText(text []byte) error {
	for _, k := range []Level{OK, Warn, Fault} {
		if k.String() == string(text) {
			*l = k
			return nil
		}
	}
	return fmt.Errorf("%q is no level", text)
}

// Finding is what one check found of one thing.
type Finding struct {
	Check  string `json:"check"`        // lower case with hyphens, never reused
	Of     string `json:"of,omitempty"` // the bus, device or file, where there are several
	Level  Level  `json:"level"`
	Text   string `json:"text"`             // what is so, without a full stop
	Remedy string `json:"remedy,omitempty"` // what to do; never empty unless all is well
	// Done is what Fix did about it, and how that is undone.
	Done string `json:"done,omitempty"`

	plain string                                             // Text without values of a household, where that has some
	fix   func(ctx context.Context) (done string, err error) // nil where people must act
}

// Skipped is a check that could not be made.
type Skipped struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// Report is what was found, in the order of the table of checks.
type Report struct {
	Version  int       `json:"version"`
	Gateway  string    `json:"gateway,omitempty"`
	Time     time.Time `json:"time"`
	Faults   int       `json:"faults"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
	Skipped  []Skipped `json:"skipped"`

	exam *exam
}

// check is one thing that can be wrong. Its function returns a finding for each thing
// it looked at, none where there is nothing of the kind, or an error that is a [skip].
type check struct {
	name string
	look func(ctx context.Context, x *exam) ([]Finding, error)
}

// skip is why a check cannot be made.
type skip string

// Error returns the reason.
func (s skip) Error() string { return string(s) }

// Examine makes all checks. It takes some seconds where a network does not answer.
func Examine(ctx context.Context, m Machine, p *Patient) *Report {
	r := &Report{Version: Version, Gateway: p.Name, Time: m.now(), Findings: []Finding{}, Skipped: []Skipped{}, exam: newExam(ctx, m, p)}
	for _, c := range checks {
		r.add(ctx, c)
	}
	r.count()
	return r
}

func (r *Report) add(ctx context.Context, c check) {
	found, err := c.look(ctx, r.exam)
	var why skip
	if errors.As(err, &why) {
		r.Skipped = append(r.Skipped, Skipped{c.name, string(why)})
	}
	for _, f := range found {
		f.Check = c.name
		r.Findings = append(r.Findings, f)
	}
}

func (r *Report) count() {
	r.Faults, r.Warnings = 0, 0
	for i := range r.Findings {
		switch r.Findings[i].Level {
		case Fault:
			r.Faults++
		case Warn:
			r.Warnings++
		}
	}
}

// Fix does what can be done about the findings and undone again, and examines those
// things once more. A finding that is mended stays in the report with what was done.
func (r *Report) Fix(ctx context.Context) error {
	var errs []error
	mended := make(map[string][]Finding) // by check
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.fix == nil || f.Level == OK {
			continue
		}
		done, err := f.fix(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name(), err))
			continue
		}
		mended[f.Check] = append(mended[f.Check], Finding{Check: f.Check, Of: f.Of, Done: done})
	}
	before := r.Findings
	r.Findings = nil
	r.exam.forget()
	for _, c := range checks {
		if len(mended[c.name]) == 0 {
			for _, f := range before {
				if f.Check == c.name {
					r.Findings = append(r.Findings, f)
				}
			}
			continue
		}
		at := len(r.Findings)
		r.add(ctx, c)
		for i := range r.Findings[at:] {
			f := &r.Findings[at+i]
			for _, m := range mended[c.name] {
				if m.Of == f.Of {
					f.Done = m.Done
				}
			}
		}
	}
	r.count()
	return errors.Join(errs...)
}

// name is the check, and of what.
func (f *Finding) name() string {
	if f.Of == "" {
		return f.Check
	}
	return f.Check + " " + f.Of
}

// WithoutValues returns the report for somebody who must not see what a household uses.
func (r *Report) WithoutValues() *Report {
	out := *r
	out.Findings = slices.Clone(r.Findings)
	for i := range out.Findings {
		if f := &out.Findings[i]; f.plain != "" {
			f.Text = f.plain
		}
	}
	return &out
}

// What checks return.

func ok(format string, args ...any) []Finding {
	return []Finding{{Level: OK, Text: fmt.Sprintf(format, args...)}}
}

func warn(remedy, format string, args ...any) []Finding {
	return []Finding{{Level: Warn, Text: fmt.Sprintf(format, args...), Remedy: remedy}}
}

func fault(remedy, format string, args ...any) []Finding {
	return []Finding{{Level: Fault, Text: fmt.Sprintf(format, args...), Remedy: remedy}}
}

// counted is a number of things.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// of says what findings are of.
func of(thing string, found []Finding) []Finding {
	for i := range found {
		found[i].Of = thing
	}
	return found
}

// fixed adds to findings that are not OK what can be done about them.
func fixed(found []Finding, fix func(ctx context.Context) (string, error)) []Finding {
	for i := range found {
		if found[i].Level != OK {
			found[i].fix = fix
		}
	}
	return found
}
