package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// answerWithin is how long an oracle may take for an answer.
	answerWithin = 20 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes. Oracles send no more than that
	// of JSON at once.
	maxAnswer = 8 << 20
	// An oracle that is asked for too much at once says after how many seconds to ask again:
	// it is asked so often in all, and waited for no longer.
	mostTries   = 5
	longestWait = 5 * time.Second
)

// oracleURL reads the address of an oracle's pages, which was given with a flag.
func oracleURL(flag, text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("--%s %q, want the address of an oracle, as https://oracle.example", flag, text)
	}
	return u, nil
}

// oracleClient asks a running oracle. What it gets was written by another party: nothing
// of it is trusted, and it is printed by [printable].
type oracleClient struct {
	base   *url.URL
	client *http.Client
}

// newOracleClient returns a client of the oracle at an address, which is not called yet. The
// file ca has the authority of its certificate, where that is not one that the system knows.
func newOracleClient(base *url.URL, ca string) (*oracleClient, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}}
	if ca != "" {
		pem, err := readLimited(ca, 1<<20)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", ca)
		}
	}
	// A redirect would have another address than what is signed, or was typed.
	return &oracleClient{base, &http.Client{Transport: t, Timeout: answerWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// refusal is an answer that is a problem (RFC 9457), with what to do about it.
type refusal struct {
	from         *url.URL
	status       int
	after        time.Duration // until it may be asked again; 0 for unsaid
	Detail, Hint string
	Errors       []struct{ Location, Message string }
}

func (r *refusal) Error() string {
	text := strings.TrimSuffix(r.Detail, ".")
	for _, e := range r.Errors {
		text += "; " + strings.TrimPrefix(e.Location+": "+e.Message, ": ")
	}
	text = fmt.Sprintf("%s: %s", r.from, printable(text))
	if r.Hint != "" {
		text += "\nhint: " + printable(r.Hint)
	}
	return text
}

// do sends a request and returns the answer of at most so many bytes. Its error is a
// [*refusal] where the oracle has said what is wrong.
func (o *oracleClient) do(r *http.Request, most int64) ([]byte, error) {
	answer, err := o.client.Do(r)
	if err != nil {
		return nil, o.unreachable(r.Context(), err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, o.unreachable(r.Context(), err)
	case int64(len(b)) > most:
		return nil, fmt.Errorf("%s answers with more than %d bytes, which no oracle does: is that an oracle's address?", o.base, most)
	case answer.StatusCode == http.StatusOK:
		return b, nil
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return nil, fmt.Errorf("%s answers %q: give the address that it leads to, %q", o.base, answer.Status, answer.Header.Get("Location"))
	}
	no := refusal{from: o.base, status: answer.StatusCode}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(b, &no) != nil || no.Detail == "" {
		return nil, fmt.Errorf("%s answers %q: is that an oracle's address?", o.base, answer.Status)
	}
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		no.after = min(time.Duration(min(s, 3600))*time.Second, longestWait)
	}
	return nil, &no
}

// unreachable says why there is no answer, and what to look at.
func (o *oracleClient) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking %s: interrupted", o.base)
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("asking %s: no whole answer within %v\nhint: see that the oracle runs, and that http.listen of its configuration is this address", o.base, answerWithin)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	hint := "see that the oracle runs, and that http.listen of its configuration is this address"
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case unverified:
		hint = "give --ca FILE where its certificate is of an authority of the ledger's own"
	case o.base.Scheme == "https" && strings.Contains(err.Error(), "server gave HTTP response"):
		hint = "give the address with http://, as it speaks no TLS there"
	}
	return fmt.Errorf("asking %s: %w\nhint: %s", o.base, err, hint)
}

// get reads the file at a path.
func (o *oracleClient) get(ctx context.Context, path string) ([]byte, error) {
	for try := 1; ; try++ {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base.String()+path, http.NoBody)
		if err != nil {
			return nil, err
		}
		b, err := o.do(r, maxAnswer)
		no, ok := errors.AsType[*refusal](err)
		if !ok || no.status != http.StatusTooManyRequests || no.after == 0 || try == mostTries {
			return b, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("asking %s: interrupted", o.base)
		case <-time.After(no.after):
		}
	}
}

// ask reads what is at a path into v, a pointer to what the API answers with there.
func (o *oracleClient) ask(ctx context.Context, path string, v any) error {
	b, err := o.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return o.stranger(path, "it is not the JSON that is described there")
	}
	return nil
}

// stranger is the error of an answer that is no oracle's.
func (o *oracleClient) stranger(path, why string) error {
	return fmt.Errorf("%s%s answers what no oracle does: %s\nhint: give the address of an oracle's pages; 'http.listen' of its configuration has it", o.base, path, why)
}

// printable shows what no terminal prints as Go writes it: text of another party must not
// move a cursor or colour what follows.
func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}
