package stripe

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"revstream/ingest/revenue"
)

// A subscription's invoices say what it was, where no event is left that did: what was
// billed for a period held from its beginning on, and the lines of a proration say when
// a change came between two bills. They are read into the subscription as it must have
// been, which is then worth what any rendering of it is.
//
// What they do not say: when a change without proration came (it shows in the next bill,
// as a lasting discount does that came or went, and a pause of collection), that an end
// was asked for and then was not, and when Stripe gave a failed payment up. Where lines of
// a proration leave open which item they are about, or what became of it (there may be
// several changes of one moment), the next bill decides as well.

// billed are the terms of a subscription from a moment on.
type billed struct {
	at time.Time
	terms
}

// bill is what an invoice says of a subscription at a moment.
type bill struct {
	at time.Time
	// lines are those of the subscription that begin then; of a proration if changes.
	lines   []object
	changes bool
	invoice object
	// status from then on; empty if the bill does not say.
	status revenue.Status
}

// billGap is how long after a billed period the next one may begin, and be no gap.
const billGap = 24 * time.Hour

// invoices are all of the subscription's.
func (d *reader) invoices() []object {
	query := url.Values{
		"subscription": {d.object.ID("id")}, "limit": {strconv.Itoa(pageSize)}, "expand[]": {"data.discounts", "data.lines.data.discounts"},
	}
	var invoices []object
	for d.api != nil && d.api.failure == nil {
		answer := d.api.ask("/v1/invoices", query)
		page := list(answer, "data")
		invoices = append(invoices, page...)
		if len(page) == 0 || !answer.Flag("has_more") {
			break
		}
		query.Set("starting_after", page[len(page)-1].ID("id"))
	}
	for _, invoice := range invoices {
		d.api.completeLines(invoice)
	}
	return invoices
}

// billedTerms are what the subscription's invoices say of it, in order of time; each
// differs from the one before.
func (d *reader) billedTerms(until time.Time) []billed {
	var bills []bill
	for _, invoice := range d.invoices() {
		bills = append(bills, d.billsOf(invoice)...)
	}
	slices.SortStableFunc(bills, func(a, b bill) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.invoice.Count("created"), b.invoice.Count("created")))
	})
	var all []billed
	held := holding{items: map[string]object{}}
	for _, b := range bills {
		all = held.gap(all, b.at)
		if !held.take(d, b) {
			continue
		}
		now := billed{b.at, d.termsOf(held)}
		if len(all) > 0 && all[len(all)-1].at.Equal(b.at) {
			all = all[:len(all)-1]
		}
		if len(all) == 0 || all[len(all)-1].name() != now.name() {
			all = append(all, now)
		}
	}
	return held.gap(all, until)
}

// billsOf reads an invoice of the subscription.
func (d *reader) billsOf(invoice object) []bill {
	if invoice.Text("status") == "void" && invoice.Text("billing_reason") == "subscription_update" {
		return nil // an update that waited for its payment, which did not come
	}
	starts := map[time.Time]*[2]bill{} // the term that begins then, and the change
	var order []time.Time
	for _, line := range list(invoice, "lines") {
		if lineSubscription(line) != d.object.ID("id") || d.priceOf(line).Text("recurring.usage_type", "usage_type") == "metered" {
			continue
		}
		at := d.seconds(line, "period.start")
		if starts[at] == nil {
			starts[at] = &[2]bill{{at: at, invoice: invoice}, {at: at, invoice: invoice, changes: true}}
			order = append(order, at)
		}
		of := &starts[at][0]
		if line.Flag("proration", "parent.subscription_item_details.proration", "parent.invoice_item_details.proration") {
			of = &starts[at][1]
		} else if line.Has("invoice_item") && line.ID("invoice_item") != "" || line.Child("parent.invoice_item_details") != nil {
			continue // sold beside it, once
		}
		of.lines = append(of.lines, line)
	}
	var bills []bill
	for _, at := range order {
		term, change := starts[at][0], starts[at][1]
		// A change that begins a new term (to another interval) gives back what was billed
		// of the old one, and bills the new one like any.
		if len(change.lines) > 0 {
			bills = append(bills, change)
		}
		if len(term.lines) > 0 {
			bills = append(bills, d.collected(term)...)
		}
	}
	return bills
}

// collected is the bill of a term, and what its collection says of the status.
func (d *reader) collected(b bill) []bill {
	o := b.invoice
	paid, later := d.seconds(o, "status_transitions.paid_at"), d.seconds(o, "status_transitions.finalized_at")
	failed := o.Count("attempt_count") > 1 // the last one succeeded
	sent := o.Text("collection_method") == "send_invoice"
	if sent {
		later = d.seconds(o, "due_date")
		failed = paid.After(later)
	}
	b.status = revenue.StatusActive
	overdue, recovered := bill{at: later, invoice: o, status: revenue.StatusPastDue}, bill{at: paid, invoice: o, status: revenue.StatusActive}
	opens := o.Text("billing_reason") == "subscription_create" && !sent
	free := !slices.ContainsFunc(b.lines, func(line object) bool { return line.Count("amount") != 0 })
	if free && d.seconds(d.object, "trial_end").After(b.at) {
		b.status = revenue.StatusTrialing
		return []bill{b}
	}
	switch state := o.Text("status"); {
	case state == "paid" && failed && paid.After(b.at) && paid.After(later):
		if opens {
			b.status = revenue.StatusUnpaid // incomplete till then
			return []bill{b, recovered}
		}
		return []bill{b, overdue, recovered}
	case state == "paid":
	case opens:
		return nil // it never became a subscription, or not by this
	case state == "draft":
		if o.Flag("auto_advance") {
			return nil // about to be collected
		}
		if !d.config.PausedDraftsCount {
			b.status = revenue.StatusPaused
		}
	case sent && (state == "open" || state == "uncollectible"), o.Flag("attempted"), o.Count("attempt_count") > 0:
		if !later.Before(b.at) && later.Before(d.delivery.ReceivedAt) {
			return []bill{b, overdue}
		}
	case state == "void" && sent: // the merchant's own doing, which says nothing of the subscription
	case state == "void", state == "uncollectible": // without an attempt: collection was paused
		b.status = revenue.StatusPaused
	}
	return []bill{b}
}

// holding is what a subscription consists of while its bills are read.
type holding struct {
	items  map[string]object // the lines that bill them, by item
	ends   time.Time         // of what is billed
	status revenue.Status
	// discounts are those of the whole, invoice the bill that says so.
	discounts []any
	taxed     bool // the lines say which taxes they contain
}

// gap adds that nothing was billed since the end of what was, if the next bill is not
// due: collection was paused, or given up.
func (h *holding) gap(all []billed, next time.Time) []billed {
	if len(all) == 0 || !next.After(h.ends.Add(billGap)) || !h.ends.After(all[len(all)-1].at) || h.status == revenue.StatusPaused {
		return all
	}
	h.status = revenue.StatusPaused
	pause := billed{h.ends, all[len(all)-1].terms}
	pause.status = revenue.StatusPaused
	return append(all, pause)
}

// take applies a bill, and reports whether it says anything.
func (h *holding) take(d *reader, b bill) bool {
	if b.changes && !d.unambiguous(b.lines) {
		return false
	}
	if b.invoice.Text("status") == "draft" && (h.status == revenue.StatusPastDue || h.status == revenue.StatusUnpaid) {
		b.status = revenue.StatusUnpaid // not paused: Stripe has given up, and goes on drafting
	}
	if len(b.lines) > 0 {
		h.bill(d, b)
	}
	h.status = cmp.Or(b.status, h.status, revenue.StatusActive)
	return true
}

// bill applies the lines of a bill.
func (h *holding) bill(d *reader, b bill) {
	// What is not billed again has been taken out, and a trial may end early.
	tried := !b.changes && h.status == revenue.StatusTrialing
	maps.DeleteFunc(h.items, func(_ string, line object) bool { return tried || !d.seconds(line, "period.end").After(b.at) })
	was := maps.Clone(h.items)
	if b.changes {
		for _, line := range b.lines {
			delete(h.items, itemOf(line))
		}
	}
	billed := map[string]bool{}
	for _, line := range b.lines {
		item := itemOf(line)
		switch {
		case b.changes && givesBack(line):
			continue
		case b.changes:
			line = maps.Clone(line) // prorations are never discounted
			line["discounts"] = was[item].Value("discounts")
		case billed[item]: // every tier has a line, and its flat amount one without a quantity
			line = maps.Clone(line)
			line["quantity"] = json.Number(strconv.FormatInt(h.items[item].Count("quantity")+line.Count("quantity"), 10))
		}
		billed[item] = true
		h.items[item] = line
		h.taxed = line.Has("taxes") || line.Has("tax_rates")
	}
	if !b.changes || len(was) == 0 {
		h.discounts = d.discountsOf(b.invoice)
	}
	if len(h.items) > 0 {
		h.ends = time.Time{}
	}
	for _, line := range h.items {
		if end := d.seconds(line, "period.end"); end.After(h.ends) {
			h.ends = end
		}
	}
}

// unambiguous reports whether the lines of a change say what became of which item: of
// each, at most one line says what it was from then on, at a price that is known.
func (d *reader) unambiguous(lines []object) bool {
	became := map[string]bool{}
	for _, line := range lines {
		item := itemOf(line)
		if item == "" {
			return false
		}
		if givesBack(line) {
			continue
		}
		if became[item] || d.priceOf(line).Flag("deleted") {
			return false
		}
		became[item] = true
	}
	return true
}

// givesBack reports whether a line of a change is about what was paid and not used. It
// may come to nothing, after a discount of all.
func givesBack(line object) bool {
	return line.Count("amount") < 0 || line.Value("proration_details.credited_items",
		"parent.subscription_item_details.proration_details.credited_items", "parent.invoice_item_details.proration_details.credited_items") != nil
}

// itemOf is the item of a subscription that a line bills; its price, where a bill is from
// before there were items.
func itemOf(line object) string {
	_, price := lineProduct(line)
	return cmp.Or(line.ID("subscription_item", "parent.subscription_item_details.subscription_item"), price)
}

// discountsOf are the discounts of an invoice that are the subscription's, and not those
// of all that its customer buys.
func (d *reader) discountsOf(invoice object) []any {
	discounts := elements(invoice, "discounts")
	if shown := invoice.Child("discount"); len(discounts) == 0 && shown != nil {
		discounts = []any{map[string]any(shown)}
	}
	return slices.DeleteFunc(slices.Clone(discounts), func(discount any) bool {
		shown, _ := discount.(map[string]any)
		return shown != nil && object(shown).ID("subscription") != d.object.ID("id")
	})
}

// termsOf are the terms of the subscription as it must have been.
func (d *reader) termsOf(h holding) terms {
	o := maps.Clone(d.object)
	for _, later := range [...]string{"cancel_at", "cancel_at_period_end", "canceled_at", "cancellation_details", "ended_at", "pause_collection", "plan", "quantity", "discount"} {
		delete(o, later)
	}
	if h.taxed {
		delete(o, "default_tax_rates")
	}
	var items []any
	for _, name := range slices.Sorted(maps.Keys(h.items)) {
		line := h.items[name]
		items = append(items, map[string]any{
			"id": name, "price": map[string]any(d.priceOf(line)), "quantity": line.Value("quantity"), "quantity_decimal": line.Value("quantity_decimal"),
			"discounts": elements(line, "discounts"), "tax_rates": d.taxRates(line),
		})
	}
	o["status"], o["items"], o["discounts"] = string(h.status), map[string]any{"data": items}, h.discounts
	return d.terms(o)
}

// priceOf is the price of a line: shown in older versions, else one that the
// subscription still has, or looked up. Of one that was deleted, as the plans of old
// may be, the line has the amount and its period the interval.
func (d *reader) priceOf(line object) object {
	if shown := line.Child("price", "plan"); shown != nil {
		return shown
	}
	_, id := lineProduct(line)
	for _, item := range itemsOf(d.object) {
		if price := item.Child("price", "plan"); id != "" && price.ID("id") == id {
			return price
		}
	}
	if d.api != nil && id != "" {
		if price := d.api.get("/v1/prices/"+url.PathEscape(id), url.Values{"expand[]": {"tiers"}}); price != nil {
			return price
		}
	}
	interval, count := intervalOf(d.seconds(line, "period.start"), d.seconds(line, "period.end"))
	return object{
		"id": id, "deleted": true, "product": line.Value("pricing.price_details.product"), "currency": line.Value("currency"), "unit_amount_decimal": line.Value("pricing.unit_amount_decimal"),
		"recurring": map[string]any{"interval": interval, "interval_count": strconv.FormatInt(count, 10)},
	}
}

// intervalOf is the interval of a billed period.
func intervalOf(start, end time.Time) (interval string, count int64) {
	for months := range 36 {
		if start.AddDate(0, months+1, 0).Equal(end) {
			return "month", int64(months + 1)
		}
	}
	return "day", int64(end.Sub(start).Round(24*time.Hour) / (24 * time.Hour))
}

// taxRates are the rates that the price of a line contains or that come on top of it.
func (d *reader) taxRates(line object) []any {
	rates := elements(line, "tax_rates")
	for _, tax := range list(line, "taxes") {
		id := tax.ID("tax_rate_details.tax_rate")
		if tax.Text("tax_behavior") != "inclusive" || id == "" || d.api == nil {
			continue
		}
		if rate := d.api.get("/v1/tax_rates/"+url.PathEscape(id), nil); rate != nil {
			rates = append(rates, map[string]any(rate))
		}
	}
	return rates
}
