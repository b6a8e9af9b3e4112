package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPageByAddress(t *testing.T) {
	h := byAddress(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, "street.example",
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"127.0.0.1:8080":      http.StatusNoContent,
		"[::1]:8080":          http.StatusNoContent,
		"::1":                 http.StatusNoContent,
		"localhost:8080":      http.StatusNoContent,
		"LOCALHOST":           http.StatusNoContent,
		"street.example:8080": http.StatusNoContent,
		"evil.example:8080":   http.StatusMisdirectedRequest,
		"localhost.evil":      http.StatusMisdirectedRequest,
		"":                    http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a request to host %q got %d, want %d", host, w.Code, want)
		}
	}
}
