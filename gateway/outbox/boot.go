package outbox

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	stateFile    = "state"
	tempSuffix   = ".tmp"
	maxStateFile = 4096
	maxBootID    = 128
)

// bootState is what the outbox knows of the numbers. Until RaiseBoot succeeded
// it is what Open found in the log.
type bootState struct {
	raised    bool
	boot      uint64
	reserved  uint64 // numbers of boot that may be handed out, durable
	handed    uint64 // handed out last
	accounted uint64 // numbers of boot up to here are appended, or in a gap
	pending   uint64 // reservation in the group, not durable yet; or 0

	found   bootFacts // what Open found
	damaged bool      // Open found something torn or damaged
}

// bootFacts is the content of the state file.
type bootFacts struct {
	boot   uint64
	bootID string
}

// RaiseBoot begins a boot: it is called once in a process, before the first
// NextSeq, and makes the boot count durable. bootID is the kernel's
// (/proc/sys/kernel/random/boot_id): when it is the one of the last call the
// process was restarted and not the machine, the boot count stays, and the rest
// of the reserved numbers is skipped. If it is empty, or state file and segments
// do not agree, or the log was torn or damaged, the boot count is raised in any
// case: numbers must be unique, and then nothing else proves that they are.
//
// An error means that nothing may be signed; it can be called again.
func (o *Outbox) RaiseBoot(bootID string) (boot uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return 0, ErrClosed
	case len(bootID) > maxBootID || strings.ContainsAny(bootID, "\n\r"):
		return 0, fmt.Errorf("boot id %q is %w or has more than one line", bootID, ErrTooLarge)
	case o.raised:
		return o.boot, nil
	}
	if o.state == InMemory {
		if err := o.resume(); err != nil {
			return 0, fmt.Errorf("raising the boot count: %w", err)
		}
	}
	same := bootID != "" && bootID == o.found.bootID && o.found.boot == o.boot && !o.damaged
	if same {
		err = o.sameBoot()
	} else {
		err = o.newBoot(bootID)
	}
	if err != nil {
		return 0, fmt.Errorf("raising the boot count: %w", err)
	}
	o.raised = true
	o.reclaim()
	return o.boot, nil
}

// sameBoot goes on in the boot of the process before.
func (o *Outbox) sameBoot() error {
	o.gapToReserved(Skipped)
	upTo := o.reserved + o.opts.reserveBlock
	o.log(markRecord(Number{Boot: o.boot}, mark{kind: markReserved, upTo: upTo}))
	if err := o.commit(); err != nil {
		return err
	}
	o.handed, o.accounted, o.reserved = o.reserved, o.reserved, upTo
	return nil
}

// newBoot raises the count, first in the log and then in the state file: if
// only the first happens, the two differ and the next call raises it again.
func (o *Outbox) newBoot(bootID string) error {
	o.gapToReserved(PowerOff)
	facts := bootFacts{max(o.found.boot, o.boot) + 1, bootID}
	if o.unused() && o.boot > o.found.boot {
		facts.boot = o.boot
	}
	if facts.boot > maxBoot {
		return fmt.Errorf("boot count %d is %w", facts.boot, ErrTooLarge)
	}
	o.log(markRecord(Number{Boot: facts.boot}, mark{kind: markBoot, upTo: o.opts.reserveBlock}))
	if err := o.commit(); err != nil {
		return err
	}
	if err := o.replaceState(facts); err != nil {
		return err
	}
	o.found = facts
	o.boot, o.handed, o.accounted, o.reserved = facts.boot, 0, 0, o.opts.reserveBlock
	return nil
}

// unused tells whether no number of the boot was ever reserved.
func (o *Outbox) unused() bool { return o.reserved == 0 && o.accounted == 0 }

// gapToReserved says of the numbers that were reserved and of which nothing is
// in the log that nothing will come.
func (o *Outbox) gapToReserved(why Reason) {
	if o.accounted < o.reserved {
		o.openGap(Gap{
			Range:  Range{o.boot, o.accounted + 1, o.reserved},
			Count:  o.reserved - o.accounted,
			Reason: why,
		})
	}
}

// NextSeq hands out the next number, for the next statement and no other: sign,
// then Append. A number that is not appended before the next call is skipped.
// skipped, unless nil, is a range of numbers of this boot of which no statement
// will come, and which the statement must carry.
func (o *Outbox) NextSeq() (boot, seq uint64, skipped *Range, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, 0, nil, ErrClosed
	}
	if !o.raised {
		return 0, 0, nil, ErrNoBoot
	}
	if o.handed > o.accounted {
		o.openGap(Gap{Range: Range{o.boot, o.accounted + 1, o.handed}, Count: o.handed - o.accounted, Reason: Skipped})
		o.accounted = o.handed
	}
	if o.handed == o.reserved {
		if o.pending == 0 && o.state == OnDisk {
			o.reserveMore()
		}
		if err := o.flush(); err != nil {
			return 0, 0, nil, fmt.Errorf("%w: %w", ErrNoNumber, err)
		}
	}
	o.handed++
	for _, g := range o.gaps {
		if g.Reason == Skipped && g.Boot == o.boot && g.by == (Number{}) {
			g.toldBy = Number{o.boot, o.handed}
			r := g.Range
			skipped = &r
			break
		}
	}
	return o.boot, o.handed, skipped, nil
}

// reserveAhead puts the next reservation into a group that is about to be
// synced, so that it costs no fsync of its own, and early enough that a disk
// that then fails leaves numbers to sign with.
func (o *Outbox) reserveAhead() {
	if o.raised && o.pending == 0 && o.reserved-o.handed < o.opts.reserveBlock/2 {
		o.reserveMore()
	}
}

func (o *Outbox) reserveMore() {
	upTo := o.reserved + o.opts.reserveBlock
	o.log(markRecord(Number{Boot: o.boot}, mark{kind: markReserved, upTo: upTo}))
	o.pending = upTo // only now: log may have settled the group before this one
}

// durableReserve takes note that the group is durable.
func (o *Outbox) durableReserve() {
	if o.pending > 0 {
		o.reserved, o.pending = o.pending, 0
	}
}

// giveBack ends the reservation at the last number handed out: after an orderly
// end no number is unaccounted for.
func (o *Outbox) giveBack() {
	if o.raised && o.state == OnDisk && (o.handed < o.reserved || o.pending > 0) {
		o.log(markRecord(Number{Boot: o.boot}, mark{kind: markReserved, upTo: o.handed}))
		o.reserved, o.pending = o.handed, 0
		o.raised = false // nothing is handed out any more, nor reserved ahead
	}
}

// encodeState writes the state file: lines for people, with a CRC.
func encodeState(f bootFacts) []byte {
	s := fmt.Sprintf("wattmark outbox state 1\nboot %d\nboot_id %s\n", f.boot, f.bootID)
	return fmt.Appendf(nil, "%scrc32c %08x\n", s, crc32.Checksum([]byte(s), castagnoli))
}

func decodeState(b []byte) (bootFacts, error) {
	var f bootFacts
	lines := strings.Split(string(b), "\n")
	if len(b) > maxStateFile || len(lines) != 5 {
		return f, fmt.Errorf("not a state file")
	}
	boot, ok1 := strings.CutPrefix(lines[1], "boot ")
	id, ok2 := strings.CutPrefix(lines[2], "boot_id ")
	n, err := strconv.ParseUint(boot, 10, 32)
	if !ok1 || !ok2 || err != nil || n == 0 || len(id) > maxBootID {
		return f, fmt.Errorf("not a state file")
	}
	f = bootFacts{n, id}
	if string(encodeState(f)) != string(b) {
		return bootFacts{}, fmt.Errorf("the state file's checksum is wrong")
	}
	return f, nil
}

// replaceState makes the facts durable: temporary file, fsync, rename, fsync of
// the directory.
func (o *Outbox) replaceState(f bootFacts) error {
	name := o.path(stateFile)
	file, err := o.fs.Create(name + tempSuffix)
	if err != nil {
		// It may be left from an attempt before this one.
		if o.fs.Remove(name+tempSuffix) != nil {
			return err
		}
		if file, err = o.fs.Create(name + tempSuffix); err != nil {
			return err
		}
	}
	b := encodeState(f)
	o.counts.written += uint64(len(b))
	_, err = file.WriteAt(b, 0)
	if err == nil {
		o.counts.fsyncs++
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := o.fs.Rename(name+tempSuffix, name); err != nil {
		return err
	}
	o.dirDirty = true
	return o.syncDir()
}

// readState returns the state file's facts, none if there is no file.
func readState(fs FS, name string) (bootFacts, error) {
	b, err := readAll(fs, name, maxStateFile)
	if err != nil {
		return bootFacts{}, err
	}
	return decodeState(b)
}
