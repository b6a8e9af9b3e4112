package outbox_test

import (
	"fmt"
	"log"
	"os"

	"wattmark/gateway/outbox"
)

// A statement is kept until a receipt for it verifies, whatever happens between.
func Example() {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o, report, err := outbox.Open(outbox.Disk, dir, outbox.Options{GatewayID: "home-01"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report)
	if _, err := o.RaiseBoot("the kernel's boot_id"); err != nil {
		log.Fatal(err)
	}

	// The signer's side.
	boot, seq, _, err := o.NextSeq()
	if err != nil {
		log.Fatal(err)
	}
	rec := outbox.Record{Boot: boot, Seq: seq, Statement: []byte("a signed pack"), Covers: o.Gaps()}
	if err := o.Append(rec); err != nil {
		log.Fatal(err)
	}
	if err := o.Flush(); err != nil {
		log.Fatal(err)
	}

	// The uplink's side.
	list, err := o.Pending(outbox.Number{}, 64)
	if err != nil {
		log.Fatal(err)
	}
	for i := range list {
		fmt.Printf("to send: %s %q\n", list[i].Number(), list[i].Statement)
		if err := o.Receipted(list[i].Boot, list[i].Seq, []byte("a verified receipt")); err != nil {
			log.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// outbox: 0 statements in 0 segments, 0 to be sent, 0 refused, boot count 0
	// to send: 1-1 "a signed pack"
}
