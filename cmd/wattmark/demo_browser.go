package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// openBrowser shows the page to who sits at this machine: where the demonstration was started
// on a terminal there, and not asked to leave it. Where that does not work nothing is said,
// as the address stands on the screen.
func (d *demo) openBrowser() {
	if d.noBrowser || d.asJSON || d.screen.width == 0 {
		return
	}
	command := opener(runtime.GOOS, os.Getenv)
	if command == nil {
		return
	}
	c := exec.Command(command[0], append(command[1:], d.pageURL)...)
	// A session of its own: Ctrl-C ends the demonstration and not the browser, which some
	// openers turn into. For the same reason nobody waits for it.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		d.log.Info("did not open a browser", "command", command[0], "error", err)
		return
	}
	c.Process.Release() // an error would say that it has ended
}

// opener is the command that opens an address in the desktop's browser; nil where there is no
// desktop, or the one of another machine than that at which the person sits.
func opener(goos string, getenv func(string) string) []string {
	if getenv("SSH_CONNECTION") != "" || getenv("SSH_TTY") != "" {
		return nil
	}
	switch goos {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	return []string{"xdg-open"}
}
