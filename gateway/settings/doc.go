// Package settings reads a configuration file into structs, and says everything that is
// wrong with it at once: each mistake with its line, its cause and what to do, and of an
// unknown key the one that may have been meant.
//
// Files are TOML v1.0.0. The fields' names are in their tags "toml". Times and sizes carry
// their units; a value of the wrong kind is a mistake, never converted. The daemons of a
// gateway and of an oracle read their files with it.
package settings
