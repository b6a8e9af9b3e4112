package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"wattmark/firmware/manifest"
	"wattmark/firmware/update/slot"
	"wattmark/ledger/entry"
)

// Image is the root that runs.
type Image struct {
	Board   string
	Version uint64
	Commit  string
	Kernel  string   // of the kernel that runs, as uname -r has it
	Root    [32]byte // digest of the slot, measured when the machine started
	Size    int64
}

// Config is what an agent works with. All fields are required.
type Config struct {
	Disk  *slot.Disk
	Store Store
	Image Image
	Trust manifest.Trust
	// Gateway is its name, which draws its place in a roll-out.
	Gateway string
	Now     func() time.Time
}

// Agent is the steps of an update. It has one user at a time.
type Agent struct {
	cfg Config
	j   journal
}

// Next is what has to be done after Resume or Take.
type Next int

// What comes next.
const (
	Stay   Next = iota // nothing is under way
	Reboot             // start the machine again: the trial begins, or the old root is to run
	Gate               // the new root runs on trial: Judge until it says what to do
)

// triesMost is how often a version whose trial was interrupted is tried.
const triesMost = 2

// Open reads the journal. One that does not read is an error that wraps ErrJournal;
// Forget begins a new one.
func Open(cfg Config) (*Agent, error) {
	b, err := cfg.Store.Load()
	if err != nil {
		return nil, fmt.Errorf("reading the update journal: %w", err)
	}
	j, err := parseJournal(b)
	if err != nil {
		return nil, err
	}
	return &Agent{cfg, *j}, nil
}

// Forget begins a new journal in the place of one that does not read. What has failed
// before may be tried again; the version that runs stays the lowest that is taken.
func Forget(cfg Config) (*Agent, error) {
	a := &Agent{cfg, journal{Format: 1, Floor: cfg.Image.Version}}
	return a, a.save()
}

// Last is what became of the last update, nil for none.
func (a *Agent) Last() *Outcome { return a.j.Last }

// save writes the journal.
func (a *Agent) save() error {
	if err := a.cfg.Store.Save(a.j.encode()); err != nil {
		return fmt.Errorf("writing the update journal: %w", err)
	}
	return nil
}

// Resume settles what the start that the machine is in came to, and tidies up behind
// what a power cut has left. It is called once, before anything else. The steps are in
// DESIGN.md.
func (a *Agent) Resume() (Next, error) {
	s, err := a.cfg.Disk.State()
	if err != nil {
		return Stay, fmt.Errorf("reading what the machine boots: %w", err)
	}
	p := a.j.Pending
	if a.cfg.Disk.Running != s.Default {
		return a.onTrial(p)
	}
	if p == nil {
		return Stay, a.tidy(s)
	}
	if a.cfg.Disk.Running == p.Slot {
		// The default was changed, and the power went before the journal said so.
		if digest(a.cfg.Image.Root) != p.Root {
			return Stay, a.settle(s, Outcome{Version: p.Version, Result: FellBack, Reason: Unknown, Detail: "the slot holds another root than was written"})
		}
		return Stay, a.kept(s)
	}
	switch {
	case p.Phase == phaseWriting:
		a.j.Pending = nil // it is fetched anew
		if err := a.save(); err != nil {
			return Stay, err
		}
		return Stay, a.tidy(s)
	case p.Phase == phaseReady && s.Trial == slot.Armed:
		return Reboot, nil
	case p.Phase == phaseReady && s.Trial == slot.NoTrial:
		return Reboot, a.cfg.Disk.Arm()
	case p.Phase == phaseReady:
		return Stay, a.failed(s, NotBooted, "the trial's start came back to the old root before the new one could say a word")
	}
	return Stay, a.failed(s, Interrupted, "the machine was started again during the trial")
}

// onTrial is a start in the slot that is not the default.
func (a *Agent) onTrial(p *pending) (Next, error) {
	if p == nil || p.Slot != a.cfg.Disk.Running || p.Phase == phaseWriting || digest(a.cfg.Image.Root) != p.Root {
		// Nothing vouches for this root. The next start is in the default by itself.
		a.j.Last = &Outcome{Version: a.cfg.Image.Version, Result: FellBack, Reason: Unknown, Detail: "a root ran on trial that this gateway has not written", At: a.cfg.Now()}
		return Reboot, a.save()
	}
	if p.Phase != phaseTrying {
		p.Phase = phaseTrying
		if err := a.save(); err != nil {
			return Gate, err
		}
	}
	return Gate, nil
}

// tidy makes the boot files say the default and nothing else.
func (a *Agent) tidy(s slot.State) error {
	if s.Trial == slot.NoTrial && s.Agree {
		return nil
	}
	return a.cfg.Disk.SetDefault(s.Default)
}

// failed notes a trial that came to nothing, while the old root runs.
func (a *Agent) failed(s slot.State, why Reason, detail string) error {
	return a.settle(s, Outcome{Version: a.j.Pending.Version, Result: FellBack, Reason: why, Detail: detail})
}

// settle ends what is under way with an outcome; the journal says so first, as tidying
// is done again if the power goes.
func (a *Agent) settle(s slot.State, o Outcome) error {
	a.conclude(o)
	if err := a.save(); err != nil {
		return err
	}
	return a.tidy(s)
}

// conclude ends what is under way in the journal, unsaved.
func (a *Agent) conclude(o Outcome) {
	o.At = a.cfg.Now()
	a.j.Last, a.j.Pending = &o, nil
	if o.Result != FellBack {
		return
	}
	if o.Reason == Interrupted || o.Reason == NotBooted { // a power cut early in the trial looks like the latter
		if a.j.Tries == nil {
			a.j.Tries = make(map[uint64]int)
		}
		if a.j.Tries[o.Version]++; a.j.Tries[o.Version] < triesMost {
			return
		}
	}
	a.j.fail(o.Version)
}

// kept notes that the pending root is the default.
func (a *Agent) kept(s slot.State) error {
	version := a.j.Pending.Version
	a.j.Floor, a.j.Tries = max(a.j.Floor, version), nil
	return a.settle(s, Outcome{Version: version, Result: Kept})
}

// Roots gives the root of a release.
type Roots func(ctx context.Context, r *entry.Release) (io.ReadCloser, error)

// Check says whether a release is one to be taken here, without fetching its root. The
// error is a *Refused.
func (a *Agent) Check(proof []byte) (*manifest.Logged, error) {
	l, err := a.cfg.Trust.Verify(proof)
	if err != nil {
		var version uint64
		if note, _, err := manifest.Carried(proof); err == nil {
			if r, err := manifest.Read(note); err == nil {
				version = r.Version
			}
		}
		return nil, &Refused{reasonOf(err), version, err}
	}
	r, image := &l.Release, &a.cfg.Image
	refuse := func(why Reason, format string, args ...any) (*manifest.Logged, error) {
		return nil, &Refused{why, r.Version, fmt.Errorf(format, args...)}
	}
	switch {
	case r.Board != image.Board:
		return refuse(WrongBoard, "it is for %q, this is %q", r.Board, image.Board)
	case r.Version <= max(image.Version, a.j.Floor):
		return refuse(OlderVersion, "it is version %d, and %d runs or has run", r.Version, max(image.Version, a.j.Floor))
	case slices.Contains(a.j.Failed, r.Version):
		return refuse(OlderVersion, "version %d was tried here and failed", r.Version)
	case r.After > image.Version:
		return refuse(TooOldToFollow, "it may follow version %d and later, and %d runs", r.After, image.Version)
	case r.Kernel != image.Kernel:
		return refuse(OtherKernel, "it is for kernel %q, and %q runs", r.Kernel, image.Kernel)
	}
	return l, nil
}

// Included reports whether a roll-out lets this gateway take a release now. A roll-out
// that is older than one that was seen says nothing.
func (a *Agent) Included(rollout []byte, r *entry.Release) (bool, error) {
	o, err := manifest.OpenRollout(rollout, a.cfg.Trust.Keys)
	if err != nil {
		return false, err
	}
	if o.Origin != r.Origin || o.Board != r.Board || o.Version != r.Version || o.Issued < a.j.Rollout {
		return false, nil
	}
	if o.Issued > a.j.Rollout {
		a.j.Rollout = o.Issued
		if err := a.save(); err != nil {
			return false, err
		}
	}
	return o.Includes(a.cfg.Gateway), nil
}

// Take takes an update: it checks it, writes its root into the idle slot, reads it back,
// and arms a trial; Reboot then begins it. read are the parts that the gateway reads
// now. An update that is not taken gives a *Refused, which the journal has as the last
// outcome; other errors are the disk's or the network's and leave the update to be
// taken later.
func (a *Agent) Take(ctx context.Context, proof []byte, roots Roots, read []string) error {
	if a.j.Pending != nil {
		return fmt.Errorf("version %d is under way", a.j.Pending.Version)
	}
	l, err := a.Check(proof)
	if err != nil {
		return a.refused(err)
	}
	r := &l.Release
	if a.cfg.Disk.Running != slot.RootA && a.cfg.Disk.Running != slot.RootB {
		return fmt.Errorf("the machine runs from partition %d, which is no slot", a.cfg.Disk.Running)
	}
	idle := a.cfg.Disk.Running.Other()
	a.j.Pending = &pending{Version: r.Version, Root: r.Root, Size: int64(r.Size), Slot: idle, Phase: phaseWriting, Read: slices.Sorted(slices.Values(read))}
	if err := a.save(); err != nil {
		a.j.Pending = nil
		return err
	}
	if err := a.write(ctx, idle, r, roots); err != nil {
		return a.refused(err)
	}
	a.j.Pending.Phase = phaseReady
	if err := a.save(); err != nil {
		return err
	}
	if err := a.cfg.Disk.Arm(); err != nil {
		return fmt.Errorf("arming the trial: %w", err)
	}
	return nil
}

// write fills the idle slot and reads it back.
func (a *Agent) write(ctx context.Context, idle slot.Partition, r *entry.Release, roots Roots) error {
	root, err := roots(ctx, r)
	if err != nil {
		return fmt.Errorf("fetching the root of version %d: %w", r.Version, err)
	}
	err = a.cfg.Disk.Write(idle, root, int64(r.Size))
	err = errors.Join(err, root.Close())
	if errors.Is(err, slot.ErrSize) {
		return &Refused{Truncated, r.Version, err}
	}
	if err != nil {
		return err
	}
	sum, err := a.cfg.Disk.Digest(idle, int64(r.Size))
	if err != nil {
		return err
	}
	if sum != r.Root {
		return &Refused{Altered, r.Version, fmt.Errorf("slot %d reads back with the digest %x, and the release says %x", idle, sum, r.Root)}
	}
	return nil
}

// refused notes that an update was not taken. The release that runs is offered again and
// again, and so is one that came to nothing: of these the journal has said all.
func (a *Agent) refused(err error) error {
	var r *Refused
	write := a.j.Pending != nil
	a.j.Pending = nil
	if errors.As(err, &r) && !a.known(r) {
		a.j.Last = &Outcome{Version: r.Version, Result: Rejected, Reason: r.Reason, Detail: r.Err.Error(), At: a.cfg.Now()}
		write = true
	}
	if write {
		err = errors.Join(err, a.save())
	}
	return err
}

// known reports whether a refusal is no news.
func (a *Agent) known(r *Refused) bool {
	last := a.j.Last
	if r.Reason == OlderVersion {
		return r.Version == a.cfg.Image.Version || last != nil && last.Version == r.Version
	}
	return last != nil && last.Version == r.Version && last.Result == Rejected && last.Reason == r.Reason
}

// Health is how the gateway fares in a root that is on trial.
type Health struct {
	Key      bool     // the key signs
	Outbox   bool     // the outbox is on its disk
	Signed   uint64   // statements since the start
	Read     []string // parts that give values
	Receipts uint64   // receipts that verified since the start
}

// missing lists what a root still owes, in words.
func (h *Health) missing(before []string) []string {
	var out []string
	add := func(bad bool, what string) {
		if bad {
			out = append(out, what)
		}
	}
	add(!h.Key, "the key does not sign")
	add(!h.Outbox, "the outbox is not on its disk")
	add(h.Signed == 0, "no statement was signed")
	for _, part := range before {
		add(!slices.Contains(h.Read, part), part+" gives no values, and did before")
	}
	add(h.Receipts == 0, "no receipt has arrived")
	return out
}

// Verdict is what Judge says of a root that is on trial.
type Verdict int

// Verdicts.
const (
	Wait    Verdict = iota
	Healthy         // it is kept, and is the default
	Failed          // it is not: Reboot into the old root
)

// Judge looks at a root on trial: it is kept as soon as nothing is missing, and given up
// once left, what remains of the time for it, is 0 or less.
func (a *Agent) Judge(h Health, left time.Duration) (Verdict, error) {
	p := a.j.Pending
	if p == nil || p.Phase != phaseTrying {
		return Failed, errors.New("no root is on trial")
	}
	missing := h.missing(p.Read)
	switch {
	case len(missing) == 0:
		if err := a.cfg.Disk.SetDefault(a.cfg.Disk.Running); err != nil {
			return Wait, fmt.Errorf("keeping version %d: %w", p.Version, err)
		}
		return Healthy, a.kept(slot.State{Default: a.cfg.Disk.Running, Agree: true})
	case left > 0:
		return Wait, nil
	}
	// The boot files stay as they are: the next start is in the old root.
	a.conclude(Outcome{Version: p.Version, Result: FellBack, Reason: Unhealthy, Detail: strings.Join(missing, "; ")})
	return Failed, a.save()
}
