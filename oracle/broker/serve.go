package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// Serve runs one server of a cluster from a configuration file of nats-server until ctx
// ends. A message on reload has it read the file again; what is wrong then is logged,
// and the server goes on as it was. The log goes where the file says.
func Serve(ctx context.Context, file string, reload <-chan struct{}) error {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return fmt.Errorf("reading the server's configuration: %w", err)
	}
	opts.NoSigs = true
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("making a server of %s: %w", file, err)
	}
	s.ConfigureLogger()
	ended := make(chan struct{})
	go func() { defer close(ended); s.Start(); s.WaitForShutdown() }()
	for {
		select {
		case <-reload:
			if err := s.Reload(); err != nil {
				s.Errorf("not reloaded: %v", err)
			}
		case <-ended:
			return fmt.Errorf("the server of %s ended by itself: its log says why", file)
		case <-ctx.Done():
			s.Shutdown()
			<-ended
			return nil
		}
	}
}
