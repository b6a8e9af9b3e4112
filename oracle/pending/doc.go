// Package pending keeps the requests for enrolment that came on line and wait for an
// operator, as much of them as an oracle can afford.
//
// Whoever asks has proven no more than that he holds the key he asks for, and may be
// anybody with the certificate that all share who have none yet. So a [List] is
// bounded in every way: what comes faster than a [Rate] is dropped before it is read, what
// waits is limited in number and bytes, those with a certificate of their own have room
// that others cannot take, several requests under one name do not crowd out other
// names, and what is not asked again lapses. Nothing is written to disk. A request that
// was dropped is sent again by its gateway, and can always be brought as a file or
// picture.
//
// An approval that an operator's tool publishes is kept for a while and given to
// whoever asks again, as the gateway may have been away just then.
package pending
