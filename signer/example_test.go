package signer_test

import (
	"fmt"

	"wattmark/signer"
)

func ExampleSign() {
	key, err := signer.FromSeed(signer.EdDSA, [32]byte{1}) // a real key: Generate, or a key store
	if err != nil {
		panic(err)
	}
	message, err := signer.Sign(key, signer.Header{
		Type:        "application/vnd.example.note+cose",
		ContentType: "text/plain",
	}, []byte("the meter was read"))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d bytes, tag %d\n", len(message), message[0]&31)
	// Output: 159 bytes, tag 18
}

func ExampleVerify() {
	key, err := signer.FromSeed(signer.ES256, [32]byte{1})
	if err != nil {
		panic(err)
	}
	header := signer.Header{Type: "application/vnd.example.note+cose", ContentType: "text/plain"}
	message, err := signer.Sign(key, header, []byte("the meter was read"))
	if err != nil {
		panic(err)
	}

	m, err := signer.Parse(message)
	if err != nil {
		panic(err)
	}
	opened, err := signer.Verify(m, key.Public()) // the key that is registered under m.KeyID
	fmt.Printf("%s %v\n", opened.Message().Payload, err)

	message[len(message)-100] ^= 1 // somebody changes the payload
	if m, err = signer.Parse(message); err != nil {
		panic(err)
	}
	opened, err = signer.Verify(m, key.Public())
	fmt.Println(opened.IsZero(), err)
	// Output:
	// the meter was read <nil>
	// true signature does not verify under key acde7765643a8da864489d220a652529
}
