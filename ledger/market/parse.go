package market

import (
	"encoding/hex"
	"strings"

	"wattmark/ledger/unit"
)

// MaxInput is the most bytes of a file that [ParseAuction] and [ParsePool] take.
const MaxInput = 1 << 30

// The fields of the files, in the order in which faults are looked for.
var (
	auctionFields = []string{"rule", "beacon", "fee", "bids", "offers"}
	bidFields     = []string{"id", "member", "price", "quantity", "class", "premium", "prefer"}
	offerFields   = bidFields[:5]
	poolFields    = []string{"rule", "beacon", "tariff", "deviation_ppm", "auction_price", "members"}
	tariffFields  = []string{"feed_in", "retail", "fee", "loss_ppm"}
	meterFields   = []string{"member", "quality", "import", "export", "sold", "bought", "min_sell", "max_buy", "feed_in", "retail"}
)

// ParseAuction reads the JSON that "wattmark market clear" takes. It returns the first
// [*Fault] in the order syntax, fields of the file, bids, offers, and then what
// concerns the whole. It is strict: no field is unknown, repeated or missing, and a
// number is a plain integer. An auction that it returns passes [Auction.Check].
func ParseAuction(file []byte) (*Auction, error) {
	v, err := parseFile(file)
	if err != nil {
		return nil, err
	}
	var a Auction
	var f [5]value
	r := v.open(top, auctionFields, f[:])
	a.Rule = enum[Rule](r, "rule", f[0], ruleNames[:])
	a.Beacon = r.beacon("beacon", f[1])
	a.Fee = optional(r, "fee", f[2], 0, 0, MaxFee)
	bids, offers := r.orders("bids", f[3]), r.orders("offers", f[4])
	if r.err != nil {
		return nil, r.err
	}
	a.Bids, a.Offers = make([]Bid, len(bids)), make([]Offer, len(offers))
	for i, v := range bids {
		if err := a.Bids[i].parse(where{"bids", i}, v); err != nil {
			return nil, err
		}
	}
	for i, v := range offers {
		if err := a.Offers[i].parse(where{"offers", i}, v); err != nil {
			return nil, err
		}
	}
	if err := a.checkWhole(); err != nil {
		return nil, err
	}
	return &a, nil
}

// orders reads a list of orders as far as its length.
func (r *reader) orders(name string, v value) []value {
	list := r.list(name, v, MaxOrders)
	r.check(checkCount(name, len(list)))
	return list
}

func (b *Bid) parse(w where, v value) error {
	var f [7]value
	r := v.open(w, bidFields, f[:])
	b.ID = r.id("id", f[0], maxOrder)
	b.Member = r.id("member", f[1], maxMember)
	b.Price = number(r, "price", f[2], -unit.MaxPrice, unit.MaxPrice)
	b.Quantity = number(r, "quantity", f[3], 1, unit.MaxQuantity)
	if f[4] != nil {
		b.Class = enum[Class](r, "class", f[4], classNames[:])
	}
	b.Premium = optional(r, "premium", f[5], 0, 0, MaxFee)
	r.check(b.checkPremium(w))
	if f[6] != nil {
		for i, e := range r.list("prefer", f[6], MaxPrefer) {
			b.Prefer = append(b.Prefer, r.text(preferred(i), e))
		}
		r.check(b.checkPrefer(w))
	}
	return r.err
}

func (o *Offer) parse(w where, v value) error {
	var f [5]value
	r := v.open(w, offerFields, f[:])
	o.ID = r.id("id", f[0], maxOrder)
	o.Member = r.id("member", f[1], maxMember)
	o.Price = number(r, "price", f[2], -unit.MaxPrice, unit.MaxPrice)
	o.Quantity = number(r, "quantity", f[3], 1, unit.MaxQuantity)
	if f[4] != nil {
		o.Class = enum[Class](r, "class", f[4], classNames[:Green+1])
	}
	return r.err
}

// ParsePool reads the JSON that "wattmark market settle" takes, as strictly as
// [ParseAuction]. A pool that it returns passes [Pool.Check].
func ParsePool(file []byte) (*Pool, error) {
	v, err := parseFile(file)
	if err != nil {
		return nil, err
	}
	var p Pool
	var f [6]value
	r := v.open(top, poolFields, f[:])
	p.Rule = enum[PoolRule](r, "rule", f[0], poolRuleNames[:])
	p.Beacon = r.beacon("beacon", f[1])
	if f[2] == nil {
		r.missing("tariff")
	}
	if r.err == nil {
		r.err = p.Tariff.parse(f[2])
	}
	r.check(p.checkSupplyDemand())
	p.Deviation = optional(r, "deviation_ppm", f[3], 0, 0, unit.Million)
	if f[4] != nil && string(f[4]) != "null" {
		p.AuctionPrice = new(number(r, "auction_price", f[4], -unit.MaxPrice, unit.MaxPrice))
	}
	members := r.list("members", f[5], MaxMembers)
	r.check(checkMembers(len(members)))
	if r.err != nil {
		return nil, r.err
	}
	p.Members = make([]Meter, len(members))
	for i, v := range members {
		if err := p.Members[i].parse(where{"members", i}, v); err != nil {
			return nil, err
		}
	}
	if err := p.checkWhole(); err != nil {
		return nil, err
	}
	return &p, nil
}

func (t *Tariff) parse(v value) error {
	var f [4]value
	r := v.open(inTariff, tariffFields, f[:])
	t.FeedIn = number(r, "feed_in", f[0], -unit.MaxPrice, unit.MaxPrice)
	t.Retail = number(r, "retail", f[1], -unit.MaxPrice, unit.MaxPrice)
	t.Fee = optional(r, "fee", f[2], 0, 0, MaxFee)
	t.Loss = optional(r, "loss_ppm", f[3], 0, 0, unit.Million)
	return r.err
}

func (m *Meter) parse(w where, v value) error {
	var f [10]value
	r := v.open(w, meterFields, f[:])
	m.Member = r.id("member", f[0], maxMember)
	if f[1] != nil {
		m.Quality = enum[Quality](r, "quality", f[1], qualityNames[:])
	}
	m.Import = r.metered("import", f[2], m.Quality)
	m.Export = r.metered("export", f[3], m.Quality)
	m.Sold = optional(r, "sold", f[4], 0, 0, unit.MaxQuantity)
	m.Bought = optional(r, "bought", f[5], 0, 0, unit.MaxQuantity)
	m.MinSell = r.price("min_sell", f[6])
	m.MaxBuy = r.price("max_buy", f[7])
	m.FeedIn = r.price("feed_in", f[8])
	m.Retail = r.price("retail", f[9])
	return r.err
}

// metered reads what a meter says of an interval of that quality.
func (r *reader) metered(name string, v value, q Quality) unit.Energy {
	e := optional(r, name, v, 0, 0, unit.MaxQuantity)
	r.check(checkReading(r.where, name, q, e))
	return e
}

// price reads a price that need not be there.
func (r *reader) price(name string, v value) *unit.Price {
	if v == nil {
		return nil
	}
	return new(number(r, name, v, -unit.MaxPrice, unit.MaxPrice))
}

// beacon reads 64 lowercase hexadecimal digits.
func (r *reader) beacon(name string, v value) (b [32]byte) {
	s := r.text(name, v)
	if r.err != nil {
		return b
	}
	if len(s) != 2*len(b) || strings.Trim(s, "0123456789abcdef") != "" {
		r.err = r.where.fault(name, "want 64 lowercase hexadecimal digits")
		return b
	}
	_, r.err = hex.Decode(b[:], []byte(s))
	return b
}
