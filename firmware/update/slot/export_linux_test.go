package slot

// Find below another root than the machine's.
var FindBelow = find
