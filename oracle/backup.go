package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wattmark/oracle/api"
)

// BackupsFile is where an operator's program notes in the state directory when it made or
// checked a copy. An oracle copies nothing itself: it only shows how old the copies are.
const BackupsFile = "backups.json"

// What a backup is of, and that one was checked.
const (
	BackupLedger = "ledger"
	BackupVault  = "vault"
	BackupCheck  = "check"
)

// Backups are when a copy was made of each, and when one was checked last, to the second.
type Backups map[string]time.Time

// BackupKinds are the keys of Backups, in the order in which they are shown.
func BackupKinds() []string { return []string{BackupLedger, BackupVault, BackupCheck} }

// maxBackups bounds the file, in bytes.
const maxBackups = 4096

// ReadBackups reads what was noted in a state directory: nothing where nothing was.
func ReadBackups(dir string) (Backups, error) {
	f, err := os.Open(filepath.Join(dir, BackupsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Backups{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBackups+1))
	if err != nil {
		return nil, err
	}
	return ParseBackups(b)
}

// ParseBackups reads the file of backups.
func ParseBackups(b []byte) (Backups, error) {
	if len(b) > maxBackups {
		return nil, fmt.Errorf("%s has more than %d bytes", BackupsFile, maxBackups)
	}
	var noted map[string]string
	if err := json.Unmarshal(b, &noted); err != nil {
		return nil, fmt.Errorf("reading %s: %w: delete it, and note the next backup", BackupsFile, err)
	}
	out := make(Backups)
	for _, kind := range BackupKinds() {
		text, ok := noted[kind]
		if !ok {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %s: %q is no time: delete it, and note the next backup", BackupsFile, kind, text)
		}
		out[kind] = at.UTC()
	}
	return out, nil
}

// Encode writes the file of backups.
func (b Backups) Encode() ([]byte, error) {
	noted := make(map[string]string)
	for kind, at := range b {
		noted[kind] = at.UTC().Format(time.RFC3339)
	}
	text, err := json.Marshal(noted)
	return append(text, '\n'), err
}

// backups are those of a node, for its operator.
func (n *Node) backups() (list []api.Backup, err error) {
	noted, err := ReadBackups(n.cfg.Dir)
	for _, kind := range BackupKinds() {
		b := api.Backup{Of: kind}
		if at, ok := noted[kind]; ok {
			b.At = at.Format(time.RFC3339)
		}
		list = append(list, b)
	}
	return list, err
}
