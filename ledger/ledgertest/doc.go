// Package ledgertest draws ledgers for tests: a consortium of oracles with keys
// made from their names, gateways that are enrolled and revoked, readings open
// and committed, clocks, votes, and checkpoints that a quorum cosigned. Nothing
// is random and nothing reads a clock, so that a drawing is always the same
// ledger.
//
// A chain is drawn, not built by hand. One line is one block, its words are the
// block's statements in order:
//
//	c := ledgertest.New(t, 4).Draw(`
//		+home1 +home2:committed +stack:es256
//		home1=1000 home2=500
//		home1=1010 home2#5=520 junk
//		-home1
//	`)
//
// The words are
//
//	+home1            enrol the gateway home1 with one metering point; options
//	                  follow after colons: committed, es256, proven (its key has
//	                  asked for it). The first oracle states it
//	>home1            put another key into the place of its newest one, as both have
//	                  signed; option es256. The first oracle states it
//	-home1            revoke its newest key, by itself
//	end2:home1        the second oracle's statement that its newest key ends
//	also2:WORD        what the first oracle stated when WORD was drawn last, stated
//	                  by the second too: also2:+home1
//	home1=1000        a reading of the register energy in Wh, with the next
//	                  sequence number; home1/power=-5 reads the gauge power
//	home1#9=1000      the same with sequence count 9, home1#2.9 in boot 2
//	home1@-3600=1000  the same, issued 3600 s before the chain's time
//	cal:home1=1010    its calibration of the register from nothing to a ratio of
//	                  1.010; map:home1=5 its clock map, 5 s after its boot
//	clock2@+60        the clock of the second oracle, 60 s after the block before;
//	                  clock2.7@+60 states it for block 7
//	vote2:cut_leaves=100@7
//	                  the second oracle's vote for a parameter from height 7 on
//	forged:WORD       the statement with its signature broken
//	again:WORD        the statement that WORD made before, a second time
//	junk              a message that is no statement
//	.                 nothing: a block of clocks alone
//
// A line without a clock gets one of every oracle, a minute on. A word after #
// and a space is a comment to the line's end. What the rules refuse is refused
// as in an oracle: draw it and look at [Block.Result].
//
// Tampering with a chain's leaves is in [FlipByte], [Drop], [Swap], [Rechain]
// and their like; [Tamperings] lists a good many at once.
package ledgertest
