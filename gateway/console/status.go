package console

import "time"

// Version is that of the forms of Status and Live. It is raised when a member changes
// its meaning or goes; new members do not raise it.
const Version = 1

// Status is a gateway at one moment, in the order in which a screen tells it. Members
// that are not known are left out.
type Status struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Gateway Gateway   `json:"gateway"`
	Ledger  Ledger    `json:"ledger"`
	Key     Key       `json:"key"`
	Clock   Clock     `json:"clock"`
	Buses   []Bus     `json:"buses"`
	Devices []Device  `json:"devices"` // worst first
	Outbox  Outbox    `json:"outbox"`
	Uplink  Uplink    `json:"uplink"`
	// Display is what shows on the device itself how it fares, nil for nothing.
	Display  *Display  `json:"display,omitempty"`
	Warnings []Warning `json:"warnings"`
	// Ready says that one may leave: every device was read, and readings are signed,
	// sent and receipted. Line says the same for people.
	Ready bool   `json:"ready"`
	Line  string `json:"line"`
}

// Gateway is the process.
type Gateway struct {
	Name    string    `json:"name"`
	Version string    `json:"version"` // of the program
	Config  string    `json:"config_sha256,omitempty"`
	Boot    uint64    `json:"boot"` // boot count
	Started time.Time `json:"started"`
	// ResidentBytes is the memory that the process holds.
	ResidentBytes int64 `json:"resident_bytes,omitempty"`
}

// Ledger is where statements go.
type Ledger struct {
	Origin string   `json:"origin"`
	Points []string `json:"points"` // the metering points that are measured
	Policy Policy   `json:"policy"`
}

// Policy is whose receipts count.
type Policy struct {
	SHA256 string `json:"sha256"` // of its text, in hex
	// Height is the first block of the oracle set that it is of, where the gateway followed
	// the oracles to it from the policy of its configuration; 0 for that one itself.
	Height   uint64   `json:"height"`
	Oracles  []string `json:"oracles"`  // their names
	Followed int      `json:"followed"` // changes of oracles since that of the configuration
	// FollowedAt is when the newest was, if in this run.
	FollowedAt *time.Time `json:"followed_at,omitempty"`
	// Behind is since when receipts come that the policy does not take, if they do, and
	// Failure why the last handover that was sent was not followed.
	Behind  *time.Time `json:"behind,omitempty"`
	Failure string     `json:"failure,omitempty"`
	Unkept  string     `json:"unkept,omitempty"` // why the newest handover is not on disk
}

// Key is what signs.
type Key struct {
	Backend   string `json:"backend,omitempty"`
	Algorithm string `json:"algorithm"`
	ID        string `json:"id"`
	// Words are what people compare the key by.
	Words    []string `json:"words,omitempty"`
	Signed   uint64   `json:"signed"`   // statements since the start
	Failures uint64   `json:"failures"` // attempts without a signature
	Failure  string   `json:"failure,omitempty"`
	// SignS is how long the key was at work since the start, in seconds.
	SignS float64 `json:"sign_s"`
}

// Clock is the time as the gateway claims it.
type Clock struct {
	Quality string `json:"quality"` // one of the Clock constants of ledger/entry
	// UncertaintyMS is how far the time may be off, 0 where nothing is claimed.
	UncertaintyMS int64  `json:"uncertainty_ms"`
	UptimeS       int64  `json:"uptime_s"`
	Steps         uint64 `json:"steps"` // times the clock was moved while running
}

// Bus is a bus and what happened on it since the start.
type Bus struct {
	Name      string            `json:"name"`
	BusyRatio float64           `json:"busy_ratio"` // share of the time since the start
	Jobs      uint64            `json:"jobs"`
	Failures  map[string]uint64 `json:"failures,omitempty"` // by class
	Stale     uint64            `json:"stale"`
	Hung      uint64            `json:"hung"`
	Opened    uint64            `json:"opened"`
	Freed     uint64            `json:"freed"` // times that it was held low and freed
}

// The states of a device.
const (
	StateGood     = "good"     // the last attempt gave values
	StateSilent   = "silent"   // several attempts in a row gave none
	StateFailing  = "failing"  // the last attempt gave none
	StateWaiting  = "waiting"  // not tried yet
	StateDisabled = "disabled" // by the configuration
)

// Device is a device and how it fares.
type Device struct {
	Name    string     `json:"name"`
	Model   string     `json:"model"`
	Part    string     `json:"part"`
	Bus     string     `json:"bus,omitempty"`
	Address uint16     `json:"address,omitempty"`
	Point   string     `json:"point"`
	PeriodS float64    `json:"period_s"`
	State   string     `json:"state"`
	Since   *time.Time `json:"since,omitempty"` // of a state that is not good
	LastAt  *time.Time `json:"last_at,omitempty"`
	AgeS    float64    `json:"age_s"` // of the last value; 0 where there is none
	// Last is the value that says most of the device, for a screen.
	Last *Value `json:"last,omitempty"`
	// Unchanged is how many samples in a row said the very same as the one before.
	Unchanged uint64            `json:"unchanged"`
	Samples   uint64            `json:"samples"`
	Failed    uint64            `json:"failed"`
	Failures  map[string]uint64 `json:"failures,omitempty"` // by class
	Error     string            `json:"error,omitempty"`    // of the last attempt
	Remedy    string            `json:"remedy,omitempty"`
}

// Value is one value as its driver read it.
type Value struct {
	Channel string `json:"channel"`
	Unit    string `json:"unit"`
	Value   string `json:"value"` // exact, without exponent
	Kind    string `json:"kind"`
	Quality string `json:"quality"`
}

// Outbox is what waits for a receipt.
type Outbox struct {
	State      string     `json:"state"` // disk or memory
	Cause      string     `json:"cause,omitempty"`
	Pending    int        `json:"pending"` // statements
	Bytes      int64      `json:"bytes"`
	DiskBytes  int64      `json:"disk_bytes"`
	MaxBytes   int64      `json:"max_bytes"`
	OldestAt   *time.Time `json:"oldest_at,omitempty"`
	OldestAgeS float64    `json:"oldest_age_s"`
	Refused    int        `json:"refused"`
	OpenGaps   int        `json:"open_gaps"`
	Dropped    uint64     `json:"dropped"`
	// LossStatements is how many statements a power cut would lose now, LossWindowS how
	// long a statement may wait to become durable.
	LossStatements int     `json:"loss_statements"`
	LossWindowS    float64 `json:"loss_window_s"`
	Fsyncs         uint64  `json:"fsyncs"`
	BytesWritten   uint64  `json:"bytes_written"`
}

// Uplink is the way to the oracles.
type Uplink struct {
	Broker      string            `json:"broker"`
	Connected   bool              `json:"connected"`
	Since       time.Time         `json:"since"` // of Connected's last change
	Failure     string            `json:"failure,omitempty"`
	LastReceipt *time.Time        `json:"last_receipt,omitempty"`
	Published   uint64            `json:"published"`
	Resent      uint64            `json:"resent"`
	InFlight    int               `json:"in_flight"`
	Receipts    uint64            `json:"receipts"`
	Unverified  uint64            `json:"unverified"`
	Superseded  uint64            `json:"superseded"`         // of these, for want of a handover that came then
	Refusals    map[string]uint64 `json:"refusals,omitempty"` // by reason
	// CertificateEnds is when the client certificate is of no use any more.
	CertificateEnds *time.Time `json:"certificate_ends,omitempty"`
}

// Display is the screen and the lamp on the device.
type Display struct {
	Screen bool `json:"screen"` // there is one
	Lamp   bool `json:"lamp"`
	// The failures say why nothing is shown, empty where something is.
	ScreenFailure string `json:"screen_failure,omitempty"`
	LampFailure   string `json:"lamp_failure,omitempty"`
}

// Warning is something that somebody should do something about.
type Warning struct {
	Code   string `json:"code"` // lower case with underscores, never reused
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Live is the newest values of each device.
type Live struct {
	Version int           `json:"version"`
	Time    time.Time     `json:"time"`
	Devices []DeviceValue `json:"devices"` // in the order of the configuration
}

// DeviceValue is a device with its newest values. After a failure the values are those
// before it, and Error is set.
type DeviceValue struct {
	Name   string     `json:"name"`
	Model  string     `json:"model"`
	Part   string     `json:"part"`
	Point  string     `json:"point"`
	At     *time.Time `json:"at,omitempty"`
	AgeS   float64    `json:"age_s"`
	Values []Value    `json:"values"`
	Error  string     `json:"error,omitempty"`
	Remedy string     `json:"remedy,omitempty"`
	Serial string     `json:"serial,omitempty"` // what the part said of itself
	// Prefix is what stands before the names of channels in records: the device's name and
	// a dot where its point has several devices.
	Prefix string `json:"prefix,omitempty"`
	// Corrections are the calibrations in force, in the order of channels. Values are
	// without them: records have what they make of these.
	Corrections []Correction `json:"corrections,omitempty"`
	// Adjusts says that the part has an adjustment of its own.
	Adjusts bool `json:"adjusts,omitempty"`
}

// Correction is what a calibration makes of one channel's values: sign x ratio x value +
// offset.
type Correction struct {
	Channel string `json:"channel"`
	Factors
	// Before is what was in force before, nil where that is not known.
	Before *Factors `json:"before,omitempty"`
	Record string   `json:"record"` // identity of the signed calibration, in hex
}

// Factors are decimal numbers, exact and without exponent.
type Factors struct {
	Ratio  string `json:"ratio"`
	Sign   int    `json:"sign"` // 1 or -1
	Offset string `json:"offset"`
}

// Exchanges are what went over the buses last, for those who look for faults in the
// field. They hold values of a household, and serial numbers.
type Exchanges struct {
	Version int              `json:"version"`
	Devices []DeviceExchange `json:"devices"` // in the order of the configuration
}

// DeviceExchange is the newest attempt to read a device.
type DeviceExchange struct {
	Name   string    `json:"name"`
	Model  string    `json:"model"`
	Point  string    `json:"point"`
	At     time.Time `json:"at"`
	Serial string    `json:"serial,omitempty"` // what the part said of itself last
	Error  string    `json:"error,omitempty"`
	// Transcript is in the form of hardware.ParseTranscript.
	Transcript string `json:"transcript"`
}
