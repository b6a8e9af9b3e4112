package market

import (
	"cmp"
	"slices"
	"strconv"

	"wattmark/ledger/unit"
)

// AppendJSON appends the result as "wattmark market clear" prints it: one object in
// one line, with every order, and who traded with whom. It returns [ErrBroken], and b
// as it was, if the pairs do not add up.
func (c *Clearing) AppendJSON(b []byte) ([]byte, error) {
	trades, err := c.Trades()
	if err != nil {
		return b, err
	}
	a := c.auction
	b = appendText(append(b, `{"rule":`...), a.Rule.String())
	b = appendNumber(append(b, `,"fee":`...), a.Fee)
	b = appendNumber(append(b, `,"volume":`...), c.Volume())
	b = c.appendPrices(b, &c.Open)
	b = appendNumber(append(b, `,"green":{"volume":`...), c.Green.Volume)
	b = c.appendPrices(b, &c.Green)
	b = append(b, `},"fills":[`...)
	comma := separator()
	for _, i := range sorted(len(a.Bids), func(i int) string { return a.Bids[i].ID }) {
		b = appendFill(comma(b), "bid", a.Bids[i].ID, a.Bids[i].Member, &c.Bids[i])
	}
	for _, i := range sorted(len(a.Offers), func(i int) string { return a.Offers[i].ID }) {
		b = appendFill(comma(b), "offer", a.Offers[i].ID, a.Offers[i].Member, &c.Offers[i])
	}
	b = append(b, `],"trades":[`...)
	comma = separator()
	for _, t := range trades {
		pass := "open"
		if t.Green {
			pass = "green"
		}
		b = appendText(append(comma(b), `{"pass":`...), pass)
		b = appendText(append(b, `,"bid":`...), a.Bids[t.Bid].ID)
		b = appendText(append(b, `,"offer":`...), a.Offers[t.Offer].ID)
		b = appendNumber(append(b, `,"quantity":`...), t.Quantity)
		b = appendNumber(append(b, `,"price":`...), t.Price)
		b = append(b, '}')
	}
	return append(b, "]}\n"...), nil
}

func (c *Clearing) appendPrices(b []byte, p *Prices) []byte {
	traded := p.Volume > 0
	b = appendOptional(append(b, `,"price":`...), p.Price, traded && c.auction.Rule == Uniform)
	b = appendOptional(append(b, `,"price_low":`...), p.Low, traded)
	return appendOptional(append(b, `,"price_high":`...), p.High, traded)
}

func appendFill(b []byte, side, id, member string, f *Fill) []byte {
	b = appendText(append(b, `{"side":`...), side)
	b = appendText(append(b, `,"id":`...), id)
	b = appendText(append(b, `,"member":`...), member)
	b = appendNumber(append(b, `,"quantity":`...), f.Quantity)
	b = appendNumber(append(b, `,"green":`...), f.Green)
	b = appendNumber(append(b, `,"amount":`...), f.Amount)
	b = appendNumber(append(b, `,"fee":`...), f.Fee)
	return append(b, '}')
}

// AppendJSON appends the result as "wattmark market settle" prints it: one object in
// one line, with every member and every posting.
func (s *Settlement) AppendJSON(b []byte) []byte {
	p := s.pool
	b = appendText(append(b, `{"rule":`...), p.Rule.String())
	b = appendOptional(append(b, `,"mid":`...), s.Mid, s.Open)
	b = appendOptional(append(b, `,"local_price":`...), s.LocalPrice, s.Local > 0)
	b = appendNumber(append(b, `,"fee":`...), s.Fee)
	b = appendNumber(append(b, `,"surplus":`...), s.Surplus)
	b = appendNumber(append(b, `,"deficit":`...), s.Deficit)
	b = appendNumber(append(b, `,"local":`...), s.Local)
	b = appendNumber(append(b, `,"grid_export":`...), s.GridExport)
	b = appendNumber(append(b, `,"grid_import":`...), s.GridImport)
	b = append(b, `,"members":[`...)
	comma := separator()
	for _, i := range sorted(len(p.Members), func(i int) string { return p.Members[i].Member }) {
		b = appendShare(comma(b), &p.Members[i], &s.Members[i])
	}
	b = append(b, `],"postings":[`...)
	comma = separator()
	for _, posting := range s.Postings() {
		b = appendText(append(comma(b), `{"account":`...), posting.Owner)
		b = appendNumber(append(b, `,"amount":`...), posting.Amount)
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}

func appendShare(b []byte, m *Meter, r *Share) []byte {
	b = appendText(append(b, `{"member":`...), m.Member)
	b = appendText(append(b, `,"quality":`...), m.Quality.String())
	b = appendNumber(append(b, `,"net":`...), r.Net)
	b = appendNumber(append(b, `,"unproven":`...), r.Unproven)
	b = appendNumber(append(b, `,"position":`...), r.Position)
	b = appendNumber(append(b, `,"residual":`...), r.Residual)
	b = strconv.AppendBool(append(b, `,"joined":`...), r.Joined)
	b = appendNumber(append(b, `,"local_sold":`...), r.Sold)
	b = appendNumber(append(b, `,"local_bought":`...), r.Bought)
	b = appendNumber(append(b, `,"grid_export":`...), r.GridExport)
	b = appendNumber(append(b, `,"grid_import":`...), r.GridImport)
	b = appendNumber(append(b, `,"deviation":`...), r.Deviation)
	b = appendNumber(append(b, `,"deviation_charge":`...), r.Charge)
	b = appendNumber(append(b, `,"amount":`...), r.Amount)
	b = appendNumber(append(b, `,"counterfactual":`...), r.Counterfactual)
	return append(b, '}')
}

// appendText appends a string that needs no escapes: the letters of ids and names.
func appendText(b []byte, s string) []byte {
	return append(append(append(b, '"'), s...), '"')
}

func appendNumber[Q unit.Quantity](b []byte, q Q) []byte { return strconv.AppendInt(b, int64(q), 10) }

// appendOptional appends a number, or null if there is none.
func appendOptional[Q unit.Quantity](b []byte, q Q, there bool) []byte {
	if !there {
		return append(b, "null"...)
	}
	return appendNumber(b, q)
}

// separator returns what puts a comma before all elements of a list but the first.
func separator() func([]byte) []byte {
	begun := false
	return func(b []byte) []byte {
		if begun {
			return append(b, ',')
		}
		begun = true
		return b
	}
}

// sorted returns the indices 0 to n-1 in the order of what they name, as bytes.
func sorted(n int, name func(int) string) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(cmp.Compare(name(x), name(y)), x-y) })
	return order
}
