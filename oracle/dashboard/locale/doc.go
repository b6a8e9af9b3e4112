// Package locale is what changes with a reader's language: texts, numbers, dates.
//
// A text is named by itself, in English: [Locale.Say] takes the English text, or its fmt format,
// and says it in the locale's language. The English text is in the source where it is said, and
// each other language has one file, from English texts to its own: de.json. A text that a file
// does not have is said in English; tests of who says the texts keep the files complete.
//
// A text that counts has two forms, for one and for all other numbers, which is the rule for
// whole numbers in English and in German alike (Unicode CLDR, plural rules, cardinal). A language
// with another rule needs more than a file.
//
// Which language a reader wants is what the browser sends (RFC 9110, section 12.5.4), matched by
// golang.org/x/text/language: who asks for Austrian German gets German.
package locale
