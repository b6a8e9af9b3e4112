package carbon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/carbon"
)

// seed adds stored files of a kind, and pieces that break readers.
func seed(f *testing.F, kinds ...string) {
	for _, kind := range kinds {
		files, err := filepath.Glob("testdata/corpus/*." + kind + ".in")
		if err != nil || len(files) == 0 {
			f.Fatalf("no %s in the corpus: %v", kind, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 20_000 {
				f.Add(b)
			}
		}
	}
	for _, s := range []string{"", "{}", "[]", `{"a":1}{`, "{\"\\ud800\":0}", "\xff", strings.Repeat("[", 100), `{"items":[{"kind":"stack"}],"gwp_set":"AR5"}`} {
		f.Add([]byte(s))
	}
}

// oneAnswer wants a whole line of JSON, the same each time, or else one fault.
func oneAnswer(t *testing.T, file []byte, rule func([]byte) ([]byte, error)) (result []byte, ok bool) {
	t.Helper()
	given := bytes.Clone(file)
	result, err := rule(file)
	again, errAgain := rule(given)
	if !bytes.Equal(file, given) || !bytes.Equal(result, again) || (err == nil) != (errAgain == nil) {
		t.Fatalf("not the same twice: %q, %v and %q, %v", result, err, again, errAgain)
	}
	if err != nil {
		var fault *carbon.Fault
		if !errors.As(err, &fault) || len(result) > 0 || fault.Field == "" || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 2000 {
			t.Fatalf("%q beside the error %q", result, err)
		}
		return nil, false
	}
	line, newline := bytes.CutSuffix(result, []byte("\n"))
	if !newline || bytes.ContainsRune(line, '\n') || !json.Valid(line) || !json.Valid(file) {
		t.Fatalf("not a line of JSON: %q", result)
	}
	return result, true
}

func FuzzEmissions(f *testing.F) {
	seed(f, "emissions")
	f.Fuzz(func(t *testing.T, file []byte) { oneAnswer(t, file, carbon.Emissions) })
}

func FuzzConvert(f *testing.F) {
	seed(f, "convert")
	f.Fuzz(func(t *testing.T, file []byte) { oneAnswer(t, file, carbon.Convert) })
}

func FuzzCheckUnits(f *testing.F) {
	seed(f, "check")
	f.Fuzz(func(t *testing.T, file []byte) {
		oneAnswer(t, file, func(b []byte) ([]byte, error) {
			result, _, err := carbon.CheckUnits(b)
			return result, err
		})
	})
}

// FuzzCADT reads tables, and where they are sound writes them and reads them again:
// then a second writing gives the same bytes.
func FuzzCADT(f *testing.F) {
	seed(f, "import", "export")
	f.Fuzz(func(t *testing.T, file []byte) {
		export := func(b []byte) ([]byte, error) {
			result, _, holds, err := carbon.Export(b)
			if err == nil && !holds {
				return result, nil
			}
			return result, err
		}
		form, ok := oneAnswer(t, file, func(b []byte) ([]byte, error) {
			result, _, err := carbon.Import(b, true)
			return result, err
		})
		if !ok {
			oneAnswer(t, file, export)
			return
		}
		if !bytes.HasSuffix(form, []byte(`"findings":[]}`+"\n")) {
			return
		}
		written, _, holds, err := carbon.Export(form)
		if err != nil || !holds {
			t.Fatalf("%s\nwas imported, and is not exported: %s %v", form, written, err)
		}
		form, holds, err = carbon.Import(written, false)
		if err != nil || !holds {
			t.Fatalf("%s\nwas exported, and is not imported: %s %v", written, form, err)
		}
		again, _, _, err := carbon.Export(form)
		if err != nil || !bytes.Equal(again, written) {
			t.Fatalf("%v:\n%s\n%s", err, written, again)
		}
	})
}

// FuzzReadRecord wants a record to be refused or read the same each time, and nothing that
// breaks out of the form that it is put into.
func FuzzReadRecord(f *testing.F) {
	f.Add("program", "p", []byte(`{"fields":{"programName":"a","programRegistry":"R","programRegistryId":"1"}}`))
	f.Add("program", "p", []byte(`{"fields":{"programName":"a","programRegistry":"R","programRegistryId":"1"}},{"key":"q","fields":{}}`))
	f.Add("verification", "v", []byte(`{"refs":{"project":"p"},"fields":{"verificationId":"V1","verificationBody":"B"}}`))
	f.Add("label", "\"]}}", []byte(`{}`))
	f.Add("unit", "b1", []byte(`{"refs":{"issuance":"i"},"block":{"id":"b1","registry":"R","program":"P","issuance":"i","vintage":2025,"prefix":"K","start":"1","end":"9","count":9,"status":"Held"}}`))
	known := func(r carbon.Reference) bool { return len(r.Key) == 1 }
	f.Fuzz(func(t *testing.T, table, key string, record []byte) {
		r, err := carbon.ReadRecord(table, key, record, known)
		if err != nil {
			if !errors.Is(err, carbon.ErrRecord) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		if r.Table != table || r.Key != key || !json.Valid(record) || (r.Block != nil) != (table == "unit") {
			t.Fatalf("%+v from %s %q %q", r, table, key, record)
		}
	})
}
