package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// questions asks on standard error, and takes answers from standard input, a line each.
type questions struct {
	w     io.Writer
	lines chan string // closed at the end of the input
}

func newQuestions(in io.Reader, w io.Writer) *questions {
	q := &questions{w: w, lines: make(chan string)}
	// It ends with the process: a read from a terminal cannot be called off.
	go func() {
		defer close(q.lines)
		s := bufio.NewScanner(in)
		for s.Scan() {
			q.lines <- s.Text()
		}
	}()
	return q
}

// line asks once. The end of the input, and of ctx, abandon.
func (q *questions) line(ctx context.Context, question string) (string, error) {
	fmt.Fprintf(q.w, "%s ", question)
	select {
	case s, ok := <-q.lines:
		if !ok {
			fmt.Fprintln(q.w)
			return "", errAbandoned
		}
		return strings.TrimSpace(s), nil
	case <-ctx.Done():
		fmt.Fprintln(q.w)
		return "", errAbandoned
	}
}

// text returns what was given, or asks until there is something.
func (q *questions) text(ctx context.Context, given, question string) (string, error) {
	for given == "" {
		var err error
		if given, err = q.line(ctx, question+":"); err != nil {
			return "", err
		}
	}
	return given, nil
}

// optional returns what was given, or asks; an empty line is an answer.
func (q *questions) optional(ctx context.Context, given, question string) (string, error) {
	if given != "" {
		return given, nil
	}
	return q.line(ctx, question+" (Enter for none):")
}

// yes asks a question whose answer is no unless somebody says yes.
func (q *questions) yes(ctx context.Context, question string) (bool, error) {
	s, err := q.line(ctx, question+" [y/N]")
	return strings.EqualFold(s, "y") || strings.EqualFold(s, "yes"), err
}
