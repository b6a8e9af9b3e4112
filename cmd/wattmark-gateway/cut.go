package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"wattmark/gateway"
	"wattmark/gateway/console"
)

// What stands where something was cut out of a text, and of bytes in hex.
const (
	cutText = "[cut]"
	cutByte = ".."
)

// cutter cuts out of texts what must not leave a gateway. Its zero value cuts nothing.
type cutter struct {
	secrets []string // wherever they stand
	words   []string // where they stand alone: short secrets, and serial numbers
	numbers []string // values, where no further digit stands beside them
	serials [][]byte // among bytes of a bus, in each form
}

// Sizes of what is cut out.
const (
	// longSecret is how many bytes a secret has that stands nowhere by accident.
	longSecret = 8
	// tellingDigits is how many digits a value has that tells something of a household:
	// a 0 stands everywhere.
	tellingDigits = 3
	// longSerial is how many bytes a serial number has that is looked for among others.
	longSerial = 4
	maxSecret  = 64 << 10
)

// secretFiles takes what the secret files of a configuration hold, as far as this user
// may read them: what cannot be read here cannot come into the bundle either.
func (c *cutter) secretFiles(f *gateway.File) {
	paths := []string{f.Path(f.Uplink.CertificateKey), f.Path(f.Key.PINFile), f.Path(f.HomeAssistant.PasswordFile)}
	if keys, err := filepath.Glob(f.KeyFile() + "*"); err == nil {
		paths = append(paths, keys...)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxSecret {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			c.secret(strings.TrimSpace(line))
		}
	}
}

// secret takes a line of a secret. Those that say what follows are none.
func (c *cutter) secret(line string) {
	switch {
	case line == "" || strings.HasPrefix(line, "-----"):
	case len(line) >= longSecret:
		c.secrets = append(c.secrets, line)
	default:
		c.words = append(c.words, line)
	}
}

// devices takes serial numbers of devices and, unless values may stay, their values.
func (c *cutter) devices(live []console.DeviceValue, exchanges []console.DeviceExchange, withValues bool) {
	for _, d := range live {
		c.serial(d.Serial)
		for _, v := range d.Values {
			if !withValues {
				c.value(v.Value)
			}
		}
	}
	for _, d := range exchanges {
		c.serial(d.Serial)
	}
}

// value takes a value of a household.
func (c *cutter) value(text string) {
	text = strings.TrimPrefix(text, "-")
	if len(strings.Trim(strings.ReplaceAll(text, ".", ""), "0")) > 0 && len(strings.ReplaceAll(text, ".", "")) >= tellingDigits {
		c.numbers = append(c.numbers, text)
	}
}

// serial takes a serial number, and the forms in which meters send it: as text, as text
// in hex (DSMR), as number of 32 bits in either order of bytes and of words (Modbus, SML),
// in packed decimal digits (IEC 62056, M-Bus), and as bytes of which it is the hex form.
func (c *cutter) serial(serial string) {
	if len(serial) < longSerial {
		return
	}
	c.words = append(c.words, serial)
	all := []string{serial}
	// SML's serial numbers end in the number that goes over the line.
	if digits := serial[len(strings.TrimRight(serial, "0123456789")):]; len(digits) >= longSerial && digits != serial {
		all = append(all, digits)
	}
	for _, s := range all {
		c.serials = append(c.serials, []byte(s), []byte(hex.EncodeToString([]byte(s))), []byte(strings.ToUpper(hex.EncodeToString([]byte(s)))))
		if n, err := strconv.ParseUint(s, 10, 32); err == nil {
			big := binary.BigEndian.AppendUint32(nil, uint32(n))
			little := binary.LittleEndian.AppendUint32(nil, uint32(n))
			c.serials = append(c.serials, big, little, []byte{big[2], big[3], big[0], big[1]})
		}
		padded := s
		if len(s)%2 == 1 {
			padded = "0" + s
		}
		if raw, err := hex.DecodeString(padded); err == nil { // decimal digits, or hex
			back := bytes.Clone(raw)
			for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
				back[i], back[j] = back[j], back[i]
			}
			c.serials = append(c.serials, raw, back)
		}
	}
}

// text returns a text without what is to be cut out.
func (c *cutter) text(b []byte) []byte {
	s := string(b)
	for _, secret := range c.secrets {
		s = strings.ReplaceAll(s, secret, cutText)
	}
	for _, w := range c.words {
		s = replaceAlone(s, w, alphanumeric)
	}
	for _, n := range c.numbers {
		s = replaceAlone(s, n, digit)
	}
	return []byte(s)
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

func alphanumeric(b byte) bool {
	return digit(b) || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// replaceAlone cuts a word out where nothing that is part of words stands beside it.
func replaceAlone(s, word string, part func(byte) bool) string {
	var b strings.Builder
	done := 0 // up to here s is written
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			b.WriteString(s[done:])
			return b.String()
		}
		i += from
		end := i + len(word)
		if i > 0 && part(s[i-1]) || end < len(s) && part(s[end]) {
			from = i + 1
			continue
		}
		b.WriteString(s[done:i])
		b.WriteString(cutText)
		from, done = end, end
	}
}

// literal is a string in JSON.
var literal = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// json returns a JSON text without what is to be cut out of its strings.
func (c *cutter) json(text []byte) []byte {
	return literal.ReplaceAllFunc(text, func(quoted []byte) []byte {
		var s string
		if json.Unmarshal(quoted, &s) != nil {
			return []byte(strconv.Quote(cutText))
		}
		clean, err := json.Marshal(string(c.text([]byte(s))))
		if err != nil {
			return []byte(strconv.Quote(cutText))
		}
		return clean
	})
}

// meterID is where OBIS texts have serial numbers (IEC 62056-61: C.D of 96.1 and 0.0):
// of the meter, and of those behind it, which nobody tells of otherwise.
var meterID = regexp.MustCompile(`(?:96\.1|\b0\.0)\.[0-9]{1,3}(?:\*[0-9]{1,3})?\(([^()]*)\)`)

// bytes returns bytes in hex, two dots for each that belongs to a serial number.
func (c *cutter) bytes(b []byte) string {
	hidden := make([]bool, len(b))
	for _, m := range meterID.FindAllSubmatchIndex(b, -1) {
		for i := m[2]; i < m[3]; i++ {
			hidden[i] = true
		}
	}
	for _, serial := range c.serials {
		for from := 0; len(serial) > 0; {
			i := bytes.Index(b[from:], serial)
			if i < 0 {
				break
			}
			for k := range serial {
				hidden[from+i+k] = true
			}
			from += i + 1
		}
	}
	var out strings.Builder
	for i, x := range b {
		if i > 0 {
			out.WriteByte(' ')
		}
		if hidden[i] {
			out.WriteString(cutByte)
		} else {
			fmt.Fprintf(&out, "%02x", x)
		}
	}
	return out.String()
}
