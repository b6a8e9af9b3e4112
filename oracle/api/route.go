package api

import (
	"cmp"
	"maps"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// Route is what can be asked for, as the description has it.
type Route struct {
	Method, Path   string
	Summary, About string
	Parameters     []RouteParameter
	// Takes and Gives are media types, empty for none.
	Takes, Gives string
	Fields       []RouteField // of the answer, where it is JSON
}

// RouteParameter is a part of a path or a query.
type RouteParameter struct {
	Name, In, About string
	Required        bool
}

// RouteField is a field of an answer.
type RouteField struct{ Name, Type, About string }

// Routes are what the API answers, for people to read; programs take the description.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

func routesOf(d *huma.OpenAPI) (out []Route) {
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		item := d.Paths[path]
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post} {
			if op != nil {
				out = append(out, routeOf(d, method, path, op))
			}
		}
	}
	slices.SortFunc(out, func(a, b Route) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method)) })
	return out
}

func routeOf(d *huma.OpenAPI, method, path string, op *huma.Operation) Route {
	r := Route{Method: method, Path: path, Summary: op.Summary, About: op.Description}
	for _, p := range op.Parameters {
		r.Parameters = append(r.Parameters, RouteParameter{p.Name, p.In, p.Description, p.Required})
	}
	if op.RequestBody != nil {
		for _, kind := range slices.Sorted(maps.Keys(op.RequestBody.Content)) {
			r.Takes = kind
		}
	}
	for _, status := range []string{"200", "202"} {
		answer := op.Responses[status]
		if answer == nil {
			continue
		}
		for _, kind := range slices.Sorted(maps.Keys(answer.Content)) {
			r.Gives = kind
			if schema := answer.Content[kind].Schema; schema != nil {
				r.Fields = fieldsOf(d, schema, "")
			}
		}
	}
	return r
}

// fieldsOf lists the fields of a schema, those of its parts under their names.
func fieldsOf(d *huma.OpenAPI, s *huma.Schema, prefix string) (out []RouteField) {
	if s.Ref != "" {
		s = d.Components.Schemas.SchemaFromRef(s.Ref)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		kind, inner := p.Type, p
		if p.Type == huma.TypeArray && p.Items != nil {
			inner, kind = p.Items, "array of "+cmp.Or(p.Items.Type, "objects")
		}
		out = append(out, RouteField{prefix + name, cmp.Or(kind, "object"), p.Description})
		if inner.Ref != "" {
			out = append(out, fieldsOf(d, inner, prefix+name+".")...)
		}
	}
	return out
}
