package modbus

import "slices"

// Span is a run of registers that somebody wants to read.
type Span struct {
	Function Function
	Address  uint16
	Count    uint16
}

// Requests returns the requests that read all spans, in order of table and address, as
// few as make sense: registers between two spans are read along when there are at most
// gap of them. None asks for more than maximum registers, which a longer span is split
// into.
func Requests(unit byte, spans []Span, maximum, gap int) []Request {
	sorted := slices.Clone(spans)
	slices.SortFunc(sorted, func(a, b Span) int {
		return (int(a.Function)<<16 | int(a.Address)) - (int(b.Function)<<16 | int(b.Address))
	})
	var all []Request
	for _, s := range sorted {
		address, end := int(s.Address), int(s.Address)+int(s.Count)
		if n := len(all); n > 0 && all[n-1].Function == s.Function {
			last := &all[n-1]
			reach := int(last.Address) + int(last.Count)
			address = max(address, min(end, reach)) // what overlaps is read already
			if address < end && address <= reach+gap && end-int(last.Address) <= maximum {
				last.Count = uint16(end - int(last.Address))
				continue
			}
		}
		for ; address < end; address += maximum {
			all = append(all, Request{Unit: unit, Function: s.Function, Address: uint16(address), Count: uint16(min(maximum, end-address))})
		}
	}
	return all
}
