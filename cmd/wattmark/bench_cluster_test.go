package main_test

import (
	"math"
	"testing"
)

// TestBenchCluster runs servers and oracles as processes, one server alone and three.
func TestBenchCluster(t *testing.T) {
	for _, brokers := range []string{"1", "3"} {
		numbers, _ := figures(t, "ingest", "--brokers", brokers, "--oracles", "4", "--statements", "200", "--gateways", "4", "--outstanding", "64")
		positive(t, numbers, "statements_per_s", "receipt_p50_ms", "brokers_cpu_us_per_statement", "oracles_cpu_us_per_statement",
			"gateways_cpu_us_per_statement", "brokers_alone_cpu_us_per_statement", "batch_verification_cpu_us", "ratio_cpu")
		if numbers["oracles"] != 4 || numbers["statements"] != 200 {
			t.Errorf("%v oracles and %v statements", numbers["oracles"], numbers["statements"])
		}
		want := (numbers["brokers_cpu_us_per_statement"] + numbers["oracles_cpu_us_per_statement"]) /
			(numbers["brokers_alone_cpu_us_per_statement"] + 4*numbers["batch_verification_cpu_us"])
		if math.Abs(want-numbers["ratio_cpu"]) > 1e-6*want {
			t.Errorf("the ratio is %v, its parts give %v", numbers["ratio_cpu"], want)
		}
	}
}
