package entry

import "fmt"

// Parameters that a charter sets and votes change.
const (
	ParamFutureLimit = "future_limit_s" // statements further ahead of block time are refused
	ParamLateAfter   = "late_after_s"   // readings further behind block time are flagged late
	ParamCutLeaves   = "cut_leaves"     // statements after which a block is closed
	ParamCutBytes    = "cut_bytes"      // bytes after which a block is closed

	// ParamSnapshotBlocks is every how many blocks the state's digest enters the log.
	ParamSnapshotBlocks = "snapshot_blocks"

	// The calendar of the market, in seconds: see ledger/market.Calendar.
	ParamMarketAhead    = "market_ahead_s"    // how long before an interval orders are taken
	ParamMarketLead     = "market_lead_s"     // how long before it its gate closes
	ParamMarketNotice   = "market_notice_s"   // how long before its first interval a tariff takes effect
	ParamMarketR0       = "market_r0_s"       // deadlines of runs, from the start of the interval's UTC day
	ParamMarketR1       = "market_r1_s"       //
	ParamMarketRF       = "market_rf_s"       //
	ParamMarketRegister = "market_register_s" // how long behind an interval's start a register is its own
	ParamMarketRolling  = "market_rolling"    // 1: runs count from the interval itself
	ParamMarketSealed   = "market_sealed"     // 1: orders are sealed until their gate
	ParamMarketReveal   = "market_reveal_s"   // how long behind the gate seals are opened
)

// Charter is what the members of a consortium agreed on before the first block:
// leaf 0 of the ledger.
type Charter struct {
	Origin     string       `cbor:"1,keyasint"` // the ledger's name in checkpoints and statements
	Time       int64        `cbor:"2,keyasint"` // Unix milliseconds UTC: time of the genesis block
	Quorum     uint64       `cbor:"3,keyasint"` // oracles that must cosign a checkpoint
	Governance uint64       `cbor:"4,keyasint"` // oracles that must vote for a change
	Oracles    []OracleKeys `cbor:"5,keyasint"`
	Parameters []Parameter  `cbor:"6,keyasint"` // in order of their names
	Simulated  bool         `cbor:"7,keyasint"` // a demonstration: its clock and sensors are not the world's
}

// OracleKeys are one oracle's three public keys: what it states, what it signs
// as a log, and what it cosigns and issues receipts with.
type OracleKeys struct {
	Name      string `cbor:"1,keyasint"`
	Algorithm int    `cbor:"2,keyasint"` // of the statement key
	Key       []byte `cbor:"3,keyasint"` // the statement key, raw
	Log       string `cbor:"4,keyasint"` // C2SP vkey under the ledger's origin
	Cosigner  string `cbor:"5,keyasint"` // C2SP vkey of type 0x04 under the oracle's name
}

// Parameter is a number that the rules use.
type Parameter struct {
	Name  string `cbor:"1,keyasint"`
	Value int64  `cbor:"2,keyasint"`
}

type wireCharter struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Version uint64
	Charter Charter
}

// Encode writes the charter as the bytes of leaf 0.
func (c *Charter) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(wireCharter{Kind: "charter", Version: 1, Charter: *c})
}

// ParseCharter reads leaf 0.
func ParseCharter(b []byte) (*Charter, error) {
	var w wireCharter
	if err := decode("charter", b, &w); err != nil {
		return nil, err
	}
	if w.Kind != "charter" || w.Version != 1 {
		return nil, fmt.Errorf("%w: %q version %d is not a charter of version 1", ErrForm, w.Kind, w.Version)
	}
	return &w.Charter, w.Charter.check()
}

func (c *Charter) check() error {
	if err := keyName("origin", c.Origin); err != nil {
		return err
	}
	if err := checkOracles("a charter", c.Oracles, c.Quorum, c.Governance); err != nil {
		return err
	}
	if c.Time < 0 || c.Time > 1<<50 {
		return fmt.Errorf("%w: charter time %d ms is out of range", ErrForm, c.Time)
	}
	last := ""
	for _, p := range c.Parameters {
		if p.Name <= last {
			return fmt.Errorf("%w: parameters are not in order of their names", ErrForm)
		}
		if err := text("parameter", p.Name, 64); err != nil {
			return err
		}
		last = p.Name
	}
	return nil
}

func (o *OracleKeys) check() error {
	if err := keyName("oracle name", o.Name); err != nil {
		return err
	}
	if len(o.Key) == 0 || len(o.Key) > maxKey {
		return fmt.Errorf("%w: oracle %q has a key of %d bytes instead of 1 to %d", ErrForm, o.Name, len(o.Key), maxKey)
	}
	if err := text("log key", o.Log, 512); err != nil {
		return err
	}
	return text("cosigner key", o.Cosigner, 512)
}
