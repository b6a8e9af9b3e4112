package main_test

import (
	"fmt"
	"math"
	"testing"
)

// TestBenchCluster runs servers and oracles as processes, one server alone and three.
func TestBenchCluster(t *testing.T) {
	for brokers, oracles := range map[string]string{"1": "1", "3": "4"} {
		numbers, _ := figures(t, "ingest", "--brokers", brokers, "--oracles", oracles, "--statements", "200", "--gateways", "4", "--outstanding", "64")
		positive(t, numbers, "statements_per_s", "receipt_p50_ms", "brokers_cpu_us_per_statement", "oracles_cpu_us_per_statement",
			"gateways_cpu_us_per_statement", "brokers_alone_cpu_us_per_statement", "batch_verification_cpu_us", "ratio_cpu",
			"floor_brokers_cpu_us_per_statement", "floor_oracles_cpu_us_per_statement", "floor_ratio_cpu", "ratio_to_floor_cpu")
		if fmt.Sprint(numbers["oracles"]) != oracles || numbers["statements"] != 200 {
			t.Errorf("%v oracles and %v statements", numbers["oracles"], numbers["statements"])
		}
		// One round, so that the ratios are those of the figures.
		sum := func(of string) float64 {
			return numbers[of+"brokers_cpu_us_per_statement"] + numbers[of+"oracles_cpu_us_per_statement"]
		}
		alone := numbers["brokers_alone_cpu_us_per_statement"] + numbers["oracles"]*numbers["batch_verification_cpu_us"]
		for name, want := range map[string]float64{
			"ratio_cpu": sum("") / alone, "floor_ratio_cpu": sum("floor_") / alone, "ratio_to_floor_cpu": sum("") / sum("floor_"),
		} {
			if math.Abs(want-numbers[name]) > 1e-6*want {
				t.Errorf("%s is %v, its parts give %v", name, numbers[name], want)
			}
		}
	}
}
