package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one key and its value as text: an argument --set, or a line of what a
// configuration comes to.
type Setting struct {
	Key, Value string
	// Line is where the file says so, 0 where it is a default.
	Line int
}

// Reader puts the tables of a file into structs, by the names in their field tags
// "toml". It does not stop at a mistake, so that all are found.
type Reader struct {
	// Lines has the line of each key and each table's header that the file has. A key is
	// written as in "device[1].channel[0].name".
	Lines map[string]int
	// Mistakes is what was found until now, in no order.
	Mistakes []Mistake
}

// fromNumber is what a field implements that takes the digits of a number, with or
// without a point.
type fromNumber interface {
	encoding.TextUnmarshaler
	FromNumber()
}

// Mistake notes what is wrong with a key.
func (f *Reader) Mistake(path, remedy, format string, args ...any) {
	f.Mistakes = append(f.Mistakes, Mistake{f.Line(path), fmt.Sprintf(format, args...), remedy})
}

// Line is where a key stands, or the nearest table around it that does.
func (f *Reader) Line(path string) int {
	for {
		if n, ok := f.Lines[path]; ok {
			return n
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}

// Table fills the structs that dst point to from one table: each key goes to the
// first struct that has it.
func (f *Reader) Table(path string, from map[string]any, dst ...any) {
	fields := make(map[string]reflect.Value)
	for _, d := range dst {
		eachKey(reflect.ValueOf(d).Elem(), func(key string, v reflect.Value) {
			if _, ok := fields[key]; !ok {
				fields[key] = v
			}
		})
	}
	var known []string
	for key := range fields {
		known = append(known, key)
	}
	slices.Sort(known)
	for key, value := range from {
		at := join(path, key)
		v, ok := fields[key]
		if !ok {
			f.unknown(at, key, known)
			continue
		}
		f.value(at, value, v)
	}
}

func (f *Reader) unknown(at, key string, known []string) {
	remedy := "the keys here are " + strings.Join(known, ", ")
	if near := Nearest(key, known); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	f.Mistake(at, remedy, "unknown key %q", at)
}

// eachKey calls do for the fields of a struct that have a name in files, those of
// embedded structs included.
func eachKey(v reflect.Value, do func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if key := field.Tag.Get("toml"); key == "-" {
			continue
		} else if key != "" {
			do(key, v.Field(i))
		} else if field.Anonymous {
			eachKey(v.Field(i), do)
		}
	}
}

// KeysOf returns the keys that the struct s points to has, sorted.
func KeysOf(s any) []string {
	var keys []string
	eachKey(reflect.ValueOf(s).Elem(), func(key string, _ reflect.Value) { keys = append(keys, key) })
	slices.Sort(keys)
	return keys
}

// value fills one field.
func (f *Reader) value(at string, from any, v reflect.Value) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		list, ok := from.([]map[string]any)
		if !ok {
			f.Mistake(at, fmt.Sprintf("write [[%s]] above each", strings.TrimRight(at, "[]0123456789")), "%q is no list of tables", at)
			return
		}
		for i, table := range list {
			element := reflect.New(v.Type().Elem())
			f.Table(fmt.Sprintf("%s[%d]", at, i), table, element.Interface())
			v.Set(reflect.Append(v, element.Elem()))
		}
		return
	}
	if list, ok := from.([]any); ok && v.Kind() == reflect.Slice {
		for i, item := range list {
			element := reflect.New(v.Type().Elem()).Elem()
			f.value(fmt.Sprintf("%s[%d]", at, i), item, element)
			v.Set(reflect.Append(v, element))
		}
		return
	}
	if sub, ok := from.(map[string]any); ok && v.Kind() == reflect.Struct {
		f.Table(at, sub, v.Addr().Interface())
		return
	}
	if err := set(v, from); err != nil {
		f.Mistake(at, "", "%s: %v", at, err)
	}
}

// set puts a value of a file, or text, into a field.
func set(v reflect.Value, from any) error {
	switch to := v.Addr().Interface().(type) {
	case *time.Duration:
		s, ok := from.(string)
		if !ok {
			return fmt.Errorf("%s is not a time with its unit, such as \"10s\"", show(from))
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a time with its unit, such as \"10s\" or \"15m\"", s)
		}
		*to = d
		return nil
	case fromNumber:
		s, err := digits(from)
		if err != nil {
			return err
		}
		return to.UnmarshalText([]byte(s))
	case encoding.TextUnmarshaler:
		s, ok := from.(string)
		if !ok {
			return fmt.Errorf("%s is not a text in quotes", show(from))
		}
		return to.UnmarshalText([]byte(s))
	}
	return setKind(v, from)
}

func setKind(v reflect.Value, from any) error {
	switch x := from.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(x)
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return nil
		}
	case int64:
		switch {
		case v.CanInt() && !v.OverflowInt(x):
			v.SetInt(x)
			return nil
		case v.CanUint() && x >= 0 && !v.OverflowUint(uint64(x)):
			v.SetUint(uint64(x))
			return nil
		case v.CanInt(), v.CanUint():
			return fmt.Errorf("%d is out of range", x)
		}
	}
	return fmt.Errorf("%s is not %s", show(from), kindName(v))
}

// kindName says in words what a field takes.
func kindName(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.String:
		return "a text in quotes"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.CanInt(), v.CanUint():
		return "a whole number"
	case v.Kind() == reflect.Slice:
		return "a list in [ ]"
	}
	return "a table"
}

// show prints a value of a file for a message.
func show(from any) string {
	switch x := from.(type) {
	case string:
		return strconv.Quote(x)
	case map[string]any, []map[string]any:
		return "a table"
	case []any:
		return "a list"
	}
	return fmt.Sprint(from)
}

// digits is the number that a file has, in digits. Package toml reads a number
// with a point as float64, of which the shortest decimal is what was typed, for up to
// 15 digits.
func digits(from any) (string, error) {
	switch x := from.(type) {
	case string:
		return x, nil
	case int64:
		return strconv.FormatInt(x, 10), nil
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), nil
	}
	return "", fmt.Errorf("%s is not a number", show(from))
}

// SetAll fills the struct that dst points to from keys and texts, as on a command
// line. A list takes one element from each.
func SetAll(dst any, settings []Setting) error {
	fields := make(map[string]reflect.Value)
	eachKey(reflect.ValueOf(dst).Elem(), func(key string, v reflect.Value) { fields[key] = v })
	seen := make(map[string]bool)
	for _, s := range settings {
		v, ok := fields[s.Key]
		if !ok {
			if known := KeysOf(dst); len(known) > 0 {
				return fmt.Errorf("unknown key %q: the keys are %s", s.Key, strings.Join(known, ", "))
			}
			return fmt.Errorf("unknown key %q: the model has no settings", s.Key)
		}
		if v.Kind() == reflect.Slice {
			element := reflect.New(v.Type().Elem()).Elem()
			if err := set(element, typed(s.Value, element)); err != nil {
				return fmt.Errorf("%s: %w", s.Key, err)
			}
			v.Set(reflect.Append(v, element))
			continue
		}
		if seen[s.Key] {
			return fmt.Errorf("%s is given twice", s.Key)
		}
		seen[s.Key] = true
		if err := set(v, typed(s.Value, v)); err != nil {
			return fmt.Errorf("%s: %w", s.Key, err)
		}
	}
	return nil
}

// typed is text as a file would say it, for a field that wants no text.
func typed(text string, v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case v.Type() == reflect.TypeFor[time.Duration]():
	case v.CanInt(), v.CanUint():
		if n, err := strconv.ParseInt(text, 0, 64); err == nil {
			return n
		}
	}
	return text
}

// Settings lists what the struct that s points to holds, in the order of its
// fields, with the lines where the file says so.
func (f *Reader) Settings(path string, s any) []Setting {
	var all []Setting
	eachKey(reflect.ValueOf(s).Elem(), func(key string, v reflect.Value) {
		at := join(path, key)
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				all = append(all, f.Settings(fmt.Sprintf("%s[%d]", at, i), v.Index(i).Addr().Interface())...)
			}
			return
		}
		if _, text := v.Interface().(fmt.Stringer); v.Kind() == reflect.Struct && !text {
			all = append(all, f.Settings(at, v.Addr().Interface())...)
			return
		}
		if line, ok := f.Lines[at]; ok || !v.IsZero() {
			all = append(all, Setting{at, valueText(v), line})
		}
	})
	return all
}

func valueText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case fmt.Stringer:
		return strconv.Quote(x.String())
	case string:
		return strconv.Quote(x)
	}
	if v.Kind() == reflect.Slice {
		var list []string
		for i := range v.Len() {
			list = append(list, valueText(v.Index(i)))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	if v.Kind() == reflect.String {
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}
