package api

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"wattmark/oracle/export"
)

// tableRows is how many rows a file of a list has at most: more than a year of intervals.
const tableRows = 40_000

// tables serves a list as files beside its JSON, at the same path with .csv or .xlsx.
func (a *API) tables(m *http.ServeMux, path, title string, items func(*http.Request) (any, error)) {
	dir, name, _ := cutLast(path)
	for kind, write := range map[string]func(*export.Table) ([]byte, error){"csv": (*export.Table).CSV, "xlsx": (*export.Table).XLSX} {
		m.HandleFunc("GET "+dir+"/"+name+"."+kind, func(w http.ResponseWriter, r *http.Request) {
			list, err := items(r)
			if err != nil {
				serveError(w, err)
				return
			}
			t := tableOf(list)
			last, _, _ := a.cfg.Ledger.Last()
			t.Title, t.Ledger, t.Height, t.Time = title, a.origin, last.Height, last.Time
			t.Check = "The leaves that rows name prove them: wattmark ledger prove, and wattmark verify."
			b, err := write(t)
			if err != nil {
				a.inside(w, "writing a list as a file", err)
				return
			}
			w.Header().Set("Content-Type", statementKinds[kind])
			w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%s-%d.%s", name, t.Height, kind))
			_, _ = w.Write(b) // an error means that nobody reads any more
		})
	}
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:], i > 0
}

// tableOf makes a table of a slice of structs, a column for each value by the name that it
// has in JSON. Parts of a part are columns of their own, as totals_surplus_wh; lists of parts
// are left to JSON.
func tableOf(items any) *export.Table {
	list := reflect.ValueOf(items)
	t := &export.Table{Rows: [][]any{}}
	var paths [][]int
	columns(list.Type().Elem(), "", nil, func(name string, path []int) {
		t.Columns, paths = append(t.Columns, name), append(paths, path)
	})
	for i := range list.Len() {
		row := make([]any, len(paths))
		for c, path := range paths {
			row[c] = valueAt(list.Index(i), path)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// columns calls fn for each value that a struct has, with the way to it.
func columns(s reflect.Type, prefix string, path []int, fn func(name string, path []int)) {
	for i := range s.NumField() {
		f := s.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		way := append(append([]int{}, path...), i)
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case kind.Kind() == reflect.Struct:
			columns(kind, prefix+name+"_", way, fn)
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() != reflect.String:
		default:
			fn(prefix+name, way)
		}
	}
}

func valueAt(v reflect.Value, path []int) any {
	for _, i := range path {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Uint64:
		return v.Uint()
	case reflect.Bool:
		return v.Bool()
	case reflect.Slice:
		return strings.Join(v.Interface().([]string), " ")
	}
	return v.String()
}
