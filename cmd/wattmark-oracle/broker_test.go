package main

import "testing"

func TestFromHere(t *testing.T) {
	for address, want := range map[string]string{
		"tls://0.0.0.0:4222":            "tls://127.0.0.1:4222",
		"tls://[::]:4222":               "tls://[::1]:4222",
		"tls://192.0.2.7:4222":          "tls://192.0.2.7:4222",
		"tls://broker.example.org:4222": "tls://broker.example.org:4222",
	} {
		if got := fromHere(address); got != want {
			t.Errorf("%s is reached from here at %s, want %s", address, got, want)
		}
	}
}
