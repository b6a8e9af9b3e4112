package signer

import "sync"

// internMediaType returns s as a string without allocating for a media type
// that has been seen before: the same dozen stands in every statement.
func internMediaType(s []byte) string {
	interned.mu.RLock()
	t, ok := interned.types[string(s)]
	interned.mu.RUnlock()
	if ok {
		return t
	}
	interned.mu.Lock()
	defer interned.mu.Unlock()
	t = string(s)
	if len(interned.types) < 64 { // strangers cannot fill it: beyond that they just allocate
		interned.types[t] = t
	}
	return t
}

var interned = struct {
	mu    sync.RWMutex // guards types
	types map[string]string
}{types: make(map[string]string)}
