package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
	"wattmark/gateway"
	"wattmark/gateway/console"
	"wattmark/gateway/doctor"
	"wattmark/hardware"
)

func newBundle() *cobra.Command {
	b := &bundle{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "support-bundle FILE",
		Short: "Gather what a help desk needs into one file, without keys",
		Long: `Support-bundle writes a tar.gz with the configuration, doctor's findings, the
status, metrics, versions, the last lines of the log, and what went over the
buses last. FILE is not replaced if it is there; "-" is standard output.

Keys, PINs and passwords are not in it, nor private parts of certificates.
Serial numbers of meters are cut out. Of what a household uses nothing is in it
either: --with-values adds the newest values and the bytes that meters sent.

Exit status: 0 written, 1 failed, 2 wrong usage.`,
		Args: command.One("a FILE to write, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if args[0] == "-" && onTerminal(cmd.OutOrStdout()) {
				return errors.New("a bundle is no text for a terminal: name a file")
			}
			if err := b.gather(cmd.Context(), name); err != nil {
				return failed(err)
			}
			out, err := b.pack()
			if err != nil {
				return failed(err)
			}
			told := cmd.OutOrStdout()
			if args[0] == "-" {
				told = cmd.ErrOrStderr()
				_, err = cmd.OutOrStdout().Write(out)
			} else {
				err = writeNew(args[0], out)
			}
			if err != nil {
				return failed(fmt.Errorf("writing the bundle: %w", err))
			}
			return failed(b.tell(told, args[0], len(out), asJSON))
		},
	}
	c.Flags().BoolVar(&b.withValues, "with-values", false, "also what the meters said: only with the household's consent")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// bundle is what is gathered for a help desk.
type bundle struct {
	withValues bool

	gateway string
	at      time.Time
	cut     cutter
	files   []bundled
}

// bundled is one file of a bundle.
type bundled struct {
	name string
	text []byte
}

// add puts a file into the bundle, without what must not be in it.
func (b *bundle) add(name string, text []byte) {
	b.files = append(b.files, bundled{name, b.cut.text(text)})
}

// addJSON puts a file of JSON into the bundle, which stays JSON.
func (b *bundle) addJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	b.files = append(b.files, bundled{name, append(b.cut.json(text), '\n')})
	return err
}

// gather collects everything. What is not there is said in the file that would have it.
func (b *bundle) gather(ctx context.Context, config string) error {
	file, wrong := gateway.ReadFile(config)
	if file == nil {
		return wrong
	}
	b.gateway, b.at = cmp.Or(file.Gateway.Name, "gateway"), time.Now().UTC()
	c := console.NewClient(file.Path(file.Gateway.Console))
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, patientEnough)
	defer cancel()
	status, statusErr := c.Status(asking)
	live, liveErr := c.Live(asking)
	exchanges, exchangesErr := c.Exchanges(asking)
	metrics, metricsErr := c.Metrics(asking)

	b.cut.secretFiles(file)
	b.cut.devices(live.Devices, exchanges.Devices, b.withValues)
	if !b.withValues {
		for i := range status.Devices {
			status.Devices[i].Last = nil
		}
	}
	b.add("configuration.txt", configurationText(file, wrong))
	if report, err := examine(ctx, config); err != nil {
		b.add("doctor.txt", []byte(err.Error()+"\n"))
	} else if err := b.addReport(report); err != nil {
		return err
	}
	if statusErr != nil {
		b.add("status.txt", []byte(statusErr.Error()+"\n"))
	} else {
		b.add("status.txt", []byte(screen(&status)))
		if err := b.addJSON("status.json", status); err != nil {
			return err
		}
	}
	b.add("metrics.txt", orError(metrics, metricsErr))
	b.add("exchanges.txt", orError(b.exchangesText(exchanges.Devices), exchangesErr))
	if b.withValues && liveErr == nil {
		if err := b.addJSON("values.json", live); err != nil {
			return err
		}
	}
	log, err := journal(ctx)
	b.add("log.txt", orError(log, err))
	b.add("versions.txt", versionsText())
	b.add("README.txt", b.readme())
	return nil
}

// orError is a text, or why there is none.
func orError(text []byte, err error) []byte {
	if err != nil {
		return []byte(err.Error() + "\n")
	}
	return text
}

func (b *bundle) addReport(r *doctor.Report) error {
	if !b.withValues {
		r = r.WithoutValues()
	}
	b.add("doctor.txt", diagnosis(r))
	return b.addJSON("doctor.json", r)
}

// configurationText is what the configuration comes to, key by key. Comments of the
// file are not in it: people note passwords there.
func configurationText(f *gateway.File, wrong error) []byte {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range f.Effective() {
		origin := "default"
		if s.Line > 0 {
			origin = fmt.Sprintf("line %d", s.Line)
		}
		fmt.Fprintf(t, "%s\t= %s\t# %s\n", s.Key, s.Value, origin)
	}
	_ = t.Flush() // into memory
	if wrong != nil {
		fmt.Fprintf(&b, "\n%v\n", wrong)
	}
	return b.Bytes()
}

// exchangesText tells what went over the buses. Without values, of what was received
// only the length is told.
func (b *bundle) exchangesText(all []console.DeviceExchange) []byte {
	var out bytes.Buffer
	for _, d := range all {
		fmt.Fprintf(&out, "# %s, %s, at %s\n", d.Name, d.Model, d.At.Format(time.RFC3339))
		if d.Error != "" {
			fmt.Fprintf(&out, "# %s\n", oneLine(d.Error))
		}
		t, err := hardware.ParseTranscript([]byte(d.Transcript))
		if err != nil {
			fmt.Fprintf(&out, "# %v\n\n", err)
			continue
		}
		for i := range t.Len() {
			sent, received := t.Exchange(i)
			if len(sent) > 0 {
				fmt.Fprintf(&out, "> %s\n", b.cut.bytes(sent))
			}
			switch {
			case len(received) == 0:
				fmt.Fprintln(&out, "# no answer")
			case b.withValues:
				fmt.Fprintf(&out, "< %s\n", b.cut.bytes(received))
			default:
				fmt.Fprintf(&out, "# %d bytes came\n", len(received))
			}
		}
		fmt.Fprintln(&out)
	}
	if out.Len() == 0 {
		return []byte("Nothing went over the buses yet.\n")
	}
	return out.Bytes()
}

// Limits of the log.
const (
	logLines = 2000
	logBytes = 2 << 20
	logTime  = 20 * time.Second
)

// journal returns the last lines of the service's log.
func journal(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	c := exec.CommandContext(ctx, "journalctl", "-u", "wattmark-gateway", "-n", fmt.Sprint(logLines), "--no-pager", "-o", "short-iso")
	c.WaitDelay = time.Second
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("there is no log: journalctl: %w %s", err, strings.TrimSpace(complaint.String()))
	}
	text := out.Bytes()
	if len(text) == 0 {
		return []byte("The log is empty.\n"), nil
	}
	return text[max(0, len(text)-logBytes):], nil
}

// versionsText tells what the program is made of, and what it runs on.
func versionsText() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "wattmark-gateway %s (%s, %s/%s)\n", gateway.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, path := range []string{"/proc/device-tree/model", "/proc/version", "/etc/debian_version"} {
		if text, err := os.ReadFile(path); err == nil {
			fmt.Fprintf(&b, "%s: %s\n", filepath.Base(path), oneLine(strings.TrimRight(string(text), "\x00\n")))
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			fmt.Fprintf(&b, "%s %s\n", m.Path, m.Version)
		}
	}
	return b.Bytes()
}

func (b *bundle) readme() []byte {
	var t bytes.Buffer
	fmt.Fprintf(&t, "Gateway %s at %s, for a help desk.\n\n", b.gateway, b.at.Format(time.RFC3339))
	if b.withValues {
		fmt.Fprintln(&t, "This bundle holds what a household uses: it was made with --with-values.")
	} else {
		fmt.Fprintln(&t, "What the household uses was left out.")
	}
	fmt.Fprintf(&t, "Keys, PINs, passwords and serial numbers were cut out: look for %q, and for\n%q among the bytes of exchanges.\n\n", cutText, cutByte)
	for _, f := range b.files {
		fmt.Fprintf(&t, "  %-18s %s\n", f.name, map[string]string{
			"configuration.txt": "what the configuration comes to, with lines",
			"doctor.txt":        "what wattmark-gateway doctor finds",
			"doctor.json":       "the same for programs",
			"status.txt":        "what wattmark-gateway status shows",
			"status.json":       "the same for programs",
			"metrics.txt":       "figures, as Prometheus takes them",
			"exchanges.txt":     "what went over the buses last",
			"values.json":       "the newest values of all devices",
			"log.txt":           "the last lines of the service's log",
			"versions.txt":      "the program, what it is made of and runs on",
		}[f.name])
	}
	return t.Bytes()
}

// pack returns the bundle as a tar.gz, in a folder of its own.
func (b *bundle) pack() ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	for _, f := range b.files {
		h := &tar.Header{Name: b.folder() + "/" + f.name, Mode: 0o600, Size: int64(len(f.text)), ModTime: b.at.Truncate(time.Second), Typeflag: tar.TypeReg}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.text); err != nil {
			return nil, err
		}
	}
	err := errors.Join(t.Close(), z.Close())
	return out.Bytes(), err
}

func (b *bundle) folder() string {
	return fmt.Sprintf("%s-support-%s", b.gateway, b.at.Format("20060102T150405Z"))
}

// writeNew writes a file that is not there yet, for its owner alone.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// tell says what was written.
func (b *bundle) tell(w io.Writer, path string, size int, asJSON bool) error {
	if asJSON {
		names := make([]string, len(b.files))
		for i, f := range b.files {
			names[i] = f.name
		}
		return json.NewEncoder(w).Encode(struct {
			File       string   `json:"file"`
			Bytes      int      `json:"bytes"`
			WithValues bool     `json:"with_values"`
			Files      []string `json:"files"`
		}{path, size, b.withValues, names})
	}
	values := "Without keys, and without what the household uses."
	if b.withValues {
		values = "Without keys, but with what the household uses: mind who gets it."
	}
	_, err := fmt.Fprintf(w, "%s: %d files, %s.\n%s\n", path, len(b.files), bytesText(int64(size)), values)
	return err
}
