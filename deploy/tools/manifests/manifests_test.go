// Package manifests_test reads the manifests of deploy strictly, and holds what they say of
// one another and of the program together.
package manifests_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const deploy = "../../"

// documents reads every YAML document of a file; a key that stands twice is an error.
func documents(t *testing.T, path string) []map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deploy, path))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, doc)
	}
}

// at follows keys and list indexes into a document; nil where there is nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

func texts(v any) (list []string) {
	l, _ := v.([]any)
	for _, x := range l {
		s, _ := x.(string)
		list = append(list, s)
	}
	return list
}

// kustomizations lists what each kustomization is made of: all of it is there.
func TestKustomizations(t *testing.T) {
	for _, dir := range []string{"kustomize/base", "kustomize/cluster"} {
		k := documents(t, filepath.Join(dir, "kustomization.yaml"))[0]
		if k["kind"] != "Kustomization" || k["namespace"] != "wattmark" {
			t.Errorf("%s: kind %v in namespace %v", dir, k["kind"], k["namespace"])
		}
		files := texts(k["resources"])
		generators, _ := k["configMapGenerator"].([]any)
		for _, g := range generators {
			files = append(files, texts(at(g, "files"))...)
		}
		if len(files) < 3 {
			t.Errorf("%s is made of %q only", dir, files)
		}
		for _, name := range files {
			if _, err := os.Stat(filepath.Join(deploy, dir, name)); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		}
	}
}

// TestPods holds every pod to the rules of the restricted pod security standard, and its
// ports, volumes and configuration to one another.
func TestPods(t *testing.T) {
	pods := 0
	for _, path := range []string{"kustomize/base/oracle.yaml", "kustomize/cluster/nats.yaml"} {
		for _, doc := range documents(t, path) {
			if doc["kind"] != "StatefulSet" {
				continue
			}
			pods++
			pod := at(doc, "spec", "template", "spec")
			if at(pod, "securityContext", "runAsNonRoot") != true || at(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" ||
				at(pod, "automountServiceAccountToken") != false {
				t.Errorf("%s: the pod may be root, or holds a token", path)
			}
			c := at(pod, "containers", 0)
			if first := at(pod, "initContainers", 0); first != nil && at(first, "securityContext", "allowPrivilegeEscalation") != false {
				t.Errorf("%s: the init container may more than it needs", path)
			}
			if at(c, "securityContext", "allowPrivilegeEscalation") != false || at(c, "securityContext", "readOnlyRootFilesystem") != true ||
				!slices.Equal(texts(at(c, "securityContext", "capabilities", "drop")), []string{"ALL"}) {
				t.Errorf("%s: the container may more than it needs", path)
			}
			if image, _ := at(c, "image").(string); strings.HasSuffix(image, ":latest") || image == "" {
				t.Errorf("%s: image %q", path, image)
			}
			if at(doc, "spec", "selector", "matchLabels", "app.kubernetes.io/name") != at(doc, "spec", "template", "metadata", "labels", "app.kubernetes.io/name") {
				t.Errorf("%s selects other pods than it makes", path)
			}
			var names []string
			volumes, _ := at(pod, "volumes").([]any)
			claims, _ := at(doc, "spec", "volumeClaimTemplates").([]any)
			for _, v := range volumes {
				names = append(names, at(v, "name").(string))
			}
			for _, v := range claims {
				names = append(names, at(v, "metadata", "name").(string))
			}
			mounts, _ := at(c, "volumeMounts").([]any)
			if len(mounts) != len(names) {
				t.Errorf("%s: %d mounts of %d volumes", path, len(mounts), len(names))
			}
			for _, m := range mounts {
				if !slices.Contains(names, at(m, "name").(string)) {
					t.Errorf("%s mounts %v, which is no volume", path, at(m, "name"))
				}
			}
		}
	}
	if pods != 2 {
		t.Errorf("%d pods", pods)
	}
}

// TestServers compares the environment of the servers with what their configuration asks for.
func TestServers(t *testing.T) {
	conf, err := os.ReadFile(filepath.Join(deploy, "nats/node.conf"))
	if err != nil {
		t.Fatal(err)
	}
	env, _ := at(documents(t, "kustomize/cluster/nats.yaml")[0], "spec", "template", "spec", "containers", 0, "env").([]any)
	var given []string
	for _, e := range env {
		given = append(given, at(e, "name").(string))
	}
	for word := range strings.FieldsFuncSeq(string(conf), func(r rune) bool { return r == ' ' || r == '\n' }) {
		if name, ok := strings.CutPrefix(word, "$"); ok && !slices.Contains(given, name) {
			t.Errorf("the servers' environment lacks %s", name)
		}
	}
}

// TestCompose looks for what the compose file must say.
func TestCompose(t *testing.T) {
	c := documents(t, "compose.yaml")[0]
	oracle := at(c, "services", "oracle")
	file, _ := at(oracle, "build", "dockerfile").(string)
	if _, err := os.Stat(filepath.Join(deploy, "..", file)); err != nil || at(oracle, "build", "context") != ".." {
		t.Errorf("it is built of %q: %v", file, err)
	}
	if at(oracle, "read_only") != true || !slices.Equal(texts(at(oracle, "cap_drop")), []string{"ALL"}) {
		t.Error("the container may more than it needs")
	}
	for _, p := range texts(at(oracle, "ports")) {
		if strings.HasSuffix(p, ":8080") && !strings.HasPrefix(p, "127.0.0.1:") {
			t.Errorf("port %s is plain HTTP and not on the loopback", p)
		}
	}
	v := texts(at(oracle, "volumes"))
	if len(v) != 2 || !strings.HasSuffix(v[0], ":/var/lib/wattmark-oracle") || !slices.Equal(v, texts(at(c, "services", "found", "volumes"))) {
		t.Fatalf("volumes %q: the state would be lost, or founded elsewhere", v)
	}
	if _, err := os.Stat(filepath.Join(deploy, strings.Split(v[1], ":")[0])); err != nil {
		t.Error(err)
	}
	if !slices.Equal(texts(at(c, "services", "found", "command")), []string{"init", "--once"}) {
		t.Error("nobody founds the ledger")
	}
	if _, ok := at(c, "volumes").(map[string]any)["oracle"]; !ok {
		t.Error("the volume is not declared")
	}
}

// TestDockerfile holds the image to the programs and the user that it promises.
func TestDockerfile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(deploy, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for _, want := range []string{"FROM scratch", "USER 65532:65532", "VOLUME /var/lib/wattmark-oracle", `CMD ["run"]`} {
		if !slices.Contains(lines, want) {
			t.Errorf("the Dockerfile does not say %s", want)
		}
	}
	for _, dir := range []string{"cmd/wattmark-oracle", "cmd/wattmark"} {
		if _, err := os.Stat(filepath.Join(deploy, "..", dir, "main.go")); err != nil || !strings.Contains(string(b), "./"+dir) {
			t.Errorf("the image lacks %s: %v", dir, err)
		}
	}
}
