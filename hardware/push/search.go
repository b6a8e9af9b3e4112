package push

import (
	"bytes"

	"wattmark/hardware"
)

// Search is how a protocol's first good frame is found among bytes that were recorded.
type Search struct {
	Name string // of a frame, for warnings: "telegram"
	Scan Scan
	// Begin stands at the beginning of frames only: in one that is refused, it is where
	// lost bytes have hidden the next.
	Begin []byte
	// BlankBefore and BlankAfter are bytes that say nothing before and after a frame.
	BlankBefore, BlankAfter string
	// Skip returns how many bytes at the front of an exchange are not the part's; nil is
	// none.
	Skip func(received []byte) int
}

// First has decode fill dst from the first frame of t that it does not refuse, and warns
// of what came before and after. Without a good one dst has no values, and the error is
// what is wrong with the first, nil when no frame begins at all.
func (s *Search) First(t *hardware.Transcript, dst *hardware.Batch, decode func(frame []byte, dst *hardware.Batch) error) (found bool, refused error) {
	dst.ResetValues()
	before, after := false, false
	for i := range t.Len() {
		_, received := t.Exchange(i)
		if s.Skip != nil {
			received = received[s.Skip(received):]
		}
		for len(received) > 0 {
			if found {
				after = after || len(bytes.Trim(received, s.BlankAfter)) > 0
				break
			}
			start, end := s.Scan(received)
			if end == 0 {
				end = len(received)
			}
			before = before || len(bytes.Trim(received[:start], s.BlankBefore)) > 0
			if start < end {
				dst.ResetValues()
				err := decode(received[start:end], dst)
				found = err == nil
				before = before || !found
				if refused == nil {
					refused = err
				}
				if !found {
					end = s.next(received, start, end)
				}
			}
			received = received[end:]
		}
	}
	if !found {
		dst.ResetValues()
		return false, refused
	}
	if before {
		dst.Warn(hardware.WarnResync, "skipped what came before the first good "+s.Name)
	}
	if after {
		dst.Warn(hardware.WarnTrailing, "ignored what came after the "+s.Name)
	}
	return true, nil
}

// next returns where another frame begins in the one from start to end, or at its end.
func (s *Search) next(b []byte, start, end int) int {
	within := b[start+1 : min(end+len(s.Begin)-1, len(b))]
	if n := bytes.Index(within, s.Begin); n >= 0 {
		return start + 1 + n
	}
	return end
}
