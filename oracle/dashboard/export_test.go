package dashboard

// Ticks returns what Run calls twice a second, so that a test moves time itself:
// one look for news, with an event of power or without.
func (d *Dashboard) Ticks() func(power bool) {
	p := publisher{Dashboard: d, history: history{window: d.options.Window}}
	return p.tick
}
