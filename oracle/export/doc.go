// Package export writes a member's statement the ways people take one: as a page and a
// PDF to read, a workbook and comma-separated values to calculate with, and Green Button
// (NAESB REQ.21, ESPI) for programs that compare tariffs. All of them are made from one
// [Statement], which is made from the rules' state at a final checkpoint: figures are the
// ledger's integers, and no format rounds what another does not.
//
// A [Table] is a list of the ledger's accounts as comma-separated values or a workbook;
// [Rows] write one of any length, as comma-separated values or JSON lines.
//
// The same statement gives the same bytes: nothing of the day on which a file is made is
// in it. Each file names the ledger, the height that it rests on and the version of the
// rules, and says how its lines are proved.
package export
