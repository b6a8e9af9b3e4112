package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"wattmark/ledger/block"
)

const lockName = "lock"

// Report says what Open found and did.
type Report struct {
	// Torn is the unfinished block that a crash left, if any. It was never
	// acknowledged. Open cuts it off; OpenReader passes over it.
	Torn *Torn
	// Replayed counts the blocks after the index's last flush, whose nodes,
	// offsets and heights were computed again.
	Replayed uint64
	// Rebuilt says why the derived files were computed from the first leaf on;
	// empty if they were not.
	Rebuilt string
	// IndexDamage says why index.db was set aside as index.db.damaged and built
	// anew, without state; empty if it was not.
	IndexDamage string
}

// Torn is the end of a segment that was cut off.
type Torn struct {
	File   string
	Offset int64
	Bytes  int64
}

// Lines says for people what is worth saying.
func (r *Report) Lines() []string {
	var out []string
	if t := r.Torn; t != nil {
		out = append(out, fmt.Sprintf("%s: an unfinished block of %d bytes at byte %d was left by a crash; it was never acknowledged", t.File, t.Bytes, t.Offset))
	}
	if r.IndexDamage != "" {
		out = append(out, fmt.Sprintf("%s was kept as %s and is built again, the state by executing all blocks: %s", indexFile, indexSetAside, r.IndexDamage))
	}
	if r.Rebuilt != "" {
		out = append(out, fmt.Sprintf("%s and %s were computed again from the leaves: %s", hashesFile, offsetsFile, r.Rebuilt))
	}
	return out
}

// Open opens a store for writing, makes it if there is none, and mends what a
// crash left. It returns ErrLocked if another process has it open for writing, and
// a *Fault if there is damage that only a person can decide about.
func Open(dir string, o Options) (*Store, Report, error) {
	o, err := o.complete()
	if err != nil {
		return nil, Report{}, err
	}
	if err := makeDir(o.disk, dir, privateDir); err != nil {
		return nil, Report{}, fmt.Errorf("making store: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, Report{}, err
	}
	o2 := &opening{dir: dir, options: o}
	s, err := o2.open()
	if err != nil {
		o2.abandon()
		unlockFile(lock)
		return nil, o2.report, fmt.Errorf("opening store %s: %w", dir, err)
	}
	s.lock = lock
	return s, o2.report, nil
}

// opening is what Open knows so far.
type opening struct {
	dir     string
	options Options
	report  Report

	segs    []*segment
	index   *index
	derived *derived

	mark    mark // the index's
	start   mark // where the replay starts: the index's mark, or zero
	rebuild bool // the derived files are written anew beside the old ones
	noIndex bool // there was no index.db

	// What the replay came to.
	tree    Tree
	last    Commit
	any     bool
	end     int64  // after the last commit, or the head, of the last segment
	block   int64  // where the last replayed block starts, 0 if none was
	home    uint64 // the segment of the last commit, and where in it that ends
	homeEnd int64
	batch   replayBatch
}

func (o *opening) abandon() {
	closeSegments(o.segs)
	if o.index != nil {
		o.index.close()
	}
	if o.derived != nil {
		o.derived.close()
	}
}

func (o *opening) open() (*Store, error) {
	steps := []func() error{o.openFiles, o.checkBorders, o.chooseStart, o.replayAll, o.checkNothingLost, o.mend}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return o.store()
}

// openFiles opens everything; a new store gets its first segment.
func (o *opening) openFiles() error {
	d := o.options.disk
	if err := makeDir(d, filepath.Join(o.dir, leavesDir), privateDir); err != nil {
		return err
	}
	for _, sub := range []string{"", leavesDir} {
		if err := removeTemps(d, filepath.Join(o.dir, sub)); err != nil {
			return err
		}
	}
	var err error
	if o.segs, err = listSegments(d, o.dir); err != nil {
		return err
	}
	if len(o.segs) == 0 {
		if exists(filepath.Join(o.dir, checkpointFile)) {
			return damaged(leavesDir, -1, remedyLeaves, "there are no leaves, but there is a %s", checkpointFile)
		}
		s, err := createSegment(d, o.dir, 0)
		if err != nil {
			return err
		}
		o.segs = []*segment{s}
	}
	if err := o.openIndex(); err != nil {
		return err
	}
	o.derived, err = openDerived(d, o.dir, "")
	return err
}

// removeTemps removes what replaceFile left when it was interrupted.
func removeTemps(d disk, dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), tempSuffix) && !n.IsDir() {
			if err := d.Remove(filepath.Join(dir, n.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// openIndex opens index.db, or sets a damaged one aside and starts anew.
func (o *opening) openIndex() error {
	o.noIndex = !exists(filepath.Join(o.dir, indexFile))
	x, err := openIndex(o.dir, o.options.noSync)
	var d *indexDamage
	if errors.As(err, &d) {
		return o.renewIndex(d.err.Error())
	}
	if err != nil {
		return err
	}
	o.index, o.mark = x, x.pending.mark
	return nil
}

func (o *opening) renewIndex(why string) error {
	if o.index != nil {
		o.index.close()
		o.index = nil
	}
	path := filepath.Join(o.dir, indexFile)
	if err := o.options.disk.Rename(path, filepath.Join(o.dir, indexSetAside)); err != nil {
		return fmt.Errorf("setting %s aside: %w", indexFile, err)
	}
	o.report.IndexDamage = why
	x, err := openIndex(o.dir, o.options.noSync)
	if err != nil {
		return err
	}
	o.index, o.mark = x, mark{}
	return nil
}

// checkBorders checks that each segment but the last ends with a commit right
// before the first leaf of the next: none is missing or cut short.
func (o *opening) checkBorders() error { return checkBorders(o.options.disk, o.segs) }

func checkBorders(d disk, segs []*segment) error {
	for i := range len(segs) - 1 {
		s := segs[i]
		f, err := s.handle(d)
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err != nil {
			return err
		}
		c, err := s.lastCommit(d, size)
		if err != nil {
			return err
		}
		if c.Size != segs[i+1].first {
			return damaged(s.path, size, remedyLeaves, "it ends before leaf %d and the next segment starts at leaf %d", c.Size, segs[i+1].first)
		}
	}
	return nil
}

// chooseStart decides from where the leaves are read: from the index's mark if
// everything at it agrees, else from the first.
func (o *opening) chooseStart() error {
	if o.mark.any {
		why := o.tryMark()
		if why == "" {
			o.startAt(o.mark)
			return nil
		}
		o.report.Rebuilt = why
	} else if o.report.IndexDamage != "" {
		o.report.Rebuilt = indexFile + " knew how far they can be relied on"
	}
	return o.startAnew()
}

func (o *opening) startAt(m mark) {
	o.start, o.last, o.any, o.end = m, m.commit, m.any, m.end
	o.home, o.homeEnd = m.segment, m.end
}

// startAnew has everything derived again, into new files: until they are synced
// and renamed the old ones stay wrong for everybody to see.
func (o *opening) startAnew() error {
	o.startAt(mark{})
	o.tree, o.block, o.report.Replayed, o.batch = Tree{}, 0, 0, replayBatch{}
	if err := o.derived.close(); err != nil {
		return err
	}
	d, err := openDerived(o.options.disk, o.dir, tempSuffix)
	if err != nil {
		return err
	}
	o.derived, o.rebuild = d, true
	return d.cut(0)
}

func (o *opening) tryMark() (why string) {
	m := o.mark
	for _, s := range o.segs {
		if s.first != m.segment {
			continue
		}
		c, err := s.lastCommit(o.options.disk, m.end)
		switch {
		case err != nil:
			return err.Error()
		case c != m.commit:
			return "the index's mark is not at its place in the leaves"
		case !o.derived.holds(c.Size):
			return "they were too short"
		}
		if o.tree, err = loadTree(o.derived, c.Size); err != nil {
			return err.Error()
		}
		if o.tree.Root() != c.Root {
			return hashesFile + " did not lead to the root of the last flush"
		}
		return ""
	}
	return "the segment of the index's mark is not there"
}

// checkNothingLost compares the end of the leaves with what the index and the
// checkpoint say was there once.
func (o *opening) checkNothingLost() error {
	last := o.segs[len(o.segs)-1]
	if o.mark.any && (!o.any || o.mark.commit.Size > o.last.Size) {
		return damaged(last.path, o.end, remedyLeaves, "the leaves end before leaf %d, but %s remembers block %d up to leaf %d",
			o.last.Size, indexFile, o.mark.commit.Height, o.mark.commit.Size)
	}
	c, err := readCheckpoint(o.dir)
	if err != nil || c == nil {
		return err
	}
	if !o.any || c.size > o.last.Size {
		return damaged(last.path, o.end, remedyLeaves, "the leaves end before leaf %d, but %s is for %d leaves", o.last.Size, checkpointFile, c.size)
	}
	return nil
}

// mend cuts off what is torn, and makes durable what is now relied on.
func (o *opening) mend() error {
	s := o.segs[len(o.segs)-1]
	f, err := s.handle(o.options.disk)
	if err != nil {
		return err
	}
	if err := cutTo(f, o.end); err != nil {
		return fmt.Errorf("cutting off an unfinished block: %w", err)
	}
	if err := o.secureLast(f); err != nil {
		return fmt.Errorf("securing the last block: %w", err)
	}
	if o.noIndex && o.any {
		o.report.Rebuilt = "there was no " + indexFile + ", so the state is executed from all blocks again"
	}
	if err := o.derived.cut(o.last.Size); err != nil {
		return err
	}
	if o.rebuild {
		if err := o.derived.replace(o.options.disk, o.dir); err != nil {
			return fmt.Errorf("replacing derived files: %w", err)
		}
	}
	if o.any {
		o.index.setMark(o.last, o.home, o.homeEnd)
	}
	return nil
}

// secureLast makes the last block durable, which may have been written by a
// process that died before its sync returned, or whose sync failed: it may be in
// the page cache alone, and marked clean there. So it is written once more.
func (o *opening) secureLast(f file) error {
	if o.block > 0 && o.end > o.block {
		b := make([]byte, o.end-o.block)
		if err := readExactly(f, b, o.block); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, o.block); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (o *opening) store() (*Store, error) {
	if err := o.derived.warm(o.last.Size); err != nil {
		return nil, err
	}
	r := &Reader{dir: o.dir, disk: o.options.disk, derived: o.derived, trusted: true, segs: o.segs, end: o.end, last: o.last, any: o.any}
	r.lookup.due = make(chan struct{}, 1)
	r.lookup.due <- struct{}{} // for what was left to be done
	s := &Store{Reader: r, options: o.options, index: o.index, tree: o.tree}
	if o.any {
		leaf, err := r.Leaf(o.last.Size - 1)
		if err != nil {
			return nil, err
		}
		if s.header, err = block.ParseHeader(leaf); err != nil {
			return nil, damaged(leavesDir, -1, remedyLeaves, "leaf %d, the last header: %v", o.last.Size-1, err)
		}
	}
	if err := s.loadFinal(); err != nil {
		return nil, err
	}
	return s, s.Flush()
}
