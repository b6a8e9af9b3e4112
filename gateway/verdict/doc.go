// Package verdict says in words what the newest values of a device come to, and what is
// suspicious about them: a clamp that looks reversed, current and voltage of different
// phases, a neutral current without a load. It is for whoever stands before the meter;
// it decides nothing, and no reading is changed by it.
//
// Everything here is a function of the values alone. What a value was measured with can
// make a verdict wrong: the words say "looks", and name what would make it right.
package verdict
