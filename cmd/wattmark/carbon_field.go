package main

import (
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// field is a field of an entry as a person writes it.
type field struct {
	name  string
	form  string // of its value
	value reflect.Value
}

// fieldsOf lists the fields of an entry, which is a pointer to a struct of entry.
func fieldsOf(c entry.Carbon) (out []field) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		t := v.Type().Field(i)
		if !t.IsExported() {
			continue
		}
		out = append(out, field{snake(t.Name), formOf(t), v.Field(i)})
	}
	return out
}

// snake writes a name of Go as people type it: EfficiencyBP is efficiency_bp.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// isTime tells the fields that are times from other whole numbers.
func isTime(name string) bool { return name == "From" || name == "To" }

func formOf(t reflect.StructField) string {
	if isTime(t.Name) && t.Type.Kind() == reflect.Int64 {
		return "2026-06-17T10:00:00Z"
	}
	switch reflect.New(t.Type).Elem().Interface().(type) {
	case string:
		return "TEXT"
	case int64, uint64:
		return "NUMBER"
	case entry.Decimal:
		return "DECIMAL"
	case []string:
		return "ID,ID,..."
	case []int64:
		return "NUMBER,NUMBER,..."
	case []entry.Edition:
		return "NAME:EDITION,..."
	case []entry.Declared:
		return "LABEL:GAS:MG,..."
	case []entry.FactorRow:
		return "@FILE of lines key,gas,value,unit"
	case []byte:
		return "HEX, or @FILE"
	}
	return "VALUE"
}

// fill sets the fields of an entry from what a person typed.
func fill(c entry.Carbon, typed []string) error {
	fields := make(map[string]field)
	var names []string
	for _, f := range fieldsOf(c) {
		fields[f.name] = f
		names = append(names, f.name)
	}
	done := make(map[string]bool)
	for _, t := range typed {
		name, text, ok := strings.Cut(t, "=")
		f, known := fields[name]
		switch {
		case !ok:
			return fmt.Errorf("%q is no FIELD=VALUE", t)
		case !known:
			return fmt.Errorf("%s: there is no such field; there are %s", name, strings.Join(names, ", "))
		case done[name]:
			return fmt.Errorf("%s: given twice", name)
		}
		done[name] = true
		if err := f.set(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// set reads a field's value.
func (f *field) set(text string) (err error) {
	switch to := f.value.Addr().Interface().(type) {
	case *string:
		*to = text
	case *int64:
		if at, e := time.Parse(time.RFC3339, text); e == nil && isTime(map[string]string{"from": "From", "to": "To"}[f.name]) {
			*to = at.Unix()
			return nil
		}
		*to, err = integer(text)
	case *uint64:
		if *to, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%q is no whole number that fits", text)
		}
	case *entry.Decimal:
		*to, err = parseDecimal(text)
	case *[]string:
		*to = strings.Split(text, ",")
	case *[]int64:
		for part := range strings.SplitSeq(text, ",") {
			n, err := integer(part)
			if err != nil {
				return err
			}
			*to = append(*to, n)
		}
	case *[]entry.Edition:
		for part := range strings.SplitSeq(text, ",") {
			pack, edition, ok := strings.Cut(part, ":")
			if !ok {
				return fmt.Errorf("%q is no NAME:EDITION", part)
			}
			*to = append(*to, entry.Edition{Pack: pack, Edition: edition})
		}
	case *[]entry.Declared:
		for part := range strings.SplitSeq(text, ",") {
			p := strings.Split(part, ":")
			if len(p) != 3 {
				return fmt.Errorf("%q is no LABEL:GAS:MG", part)
			}
			mass, err := integer(p[2])
			if err != nil {
				return err
			}
			*to = append(*to, entry.Declared{Label: p[0], Gas: p[1], Mass: mass})
		}
	case *[]entry.FactorRow:
		*to, err = readFactors(text)
	case *[]byte:
		if name, ok := strings.CutPrefix(text, "@"); ok {
			*to, err = readLimited(name, signer.MaxMessage)
		} else {
			*to, err = hex.DecodeString(text)
		}
	default:
		err = errors.New("it cannot be typed")
	}
	return err
}

func integer(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number that fits", text)
	}
	return n, nil
}

// readFactors reads the rows of a factor pack.
func readFactors(text string) (rows []entry.FactorRow, err error) {
	name, ok := strings.CutPrefix(text, "@")
	if !ok {
		return nil, errors.New("give @FILE, with a line key,gas,value,unit for each factor")
	}
	b, err := readLimited(name, 1<<20)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(string(b)))
	r.FieldsPerRecord = 4
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i, l := range lines {
		v, err := parseDecimal(l[2])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		if _, err := carbon.ParseMeasure(l[3]); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		rows = append(rows, entry.FactorRow{Key: l[0], Gas: l[1], Value: v, Unit: l[3]})
	}
	return rows, nil
}

// parseDecimal reads a decimal number as it is written.
func parseDecimal(text string) (d entry.Decimal, err error) {
	whole, part, _ := strings.Cut(text, ".")
	if d.Mantissa, err = strconv.ParseInt(whole+part, 10, 64); err != nil || len(part) > 18 {
		return d, fmt.Errorf("%q is no decimal number of at most 18 digits", text)
	}
	d.Exponent = -int8(len(part))
	for d.Exponent < 0 && d.Mantissa%10 == 0 {
		d.Mantissa, d.Exponent = d.Mantissa/10, d.Exponent+1
	}
	return d, nil
}
