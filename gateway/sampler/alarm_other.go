//go:build !linux

package sampler

import (
	"context"
	"time"
)

// alarm wakes one sleeper at a time of the wall's clock, or a while before.
type alarm struct{}

func newAlarm(context.Context) *alarm { return new(alarm) }

// sleep waits until a time, or for a while; it is false once ctx has ended.
func (*alarm) sleep(ctx context.Context, until time.Time) bool {
	return sleep(ctx, min(time.Until(until.Round(0)), recheck))
}

func (*alarm) close() {}
