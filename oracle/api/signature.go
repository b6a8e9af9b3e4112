package api

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunglas/httpsfv"

	"wattmark/signer"
)

// A member's request is signed with the member's key, as HTTP message signatures are
// (RFC 9421): it covers @method, @target-uri and, where there is a body, content-digest
// (RFC 9530), and has created, nonce, keyid and this tag.
const signatureTag = "wattmark-member"

const (
	signedWithin = 60 * time.Second // between created and now, either way
	maxNonces    = 10_000           // that are kept at once
	maxNonce     = 64               // bytes
	maxSigned    = 1 << 20          // bytes of a body
)

// signatureBase is what is signed (RFC 9421, 2.5): the value of each covered component, and
// the parameters. target is the request's URI as who signed it has written it.
func signatureBase(r *http.Request, target string, input httpsfv.InnerList) ([]byte, error) {
	var b bytes.Buffer
	seen := make(map[string]bool)
	for _, item := range input.Items {
		name, ok := item.Value.(string)
		if !ok || len(item.Params.Names()) > 0 || seen[name] {
			return nil, errors.New("a covered component is named twice, or has parameters")
		}
		seen[name] = true
		var value string
		switch name {
		case "@method":
			value = r.Method
		case "@target-uri":
			value = target
		case "@authority":
			value = strings.ToLower(r.Host)
		case "@path":
			value = r.URL.EscapedPath()
		default:
			fields, ok := r.Header[http.CanonicalHeaderKey(name)]
			if !ok || strings.HasPrefix(name, "@") || name != strings.ToLower(name) {
				return nil, fmt.Errorf("there is no component %q", shorten(name))
			}
			var trimmed []string
			for _, f := range fields {
				trimmed = append(trimmed, strings.TrimSpace(f))
			}
			value = strings.Join(trimmed, ", ")
		}
		quoted, err := httpsfv.Marshal(httpsfv.NewItem(name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s: %s\n", quoted, value)
	}
	params, err := httpsfv.Marshal(httpsfv.List{input})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "%q: %s", "@signature-params", params)
	return b.Bytes(), nil
}

// SignRequest signs a request as a member does. The body, which may be nil, is read whole.
func SignRequest(r *http.Request, key signer.Signer, now time.Time) error {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	input := httpsfv.InnerList{Items: []httpsfv.Item{httpsfv.NewItem("@method"), httpsfv.NewItem("@target-uri")}, Params: httpsfv.NewParams()}
	if r.Body != nil && r.Body != http.NoBody {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Digest", contentDigest(body))
		input.Items = append(input.Items, httpsfv.NewItem("content-digest"))
	}
	input.Params.Add("created", now.Unix())
	input.Params.Add("nonce", base64.RawURLEncoding.EncodeToString(nonce))
	input.Params.Add("keyid", key.Public().ID().String())
	input.Params.Add("tag", signatureTag)
	base, err := signatureBase(r, r.URL.String(), input)
	if err != nil {
		return err
	}
	sig, err := key.Sign(base)
	if err != nil {
		return err
	}
	for header, member := range map[string]httpsfv.Member{"Signature-Input": input, "Signature": httpsfv.NewItem(sig)} {
		d := httpsfv.NewDictionary()
		d.Add("sig", member)
		text, err := httpsfv.Marshal(d)
		if err != nil {
			return err
		}
		r.Header.Set(header, text)
	}
	return nil
}

// contentDigest is the field of RFC 9530.
func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// signed is a signature of a request, not verified yet.
type signed struct {
	id      signer.KeyID
	created time.Time
	nonce   string
	input   httpsfv.InnerList
	value   []byte
}

// parseSignature reads a member's signature of a request.
func parseSignature(r *http.Request) (*signed, error) {
	inputs, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature-Input"))
	if err != nil {
		return nil, fmt.Errorf("field Signature-Input: %w", err)
	}
	values, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature"))
	if err != nil {
		return nil, fmt.Errorf("field Signature: %w", err)
	}
	for _, label := range inputs.Names() {
		member, _ := inputs.Get(label)
		input, ok := member.(httpsfv.InnerList)
		if !ok {
			continue
		}
		if tag, _ := input.Params.Get("tag"); tag != signatureTag {
			continue
		}
		return parseSigned(label, input, values)
	}
	return nil, fmt.Errorf("no signature has the tag %s", signatureTag)
}

func parseSigned(label string, input httpsfv.InnerList, values *httpsfv.Dictionary) (*signed, error) {
	member, _ := values.Get(label)
	item, ok := member.(httpsfv.Item)
	value, bytes := item.Value.([]byte)
	if !ok || !bytes {
		return nil, fmt.Errorf("field Signature has no bytes under %q", shorten(label))
	}
	s := &signed{input: input, value: value}
	created, _ := input.Params.Get("created")
	seconds, ok := created.(int64)
	if !ok {
		return nil, errors.New("created is missing")
	}
	s.created = time.Unix(seconds, 0)
	nonce, _ := input.Params.Get("nonce")
	if s.nonce, ok = nonce.(string); !ok || s.nonce == "" || len(s.nonce) > maxNonce {
		return nil, fmt.Errorf("nonce is missing, or longer than %d", maxNonce)
	}
	keyID, _ := input.Params.Get("keyid")
	text, ok := keyID.(string)
	var err error
	if s.id, err = signer.ParseKeyID(text); !ok || err != nil {
		return nil, errors.New("keyid is no key's")
	}
	return s, nil
}

// covers reports whether a component is signed.
func (s *signed) covers(name string) bool {
	return slices.ContainsFunc(s.input.Items, func(i httpsfv.Item) bool { return i.Value == name })
}

// check verifies a request under a key, the body included, which stays readable. TLS may
// have ended in front of this server, so that the scheme is not known here: the host is.
func (s *signed) check(r *http.Request, key signer.PublicKey, now time.Time) error {
	if d := now.Sub(s.created); d > signedWithin || d < -signedWithin {
		return fmt.Errorf("created is %v away from this oracle's clock, which may be %v", d.Round(time.Second), signedWithin)
	}
	if !s.covers("@method") || !s.covers("@target-uri") {
		return errors.New("the signature must cover @method and @target-uri")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSigned+1))
	if err != nil {
		return err
	}
	if len(body) > maxSigned {
		return fmt.Errorf("the body is longer than %d bytes", maxSigned)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > 0 || s.covers("content-digest") {
		if !s.covers("content-digest") || r.Header.Get("Content-Digest") != contentDigest(body) {
			return errors.New("the signature must cover content-digest, and that be the body's SHA-256")
		}
	}
	for _, scheme := range []string{"https", "http"} {
		base, err := signatureBase(r, scheme+"://"+r.Host+r.URL.RequestURI(), s.input)
		if err != nil {
			return err
		}
		if signer.VerifyRaw(key, base, s.value) {
			return nil
		}
	}
	return errors.New("the signature does not match")
}

// nonces are those that were used of late. A request counts once.
type nonces struct {
	mu   sync.Mutex // guards used
	used map[string]time.Time
}

// take uses a nonce of a key, and reports whether it was free.
func (n *nonces) take(id signer.KeyID, nonce string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.used == nil {
		n.used = make(map[string]time.Time)
	}
	name := id.String() + " " + nonce
	if until, ok := n.used[name]; ok && now.Before(until) {
		return false
	}
	if len(n.used) >= maxNonces {
		for k, until := range n.used {
			if now.After(until) {
				delete(n.used, k)
			}
		}
		if len(n.used) >= maxNonces {
			return false // members are few: this is a flood
		}
	}
	// The signature is good for signedWithin before and behind its time.
	n.used[name] = now.Add(2*signedWithin + time.Second)
	return true
}
