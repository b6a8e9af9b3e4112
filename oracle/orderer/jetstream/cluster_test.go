package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/oracletest"
	"wattmark/oracle/orderer/jetstream"
)

// cluster starts three servers that know each other, without TLS.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes []*url.URL
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = oracletest.FreePort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])})
	}
	servers := make([]*server.Server, 3)
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "street", Host: "127.0.0.1", Port: port},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		go s.Start()
		servers[i] = s
	}
	for _, s := range servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("a server of the cluster did not start")
		}
	}
	return servers
}

func connectAll(t *testing.T, servers []*server.Server) *nats.Conn {
	t.Helper()
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// openCluster opens the order as soon as the cluster has chosen its leader.
func openCluster(t *testing.T, nc *nats.Conn) *jetstream.Orderer {
	t.Helper()
	ctx := within(t)
	for {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		o, err := jetstream.Open(short, nc, jetstream.Config{Ledger: ledger, Replicas: 3, AckWait: time.Second})
		cancel()
		if err == nil {
			return o
		}
		if ctx.Err() != nil {
			t.Fatalf("opening the order: %v", err)
		}
	}
}

func TestClusterOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	nc := connectAll(t, servers)
	o := openCluster(t, nc)

	got := make(chan string, 256)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	delivered := make(chan error, 1)
	go func() {
		delivered <- o.Deliver(ctx, 1, func(_ uint64, msgs [][]byte) error {
			for _, m := range msgs {
				got <- string(m)
			}
			return nil
		})
	}()
	expect := func(round string) {
		t.Helper()
		for i := range 20 {
			want := fmt.Sprintf("%s %d", round, i)
			if err := o.Submit(within(t), []byte(want)); err != nil {
				t.Fatalf("submitting %q: %v", want, err)
			}
			select {
			case m := <-got:
				if m != want {
					t.Fatalf("delivered %q, want %q", m, want)
				}
			case err := <-delivered:
				t.Fatalf("delivery ended: %v", err)
			case <-ctx.Done():
				t.Fatalf("waited in vain for %q", want)
			}
		}
	}
	expect("before")

	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), "ORDER-"+ledger)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().Config.Replicas; n != 3 {
		t.Fatalf("order has %d replicas, want 3", n)
	}
	leader := stream.CachedInfo().Cluster.Leader
	i := slices.IndexFunc(servers, func(s *server.Server) bool { return s.Name() == leader })
	if i < 0 {
		t.Fatalf("leader %q is none of the servers", leader)
	}
	servers[i].Shutdown()
	servers[i].WaitForShutdown()
	expect("after")

	cancel()
	if err := <-delivered; !errors.Is(err, context.Canceled) {
		t.Errorf("delivery ended with %v, want context.Canceled", err)
	}
	if first, last, err := o.Bounds(within(t)); first != 1 || last != 40 || err != nil {
		t.Errorf("bounds: got %d and %d and error %v, want 1 and 40", first, last, err)
	}
}

func TestOpenRaisesReplicas(t *testing.T) {
	t.Parallel()
	nc := connectAll(t, cluster(t))
	openCluster(t, nc) // waits for the cluster; its streams are of another ledger
	for _, c := range []struct{ ask, want int }{{1, 1}, {3, 3}, {1, 3}} {
		if _, err := jetstream.Open(within(t), nc, jetstream.Config{Ledger: "grows", Replicas: c.ask}); err != nil {
			t.Fatalf("asking for %d replicas: %v", c.ask, err)
		}
		js, err := natsjs.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(within(t), "ORDER-grows")
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Replicas; got != c.want {
			t.Errorf("asked for %d replicas: got %d, want %d", c.ask, got, c.want)
		}
	}
}
