// Package generated is where the test of package client puts a client that it generates
// from the description of the API. What is generated is not kept: it is made each time,
// from the description that is committed.
package generated
