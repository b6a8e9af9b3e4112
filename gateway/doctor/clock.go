package doctor

import (
	"context"
	"os"
	"slices"
	"time"
)

const giveTime = "run timedatectl set-ntp true and let UDP port 123 through, or name a time server in /etc/systemd/timesyncd.conf"

// clock wants a kernel whose time follows a source, and a date that can be.
func clock(_ context.Context, x *exam) ([]Finding, error) {
	now := x.now()
	if info, err := os.Stat(x.File); err == nil && now.Before(info.ModTime().Add(-24*time.Hour)) {
		return fault(giveTime, "the clock says %s, and the configuration was written later", now.Format(time.DateOnly)), nil
	}
	synced, _, err := x.kernel().Time()
	switch {
	case err != nil:
		return nil, skip("the kernel does not tell: " + err.Error())
	case !synced:
		return warn(giveTime, "the clock follows no source: readings are not as good as they could be"), nil
	}
	return ok("the clock follows a source"), nil
}

func clockError(_ context.Context, x *exam) ([]Finding, error) {
	synced, most, err := x.kernel().Time()
	switch {
	case err != nil || !synced:
		return nil, skip("the clock follows no source")
	case x.WarnAbove > 0 && most > x.WarnAbove:
		return warn("take a time server that is nearer, or raise time.warn_above", "the time may be off by %s, more than time.warn_above = %s", most.Round(time.Millisecond), x.WarnAbove), nil
	}
	return ok("the time is within %s", most.Round(time.Millisecond)), nil
}

// timeServices are programs that set the clock, by their names as the kernel cuts them.
var timeServices = []string{"systemd-timesyn", "chronyd", "ntpd", "openntpd", "ptp4l", "phc2sys"}

func clockService(ctx context.Context, x *exam) ([]Finding, error) {
	all := x.processes()
	if len(all) == 0 {
		return nil, skip("the system's processes cannot be seen")
	}
	for _, p := range all {
		if slices.Contains(timeServices, p.name) {
			return ok("%s sets the clock", p.name), nil
		}
	}
	found := warn("run timedatectl set-ntp true", "no service sets the clock")
	if !x.exists("/usr/bin/timedatectl") {
		found[0].Remedy = "install systemd-timesyncd or chrony"
		return found, nil
	}
	return fixed(found, func(context.Context) (string, error) {
		_, err := x.run(ctx, "/usr/bin/timedatectl", "set-ntp", "true")
		return "ran timedatectl set-ntp true; undo it with timedatectl set-ntp false", err
	}), nil
}

func clockMoved(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err != nil:
		return nil, err
	case s.Clock.Steps > 0:
		return warn("let one service alone set the clock, and let it slew", "the clock was moved %d times while the gateway ran: each ended an interval early", s.Clock.Steps), nil
	}
	return ok("the clock was not moved"), nil
}
