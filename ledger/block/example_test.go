package block_test

import (
	"fmt"

	"wattmark/ledger/block"
	"wattmark/signer"
)

func ExamplePolicy_Verify() {
	// Three oracles, each with a key as a log and a key as a cosigner.
	const origin = "example.org/street"
	var logs, cosigners []block.VerifierKey
	var keys []*signer.PrivateKey
	for i := range byte(3) {
		log, err := signer.FromSeed(signer.EdDSA, [32]byte{i, 1}) // real keys: Generate, or a key store
		if err != nil {
			panic(err)
		}
		key, err := signer.FromSeed(signer.EdDSA, [32]byte{i, 2})
		if err != nil {
			panic(err)
		}
		name := fmt.Sprintf("%s/oracle-%d", origin, i+1)
		logs = append(logs, block.VerifierKey{Name: origin, Key: log.Public()})
		cosigners = append(cosigners, block.VerifierKey{Name: name, Cosigner: true, Key: key.Public()})
		keys = append(keys, log, key)
	}
	policy, err := block.NewPolicy(logs, cosigners, 2) // a file that the verifier keeps
	if err != nil {
		panic(err)
	}

	// One oracle signs the checkpoint as the log, and two cosign it.
	var tree block.Tree
	tree.Append(block.LeafHash([]byte("the only leaf")), nil)
	c := block.Checkpoint{Origin: origin, Size: tree.Size(), Root: tree.Root()}
	note := c.Text() + "\n"
	line, err := block.SignLog(keys[0], c)
	if err != nil {
		panic(err)
	}
	note += line
	for i := range 2 {
		if line, err = block.Cosign(keys[2*i+1], cosigners[i].Name, c, 1_750_000_000); err != nil {
			panic(err)
		}
		if i == 1 {
			_, err := policy.Verify([]byte(note))
			fmt.Println(err)
		}
		note += line
	}
	signed, err := policy.Verify([]byte(note))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s has %d leaf, %d oracles say\n", signed.Origin, signed.Size, len(signed.Witnesses))
	// Output:
	// policy is not satisfied: 1 of 3 witnesses signed, which is no quorum
	// example.org/street has 1 leaf, 2 oracles say
}
