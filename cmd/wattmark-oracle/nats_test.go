package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServer is the name under which this test's program is a leaf of a NATS cluster, as a site has it.
const natsServer = "nats-server"

// serveNATS is nats-server with one flag, the configuration file: the same library.
func serveNATS(args []string) int {
	if len(args) != 2 || args[0] != "--config" {
		fmt.Fprintln(os.Stderr, "usage: nats-server --config FILE")
		return 2
	}
	opts, err := server.ProcessConfigFile(args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	opts.NoSigs = true
	s, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.ConfigureLogger()
	hup, term := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Notify(term, syscall.SIGTERM)
	go s.Start()
	for {
		select {
		case <-hup:
			if err := s.Reload(); err != nil {
				fmt.Fprintln(os.Stderr, "reload:", err)
			}
		case <-term:
			s.Shutdown()
			s.WaitForShutdown()
			return 0
		}
	}
}
