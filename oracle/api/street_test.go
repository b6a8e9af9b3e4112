package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
	"wattmark/oracle/finality"
	"wattmark/oracle/wire"
)

// street is a drawn ledger in a store, published, and an API that serves it.
type street struct {
	*ledgertest.Chain
	ledger *ledger.Ledger
	tiles  string
	final  *finality.Final
	url    string // of the API
	admin  string
}

// newStreet draws a ledger of more than two tiles with one block that is not final.
func newStreet(t *testing.T, change func(*api.Config)) *street {
	t.Helper()
	c := ledgertest.New(t, 4)
	c.KeepExports(false)
	c.Draw("+home1 +home2:committed +stack:es256")
	for n := range 8 {
		var b strings.Builder
		for k := range 70 {
			fmt.Fprintf(&b, "home%d=%d ", 1+k%2, 1000+100*n+k)
		}
		c.Draw(b.String())
	}
	s := &street{Chain: c}
	dir := t.TempDir()
	s.tiles = filepath.Join(dir, "tiles")
	final := c.Last()
	s.final = &finality.Final{Height: final.Header.Height, Checkpoint: final.Checkpoint, Note: c.Note()}
	for _, o := range c.Oracles[:3] {
		sig, err := block.SignReceipts(o.Cosigner, final.Checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		s.final.Receipts = append(s.final.Receipts, wire.ReceiptSignature{KeyID: o.Cosigner.Public().ID(), Signature: sig})
	}
	c.Draw("home1=90000") // durable, and not final
	ledgertest.SaveLeaves(c, dir, c.All())
	st, _, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SetFinal(s.final.Note, s.final.Height); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	saveVault(t, c, dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.ledger = l
	cfg := api.Config{Ledger: l, Tiles: s.tiles, Final: func() *finality.Final { return s.final }, Policy: func() (*block.Policy, error) { return c.Policy, nil }}
	if change != nil {
		change(&cfg)
	}
	a := api.New(cfg)
	s.url, s.admin = serve(t, a.Handler()), serve(t, a.Admin())
	return s
}

// serve starts a server that ends with the test, and returns its URL.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// saveVault keeps the packs of committed readings where a ledger looks for them.
func saveVault(t *testing.T, c *ledgertest.Chain, dir string) {
	t.Helper()
	other := t.TempDir() // Save makes a vault beside a store of its own
	c.Save(other)
	if err := renameDir(filepath.Join(other, ledger.VaultDir), filepath.Join(dir, ledger.VaultDir)); err != nil {
		t.Fatal(err)
	}
}

// publish writes the tiles up to the blocks at the heights, one after another.
func (s *street) publish(t *testing.T, heights ...uint64) {
	t.Helper()
	for _, h := range heights {
		c := s.Blocks[h].Checkpoint
		if err := s.ledger.Store().PublishTiles(s.tiles, c.Size, s.Sign(t, c)); err != nil {
			t.Fatal(err)
		}
	}
}

// get reads a path of the API with headers given as name, value.
func (s *street) get(t *testing.T, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	// The transport must not undo what is to be looked at.
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}
