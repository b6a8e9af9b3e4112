package carbon

import "fmt"

// Fault is why an input is refused: the field, as a path such as items[2].in.fd,
// and the reason. A file is refused for its first fault, and nothing comes of it.
type Fault struct {
	Field  string
	Reason string
}

// Error returns the field and the reason.
func (f *Fault) Error() string { return f.Field + ": " + f.Reason }

func faultf(field, format string, args ...any) *Fault {
	return &Fault{field, fmt.Sprintf(format, args...)}
}
