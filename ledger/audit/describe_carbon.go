package audit

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// account tells what is stated in carbon accounting. It is false for another type.
func (d *Description) account(m *signer.Message) (bool, error) {
	if !entry.IsCarbon(m.Type) {
		return false, nil
	}
	c, err := entry.ParseCarbon(m.Type, m.Payload)
	if err != nil {
		return true, err
	}
	switch c := c.(type) {
	case *entry.Appointment:
		return true, d.appointment(c, m)
	case *entry.FactorPack:
		d.add("factor pack", c.ID+", edition "+c.Edition)
		d.add("of the document", fmt.Sprintf("%s, SHA-256 %x", c.Source, c.Digest))
		d.add("good for", stretch(c.From, c.To)+" in "+c.Region)
		d.add("factors", len(c.Rows))
	case *entry.CarbonSource:
		d.add("registers source", c.ID+", "+c.Kind)
		d.add("at site", c.Site+" of "+c.Owner)
		d.add("measured by", c.Point+": "+strings.Join(c.Channels, ", "))
		d.some("gas", c.Gas)
		d.some("by the equation", c.Equation)
		d.some("fuel", c.Fuel)
	case *entry.CarbonProject:
		d.add("registers project", c.ID+" of "+c.Owner)
		d.add("by", c.Program+", "+c.Methodology)
		d.add("which is a", c.Direction)
		d.add("sources", strings.Join(c.Sources, ", "))
		d.add("buffer", fmt.Sprintf("%d.%02d %% of each issuance", c.BufferBP/100, c.BufferBP%100))
		d.add("serials begin", c.Prefix)
	case *entry.PeriodOpen:
		d.add("opens period", c.ID+" of site "+c.Site)
		d.add("from and to", stretch(c.From, c.To))
		d.add("by the factors of", editions(c.Packs)+", "+c.Set)
	case *entry.PeriodClose:
		d.add("closes period", c.Period)
		d.add("lines declared by hand", len(c.Declared))
	case *entry.Verification:
		d.add("verifies period", fmt.Sprintf("%s, version %d", c.Period, c.Version))
		d.add("with", c.Level+" assurance")
		d.add("of the statement", hex.EncodeToString(c.Digest))
		d.some("note", c.Note)
	case *entry.Restatement:
		d.add("restates period", fmt.Sprintf("%s as version %d", c.Period, c.Version))
		d.add("because", c.Reason)
		d.add("by the factors of", editions(c.Packs)+", "+c.Set)
	case *entry.GCIssue:
		d.add("asks for certificates of", c.Source)
		d.add("from and to", stretch(c.From, c.To))
	case *entry.GCSplit:
		d.add("splits certificates", c.Bundle)
		d.add("into", sizes(c.Sizes)+" Wh")
	case *entry.GCTransfer:
		d.add("gives certificates", c.Bundle)
		d.add("to", c.To)
	case *entry.GCCancel:
		d.add("cancels certificates", c.Bundle)
		d.add("for", c.Beneficiary)
	case *entry.GCClaim:
		d.add("claims for the use of", c.Load)
		d.add("from and to", stretch(c.From, c.To))
		d.add("certificates", strings.Join(c.Bundles, ", "))
	case *entry.StorageCharge:
		d.add("charges", c.Storage)
		d.add("from and to", stretch(c.From, c.To))
		d.add("with certificates", strings.Join(c.Bundles, ", "))
	case *entry.StorageDischarge:
		d.add("discharges", c.Storage)
		d.add("from and to", stretch(c.From, c.To))
	case *entry.UnitIssue:
		d.add("issues units of project", c.Project)
		d.add("for period", fmt.Sprintf("%s, version %d; vintage %d", c.Period, c.Version, c.Vintage))
	case *entry.UnitSplit:
		d.add("splits units", c.Block)
		d.add("into", sizes(c.Sizes))
	case *entry.UnitTransfer:
		d.add("gives units", c.Block)
		d.add("to", c.To)
	case *entry.UnitRetire:
		d.add("retires units", c.Block)
		d.add("for", c.Beneficiary)
		d.add("because", c.Reason)
		d.add("for emissions of", stretch(c.From, c.To))
	case *entry.UnitCancel:
		d.add("cancels units", c.Block)
		d.add("because", c.Reason)
		d.some("which settles", c.Settles)
	case *entry.Reversal:
		d.add("reverses of project", fmt.Sprintf("%s: %d t", c.Project, c.Tonnes))
		d.add("because", c.Reason)
	case *entry.Authorization:
		d.add("authorizes issuance", c.Issuance)
		d.add("by", fmt.Sprintf("%s, letter %s, SHA-256 %x", c.Host, c.Reference, c.Digest))
	case *entry.FirstTransfer:
		d.add("first transfer of units", c.Block)
		d.add("to", c.To+", "+c.Acquirer)
	case *entry.CADTCommit:
		d.add("commits to table", c.Table+", "+c.Key)
		d.add("by", c.Author)
		d.some("comment", c.Comment)
	}
	return true, nil
}

func (d *Description) appointment(a *entry.Appointment, m *signer.Message) error {
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return err
	}
	r, err := request.OpenParty(a.Request, claims.Audience)
	if err != nil {
		return err
	}
	d.add("appoints "+r.Role, r.Name)
	d.add("who is", r.Title)
	d.add("with key", r.Public.ID())
	return nil
}

// carbonOutcome tells what followed from a statement of carbon accounting. It is false for
// another body.
func (d *Description) carbonOutcome(body entry.Body) bool {
	switch b := body.(type) {
	case *entry.Certified:
		d.Summary = fmt.Sprintf("certified: %s, %d Wh of %s", b.ID, b.Wh, b.Source)
		d.follows(b.Leaf)
		d.add("certificates", fmt.Sprintf("%s, serials %d to %d, each of a Wh", b.ID, b.First, b.First+b.Wh-1))
		d.add("of", b.Source+", "+stretch(b.From, b.To))
		d.add("owner", b.Owner)
		d.add("rest on readings at leaves", strings.Trim(fmt.Sprint(b.Readings), "[]"))
		if b.Consumed > 0 {
			d.add("stored energy", fmt.Sprintf("of %s, for which %d Wh were consumed", b.Origin, b.Consumed))
		}
	case *entry.Adjusted:
		d.Summary = fmt.Sprintf("adjusted: %d t from %s to %s", b.Units, b.Host, b.Acquirer)
		d.follows(b.Leaf)
		d.add("units", fmt.Sprintf("%s of issuance %s", b.Block, b.Issuance))
		d.add("adjustments", fmt.Sprintf("%s +%d t, %s -%d t", b.Host, b.Units, b.Acquirer, b.Units))
		d.add("authorized at leaf", strconv.FormatUint(b.Authorization, 10))
	case *entry.Moved:
		d.Summary = fmt.Sprintf("moved: %s", counted(len(b.Moves), b.What))
		d.follows(b.Leaf)
		d.moves(b.Moves, "")
		if b.Owed > 0 {
			d.add("owes", fmt.Sprintf("%s, %d units", b.Debtor, b.Owed))
		}
	case *entry.Stated:
		d.Summary = fmt.Sprintf("stated: %s of site %s, version %d, %s t CO2e", b.Period, b.Site, b.Version, unit.Mass(b.CO2e))
		d.follows(b.Leaf)
		d.add("from and to", stretch(b.From, b.To))
		d.add("scope 1", unit.Mass(b.CO2e).String()+" t CO2e by "+b.Set)
		for i := range b.Lines {
			l := &b.Lines[i]
			var parts []string
			for _, g := range l.Gases {
				parts = append(parts, fmt.Sprintf("%s t %s", unit.Mass(g.Mass), g.Gas))
			}
			if l.Wh > 0 {
				parts = append(parts, fmt.Sprintf("%d Wh: %s t by location, %s t by market, %s t by the hour", l.Wh, unit.Mass(l.Location), unit.Mass(l.Market), unit.Mass(l.Hourly)))
			}
			d.add("line "+l.Source+", "+l.Class, strings.Join(parts, ", "))
		}
		if b.Declared > 0 {
			d.add("declared", fmt.Sprintf("%d millionths of it", b.Declared))
		}
	case *entry.Issued:
		d.Summary = fmt.Sprintf("issued: %s, %d units of %s", b.ID, b.Units, b.Project)
		d.follows(b.Leaf)
		d.add("for period", fmt.Sprintf("%s, version %d; vintage %d", b.Period, b.Version, b.Vintage))
		d.add("reduced", fmt.Sprintf("%s t ± %s t (95 %%)", unit.Mass(b.Reduced), unit.Mass(b.HalfWidth)))
		d.moves(b.Blocks, b.Prefix+" ")
	default:
		return false
	}
	return true
}

func (d *Description) follows(leaf uint64) { d.add("follows from leaf", leaf) }

func (d *Description) moves(list []entry.Move, prefix string) {
	for _, m := range list {
		d.add(m.ID, fmt.Sprintf("%s, of %s, serials %s%d to %d", m.Status, m.Owner, prefix, m.First, m.Last))
	}
}

// some adds a field that is not empty.
func (d *Description) some(name, value string) {
	if value != "" {
		d.add(name, value)
	}
}

// stretch writes a stretch of time, both ends in Unix seconds.
func stretch(from, to int64) string {
	return time.Unix(from, 0).UTC().Format(time.RFC3339) + " to " + time.Unix(to, 0).UTC().Format(time.RFC3339)
}

func editions(list []entry.Edition) string {
	var out []string
	for _, e := range list {
		out = append(out, e.Pack+" "+e.Edition)
	}
	return strings.Join(out, ", ")
}

func sizes(list []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
