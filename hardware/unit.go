package hardware

// Unit is the unit of a channel, as SenML writes it (RFC 8428 section 12.1,
// RFC 8798 section 3) unless marked as ours.
type Unit string

// The units of all channels.
const (
	WattHour               Unit = "Wh"
	VarHour                Unit = "varh"
	Watt                   Unit = "W"
	Var                    Unit = "var"
	VoltAmpere             Unit = "VA"
	Volt                   Unit = "V"
	Ampere                 Unit = "A"
	Hertz                  Unit = "Hz"
	Ratio                  Unit = "/"
	Percent                Unit = "%"
	Millisecond            Unit = "ms"
	Count                  Unit = "count"
	CubicMetre             Unit = "m3"
	Joule                  Unit = "J"
	PartsPerMillion        Unit = "ppm"
	Celsius                Unit = "Cel"
	Kelvin                 Unit = "K"
	RelativeHumidity       Unit = "%RH"
	Pascal                 Unit = "Pa"
	MicrogramPerCubicMetre Unit = "ug/m3"
	Micrometre             Unit = "um"    // ours
	PerCubicCentimetre     Unit = "1/cm3" // ours
	KilogramPerSecond      Unit = "kg/s"  // ours
	CubicMetrePerSecond    Unit = "m3/s"
	MetrePerSecond         Unit = "m/s"
	Kilogram               Unit = "kg"
)
