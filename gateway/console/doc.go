// Package console is what a technician on site asks a running gateway: the local
// socket behind the verbs status and read. It changes nothing.
//
// The socket speaks HTTP:
//
//	GET /status     a Status as JSON
//	GET /values     a Live as JSON: the newest values of each device
//	GET /exchanges  an Exchanges as JSON: what went over the buses last
//	GET /metrics    the figures as Prometheus text
//
// Whoever may open the socket may read: its directory and its mode, 0660, are the
// access control. Values of a household are on it, and in no log.
package console
