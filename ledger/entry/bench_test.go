package entry_test

import (
	"testing"

	"wattmark/ledger/entry"
)

func BenchmarkParseClaims(b *testing.B) {
	c := encodeClaims(b, full())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := entry.ParseClaims(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeClaims(b *testing.B) {
	c := full()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParsePack reads packs of 16 records, of 60 records (about 1 kB), and
// of 16 with a long name each (about 1 kB).
func BenchmarkParsePack(b *testing.B) {
	long := sample(16)
	for i := range long.Records {
		long.Records[i].Name += ".of.the.third.phase.behind.the.main.switch"
	}
	for name, p := range map[string]*entry.Pack{"16": sample(16), "60": sample(60), "16 long": long} {
		b.Run(name, func(b *testing.B) {
			pack := encodePack(b, p)
			b.SetBytes(int64(len(pack)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := entry.ParsePack(pack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodePack(b *testing.B) {
	p := sample(16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseClock(b *testing.B) {
	c := (&entry.Clock{Height: 1000, Time: noon}).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := entry.ParseClock(c); err != nil {
			b.Fatal(err)
		}
	}
}
