package jetstream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"wattmark/oracle/orderer"
	"wattmark/oracle/orderer/jetstream"
)

func (s *service) openPacks(t *testing.T) *jetstream.Packs {
	t.Helper()
	nc, _ := s.connect(t)
	p, err := jetstream.OpenPacks(within(t), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func put(t *testing.T, p *jetstream.Packs, pack string) [32]byte {
	t.Helper()
	hash := sha256.Sum256([]byte(pack))
	if err := p.Put(within(t), hash, []byte(pack)); err != nil {
		t.Fatalf("putting %.40q: %v", pack, err)
	}
	return hash
}

func wantPack(t *testing.T, p *jetstream.Packs, hash [32]byte, want string) {
	t.Helper()
	got, err := p.Get(within(t), hash)
	if err != nil || string(got) != want {
		t.Errorf("got pack %.40q and error %v, want %.40q", got, err, want)
	}
}

func wantNoPack(t *testing.T, p *jetstream.Packs, hash [32]byte) {
	t.Helper()
	if got, err := p.Get(within(t), hash); !errors.Is(err, jetstream.ErrNoPack) {
		t.Errorf("got pack %.40q and error %v, want ErrNoPack", got, err)
	}
}

func TestPacksKeepUntilDeleted(t *testing.T) {
	s := newService(t)
	p, peer := s.openPacks(t), s.openPacks(t)
	a, b := put(t, p, "pack a"), put(t, p, "pack b")
	put(t, peer, "pack a") // again, by another oracle
	wantPack(t, peer, a, "pack a")
	s.restart(t)
	wantPack(t, p, a, "pack a")
	wantPack(t, p, b, "pack b")
	if err := p.Delete(within(t), a); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(within(t), a); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	wantNoPack(t, peer, a)
	wantPack(t, peer, b, "pack b")
	s.restart(t)
	wantNoPack(t, p, a)
	put(t, p, "pack a")
	wantPack(t, peer, a, "pack a")
}

// What was put under a hash by a liar must neither stay nor stop the honest.
func TestPacksReplaceOtherBytes(t *testing.T) {
	s := newService(t)
	p := s.openPacks(t)
	hash := sha256.Sum256([]byte("honest"))
	if err := p.Put(within(t), hash, []byte("lie")); err != nil {
		t.Fatal(err)
	}
	put(t, p, "honest")
	wantPack(t, p, hash, "honest")
}

// Deleting is for the right to be forgotten: the bytes must be gone from the disk, however often the pack was put.
func TestPacksAreOverwrittenOnDisk(t *testing.T) {
	s := newService(t)
	p := s.openPacks(t)
	secret := "a household's evening, hour by hour"
	hash := put(t, p, secret)
	put(t, p, secret)
	keep := put(t, p, "the neighbour's")
	if onDisk(t, s.cfg.StoreDir, secret) == 0 {
		t.Fatal("the pack is not on disk before its deletion: the test looks in the wrong place")
	}
	if err := p.Delete(within(t), hash); err != nil {
		t.Fatal(err)
	}
	if n := onDisk(t, s.cfg.StoreDir, secret); n != 0 {
		t.Errorf("the deleted pack is still on disk, %d times", n)
	}
	wantPack(t, p, keep, "the neighbour's")
}

func onDisk(t *testing.T, dir, text string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		n += bytes.Count(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPacksSizes(t *testing.T) {
	s := newService(t)
	nc, _ := s.connect(t)
	// So large a pack takes its time on a busy machine.
	p, err := jetstream.OpenPacks(within(t), nc, jetstream.Config{Ledger: ledger, AckWait: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Put(within(t), [32]byte{1}, nil); !errors.Is(err, orderer.ErrEmpty) {
		t.Errorf("empty pack: got error %v, want ErrEmpty", err)
	}
	big := bytes.Repeat([]byte{'x'}, p.MaxSize()+1)
	if err := p.Put(within(t), [32]byte{1}, big); !errors.Is(err, orderer.ErrTooLarge) {
		t.Errorf("pack of %d bytes: got error %v, want ErrTooLarge", len(big), err)
	}
	if err := p.Put(within(t), [32]byte{1}, big[1:]); err != nil {
		t.Errorf("pack of %d bytes: %v", len(big)-1, err)
	}
	wantPack(t, p, [32]byte{1}, string(big[1:]))
}

func TestPacksSurviveALostAcknowledgement(t *testing.T) {
	s := newService(t)
	nc, l := s.connect(t)
	p, err := jetstream.OpenPacks(within(t), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	peer := s.openPacks(t)
	hash := sha256.Sum256([]byte("pack"))
	restore := l.deafen()
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if err := p.Put(ctx, hash, []byte("pack")); !errors.Is(err, orderer.ErrUnknown) {
		t.Errorf("no answer: got error %v, want ErrUnknown", err)
	}
	restore()
	put(t, p, "pack")
	wantPack(t, peer, hash, "pack")
}

func TestPacksStream(t *testing.T) {
	s := newService(t)
	s.openPacks(t)
	got := streamConfig(t, s, "PACKS-"+ledger)
	if got.MaxAge != 72*time.Hour || got.DenyDelete || got.MaxMsgsPerSubject != 1 || got.Storage != natsjs.FileStorage {
		t.Errorf("stream of packs: got %+v", got)
	}
}
