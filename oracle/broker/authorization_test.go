package broker_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"

	"wattmark/oracle/broker"
)

// TestAuthorizationIsWhatTheServerReads has the server's own parser read what is written for
// it, for ledgers of any size: the same users with the same subjects, and nobody is allowed
// anything by an empty list.
func TestAuthorizationIsWhatTheServerReads(t *testing.T) {
	dir := t.TempDir()
	word := rapid.StringMatching(`[a-z][a-z0-9-]{0,12}`)
	subjects := rapid.SliceOfN(rapid.Map(word, func(s string) string { return "wattmark.v1." + s }), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		var gateways []broker.Gateway
		for _, name := range rapid.SliceOfDistinct(word, rapid.ID).Draw(t, "gateways") {
			gateways = append(gateways, broker.Gateway{
				Name: name, Identity: broker.GatewayIdentity(ledger, name),
				Publish: subjects.Draw(t, "publish"), Subscribe: subjects.Draw(t, "subscribe"),
			})
		}
		oracles := []broker.Oracle{{
			Name: "one", Identity: broker.OracleIdentity(ledger, "one"),
			Publish: []string{"$JS.API.STREAM.INFO.ORDER"}, Subscribe: []string{"wattmark.v1.up.*", "inbox.>"},
		}}
		sites := []broker.Site{{Name: "north", Identity: broker.SiteIdentity(ledger, "north"), Gateways: gateways}}
		b, err := broker.Authorization(gateways, oracles, sites)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "authorization.conf")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		opts, err := server.ProcessConfigFile(path)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if got, want := len(opts.Users), 2*len(gateways)+2; got != want {
			t.Fatalf("%d users, want %d", got, want)
		}
		read := make(map[string]*server.User)
		for _, u := range opts.Users {
			read[u.Username] = u
			if len(u.AllowedConnectionTypes) != 1 || u.Permissions == nil {
				t.Fatalf("user %q: %d kinds of connection, permissions %v", u.Username, len(u.AllowedConnectionTypes), u.Permissions)
			}
			for _, p := range []*server.SubjectPermission{u.Permissions.Publish, u.Permissions.Subscribe} {
				if p == nil || len(p.Allow) == 0 && len(p.Deny) == 0 {
					t.Fatalf("user %q: an empty list, which allows everything", u.Username)
				}
			}
		}
		for _, g := range gateways {
			u := read[g.Identity+"/nats"]
			if u == nil || len(g.Publish) > 0 && !reflect.DeepEqual(u.Permissions.Publish.Allow, g.Publish) {
				t.Fatalf("gateway %s: %+v, want %v", g.Name, u, g.Publish)
			}
		}
		if r := read[oracles[0].Identity].Permissions.Response; r == nil || r.MaxMsgs != 1 {
			t.Fatalf("the oracle may answer %+v", r)
		}
	})
}

// TestAuthorizationRefuses names that would say something else in the file.
func TestAuthorizationRefuses(t *testing.T) {
	for what, g := range map[string]broker.Gateway{
		"a quote":    {Name: "a", Identity: "wattmark:x/gateway/a", Publish: []string{`a"], allow: [">`}},
		"a new line": {Name: "a", Identity: "wattmark:x/gateway/a", Publish: []string{"a\nb"}},
		"identity":   {Name: "a", Identity: `wattmark:x/"`, Publish: []string{"a"}},
	} {
		if b, err := broker.Authorization([]broker.Gateway{g}, nil, nil); err == nil {
			t.Errorf("%s in a name: wrote\n%s", what, b)
		}
	}
	b, err := broker.Authorization(nil, []broker.Oracle{{Name: "mute", Identity: broker.OracleIdentity(ledger, "mute")}}, nil)
	if err != nil || strings.Count(string(b), `deny: [">"]`) != 2 {
		t.Errorf("an oracle without subjects: %v\n%s", err, b)
	}
}
