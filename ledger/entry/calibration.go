package entry

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Calibration says how a device's channels are corrected from here on, by whom and
// against what. A gateway signs it, with a sequence number and the metering point as
// subject, as it does a reading; its readings then name it (see [CalibrationName]).
type Calibration struct {
	Device      string       `cbor:"1,keyasint"` // among those of the metering point
	Model       string       `cbor:"2,keyasint"`
	Serial      string       `cbor:"3,keyasint,omitempty"`
	Corrections []Correction `cbor:"4,keyasint"` // 1 to 64, in order of channels
	Method      string       `cbor:"5,keyasint"` // how it was found, as "comparison" or "fresh-air"
	// Reference is what the device was compared with, nil where that is nothing: by an
	// undo, or in fresh air.
	Reference *Reference `cbor:"6,keyasint,omitempty"`
	Person    string     `cbor:"7,keyasint"`
	Time      int64      `cbor:"8,keyasint"` // Unix milliseconds UTC
	// Data is the SHA-256 of the samples that were compared, nil where there were none.
	Data []byte `cbor:"9,keyasint,omitempty"`
	// Undoes is the identity of the calibration that this one takes back, nil for none.
	Undoes []byte `cbor:"10,keyasint,omitempty"`
}

// Correction is that of one channel.
type Correction struct {
	Channel string  `cbor:"1,keyasint"` // as in a record's name behind the base name
	Before  Factors `cbor:"2,keyasint"`
	After   Factors `cbor:"3,keyasint"`
	// Uncertainty is the expanded uncertainty (k = 2) of a corrected value as a share of
	// it, 0.005 for half a percent; 0 where none is claimed.
	Uncertainty Decimal `cbor:"4,keyasint"`
}

// Factors make a value of what a part said: Sign x Ratio x said + Offset.
type Factors struct {
	_      struct{} `cbor:",toarray"`
	Ratio  Decimal  // above 0
	Sign   int      // 1, or -1 for a reversed clamp
	Offset Decimal  // in the channel's unit
}

// Uncorrected are the factors of a channel that is left as it is.
var Uncorrected = Factors{Ratio: Decimal{Mantissa: 1}, Sign: 1}

// Equal reports whether both make the same of whatever a part says.
func (f Factors) Equal(g Factors) bool {
	return f.Sign == g.Sign && f.Ratio.Cmp(g.Ratio) == 0 && f.Offset.Cmp(g.Offset) == 0
}

// Reference is an instrument that a device was compared with.
type Reference struct {
	Maker       string `cbor:"1,keyasint,omitempty"`
	Model       string `cbor:"2,keyasint"`
	Serial      string `cbor:"3,keyasint,omitempty"`
	Certificate string `cbor:"4,keyasint,omitempty"` // number of its own calibration's certificate
}

const (
	maxCorrections = 64
	maxPerson      = 128
)

// Encode writes the payload of a calibration.
func (c *Calibration) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(c)
}

// ParseCalibration reads the payload of a calibration.
func ParseCalibration(b []byte) (*Calibration, error) {
	var c Calibration
	if err := decode("calibration", b, &c); err != nil {
		return nil, err
	}
	return &c, c.check()
}

func (c *Calibration) check() error {
	for _, f := range []struct {
		what, value string
		most        int
	}{{"device", c.Device, maxLabel}, {"model", c.Model, maxLabel}, {"method", c.Method, maxLabel}, {"person", c.Person, maxPerson}} {
		if err := text(f.what, f.value, f.most); err != nil {
			return err
		}
	}
	if err := optional("serial number", c.Serial, maxLabel); err != nil {
		return err
	}
	if len(c.Corrections) == 0 || len(c.Corrections) > maxCorrections {
		return fmt.Errorf("%w: a calibration has %d channels instead of 1 to %d", ErrForm, len(c.Corrections), maxCorrections)
	}
	last := ""
	for i := range c.Corrections {
		k := &c.Corrections[i]
		if k.Channel <= last {
			return fmt.Errorf("%w: channels of a calibration are not in order of their names", ErrForm)
		}
		last = k.Channel
		if err := k.check(); err != nil {
			return err
		}
	}
	if c.Reference != nil {
		if err := c.Reference.check(); err != nil {
			return err
		}
	}
	switch {
	case c.Time < 0 || c.Time > maxTime:
		return fmt.Errorf("%w: time %d ms %s", ErrForm, c.Time, notInRange)
	case len(c.Data) != 0 && len(c.Data) != 32:
		return fmt.Errorf("%w: the digest of the samples has %d bytes instead of 32", ErrForm, len(c.Data))
	case len(c.Undoes) != 0 && len(c.Undoes) != 32:
		return fmt.Errorf("%w: the calibration that is undone is named by %d bytes instead of 32", ErrForm, len(c.Undoes))
	}
	return nil
}

func (k *Correction) check() error {
	if len(k.Channel) > maxName {
		return fmt.Errorf("%w: a channel's name has %d bytes, over the limit of %d", ErrForm, len(k.Channel), maxName)
	}
	if err := checkName(k.Channel, true); err != nil {
		return fmt.Errorf("%w: %w", ErrForm, err)
	}
	for _, f := range []Factors{k.Before, k.After} {
		if f.Ratio.Mantissa <= 0 {
			return fmt.Errorf("%w: channel %q has the ratio %v, which is not above 0", ErrForm, k.Channel, f.Ratio)
		}
		if f.Sign != 1 && f.Sign != -1 {
			return fmt.Errorf("%w: channel %q has the sign %d instead of 1 or -1", ErrForm, k.Channel, f.Sign)
		}
	}
	if k.Uncertainty.Mantissa < 0 {
		return fmt.Errorf("%w: channel %q is uncertain by %v, which is less than nothing", ErrForm, k.Channel, k.Uncertainty)
	}
	return nil
}

func (r *Reference) check() error {
	if err := text("the reference's model", r.Model, maxLabel); err != nil {
		return err
	}
	if err := optional("the reference's maker", r.Maker, maxLabel); err != nil {
		return err
	}
	if err := optional("the reference's serial number", r.Serial, maxLabel); err != nil {
		return err
	}
	return optional("the certificate's number", r.Certificate, maxLabel)
}

// calibrationSuffix follows a channel's name in the record that names its calibration.
const calibrationSuffix = ".calibration"

// ReplacesName is the name, behind the base name, of the record by which a pack takes
// the place of another: its text is [CalibrationText] of that statement's identity.
const ReplacesName = "replaces"

// CalibrationName is the name of the record that says which calibration a channel's
// values were made with; its text is [CalibrationText] of the statement's identity.
func CalibrationName(channel string) string { return channel + calibrationSuffix }

// CalibrationText writes a calibration's identity for the record that names it.
func CalibrationText(identity [32]byte) string { return hex.EncodeToString(identity[:]) }

// Calibrated reads a record that names a calibration: the channel, with what stands
// before it in the record's name, and the identity. It reports false for any other
// record.
func (r *Record) Calibrated() (channel string, identity [32]byte, ok bool) {
	channel, named := strings.CutSuffix(r.Name, calibrationSuffix)
	if !named || len(r.Text) != 2*len(identity) || r.Text != strings.ToLower(r.Text) {
		return "", identity, false
	}
	_, err := hex.Decode(identity[:], []byte(r.Text))
	return channel, identity, err == nil
}
