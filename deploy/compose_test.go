package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composition is a compose file, as far as ours goes: a key that is not here is an error,
// as nobody would hold a container to it.
type composition struct {
	Name     string
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image string
	Build struct {
		Context, Dockerfile string
	}
	Hostname        string
	Restart         string
	StopGracePeriod string   `yaml:"stop_grace_period"`
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	Entrypoint      []string
	Command         []string
	DependsOn       map[string]struct{ Condition string } `yaml:"depends_on"`
	Volumes         []string
	Ports           []string
	Ulimits         map[string]uint64
	NetworkMode     string `yaml:"network_mode"`
	Healthcheck     struct {
		Test        []string
		Interval    string
		Timeout     string
		StartPeriod string `yaml:"start_period"`
	}
}

func readComposition(t *testing.T) *composition {
	t.Helper()
	b, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	c := new(composition)
	if err := d.Decode(c); err != nil {
		t.Fatalf("compose.yaml: %v: teach the test what it asks for", err)
	}
	return c
}

// arguments are what compose would have podman run on m for a service. dir is where the
// compose file is.
func (c *composition) arguments(m *machine, dir, name string) []string {
	t := m.t
	t.Helper()
	s, ok := c.Services[name]
	if !ok {
		t.Fatalf("compose.yaml has no service %s", name)
	}
	args := []string{"--name", c.Name + "-" + name}
	with := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				args = append(args, flag+"="+v)
			}
		}
	}
	list := func(words []string) string {
		if len(words) == 0 {
			return ""
		}
		b, err := json.Marshal(words)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	with("--hostname", s.Hostname)
	with("--restart", s.Restart)
	with("--stop-timeout", strings.TrimSuffix(s.StopGracePeriod, "s"))
	if s.ReadOnly {
		// Alone, podman's flag puts a writable /tmp and /run over it, which compose does not.
		with("--read-only", "true")
		with("--read-only-tmpfs", "false")
	}
	with("--cap-drop", s.CapDrop...)
	with("--security-opt", s.SecurityOpt...)
	with("--network", s.NetworkMode)
	with("--publish", s.Ports...)
	for _, v := range s.Volumes {
		from, to, _ := strings.Cut(v, ":")
		if _, named := c.Volumes[from]; named {
			from = c.Name + "_" + from
		} else {
			from = filepath.Join(dir, from)
		}
		with("--volume", from+":"+to)
	}
	for name, n := range s.Ulimits {
		with("--ulimit", fmt.Sprintf("%s=%s", name, m.permitted(name, n)))
	}
	if _, ok := s.Ulimits["nproc"]; !ok && len(s.Ulimits) > 0 {
		// With another limit podman sets this one, higher than some machines allow.
		with("--ulimit", "nproc="+m.limit("nproc"))
	}
	if h := s.Healthcheck; len(h.Test) > 0 {
		if h.Test[0] != "CMD" {
			t.Fatalf("compose.yaml asks for the health of %s by %q: the image has no shell", name, h.Test)
		}
		with("--health-cmd", list(h.Test[1:]))
		with("--health-timeout", h.Timeout)
		with("--health-start-period", h.StartPeriod)
		// podman's interval is a timer of systemd's; here somebody asks.
		with("--health-interval", "disable")
	}
	with("--entrypoint", list(s.Entrypoint))
	return append(append(args, s.Image), s.Command...)
}

// permitted is a limit, or the highest that this machine lets root have.
func (m *machine) permitted(name string, n uint64) string {
	m.t.Helper()
	if _, err := m.try(fmt.Sprintf("prlimit --%s=%d true", name, n)); err == nil {
		return fmt.Sprint(n)
	}
	highest := m.limit(name)
	m.t.Logf("%s is %s in the place of %d: this machine allows no more", name, highest, n)
	return highest
}

// limit is the highest of a limit, as podman writes it.
func (m *machine) limit(name string) string {
	m.t.Helper()
	return strings.Replace(strings.TrimSpace(m.run("prlimit --noheadings --output=HARD --"+name)), "unlimited", "-1", 1)
}
