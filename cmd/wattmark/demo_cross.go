package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"wattmark/ledger/audit/browser"
)

// crossGenerator is the program in the source tree that compiles the cross-check, and where
// go generate runs it.
const (
	crossDir       = "ledger/audit/browser"
	crossGenerator = "_generate"
)

// compileCross compiles the verifier's cross-check from the source tree that the demonstration
// was started in, as go generate does it, but into a folder that is removed: the tree stays as
// it is. It returns the page with the cross-check inside, and its policy.
func compileCross(ctx context.Context) (page []byte, policy string, err error) {
	root, err := sourceTree()
	if err != nil {
		return nil, "", err
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return nil, "", fmt.Errorf("there is no go command on this machine's path: install Go: %w", err)
	}
	dir, err := os.MkdirTemp("", "wattmark-cross-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir)
	c := exec.CommandContext(ctx, compiler, "run", "./"+crossGenerator, dir)
	c.Dir = filepath.Join(root, crossDir)
	c.Env = append(os.Environ(), "GOTMPDIR="+dir) // what it leaves behind when it is stopped goes too
	var said bytes.Buffer
	c.Stderr = &said
	// A group of its own, as the go command starts others: all of them are told to stop.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		return nil, "", fmt.Errorf("starting %s: %w", compiler, err)
	}
	// The street goes first: a compiler takes every core it is given. That it may not is no
	// reason not to compile.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, c.Process.Pid, 10)
	if err := c.Wait(); err != nil {
		return nil, "", fmt.Errorf("compiling in %s: %w: %q", c.Dir, err, lastLine(said.Bytes()))
	}
	return browser.CrossPageFrom(os.DirFS(dir))
}

// lastLine is the last line of what a program said.
func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

var errNoSource = errors.New("the demonstration was not started in its source tree")

// sourceTree finds this program's source: where it was started, or above, or where it lies.
func sourceTree() (string, error) {
	var from []string
	if dir, err := os.Getwd(); err == nil {
		from = append(from, dir)
	}
	if name, err := os.Executable(); err == nil {
		from = append(from, filepath.Dir(name))
	}
	return treeAbove(from...)
}

// treeAbove returns the first folder, of these and those above each, that holds the module.
func treeAbove(from ...string) (string, error) {
	for _, dir := range from {
		for ; ; dir = filepath.Dir(dir) {
			if holdsModule(dir) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errNoSource
}

func holdsModule(dir string) bool {
	b, err := readLimited(filepath.Join(dir, "go.mod"), 1<<20)
	if err != nil {
		return false
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	if string(bytes.TrimSpace(first)) != "module wattmark" {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, crossDir, crossGenerator, "main.go"))
	return err == nil
}
