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

// enrolFirst has a gateway that is not enrolled ask for that, and waits for the approval.
// What is wrong with the configuration is left to who reads it next.
func enrolFirst(ctx context.Context, name string, log io.Writer) error {
	file, err := gateway.ReadFile(name)
	if err != nil {
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
