package bus

// CharBits returns how many bits a character takes on a line set to m.
func CharBits(m Mode) (int, error) {
	m, err := m.normal()
	return m.charBits(), err
}

// OpenError is what an Opener returns for a port that cannot be opened.
func OpenError(err error) error { return openError("port", err, "") }
