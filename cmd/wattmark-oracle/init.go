package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

func newInit() *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Found a ledger: alone, with other members, or join one",
		Long: `Init without flags founds a ledger of this one oracle, with its own broker:
keys, charter, policy and a configuration, after which run works.

Several members found one so that nobody sees another's keys:

  each:    init --request a.request --origin example.org/street --name a.example/oracle
  one:     init --charter street.charter --member a.request --member b.request ...
  each:    init --accept street.charter

Accepting shows who is in the charter, and eight words. Read them to each other:
who has the same words has the same charter, to the byte. Then run takes that
charter and no other. The member who assembles also gives each oracle its
certificate for the broker.

An oracle that is to join a ledger begins with --join POLICY, the policy of that
ledger; the request goes to its members, who vote it in.

Exit status: 0 done, 1 failed or not accepted, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.config, err = cmd.Flags().GetString("config"); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			o.in, o.out, o.err = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return failed(o.run())
		},
	}
	f := c.Flags()
	f.StringVar(&o.state, "state", "", "the oracle's `DIR` where there is no configuration yet (default: as it says)")
	f.StringVar(&o.origin, "origin", "", "`NAME` of the ledger, as example.org/street")
	f.StringVar(&o.name, "name", "", "`NAME` of this oracle, as a.example/oracle")
	f.StringVar(&o.request, "request", "", "write this oracle's request to `FILE`")
	f.StringVar(&o.charter, "charter", "", "assemble the charter, and write it to `FILE`")
	f.StringArrayVar(&o.members, "member", nil, "a member's request `FILE`, for each")
	f.Uint64Var(&o.quorum, "quorum", 0, "oracles that make a checkpoint final (default: more than two thirds)")
	f.StringVar(&o.accept, "accept", "", "accept the charter in `FILE`, and found the ledger with it")
	f.StringVar(&o.join, "join", "", "ask to join the ledger of the policy in `FILE`")
	f.BoolVar(&o.once, "once", false, "where a ledger was founded before, do nothing and succeed")
	f.BoolVar(&o.yes, "yes", false, "accept without asking: the words were compared")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

// initOptions are the flags of init.
type initOptions struct {
	config, state, origin, name    string
	request, charter, accept, join string
	members                        []string
	quorum                         uint64
	yes, once, asJSON              bool
	in                             io.Reader
	out, err                       io.Writer
}

func (o *initOptions) check() error {
	steps := count(o.charter, o.accept)
	if o.request != "" || o.join != "" {
		steps++
	}
	switch {
	case steps > 1:
		return errors.New("--request, --charter and --accept are steps of their own: give one at a time")
	case o.charter != "" && len(o.members) == 0:
		return errors.New("--charter needs --member FILE for each member's request")
	case o.charter == "" && (len(o.members) > 0 || o.quorum > 0):
		return errors.New("--member and --quorum go with --charter FILE")
	case o.request != "" && o.join == "" && (o.origin == "" || o.name == ""):
		return errors.New("--request needs --origin NAME, on which all members agreed, and --name NAME of this oracle")
	case o.join != "" && (o.request == "" || o.name == "" || o.origin != ""):
		return errors.New("--join POLICY needs --request FILE to write and --name NAME of this oracle; the origin is the policy's")
	case o.once && (steps > 0 || o.join != ""):
		return errors.New("--once goes with founding alone")
	case (o.charter != "" || o.accept != "") && (o.origin != "" || o.name != ""):
		return errors.New("--origin and --name are of a request, and stand in it")
	}
	return nil
}

func (o *initOptions) run() error {
	f, err := o.configuration()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(f.state()), 0o700); err != nil {
		return fmt.Errorf("the state directory: %w", err)
	}
	switch {
	case o.join != "":
		return o.askToJoin(f)
	case o.request != "":
		return o.ask(f)
	case o.charter != "":
		return o.assemble(f)
	case o.accept != "":
		return o.acceptFile(f)
	}
	return o.alone(f)
}

// configuration reads the configuration, or writes one where there is none.
func (o *initOptions) configuration() (*file, error) {
	if _, err := os.Stat(o.config); !errors.Is(err, fs.ErrNotExist) {
		f, err := readFile(o.config)
		if err != nil {
			return nil, &failure{err}
		}
		if o.state != "" && f.at(f.Oracle.State) != o.state {
			return nil, fmt.Errorf("--state %s, and %s says %s: leave one of them out", o.state, o.config, f.at(f.Oracle.State))
		}
		return f, nil
	}
	if o.state == "" {
		o.state = defaults().Oracle.State
	}
	text := sampleFor(o.state)
	f, err := parseFile(o.config, []byte(text))
	if err != nil {
		return nil, err
	}
	if err := writeFile(o.config, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("no configuration is at %s, and one cannot be written there: %w: say with --config where", o.config, err)
	}
	fmt.Fprintf(o.err, "Wrote the configuration %s: one oracle with its own broker. See what else it may say.\n", o.config)
	return f, nil
}

// invent names a ledger and its oracle after this machine, where nobody did.
func (o *initOptions) invent() error {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "oracle"
	}
	if o.origin == "" {
		tail := make([]byte, 4)
		if _, err := rand.Read(tail); err != nil {
			return err
		}
		o.origin = host + "/" + hex.EncodeToString(tail)
	}
	if o.name == "" {
		o.name = host + "/oracle"
	}
	return nil
}
