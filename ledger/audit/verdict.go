package audit

import "fmt"

// Answer is what can be said of one question.
type Answer string

// The answers.
const (
	Holds         Answer = "holds"
	False         Answer = "false"
	Unchecked     Answer = "unchecked"      // with the reason in the detail
	NotApplicable Answer = "not_applicable" // no failure
)

// Check names a question.
type Check string

// The questions, in the order in which they are answered.
const (
	CheckSignature   Check = "signature"   // the statement is signed by the key it names
	CheckKey         Check = "key"         // that key was enrolled and not revoked there
	CheckCalibration Check = "calibration" // a calibration record covers the device
	CheckTime        Check = "time"        // how good the signer's clock was
	CheckInclusion   Check = "inclusion"   // the leaf is in the tree
	CheckQuorum      Check = "quorum"      // the policy's quorum signed that tree
	CheckChain       Check = "chain"       // the header chain reaches the leaf's block
	CheckDisclosure  Check = "disclosure"  // the value disclosed is the one committed to
	CheckRerun       Check = "rerun"       // the rules give the same outcome again
)

var checks = []Check{CheckSignature, CheckKey, CheckCalibration, CheckTime, CheckInclusion, CheckQuorum, CheckChain, CheckDisclosure, CheckRerun}

// Verdict answers one question.
type Verdict struct {
	Check   Check  `json:"check"`
	Verdict Answer `json:"verdict"`
	Detail  string `json:"detail"`
}

// Report is all that is said of one file.
type Report struct {
	File string `json:"file"`
	// Kind is "transparent statement", "tlog-proof" or "evidence".
	Kind     string    `json:"kind"`
	Verdicts []Verdict `json:"verdicts"`
	// Subject says in words what the file is about.
	Subject string `json:"subject,omitempty"`
	// Tree is what a claim of carbon accounting rests on, nil of other files.
	Tree *Node `json:"tree,omitempty"`
}

func newReport(file, kind string) *Report {
	r := &Report{File: file, Kind: kind}
	for _, c := range checks {
		r.Verdicts = append(r.Verdicts, Verdict{c, NotApplicable, ""})
	}
	return r
}

func (r *Report) set(c Check, a Answer, format string, args ...any) {
	for i := range r.Verdicts {
		if r.Verdicts[i].Check == c {
			r.Verdicts[i] = Verdict{c, a, fmt.Sprintf(format, args...)}
		}
	}
}

// malformed marks a file that is not what it claims to be.
func (r *Report) malformed(err error) *Report {
	for _, c := range checks {
		r.set(c, Unchecked, "the file is damaged")
	}
	r.set(CheckInclusion, False, "%v", err)
	return r
}

// Unreadable is the report of a file that could not be checked at all.
func Unreadable(file string, err error) *Report {
	r := newReport(file, "unknown")
	for _, c := range checks {
		r.set(c, Unchecked, "%v", err)
	}
	return r
}

// Count returns how many questions have an answer.
func (r *Report) Count(a Answer) (n int) {
	for _, v := range r.Verdicts {
		if v.Verdict == a {
			n++
		}
	}
	return n
}

// Exit statuses of verifying commands.
const (
	ExitHolds     = 0 // every applicable verdict holds
	ExitUnchecked = 1 // something could not be checked
	ExitFalse     = 3 // something was checked and is false
)

// Exit returns the exit status that the report calls for.
func (r *Report) Exit() int {
	switch {
	case r.Count(False) > 0:
		return ExitFalse
	case r.Count(Unchecked) > 0:
		return ExitUnchecked
	}
	return ExitHolds
}
