package settings

import (
	"errors"
	"fmt"
	"os"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file, in bytes: a hundred devices take 20 kB.
const maxFile = 1 << 20

// ReadFile reads the text of a configuration file. Its error is [*Mistakes].
func ReadFile(path string) ([]byte, error) {
	text, err := ReadLimited(path)
	if err != nil {
		return nil, &Mistakes{path, []Mistake{{0, err.Error(), "say with --config which file it is, or begin with the commented sample"}}}
	}
	return text, nil
}

// ReadLimited reads a regular file that is no larger than a configuration may be. Its
// error does not name the file: whoever calls says it.
func ReadLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	var cause *os.PathError
	switch {
	case errors.As(err, &cause):
		return nil, cause.Err // the path stands before it
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// Parse reads the text of a file that stands, or will, at path, for [Reader.Table] to
// fill structs with. Its error is [*Mistakes].
func (f *Reader) Parse(path string, text []byte) (map[string]any, error) {
	if len(text) > maxFile {
		return nil, &Mistakes{path, []Mistake{{0, fmt.Sprintf("it has %d bytes, more than %d", len(text), maxFile), ""}}}
	}
	var tables map[string]any
	if _, err := toml.Decode(string(text), &tables); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return nil, &Mistakes{path, []Mistake{{syntax.Position.Line, syntax.Message, "the file is TOML: see the commented sample"}}}
		}
		return nil, &Mistakes{path, []Mistake{{0, err.Error(), "the file is TOML: see the commented sample"}}}
	}
	f.Lines = linesOf(string(text))
	return tables, nil
}

// Err returns the mistakes until now as an error of the file at path, which is
// [*Mistakes]; nil for none.
func (f *Reader) Err(path string) error {
	if len(f.Mistakes) == 0 {
		return nil
	}
	return &Mistakes{path, sorted(f.Mistakes)}
}
