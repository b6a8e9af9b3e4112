package survey_test

import (
	"testing"

	"wattmark/gateway/survey"
	"wattmark/hardware/emulated"
)

// FuzzRecognize: whatever a line says, nothing but a whole frame makes a find.
func FuzzRecognize(f *testing.F) {
	for _, part := range []emulated.Talker{emulated.NewP1(50), emulated.NewP1(22), emulated.NewSMLMeter("EMH", 4711), emulated.NewPMS()} {
		frame, _ := part.Talk(nil)
		f.Add(frame)
		if find, ok := survey.Recognize(frame); !ok || len(find.Models) == 0 {
			f.Errorf("a %T is not recognized", part)
		}
		if find, ok := survey.Recognize(frame[:len(frame)/2]); ok {
			f.Errorf("half a frame of a %T is taken for a %v", part, find.Models)
		}
	}
	f.Fuzz(func(t *testing.T, heard []byte) {
		if find, ok := survey.Recognize(heard); ok != (len(find.Models) > 0) {
			t.Errorf("%x: %v, %+v", heard, ok, find)
		}
	})
}
