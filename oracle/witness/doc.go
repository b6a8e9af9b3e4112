// Package witness watches that a ledger's oracles tell everybody one story. A witness
// cosigns a checkpoint only if it follows, by a consistency proof, from the last one
// that it cosigned: whoever asks for its cosignature knows that nobody was shown
// another ledger under it. It speaks C2SP tlog-witness (add-checkpoint, and the
// checkpoint that monitors read), and its cosignatures are C2SP tlog-cosignatures of
// the Ed25519 kind.
//
// [Witness] is the server, for any number of ledgers; [Client] is what an oracle asks
// witnesses with.
//
// What the server promises: it never cosigns a tree that does not begin with all it
// cosigned before under that origin, nor another root of the same size, whatever it is
// asked, how often it is killed and whatever runs beside it. What it cosigned last is
// on the disk before the signature leaves. Whoever loses that directory has lost the
// witness: it must not go on under the same key.
//
// A ledger's oracles each have a log key under the one origin, and one of them alone
// could burn the origin at a witness with a tree of its own. So a witness here is
// given a policy, and cosigns what the policy's oracles agree on; a checkpoint with
// fewer signatures is answered as one without a trusted signature.
//
// Left out: checkpoints with extension lines, which our ledgers have not (400), ML-DSA
// cosignatures, and sign-subtree, which is optional.
package witness
