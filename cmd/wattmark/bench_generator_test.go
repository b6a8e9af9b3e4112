package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// TestBenchGeneratorSendsAgain cuts the connections of a bench's gateways while they
// publish. Every statement must reach the subscriber all the same.
func TestBenchGeneratorSendsAgain(t *testing.T) {
	const gateways, statements = 3, 600
	charter := benchCharter(t)
	raw, err := charter.Encode()
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, gateways)
	for i := range names {
		names[i] = fmt.Sprintf("bench-%03d", i)
	}
	b := oracletest.StartBroker(t, charter.Origin, 1, names...)
	files := make([]broker.Files, gateways)
	for i, name := range names {
		files[i] = b.Files(t, name)
	}
	for _, transport := range []struct {
		name, scheme, address string
	}{
		{"mqtt", "ssl://", strings.TrimPrefix(b.MQTTURL(), "ssl://")},
		{"nats", "tls://", strings.TrimPrefix(b.NATSURL(), "tls://")},
	} {
		t.Run(transport.name, func(t *testing.T) {
			// Each of the first connections of the gateways breaks after so many bytes.
			proxy := cuttingProxy(t, transport.address, gateways, 60_000)
			seeds := make([][32]byte, gateways)
			for i := range seeds {
				seeds[i] = [32]byte{byte(i + 1)}
			}
			order := map[string]any{
				"alg": "ed25519", "statements": statements, "size": 1024, "seeds": seeds, "charter": raw, "transport": transport.name,
				"urls": []string{transport.scheme + proxy}, "tls": files, "window": 90, "alone": true, "now": time.Now(),
			}
			got := playGenerator(t, b.Broker, charter.Origin, order)
			if got.Error != "" {
				t.Fatalf("the generator ended with %q", got.Error)
			}
			if got.Reconnects < gateways || got.Resent < 1 || got.Resent > statements {
				t.Errorf("%d reconnects and %d statements sent again, want one of each gateway and some", got.Reconnects, got.Resent)
			}
			if got.Took <= 0 || got.CPU <= 0 || got.Bytes < 900 || got.Bytes > 1124 {
				t.Errorf("got %+v, want times and statements of about 1024 bytes", got)
			}
		})
	}
}

// playGenerator is the parent of a generator: it subscribes to what its gateways
// publish, and tells it what arrived.
func playGenerator(t *testing.T, b *broker.Broker, origin string, order map[string]any) (last benchGenerated) {
	t.Helper()
	cmd, err := command(t.Context(), "bench", "generate")
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	conn, err := b.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var mu sync.Mutex
	marks := make(map[string]bool)
	_, err = conn.Subscribe(wire.For(origin).Up("*"), func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		mark := m.Data[len(m.Data)-8:]
		marks[string(mark)] = true
		in.Write(mark) // it has ended where this fails, and said why
	})
	if err != nil || conn.Flush() != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(in).Encode(order); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		last = benchGenerated{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
		if last.Ready {
			mu.Lock()
			io.WriteString(in, "go\n")
			mu.Unlock()
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil || last.Ready {
		t.Fatalf("the generator ended early: %v: %s", err, stderr.String())
	}
	mu.Lock()
	defer mu.Unlock()
	if want := order["statements"]; last.Error == "" && len(marks) != want {
		t.Errorf("%d statements arrived, want %d", len(marks), want)
	}
	return last
}

// benchGenerated is what a generator prints.
type benchGenerated struct {
	Ready      bool
	Error      string
	Bytes      int   `json:"statement_bytes"`
	Took       int64 `json:"took_ns"`
	CPU        int64 `json:"cpu_us"`
	Resent     int
	Reconnects int
}

// TestBenchGeneratorEndsWithItsParent closes the order's pipe early: nobody waits for
// such a generator.
func TestBenchGeneratorEndsWithItsParent(t *testing.T) {
	for _, order := range []string{"", "{", "{}\n"} {
		cmd, err := command(t.Context(), "bench", "generate")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = strings.NewReader(order)
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		out, err := cmd.Output()
		late.Stop()
		var got benchGenerated
		if err != nil || json.Unmarshal(out, &got) != nil || got.Error == "" {
			t.Errorf("with the order %q the generator printed %q (%v), want why it ended", order, out, err)
		}
	}
}

func benchCharter(t *testing.T) *entry.Charter {
	t.Helper()
	var keys oracle.Keys
	for i, k := range []*signer.Signer{&keys.Statement, &keys.Log, &keys.Cosigner} {
		p, err := signer.FromSeed(signer.EdDSA, [32]byte{100, byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		*k = p
	}
	const origin = "wattmark.example/bench"
	return oracle.NewCharter(origin, time.Now(), []entry.OracleKeys{keys.Public("wattmark.example/oracle", origin)})
}

// cuttingProxy passes connections on to address, and cuts each of the first few after
// the client sent so many bytes. It returns where it listens.
func cuttingProxy(t *testing.T, address string, few int, after int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range slices.Clone(open) {
			c.Close()
		}
		mu.Unlock()
		passing.Wait()
	})
	passing.Go(func() {
		for n := 0; ; n++ {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			up := io.Reader(client)
			if n < few {
				up = io.LimitReader(client, after)
			}
			passing.Go(func() {
				io.Copy(server, up)
				client.Close()
				server.Close()
			})
			passing.Go(func() {
				io.Copy(client, server)
				client.Close()
				server.Close()
			})
		}
	})
	return l.Addr().String()
}
