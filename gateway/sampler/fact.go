package sampler

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"
)

// Fact is something to be kept under a name, in place of what was there.
type Fact struct {
	Name  string
	Value []byte
}

// memory is what the sampler keeps of a device. It is private to this package.
type memory struct {
	Serial string `json:"serial,omitempty"` // what the part said of itself last
	Total  []byte `json:"total,omitempty"`  // hardware.Persistent's snapshot
	Mass   string `json:"mass,omitempty"`   // of a derived channel, exact
}

// factName is short and the same in each life, whatever the names are made of.
func factName(subject, device string) string {
	sum := sha256.Sum256([]byte(subject + "\n" + device))
	return "sampler/" + hex.EncodeToString(sum[:12])
}

// facts returns what is to be kept of the point's devices.
func (p *point) facts() []Fact {
	var out []Fact
	for _, m := range p.members {
		k := memory{Serial: m.serial}
		if m.sayer != nil {
			k.Total = m.sayer.Snapshot()
		}
		if m.derived != nil {
			k.Mass = m.derived.mass.String()
		}
		if k.Serial == "" && k.Total == nil && k.Mass == "" {
			continue
		}
		if b, err := json.Marshal(k); err == nil { // three texts can be written
			out = append(out, Fact{factName(p.subject, m.device.Name), b})
		}
	}
	return out
}

// recall gives devices back what was kept of them. What cannot be used is said and
// left out: a total then starts again, which its record shows.
func (s *Sampler) recall() {
	if s.cfg.Recall == nil {
		return
	}
	for _, p := range s.points {
		for _, m := range p.members {
			b := s.cfg.Recall(factName(p.subject, m.device.Name))
			if len(b) == 0 {
				continue
			}
			var k memory
			err := json.Unmarshal(b, &k)
			if err == nil && m.sayer != nil && k.Total != nil {
				err = m.sayer.Restore(k.Total)
			}
			if err != nil {
				s.cfg.Log.Warn("what was kept of a device cannot be used", "device", m.device.Name, "error", err)
				continue
			}
			m.serial = k.Serial
			if mass, ok := new(big.Int).SetString(k.Mass, 10); ok && m.derived != nil && mass.Sign() >= 0 {
				m.derived.mass.Set(mass)
			}
		}
	}
}
