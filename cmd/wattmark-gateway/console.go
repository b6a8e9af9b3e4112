package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/enrol"
	"wattmark/gateway/verdict"
)

func newConsole() *cobra.Command {
	var asJSON, light, plain bool
	c := &cobra.Command{
		Use:   "console",
		Short: "Show where its page is, as a link and a picture for a phone",
		Long: `Console shows where the running gateway's page is: what status and read tell,
for a browser. It changes nothing. gateway.page says where it listens: on this
machine alone, or, opted in, for others, with TLS and a code. Whoever has the
link reads the values of the household. The browser warns the first time, as
nobody vouches for the gateway's certificate: compare its SHA-256.

Exit status: 0 shown, 1 there is no page, or its files cannot be read, 2 wrong
usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			file, err := gateway.ReadFile(name)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			p, err := placeOf(file)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(p))
			}
			return failed(p.print(cmd.OutOrStdout(), file.Gateway.Name, light, plain))
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVar(&light, "light", false, "draw for a terminal with a light background")
	f.BoolVar(&plain, "plain", false, "draw without block characters")
	return c
}

// place is where the page is.
type place struct {
	Listen string   `json:"listen"`
	Links  []string `json:"links"`
	// Certificate is the SHA-256 of the page's certificate, in hex, empty on this machine
	// alone.
	Certificate string `json:"certificate_sha256,omitempty"`
}

func placeOf(f *gateway.File) (*place, error) {
	p := &place{Listen: f.PageAddress()}
	if p.Listen == "" {
		return nil, errors.New(`there is no page: set page = "127.0.0.1:8480" in [gateway]`)
	}
	var access *console.Access
	if !console.Loopback(p.Listen) {
		var err error
		// Made by this verb it could be root's, and the gateway could not read it.
		access, err = console.LoadAccess(f.Path(f.Gateway.State))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%w\nhint: the gateway makes it when it starts with this configuration: systemctl restart wattmark-gateway", err)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("%w\nhint: run it with sudo, or as the gateway's user", err)
		case err != nil:
			return nil, err
		}
		p.Certificate = fmt.Sprintf("%x", sha256.Sum256(access.Certificate.Leaf.Raw))
	}
	p.Links = append([]string{}, console.Links(p.Listen, access)...)
	return p, nil
}

func (p *place) print(w io.Writer, name string, light, plain bool) error {
	var lines []string
	if p.Certificate != "" && len(p.Links) > 0 {
		if picture, err := enrol.QR(p.Links[0], light, plain); err == nil {
			lines = append(append(lines, picture.Lines...), "")
		}
	}
	lines = append(lines, p.Links...)
	if p.Certificate == "" {
		_, port, _ := net.SplitHostPort(p.Listen)
		lines = append(lines, "", "It is for this machine alone. From a laptop:", fmt.Sprintf("  ssh -L %s:%s %s", port, p.Listen, name))
	} else {
		lines = append(lines, "", "SHA-256 of its certificate:", "  "+p.Certificate[:32], "  "+p.Certificate[32:])
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// pageFacts is what the page shows: the status, and values as read shows them.
func pageFacts(g console.Source) console.Facts {
	f := console.Facts{Status: g.Status()}
	for _, d := range g.Live().Devices {
		d.Values = corrected(&d)
		t := console.Told{DeviceValue: d}
		if len(d.Values) > 0 {
			for _, s := range verdict.Of(d.Values) {
				t.Remarks = append(t.Remarks, console.Remark{Text: s.Text, Remedy: s.Remedy, Fault: s.Fault})
			}
		}
		f.Told = append(f.Told, t)
	}
	return f
}

// openPage opens where the page listens.
func openPage(f *gateway.File, g console.Source) (net.Listener, http.Handler, error) {
	address := f.PageAddress()
	page := console.Page(func() console.Facts { return pageFacts(g) })
	if console.Loopback(address) {
		l, err := console.Listen(address)
		return l, page, err
	}
	access, err := console.OpenAccess(f.Path(f.Gateway.State), time.Now())
	if err != nil {
		return nil, nil, err
	}
	l, err := access.Listen(address)
	return l, access.Guard(page), err
}
