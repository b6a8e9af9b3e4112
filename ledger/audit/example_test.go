package audit_test

import (
	"fmt"
	"os"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
)

// A verifier was given a transparent statement. Policy and key set are its own,
// from somebody it trusts.
func ExampleVerify() {
	policyFile, keysFile, statement := someFiles()

	policy, err := block.ParsePolicy(policyFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := audit.ParseKeys(keysFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	trust := audit.Trust{Policy: policy, Keys: keys}

	report := audit.Verify("1-1.cose", statement, trust)
	fmt.Println(report.Subject)
	for _, v := range report.Verdicts {
		if v.Verdict != audit.NotApplicable {
			fmt.Println(v.Check, v.Verdict)
		}
	}
	fmt.Println("exit status", report.Exit())

	statement[150] ^= 1
	report = audit.Verify("1-1.cose", statement, trust)
	fmt.Println("with one bit changed:", report.Exit())

	// Output:
	// reading, urn:wattmark:gateway:home1, sequence 1-1
	// signature holds
	// key holds
	// time holds
	// inclusion holds
	// quorum holds
	// disclosure holds
	// exit status 0
	// with one bit changed: 3
}

// someFiles stands for what a verifier reads from disk.
func someFiles() (policy, keys, statement []byte) {
	tb := failing{}
	c, at := drawStreet(tb)
	keys, err := audit.EncodeKeys(keySet(tb, c).All())
	if err != nil {
		tb.Fatal(err)
	}
	return []byte(c.Policy.String()), keys, c.Transparent(at.open)
}

// failing is a testing.TB for an example, which has none.
type failing struct{ testing.TB }

func (failing) Helper() {}

func (failing) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

func (f failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }
