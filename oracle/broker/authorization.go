package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// Authorization writes the users of a cluster of servers, with the permissions that the embedded broker gives them, as a file that the
// servers' configuration includes. The same ledger gives the same bytes.
//
// Names in it come from certificates and from the ledger; what is no subject or identity is an error, so that none of them ends a string
// in the file.
func Authorization(gateways []Gateway, oracles []Oracle, sites []Site) ([]byte, error) {
	users, err := usersOf(gateways, oracles, sites)
	if err != nil {
		return nil, fmt.Errorf("permissions: %w", err)
	}
	var b strings.Builder
	b.WriteString("# Who may connect, and on which subjects: written from the ledger, not by hand.\n\nauthorization {\n  users: [\n")
	for _, u := range users {
		for _, s := range subjectsOf(u) {
			if strings.ContainsAny(s, "\"\\\n\r\t ") {
				return nil, fmt.Errorf("permissions: %q has a character that no subject has", s)
			}
		}
		if strings.ContainsAny(u.Username, "\"\\\n\r\t ") {
			return nil, fmt.Errorf("permissions: %q has a character that no identity has", u.Username)
		}
		fmt.Fprintf(&b, "    {\n      user: \"%s\"\n", u.Username)
		for kind := range u.AllowedConnectionTypes { // one each
			fmt.Fprintf(&b, "      allowed_connection_types: [\"%s\"]\n", kind)
		}
		b.WriteString("      permissions: {\n")
		writeSubjects(&b, "publish", u.Permissions.Publish)
		writeSubjects(&b, "subscribe", u.Permissions.Subscribe)
		if r := u.Permissions.Response; r != nil {
			fmt.Fprintf(&b, "        allow_responses: { max: %d, expires: \"%s\" }\n", r.MaxMsgs, r.Expires)
		}
		b.WriteString("      }\n    }\n")
	}
	b.WriteString("  ]\n}\n")
	return []byte(b.String()), nil
}

func subjectsOf(u *server.User) []string {
	p := u.Permissions
	return slices.Concat(p.Publish.Allow, p.Publish.Deny, p.Subscribe.Allow, p.Subscribe.Deny)
}

func writeSubjects(b *strings.Builder, what string, p *server.SubjectPermission) {
	fmt.Fprintf(b, "        %s: {", what)
	for _, l := range []struct {
		name string
		list []string
	}{{"allow", p.Allow}, {"deny", p.Deny}} {
		if len(l.list) > 0 {
			fmt.Fprintf(b, " %s: [\"%s\"]", l.name, strings.Join(l.list, `", "`))
		}
	}
	b.WriteString(" }\n")
}
