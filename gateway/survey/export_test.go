package survey

// Recognize tells which head said what was heard.
var Recognize = recognize
