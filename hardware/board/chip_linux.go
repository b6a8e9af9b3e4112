package board

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/warthog618/go-gpiocdev"
)

// FindChip returns the name of the GPIO chip with that label: chips are numbered anew by
// each kernel.
func FindChip(label string) (string, error) {
	var refused error
	for _, name := range gpiocdev.Chips() {
		c, err := gpiocdev.NewChip(name)
		if err != nil {
			refused = errors.Join(refused, fmt.Errorf("%s: %w", name, err))
			continue
		}
		found := c.Label == label
		if err := c.Close(); err != nil {
			refused = errors.Join(refused, fmt.Errorf("%s: %w", name, err))
		}
		if found {
			return name, nil
		}
	}
	if refused != nil { // the one that was looked for may be among them
		return "", refused
	}
	return "", fmt.Errorf("no GPIO chip is labelled %q: %w", label, syscall.ENODEV)
}
