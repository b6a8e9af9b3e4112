package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestNumbersOnce has several at once take numbers for one key: none is given out twice,
// none is below what the ledger expects, and a file of nonsense gives none.
func TestNumbersOnce(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pem")
	var mu sync.Mutex
	var given []uint64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				n, err := numbers{key}.next(7)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				given = append(given, n)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(given)
	if len(given) != 100 || given[0] != 7 || given[99] != 106 || len(slices.Compact(given)) != 100 {
		t.Errorf("given out: %v", given)
	}
	if n, err := (numbers{key}).next(500); n != 500 || err != nil {
		t.Errorf("the ledger expects 500: %d, %v", n, err)
	}
	if err := os.WriteFile(key+".number", []byte("twelve"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := (numbers{key}).next(1); err == nil || !strings.Contains(err.Error(), "twelve") {
		t.Errorf("of nonsense: %d, %v", n, err)
	}
}
