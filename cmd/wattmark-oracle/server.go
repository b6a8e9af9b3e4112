package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"wattmark/oracle/broker"
)

// defaultFailover leaves a server half a second in which its disk or its processor may
// keep it from saying that it lives.
const defaultFailover = 1500 * time.Millisecond

// serverLooks is how often a server looks whether its certificates have changed: it takes
// what stands still from one look to the next. Tests are in a hurry.
var serverLooks = 10 * time.Second

func newServer() *cobra.Command {
	failover := defaultFailover
	c := &cobra.Command{
		Use:   "server FILE",
		Short: "Be one of the servers of a cluster",
		Long: `Server runs one server of a NATS cluster from a configuration file, as nats-server
does, with the library that the embedded broker is made of. What it has beside
nats-server is that the others notice sooner when a server was killed: those need
4 to 9 seconds for a new leader, which nothing in their configuration changes.

All servers of a cluster must be this program, with the same --failover: a leader
says each tenth of that time that it lives. On a disk or a processor that keeps
it waiting for half of it, give more.

It reads the file again on SIGHUP ("wattmark-oracle permissions" writes a part of
it), and by itself within about 20 seconds when certificates, keys or roots that
the file names have changed. No connection is dropped for that. What cannot be
read, does not match its key or has ended changes nothing, and the log says so:
put right files in their place. It hands its leadership over on SIGTERM.

Exit status: 0 ended as asked, 1 could not start or had to stop, 2 wrong usage.`,
		Example: "  wattmark-oracle server /etc/wattmark/node.conf",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := broker.SetFailover(failover); err != nil {
				return err
			}
			hup, reload := make(chan os.Signal, 1), make(chan struct{}, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			look := time.NewTicker(serverLooks)
			defer look.Stop()
			go func() {
				for {
					select {
					case <-hup:
						reload <- struct{}{}
					case <-cmd.Context().Done():
						return
					}
				}
			}()
			return failed(broker.Serve(cmd.Context(), args[0], reload, look.C))
		},
	}
	c.Flags().DurationVar(&failover, "failover", failover, "about the `TIME` until there is a leader again when one was killed, 1s to 10s")
	return c
}
