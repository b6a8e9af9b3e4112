package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// kinds are the files that are made of a leaf, by how their names end.
var kinds = map[string]string{
	"cose":       `application/cose; cose-type="cose-sign1"`,
	"tlog-proof": "text/plain; charset=utf-8",
	"evidence":   "application/cbor",
}

// moment is for a file about a leaf: with the next final block another one is as good.
const moment = "public, max-age=10"

const (
	// evidenceMayTake bounds the making of evidence, which reads the whole ledger.
	evidenceMayTake = 20 * time.Second
	// searchMayTake bounds a search for a leaf hash. It takes as long where the store's
	// lookup has still to be made.
	searchMayTake = 5 * time.Second
)

// final returns the newest final checkpoint that this oracle keeps: that of this run,
// or of one before.
func (a *API) final() (note []byte, c block.Checkpoint, err error) {
	note, _, ok := a.cfg.Ledger.Store().Final()
	if ok {
		if c, err = block.CheckpointOf(note); err != nil {
			return nil, c, err
		}
	}
	if f := a.cfg.Final(); f != nil && f.Size > c.Size {
		return f.Note, f.Checkpoint, nil
	}
	return note, c, nil
}

// file splits the name of a file about a leaf.
func (a *API) file(w http.ResponseWriter, r *http.Request) (stem, kind string, ok bool) {
	name := r.PathValue("file")
	stem, kind, _ = strings.Cut(name, ".")
	if kinds[kind] == "" {
		newProblem(problemForm, http.StatusBadRequest, "Not a file about a leaf",
			strconv.Quote(shorten(name))+" ends in none of .cose, .tlog-proof and .evidence.",
			"A .cose is the statement with receipts, a .tlog-proof any leaf with its place, an .evidence all that a verifier asks for.").serve(w)
		return "", "", false
	}
	return stem, kind, true
}

func (a *API) serveLeaf(w http.ResponseWriter, r *http.Request) {
	stem, kind, ok := a.file(w, r)
	if !ok {
		return
	}
	index, err := strconv.ParseUint(stem, 10, 60)
	if err != nil || strconv.FormatUint(index, 10) != stem {
		newProblem(problemForm, http.StatusBadRequest, "Not an index", strconv.Quote(shorten(stem))+" is no index of a leaf.",
			"Leaves are counted from 0, in decimal.").serve(w)
		return
	}
	a.give(w, r, index, kind)
}

func (a *API) serveStatement(w http.ResponseWriter, r *http.Request) {
	stem, kind, ok := a.file(w, r)
	if !ok {
		return
	}
	b, err := hex.DecodeString(stem)
	if err != nil || len(b) != len(block.Hash{}) || hex.EncodeToString(b) != stem {
		newProblem(problemForm, http.StatusBadRequest, "Not a leaf hash", strconv.Quote(shorten(stem))+" is not 64 lower-case hexadecimal digits.",
			"The leaf hash of a statement is SHA-256 of a zero byte and its bytes.").serve(w)
		return
	}
	index, err := a.findInTurn(r.Context(), block.Hash(b))
	switch {
	case errors.Is(err, errBusy):
		busy("Another leaf hash is being looked for.", w)
	case errors.Is(err, ledger.ErrNoLeaf):
		newProblem(problemLeaf, http.StatusNotFound, "No such leaf", "No leaf of this ledger has this hash.",
			"A statement that was just sent is on the ledger when its receipt has come. Check that the hash is that of the statement without receipts.").serve(w)
	case errors.Is(err, context.DeadlineExceeded):
		newProblem(problemNotFound, http.StatusServiceUnavailable, "Not found in time",
			"It is not among the leaves that could be looked at in time.",
			"Ask by sequence number, /api/v1/key/<kid>/<boot>-<count>.evidence, or by index: both are found at once.").serve(w)
	case err != nil:
		a.inside(w, "looking for a leaf hash", err)
	default:
		a.give(w, r, index, kind)
	}
}

func busy(detail string, w http.ResponseWriter) {
	newProblem(problemBusy, http.StatusServiceUnavailable, "Busy", detail, "Ask again after the time in Retry-After, or ask another oracle.").after(2).serve(w)
}

// findInTurn looks for a leaf hash when nobody else does, and waits a moment for that.
func (a *API) findInTurn(ctx context.Context, want block.Hash) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, searchMayTake)
	defer cancel()
	turn := time.NewTimer(turnMayTake)
	defer turn.Stop()
	select {
	case a.searching <- struct{}{}:
		defer func() { <-a.searching }()
	case <-turn.C:
		return 0, errBusy
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return ledger.Find(ctx, a.cfg.Ledger.Store(), want)
}

// turnMayTake is how long a search waits for another.
const turnMayTake = time.Second

var errBusy = errors.New("another leaf hash is being looked for")

func (a *API) serveSequence(w http.ResponseWriter, r *http.Request) {
	stem, kind, ok := a.file(w, r)
	if !ok {
		return
	}
	id, err := signer.ParseKeyID(r.PathValue("kid"))
	var q entry.Sequence
	if err == nil {
		q, err = parseSequence(stem)
	}
	if err != nil {
		newProblem(problemForm, http.StatusBadRequest, "Not a sequence number", err.Error(),
			"Ask for /api/v1/key/<key id, 32 hexadecimal digits>/<boot>-<count>."+kind+", as receipts' files are named.").serve(w)
		return
	}
	index, _, ok := a.cfg.Ledger.Logged(id, q)
	if !ok {
		newProblem(problemLeaf, http.StatusNotFound, "No such statement",
			fmt.Sprintf("The ledger has no statement of key %v with sequence number %v.", id, q),
			"If the gateway has a receipt for it, check that this oracle keeps the same ledger; if not, it sends the statement again by itself.").serve(w)
		return
	}
	a.give(w, r, index, kind)
}

// parseSequence is the inverse of entry.Sequence.String.
func parseSequence(s string) (q entry.Sequence, err error) {
	boot, count, _ := strings.Cut(s, "-")
	if q.Boot, err = strconv.ParseUint(boot, 10, 53); err == nil {
		q.Count, err = strconv.ParseUint(count, 10, 53)
	}
	if err != nil || q.String() != s {
		return q, fmt.Errorf("%q is not a boot count, a hyphen and a sequence number", shorten(s))
	}
	return q, nil
}

// give makes a file about a leaf and sends it.
func (a *API) give(w http.ResponseWriter, r *http.Request, index uint64, kind string) {
	if index >= a.cfg.Ledger.Store().Size() {
		newProblem(problemLeaf, http.StatusNotFound, "No such leaf", fmt.Sprintf("The ledger ends before leaf %d.", index),
			"Read /checkpoint: its second line is the number of leaves.").serve(w)
		return
	}
	b, err := a.make(r.Context(), index, kind)
	var p *problem
	switch {
	case errors.As(err, &p):
		p.serve(w)
	case errors.Is(err, ledger.ErrNotFinal):
		newProblem(problemPending, http.StatusServiceUnavailable, "Not final yet",
			fmt.Sprintf("No final checkpoint covers leaf %d yet.", index),
			"Ask again in a moment: a quorum of oracles has to sign first.").after(1).serve(w)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		busy("The evidence took too long to make.", w)
	case err != nil:
		a.inside(w, "making a "+kind+" file", err)
	default:
		a.write(w, r, answer{kind: kinds[kind], cache: moment, name: fmt.Sprintf("leaf-%d.%s", index, kind), body: b})
	}
}

// Error makes a problem an error, so that whoever makes a file can say what is wrong.
func (p *problem) Error() string { return p.Detail }

func (a *API) make(ctx context.Context, index uint64, kind string) ([]byte, error) {
	if kind == "cose" {
		return a.transparent(index)
	}
	note, c, err := a.final()
	if err != nil {
		return nil, err
	}
	s := a.cfg.Ledger.Store()
	if kind == "tlog-proof" {
		p, err := ledger.LogProof(s, note, c, index)
		if err != nil {
			return nil, err
		}
		return p.Encode(), nil
	}
	select {
	case a.proving <- struct{}{}:
		defer func() { <-a.proving }()
	default:
		return nil, newProblem(problemBusy, http.StatusServiceUnavailable, "Busy", "Others' evidence is being made.",
			"Ask again after the time in Retry-After, or take the .tlog-proof, which costs little.").after(2)
	}
	ctx, cancel := context.WithTimeout(ctx, evidenceMayTake)
	defer cancel()
	// Nothing is disclosed: whoever may see a committed pack has it from its member.
	e, err := ledger.Evidence(patient{s, ctx}, note, c, index, nil)
	if err != nil {
		return nil, err
	}
	return e.Encode(), nil
}

// transparent makes a statement with receipts.
func (a *API) transparent(index uint64) ([]byte, error) {
	f := a.cfg.Final()
	if f == nil || index >= f.Size {
		return nil, ledger.ErrNotFinal
	}
	s := a.cfg.Ledger.Store()
	leaf, err := s.Leaf(index)
	if err != nil {
		return nil, err
	}
	if entry.KindOf(leaf) != entry.LeafStatement {
		return nil, newProblem(problemKind, http.StatusNotFound, "Not a statement",
			fmt.Sprintf("Leaf %d is nothing that anybody signed: headers, outcomes and the charter have no receipts.", index),
			"Take its .tlog-proof or .evidence.")
	}
	p, err := block.NewProver(s, f.Size).Prove(index)
	if err != nil {
		return nil, err
	}
	receipts := make([]block.Receipt, len(f.Receipts))
	for i, sig := range f.Receipts {
		receipts[i] = block.Receipt{KeyID: sig.KeyID, Signature: sig.Signature, Proof: p}
	}
	return block.AttachReceipts(leaf, receipts)
}

// patient is a store whose reading ends when nobody waits for it any more.
type patient struct {
	*store.Store
	ctx context.Context
}

func (p patient) Leaves(from, to uint64, fn func(index uint64, leaf []byte) error) error {
	return p.Store.Leaves(from, to, func(i uint64, leaf []byte) error {
		if i%1024 == 0 {
			if err := p.ctx.Err(); err != nil {
				return err
			}
		}
		return fn(i, leaf)
	})
}
