package oracle

// Recovery is what an oracle that halted tells its operator: the ceremony of RECOVERY.md
// in short. Nobody but people can know which history is right.
const Recovery = `delete nothing and restart nothing. ` +
	`1: every oracle reports: wattmark ledger report DIR --json. ` +
	`2: compare: what has a final checkpoint stands, whoever says otherwise; wattmark ledger audit on all directories says whether they are one history. ` +
	`3: stop all oracles and bring those behind to the last block of the one that is furthest, with a copy of its directory without keys/. ` +
	`4: begin a new order behind that block: wattmark ledger renew-order --dir DIR. ` +
	`5: start all oracles; gateways send again what has no receipt. RECOVERY.md has the whole`
