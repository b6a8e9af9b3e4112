package carbon

import "math/big"

// nearMetres is how far two projects may be from each other to look like one.
const nearMetres = 1000

// Distances between microdegrees.
const (
	metresPerDegree = 111_320
	microPerDegree  = 1_000_000
	fullCircle      = 360 * microPerDegree
	maxLatitude     = 90 * microPerDegree
	maxLongitude    = 180 * microPerDegree
)

// cosines are of whole degrees from 0 to 90, in millionths and rounded half.
var cosines = [...]int64{
	1_000_000, 999_848, 999_391, 998_630, 997_564, 996_195, 994_522, 992_546, 990_268, 987_688,
	984_808, 981_627, 978_148, 974_370, 970_296, 965_926, 961_262, 956_305, 951_057, 945_519,
	939_693, 933_580, 927_184, 920_505, 913_545, 906_308, 898_794, 891_007, 882_948, 874_620,
	866_025, 857_167, 848_048, 838_671, 829_038, 819_152, 809_017, 798_636, 788_011, 777_146,
	766_044, 754_710, 743_145, 731_354, 719_340, 707_107, 694_658, 681_998, 669_131, 656_059,
	642_788, 629_320, 615_661, 601_815, 587_785, 573_576, 559_193, 544_639, 529_919, 515_038,
	500_000, 484_810, 469_472, 453_990, 438_371, 422_618, 406_737, 390_731, 374_607, 358_368,
	342_020, 325_568, 309_017, 292_372, 275_637, 258_819, 241_922, 224_951, 207_912, 190_809,
	173_648, 156_434, 139_173, 121_869, 104_528, 87_156, 69_756, 52_336, 34_899, 17_452,
	0,
}

// near reports whether two projects are at most nearMetres from each other, on a plane
// whose degrees of longitude are as long as at the whole degree of the smaller of the
// two latitudes: nearer to the equator, where they are longer.
func (p Project) near(o Project) bool {
	if p.Placeless || o.Placeless {
		return false
	}
	east := magnitude(p.Lon - o.Lon)
	east = min(east, fullCircle-east)
	degree := min(magnitude(p.Lat), magnitude(o.Lat)) / microPerDegree
	// Both in metres times 10^12.
	north := product3(magnitude(p.Lat-o.Lat), metresPerDegree, microPerDegree)
	eastward := product3(east, metresPerDegree, cosines[degree])
	limit := product3(nearMetres, microPerDegree, microPerDegree)
	sum := north.Mul(north, north)
	sum.Add(sum, eastward.Mul(eastward, eastward))
	return sum.Cmp(limit.Mul(limit, limit)) <= 0
}

func magnitude(v int64) int64 { return max(v, -v) }

func product3(a, b, c int64) *big.Int {
	p := big.NewInt(a)
	p.Mul(p, big.NewInt(b))
	return p.Mul(p, big.NewInt(c))
}

// similarNames reports whether the Jaro similarity of two names is 0.90 or more.
func similarNames(a, b string) bool {
	return Jaro(a, b).Cmp(big.NewRat(9, 10)) >= 0
}

// Jaro returns the similarity of two texts, 0 to 1, as an exact fraction:
// (m/|a| + m/|b| + (m-t)/m) / 3 for m characters that match and t transpositions
// (M. A. Jaro, Journal of the American Statistical Association 84 (406), 1989).
// Characters match if they are equal and no further apart than half the longer text
// less one; half of those that match out of order are transpositions.
func Jaro(a, b string) *big.Rat {
	s, t := []rune(a), []rune(b)
	if len(s) == 0 && len(t) == 0 {
		return big.NewRat(1, 1)
	}
	reach := max(max(len(s), len(t))/2-1, 0)
	taken := make([]bool, len(t))
	var fromS, fromT []rune // what matches, in order
	for i, c := range s {
		for j := max(i-reach, 0); j < min(i+reach+1, len(t)); j++ {
			if !taken[j] && t[j] == c {
				taken[j] = true
				fromS = append(fromS, c)
				break
			}
		}
	}
	for j, c := range t {
		if taken[j] {
			fromT = append(fromT, c)
		}
	}
	m := int64(len(fromS))
	if m == 0 {
		return new(big.Rat)
	}
	var outOfOrder int64
	for i := range fromS {
		if fromS[i] != fromT[i] {
			outOfOrder++
		}
	}
	sum := big.NewRat(m, int64(len(s)))
	sum.Add(sum, big.NewRat(m, int64(len(t))))
	sum.Add(sum, big.NewRat(2*m-outOfOrder, 2*m))
	return sum.Mul(sum, big.NewRat(1, 3))
}
