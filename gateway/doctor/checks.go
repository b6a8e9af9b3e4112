package doctor

// checks is the one table of checks, in the order in which people look: the machine
// from the ground up, what is on its buses, its time, disk and key, the way to the
// oracles, and the service that holds all of it together.
var checks = []check{
	{"configuration", configuration},
	{"configuration-mode", configurationMode},

	{"board", knownBoard},
	{"power", power},
	{"temperature", temperature},
	{"memory", memory},
	{"memory-killed", memoryKilled},

	{"bus-present", busPresent},
	{"bus-permitted", busPermitted},
	{"bus-held", busHeld},
	{"bus-name", busName},
	{"mini-uart", miniUART},
	{"serial-console", serialConsole},
	{"pin-clash", pinClash},
	{"i2c-speed", i2cSpeed},
	{"bus-reached", busReached},
	{"framing", framing},
	{"bus-errors", busErrors},
	{"bus-hung", busHung},
	{"bus-low", busLow},
	{"bus-busy", busBusy},

	{"device", deviceAnswers},
	{"device-quality", deviceQuality},
	{"device-stuck", deviceStuck},
	{"clamp", clamp},
	{"wiring", wiring},
	{"screen", screen},
	{"lamp", lamp},

	{"clock", clock},
	{"clock-error", clockError},
	{"clock-service", clockService},
	{"clock-moved", clockMoved},

	{"state", stateDirectory},
	{"state-disk", stateDisk},
	{"space", space},
	{"files", files},
	{"disk-life", diskLife},
	{"disk-errors", diskErrors},

	{"key", keyOpens},
	{"key-mode", keyMode},
	{"key-enrolled", keyEnrolled},
	{"key-rotation", keyRotation},
	{"secrets", secrets},
	{"enrolment", enrolment},
	{"signing", signing},

	{"policy", policy},
	{"oracle-keys", oracleKeys},
	{"oracles-followed", oraclesFollowed},
	{"roots", roots},
	{"certificate", certificate},
	{"broker-name", brokerName},
	{"broker-route", brokerRoute},
	{"broker-tls", brokerTLS},
	{"broker", brokerTakes},
	{"receipts", receipts},
	{"receipts-verify", receiptsVerify},
	{"refusals", refusals},
	{"outbox", outboxKept},
	{"display", display},

	{"running", running},
	{"version", version},
	{"in-force", inForce},
	{"service", service},
	{"watchdog", watchdog},
	{"watchdog-hardware", watchdogHardware},
	{"resident", resident},
}

// Names returns the names of all checks, in the order of a report.
func Names() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}
