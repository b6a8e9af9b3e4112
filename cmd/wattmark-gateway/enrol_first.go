package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"wattmark/gateway"
	"wattmark/gateway/enrol"
)

// machineConsole is the screen or serial line of an appliance.
const machineConsole = "/dev/console"

// enrolFirst has a gateway ask for its enrolment and wait for the approval, if it has no
// certificate for the broker yet but the one that all share. What is wrong with the
// configuration is left to who reads it next.
func enrolFirst(ctx context.Context, name string, log io.Writer) error {
	file, err := gateway.ReadFile(name)
	if err != nil || file.Uplink.Bootstrap == "" || file.Uplink.Certificate == "" {
		return nil
	}
	if _, err := os.Stat(file.Path(file.Uplink.Certificate)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := enrol.Load(file.Path(file.Gateway.State)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	out := log
	if _, err := os.Stat(imageFile); err == nil {
		if console, err := os.OpenFile(machineConsole, os.O_WRONLY, 0); err == nil {
			defer console.Close()
			out = io.MultiWriter(log, console)
		}
	}
	c := &ceremony{plain: true, out: out, err: out}
	return c.run(ctx, name)
}
