package enrol_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"wattmark/gateway/enrol"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// saveIn, in the environment, makes this binary the process that is killed.
const (
	saveIn        = "WATTMARK_TEST_SAVE_IN"
	saveOraclesIn = "WATTMARK_TEST_SAVE_ORACLES_IN"
)

func TestMain(m *testing.M) {
	save := saveForEver
	dir := os.Getenv(saveIn)
	if in := os.Getenv(saveOraclesIn); in != "" {
		save, dir = saveOraclesForEver, in
	}
	if dir != "" {
		if err := save(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// saveForEver puts the enrolments of the files given in place of one another, and
// says a line for each.
func saveForEver(dir string) error {
	var list []*enrol.Enrolment
	var requests []*enrol.Request
	for _, sub := range []string{"a", "b"} {
		text, err := os.ReadFile(dir + "/" + sub + ".request")
		if err != nil {
			return err
		}
		r, err := enrol.ParseRequest(text)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(dir + "/" + sub + ".approval")
		if err != nil {
			return err
		}
		a, err := enrol.ParseApproval(b)
		if err != nil {
			return err
		}
		e, err := enrol.Accept(a, r, nil, nil)
		if err != nil {
			return err
		}
		list, requests = append(list, e), append(requests, r)
	}
	for i := 0; ; i++ {
		if err := enrol.Save(dir, list[i%2], requests[i%2]); err != nil {
			return err
		}
		fmt.Println("saved", i)
	}
}

func TestAKilledSaveLeavesAWholeEnrolment(t *testing.T) {
	dir := t.TempDir()
	c := ledgertest.New(t, 1)
	keys := make(map[signer.PublicKey]bool)
	for i, sub := range []string{"a", "b"} {
		k := key(t, signer.EdDSA, byte(i+1))
		r := request(t, k)
		if i == 1 {
			r = another(t, k)
		}
		keys[k.Public()] = true
		if err := os.WriteFile(dir+"/"+sub+".request", r.Carried, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+sub+".approval", admit(c, r).Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 12 {
		killed(t, saveIn+"="+dir, 1+round*3)
		e, err := enrol.Load(dir)
		if err != nil || !keys[e.Key] {
			t.Fatalf("round %d: %v, %v", round, e, err)
		}
	}
}

// another is the request of another gateway, with points of its own.
func another(t *testing.T, k signer.Signer) *enrol.Request {
	t.Helper()
	list := devices()
	list[0].Subject, list[1].Subject = "mp-3", "mp-4"
	ask, err := enrol.Ask("home-02", list)
	if err != nil {
		t.Fatal(err)
	}
	r, err := enrol.NewRequest(k, ledgertest.Origin, now, ask)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// killed runs this binary with a variable in its environment, and kills it as soon as it
// has said a number of lines.
func killed(t *testing.T, variable string, said int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n <= said && lines.Scan(); n++ {
	}
	cmd.Process.Kill()
	cmd.Wait()
}
