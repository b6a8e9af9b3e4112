package bus

// CharBits returns how many bits a character takes on a line set to m.
func CharBits(m Mode) (int, error) {
	m, err := m.normal()
	return m.charBits(), err
}
