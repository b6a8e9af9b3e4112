package doctor

import (
	"context"
	"errors"
	"strconv"
	"time"

	"wattmark/gateway/console"
)

func running(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err == nil:
		return ok("since %s", s.Gateway.Started.UTC().Format(time.DateTime)), nil
	case x.Console == nil:
		return nil, err
	case errors.Is(x.statusErr, console.ErrNotRunning):
		return fault("run systemctl start wattmark-gateway; journalctl -u wattmark-gateway says why it ended", "the gateway does not run"), nil
	}
	return fault("run doctor with sudo; if that does not help, systemctl restart wattmark-gateway", "the gateway cannot be asked: %v", x.statusErr), nil
}

func version(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err != nil:
		return nil, err
	case x.Version == "unknown" || x.Version == "(devel)":
		return nil, skip("this program has no version of its own")
	case s.Gateway.Version != x.Version:
		return warn("run systemctl restart wattmark-gateway", "version %s runs, and %s is installed", s.Gateway.Version, x.Version), nil
	}
	return ok("%s", x.Version), nil
}

func inForce(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err != nil:
		return nil, err
	case s.Gateway.Config == x.Digest:
		return ok("the configuration file is in force"), nil
	}
	found := warn("run systemctl reload wattmark-gateway", "the configuration file was changed, and the gateway runs with the old one")
	if _, err := x.service(); err != nil || len(x.Mistakes) > 0 {
		return found, nil
	}
	return fixed(found, func(ctx context.Context) (string, error) {
		_, err := x.run(ctx, "/usr/bin/systemctl", "reload", serviceName)
		return "ran systemctl reload wattmark-gateway; to undo it, put the old file back and reload again", err
	}), nil
}

// manyRestarts is how often the service manager may have started the service again.
const manyRestarts = 3

func service(_ context.Context, x *exam) ([]Finding, error) {
	u, err := x.service()
	if err != nil {
		return nil, err
	}
	restarts, err := strconv.Atoi(u["NRestarts"])
	switch state := u["UnitFileState"]; {
	case u["ActiveState"] == "failed":
		return fault("journalctl -u wattmark-gateway says why; then run systemctl restart wattmark-gateway", "the service failed: %s", u["Result"]), nil
	case state != "enabled" && state != "static" && state != "linked":
		found := warn("run systemctl enable wattmark-gateway", "the service is not started with the machine (%s)", state)
		return fixed(found, func(ctx context.Context) (string, error) {
			_, err := x.run(ctx, "/usr/bin/systemctl", "enable", serviceName)
			return "ran systemctl enable wattmark-gateway; undo it with systemctl disable wattmark-gateway", err
		}), nil
	case err == nil && restarts >= manyRestarts:
		return warn("journalctl -u wattmark-gateway says why it ended", "the service was started again %d times", restarts), nil
	}
	return ok("%s, started with the machine", u["ActiveState"]), nil
}

func watchdog(_ context.Context, x *exam) ([]Finding, error) {
	u, err := x.service()
	if err != nil {
		return nil, err
	}
	if w := u["WatchdogUSec"]; w == "" || w == "0" || w == "infinity" {
		return warn("set WatchdogSec=30 in the unit, as that of the package has it", "no watchdog looks after the gateway"), nil
	}
	return ok("the gateway is restarted when it stands still for %s", u["WatchdogUSec"]), nil
}

func watchdogHardware(_ context.Context, x *exam) ([]Finding, error) {
	const dog = "/sys/class/watchdog/watchdog0"
	if !x.exists(dog) {
		if x.Board != nil {
			return warn("add dtparam=watchdog=on to "+bootConfigs[0]+" and restart the machine", "the board's watchdog is switched off"), nil
		}
		return nil, skip("this machine has none")
	}
	limit := 15 * time.Second
	if x.Board != nil {
		limit = x.Board.WatchdogLimit
	}
	remedy := "set RuntimeWatchdogSec=14 in /etc/systemd/system.conf and restart the machine"
	seconds, err := x.readInt(dog+"/timeout", 10)
	switch state, _ := x.read(dog + "/state"); {
	case state == "inactive":
		return warn(remedy, "nothing feeds the hardware watchdog: a machine that hangs stays so"), nil
	case err == nil && time.Duration(seconds)*time.Second > limit:
		return warn(remedy, "the hardware watchdog waits for %d s, and the board's reaches %s at most", seconds, limit), nil
	}
	return ok("the hardware watchdog is fed"), nil
}

// mostResident is the memory that a gateway takes when all is well, in bytes; the
// package's unit ends it at 64 MB.
const mostResident = 48 << 20

func resident(_ context.Context, x *exam) ([]Finding, error) {
	s, err := x.running()
	switch {
	case err != nil:
		return nil, err
	case s.Gateway.ResidentBytes == 0:
		return nil, skip("the gateway does not tell")
	case s.Gateway.ResidentBytes > mostResident:
		return warn("send a support bundle: this is not meant to be; systemctl restart wattmark-gateway helps for now", "the gateway takes %d MB", s.Gateway.ResidentBytes>>20), nil
	}
	return ok("the gateway takes %d MB", s.Gateway.ResidentBytes>>20), nil
}
