package enrol

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"

	"wattmark/ledger/entry"
)

//go:embed dictionary.bin
var dictionary []byte

// prefix begins a text and names its version.
const prefix = "WM1:"

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// maxText bounds a text, in bytes: a request that cannot be made smaller at all.
const maxText = len(prefix) + (entry.MaxRequest+1024)*8/5

// Text returns the text form of a request.
func (r *Request) Text() string {
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, flate.BestCompression, dictionary)
	if err == nil {
		_, err = w.Write(r.Carried)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("internal error: compressing in memory: " + err.Error())
	}
	return prefix + encoding.EncodeToString(b.Bytes())
}

// parseText returns the statement that a text holds. White space is of no account,
// as mail and terminals break lines.
func parseText(b []byte) ([]byte, error) {
	text := strings.ToUpper(strings.Join(strings.Fields(string(b)), ""))
	code, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, fmt.Errorf("a text of version %q, and this program reads %q: update it", text[:min(4, len(text))], prefix)
	}
	packed, err := encoding.DecodeString(code)
	if err != nil {
		return nil, fmt.Errorf("the text is damaged: %w", err)
	}
	in := bytes.NewReader(packed)
	statement, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(in, dictionary), entry.MaxRequest+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the text is cut or damaged: %w", err)
	case len(statement) > entry.MaxRequest:
		return nil, fmt.Errorf("the text holds more than %d bytes", entry.MaxRequest)
	case in.Len() > 0:
		return nil, errors.New("the text has more behind the request")
	}
	return statement, nil
}
