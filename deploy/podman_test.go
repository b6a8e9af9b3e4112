package deploy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// network makes a network and a place for images and containers that nobody else sees, and
// keeps both until its input ends.
const network = `
set -e
mount -t tmpfs -o mode=755 run /run
mkdir -p /etc/containers /var/lib/containers
mount -o bind "$1/etc" /etc/containers
mount -o bind "$1/var" /var/lib/containers
busybox ip link set lo up
echo ready
read -r end || true
`

// The configuration of podman asks for nothing that a machine without systemd, without
// overlays, or without the right to raise limits would lack.
const (
	containersConf = `[containers]
default_ulimits = []
log_driver = "k8s-file"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"

[network]
network_backend = "netavark"
network_config_dir = "/etc/containers/networks"
`
	storageConf = `[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
`
	policyJSON = `{"default": [{"type": "insecureAcceptAnything"}]}`
)

// groups is where the control groups of containers are.
const groups = "/wattmark-test-containers"

// goImage stands in for the image that the Dockerfile builds on: no registry is asked. The
// toolchain, modules and build cache are those of this machine.
const goImage = `FROM scratch
COPY . /
ENV PATH=/usr/local/go/bin:/bin GOPATH=/go GOTOOLCHAIN=local GOPROXY=off GOCACHE=/cache HOME=/tmp
RUN mkdir -p /go /cache
`

// noContainers skips a test that this machine does not allow, which nothing that could be
// installed changes.
func noContainers(t *testing.T, why string) {
	t.Helper()
	t.Skipf("no containers can be run here, %s: the image is neither built nor run", why)
}

// newContainers is a machine that runs containers: its files are those of this one, its
// network and its images are its own.
func newContainers(t *testing.T) *machine {
	t.Helper()
	for _, tool := range []string{"podman", "runc", "/usr/lib/podman/netavark", "iptables", "busybox"} {
		need(t, tool)
	}
	if os.Getuid() != 0 {
		noContainers(t, "this is not root")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"containers.conf": containersConf, "storage.conf": storageConf, "policy.json": policyJSON} {
		put(t, filepath.Join(dir, "etc", name), text)
	}
	if err := os.Mkdir(filepath.Join(dir, "var"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-c", network, "sh", dir)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	hold, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t}
	t.Cleanup(func() {
		if m.init != "" {
			if out, err := m.try("podman rm --all --force --time 0"); err != nil {
				t.Logf("removing containers: %v\n%s", err, out)
			}
		}
		_ = hold.Close() // the shell ends, and with it all that it is the first process of
		_ = c.Wait()
		_ = exec.Command("find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*"+groups+"*", "-exec", "rmdir", "{}", "+").Run() // another test's are busy
	})
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = c.Wait()
		noContainers(t, "no network can be made for them: "+strings.TrimSpace(stderr.String()))
	}
	pid := strconv.Itoa(c.Process.Pid)
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil || len(bytes.Fields(children)) != 1 {
		t.Fatalf("the children of unshare are %q: %v", children, err)
	}
	m.init = string(bytes.Fields(children)[0])
	return m
}

// put writes a file and the directories that it is in.
func put(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// quote makes words of a shell command.
func quote(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(" '" + strings.ReplaceAll(w, "'", `'\''`) + "'")
	}
	return b.String()
}

// goTool runs the go command in the repository's root.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("go", args...)
	c.Dir = ".."
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// standIn makes the image that the Dockerfile builds on.
func (m *machine) standIn(name string) {
	m.t.Helper()
	dir := m.t.TempDir()
	put(m.t, filepath.Join(dir, "Dockerfile"), goImage)
	for _, d := range []string{"bin", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "root", d), 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	m.run("cp \"$(command -v busybox)\"" + quote(filepath.Join(dir, "root/bin/busybox")))
	for _, applet := range []string{"sh", "mkdir"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "root/bin", applet)); err != nil {
			m.t.Fatal(err)
		}
	}
	if out, err := m.try("podman build --isolation chroot" + quote("--file", filepath.Join(dir, "Dockerfile"), "--tag", name, filepath.Join(dir, "root"))); err != nil {
		noContainers(m.t, fmt.Sprintf("not even an image of a shell is made (%v: %s)", err, strings.TrimSpace(out)))
	}
	if out, err := m.try("podman run --rm --pull never --cgroup-parent " + groups + " --publish 127.0.0.1:1:1" + quote(name, "sh", "-c", "true")); err != nil {
		noContainers(m.t, fmt.Sprintf("not even one of a shell starts (%v: %s)", err, strings.TrimSpace(out)))
	}
}

// buildImage builds the image of a service from its Dockerfile, without a network.
func (m *machine) buildImage(dir string, s service) {
	m.t.Helper()
	goTool(m.t, "mod", "download") // which the Dockerfile does too, and finds all there
	args := []string{"--isolation", "chroot", "--pull=never", "--layers=false", "--tag", s.Image, "--file", filepath.Join(dir, s.Build.Context, s.Build.Dockerfile)}
	for variable, path := range map[string]string{"GOROOT": "/usr/local/go:ro", "GOMODCACHE": "/go/pkg/mod", "GOCACHE": "/cache"} {
		args = append(args, "--volume", goTool(m.t, "env", variable)+":"+path)
	}
	m.run("podman build" + quote(append(args, filepath.Join(dir, s.Build.Context))...))
}

// get asks a server of the machine's network, or of that of one of its processes.
func (m *machine) get(url string, process ...string) (string, error) {
	ask := "busybox wget -q -O -" + quote(url)
	for _, pid := range process {
		ask = "nsenter --target " + pid + " --net " + ask
	}
	return m.try(ask)
}
