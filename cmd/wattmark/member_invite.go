package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/oracle/api"
)

// invited is what member invite prints.
type invited struct {
	Member  string `json:"member"`
	Ledger  string `json:"ledger"`
	URL     string `json:"url"`
	Expires string `json:"expires"`
}

func newMemberInvite() *cobra.Command {
	var f memberFlags
	var address string
	var points []string
	var asJSON bool
	i := api.Invitation{}
	c := &cobra.Command{
		Use:   "invite MEMBER --dir DIR --url URL --zone ZONE --power W --point SUBJECT=IMPORT[,EXPORT]",
		Short: "Print a link by which a member's own device joins",
		Long: `Invite signs an invitation with the oracle's key and prints it as a link, and as a
code to be read by a phone. The device that opens it makes a key, which stays on it,
and asks to be admitted: 'wattmark member list --waiting' shows that, and 'wattmark
member admit MEMBER' lets it in once the words were compared. The link is good for
24 hours and for the first device that comes. What is behind the # comes to no
server's log.

MEMBER is a pseudonym, as it is public for ever. Each --point names a metering
point and the channels of its import and export registers.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  wattmark member invite anna --dir DIR --url https://oracle.example \\\n    --zone street --power 12000 --point mp-1=import,export",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one MEMBER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := oracleURL("url", address)
			if err != nil {
				return err
			}
			i.Member = args[0]
			connections, err := parsePoints(points)
			if err != nil {
				return err
			}
			for _, c := range connections {
				i.Points = append(i.Points, api.InvitationPoint{Subject: c.Subject, Import: c.Import, Export: c.Export})
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			key, name, _, err := m.own()
			if err != nil {
				return failed(err)
			}
			now := time.Now()
			i.Ledger, i.Expires = m.charter.Origin, now.Add(api.InvitedFor).Unix()
			text, err := api.SignInvitation(key, name, &i, now.Unix())
			if err != nil {
				return failed(err)
			}
			out := invited{i.Member, i.Ledger, base.String() + "/join#" + text, seconds(i.Expires)}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(out))
			}
			p := newPage(cmd.OutOrStdout())
			if file, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
				if picture, err := enrol.QR(out.URL, false, false); err == nil {
					for _, line := range picture.Lines {
						p.line(0, "%s", line)
					}
				}
			}
			p.line(2, "For %s, until %s, and for the first device that opens it:", out.Member, out.Expires)
			p.line(0, "%s", out.URL)
			p.line(2, "Then: wattmark member list --waiting --dir %s", f.dir)
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&address, "url", "", "`URL` of the oracle's pages, as the member's device reaches them")
	c.Flags().StringVar(&i.Zone, "zone", "", "the `ZONE` whose market it joins")
	c.Flags().Int64Var(&i.PowerW, "power", 0, "registered power of the connection in `W`")
	c.Flags().BoolVar(&i.Renewable, "renewable", false, "what the connection gives may be sold as green")
	c.Flags().StringArrayVar(&points, "point", nil, "`SUBJECT=IMPORT[,EXPORT]`: a metering point and the channels of its registers; may be repeated")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// waitingMember is what member list --waiting prints of one.
type waitingMember struct {
	Member string   `json:"member"`
	Zone   string   `json:"zone"`
	PowerW int64    `json:"power_w"`
	Points []string `json:"metering_points"`
	KeyID  string   `json:"key_id"`
	Words  []string `json:"words"`
	File   string   `json:"file"`
}

// joins reads the requests of invited members that nobody has decided on.
func (m *member) joins() ([]waitingMember, error) {
	dir := filepath.Join(m.dir, api.JoinsDir)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []waitingMember
	for _, e := range files {
		if !strings.HasSuffix(e.Name(), api.JoinSuffix) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		b, err := readLimited(name, entry.MaxRequest)
		if err != nil {
			return nil, err
		}
		r, err := request.OpenMember(b, m.charter.Origin)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		w := waitingMember{Member: r.Member, Zone: r.Zone, PowerW: r.Power, Points: []string{}, KeyID: r.Public.ID().String(), Words: enrol.Words(r.Public.ID()), File: name}
		for _, c := range r.Connections {
			w.Points = append(w.Points, c.Subject)
		}
		out = append(out, w)
	}
	return out, err
}

func (m *member) listWaiting(p *page, e *json.Encoder, asJSON bool) error {
	list, err := m.joins()
	if err != nil {
		return err
	}
	for _, w := range list {
		if asJSON {
			if err := e.Encode(w); err != nil {
				return err
			}
			continue
		}
		p.line(2, "%s asks to join zone %s with %d W, metered by %s", w.Member, w.Zone, w.PowerW, strings.Join(w.Points, " "))
		p.line(4, "  words  %s", strings.Join(w.Words, " "))
		p.line(4, "  once the member tells the same: wattmark member admit %s --yes --dir DIR", w.Member)
	}
	if len(list) == 0 && !asJSON {
		p.line(2, "Nobody waits.")
	}
	return p.err
}

// asked returns the file of a request: one that is named, or that an invited member of that
// name has sent.
func (m *member) asked(name string) (file string, sent bool) {
	if entry.CheckID("", name) == nil {
		file = filepath.Join(m.dir, api.JoinsDir, name+api.JoinSuffix)
		if _, err := os.Stat(file); err == nil {
			return file, true
		}
	}
	return name, false
}

// parsePoints reads metering points as they are typed.
func parsePoints(points []string) (out []entry.Connection, err error) {
	for _, p := range points {
		subject, channels, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("--point %q, want SUBJECT=IMPORT or SUBJECT=IMPORT,EXPORT", p)
		}
		in, outward, _ := strings.Cut(channels, ",")
		out = append(out, entry.Connection{Subject: subject, Import: in, Export: outward})
	}
	slices.SortFunc(out, func(a, b entry.Connection) int { return strings.Compare(a.Subject, b.Subject) })
	return out, nil
}
