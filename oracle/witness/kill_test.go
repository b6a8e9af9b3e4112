package witness_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/witness"
)

// child is set in the environment of a process that is a witness in a directory, until
// it is killed.
const child = "WITNESS_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		if err := beWitness(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func beWitness(dir string) error {
	t := &testing.B{} // for the helpers: they report nothing that can fail here
	w := open(t, dir, ledgertest.NewConsortium(t, 1))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, w.Handler())
}

// process starts a witness as a process of its own.
func process(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), child+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		c.Process.Kill()
		io.Copy(io.Discard, out)
		c.Wait() // says that it was killed
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the witness said nothing: %v", lines.Err())
	}
	return lines.Text(), kill
}

// TestKilled kills the process in the middle of its work, again and again: whatever it
// has signed it knows afterwards, and no other story gets a signature.
func TestKilled(t *testing.T) {
	c := ledgertest.NewConsortium(t, 1)
	const most = 4000
	s := tell(most, most, 0)
	dir := t.TempDir()
	size, seen := uint64(0), uint64(0)
	for round := range 8 {
		url, kill := process(t, dir)
		k, err := witness.NewClient(block.VerifierKey{Name: name, Cosigner: true, Key: key(t).Public()}, url, &http.Client{Transport: &http.Transport{}})
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 { // what it says it has cosigned is at least what was heard
			fork := tell(most, int(seen)-1, 1)
			at := seen + 1
			if _, err := k.Cosign(t.Context(), c.Sign(t, fork.at(at)), fork.at(at), fork); err == nil {
				t.Fatalf("round %d: another story of %d leaves is cosigned after %d", round, at, seen)
			}
			if k.Size() < seen {
				t.Fatalf("round %d: it knows of %d leaves, and has signed %d", round, k.Size(), seen)
			}
			size = k.Size()
		}
		// The kill comes while requests go on, at no certain one of them.
		enough := make(chan struct{})
		killed := make(chan struct{})
		go func() {
			<-enough
			kill()
			close(killed)
		}()
		for n := 0; ; n++ {
			if n == 5+round {
				close(enough)
			}
			size++
			if size >= most {
				t.Fatalf("round %d: %d leaves, and it lives", round, size)
			}
			_, err := k.Cosign(t.Context(), c.Sign(t, s.at(size)), s.at(size), s)
			var conflict *witness.Conflict
			if errors.Is(err, witness.ErrRefused) || errors.Is(err, witness.ErrAhead) || errors.As(err, &conflict) {
				t.Fatalf("round %d: %v", round, err)
			}
			if err != nil {
				break // it is gone
			}
			seen = size
		}
		<-killed
	}
	if seen < 40 {
		t.Errorf("%d leaves in all: it was never at work", seen)
	}
}
