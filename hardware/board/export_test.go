package board

// Load loads models from any file system.
var Load = load
