package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"wattmark/firmware/manifest"
	updates "wattmark/firmware/update"
	"wattmark/firmware/update/slot"
	"wattmark/gateway"
	"wattmark/gateway/sampler"
	"wattmark/oracle/wire"
)

// imageFile says in an image what it is. Where it is missing the machine runs no image.
const imageFile = "/etc/wattmark/image.json"

// runningImage is the image that the machine runs from.
type runningImage struct {
	machine updates.Machine

	mu   sync.Mutex // guards last
	last *updates.Outcome
}

// openImage measures the root that runs, nil where the machine runs no image.
func openImage(path string) (*runningImage, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var said struct {
		Board   string `json:"board"`
		Version uint64 `json:"version"`
		Commit  string `json:"commit"`
	}
	if err := json.Unmarshal(b, &said); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := updates.OpenMachine(updates.Image{Board: said.Board, Version: said.Version, Commit: said.Commit})
	if err != nil {
		return nil, fmt.Errorf("measuring the image that this machine runs: %w", err)
	}
	return &runningImage{machine: *m}, nil
}

// feedWatchdog keeps the watchdog of an image's machine from resetting it, for as long as
// the process lives.
func feedWatchdog(ctx context.Context, path string, stderr io.Writer) {
	if _, err := os.Stat(path); err != nil {
		return // no image: whoever set the machine up has the say over its watchdog
	}
	go func() {
		if err := updates.Feed(ctx, updates.WatchdogDevice); err != nil {
			fmt.Fprintln(stderr, "the watchdog is not fed, and may start the machine again:", err)
		}
	}()
}

// leaveTrial ends the trial of a root in which the gateway does not even start: nobody
// judges it there. As long as there is time for the trial, it is started again and again.
func leaveTrial(path string) error {
	if _, err := os.Stat(path); err != nil {
		return nil // no image
	}
	disk, err := slot.Find()
	if err != nil {
		return err
	}
	state, err := disk.State()
	if err != nil {
		return err
	}
	if !updates.Overdue(disk.Running, state, sampler.NewMachineClock().Monotonic(), gateway.DefaultTrial) {
		return nil
	}
	return updates.Restart()
}

// name has each statement name the root.
func (r *runningImage) name(c *gateway.Config) {
	if r == nil {
		return
	}
	c.Root = r.machine.Image.Root[:]
	c.Firmware = r.firmware
}

func (r *runningImage) firmware() *wire.Firmware {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := &r.machine.Image
	return &wire.Firmware{Board: i.Board, Version: i.Version, Commit: i.Commit, Root: hex.EncodeToString(i.Root[:]), Update: gateway.Told(r.last)}
}

// trialJournal is the journal's name in the state directory.
const trialJournal = "update.json"

// takeUpdates judges an update that is on trial, and then looks for others, until ctx
// ends. What goes wrong is logged: a gateway works without updates.
func (d *daemon) takeUpdates(ctx context.Context, now configured, g *gateway.Gateway) {
	if d.image == nil {
		return
	}
	log := d.log.With("part", "update")
	var trust manifest.Trust
	trust.Policy, trust.PolicyFor = now.cfg.Policy, g.PolicyFor
	if keys := now.file.Update.Keys; keys != "" {
		b, err := os.ReadFile(now.file.Path(keys))
		if err == nil {
			trust.Keys, err = manifest.ParseKeys(b)
		}
		if err != nil {
			log.Error("no release is taken", "error", err)
		}
	}
	source, err := now.file.UpdateSource()
	if err != nil {
		log.Error("no release is looked for", "error", err)
	}
	if len(trust.Keys) == 0 {
		source = nil
	}
	c := updates.Config{
		Disk: d.image.machine.Disk, Store: updates.File(filepath.Join(now.cfg.Dir, trialJournal)), Image: d.image.machine.Image, Trust: trust,
		Gateway: now.cfg.Name, Now: time.Now,
	}
	agent, err := updates.Open(c)
	if errors.Is(err, updates.ErrJournal) {
		log.Warn("began a new journal", "error", err)
		agent, err = updates.Forget(c)
	}
	if err != nil {
		log.Error("no update is taken", "error", err)
		return
	}
	settle := func() {
		last := agent.Last()
		d.image.mu.Lock()
		news := last != d.image.last
		d.image.last = last
		d.image.mu.Unlock()
		if news {
			g.Announce()
		}
	}
	settle()
	log.Info("runs from an image", "board", c.Image.Board, "version", c.Image.Version, "root_sha256", hex.EncodeToString(c.Image.Root[:]), "slot", int(c.Disk.Running))
	r := updates.Runner{
		Agent: agent, Source: source, Look: g.Health, Restart: updates.Restart, Board: c.Image.Board,
		Every: now.file.Update.Every, Within: now.file.Update.Within, Uptime: now.cfg.Clock.Monotonic, Clock: sampler.NewMachineClock(), Log: log, Settled: settle,
	}
	if err := r.Run(ctx); err != nil {
		log.Error("ended looking for updates", "error", err)
	}
}
