// Package oracletest is the far side of a gateway's line, for tests of what stands on the
// near one: the embedded broker on loopback with certificates, and a consortium of one
// oracle behind it. All of it ends with the test.
package oracletest
