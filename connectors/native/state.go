package native

import (
	"math/big"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// state reads what a subscription is worth, and when.
func (r *reader) state() {
	b, e := &r.body, &r.event
	e.MRR = r.mrr()
	e.MRRBeforeDiscounts = r.beforeDiscounts()
	e.ClosesMRR = r.Flag("closes_mrr", b.ClosesMRR)
	e.EndsAt = optional(r.PeriodBound("ends_at", b.EndsAt))
	e.CancelRequestedAt = optional(r.OccurredAt("cancel_requested_at", b.CancelRequestedAt))
	e.PeriodStart = optional(r.PeriodBound("period_start", b.PeriodStart))
	e.PeriodEnd = optional(r.PeriodBound("period_end", b.PeriodEnd))
	e.Reason = r.Choice("reason", b.Reason, "voluntary", "delinquent", "dispute", "refund")
}

func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// mrr is given as minor units, as a decimal of major units, or by the amount of
// a term: (amount - tax) normalised to a month.
func (r *reader) mrr() int64 {
	b, e := &r.body, &r.event
	least := int64(0)
	if e.Kind == revenue.KindMRRDelta {
		least = -revenue.AmountMax
	}
	mrr, given := r.monthly("mrr", b.MRR, b.MRRDecimal, least)
	switch {
	case given:
		return mrr
	case r.worthKind() && e.Interval != "" && (connectors.Given(b.Amount) || connectors.Given(b.AmountDecimal)):
		mrr, err := revenue.MonthlyMRR(big.NewRat(e.Amount-e.Tax, 1), e.Interval, e.IntervalCount)
		if err != nil || mrr < 0 {
			r.Invalid("amount", "less tax has no monthly value")
			return 0
		}
		return mrr
	}
	return 0
}

// monthly reads a worth a month: minor units, or a decimal of major units.
func (r *reader) monthly(name string, minor, major connectors.Value, least int64) (mrr int64, given bool) {
	decimal := name + "_decimal"
	switch {
	case connectors.Given(minor):
		if connectors.Given(major) {
			r.Invalid(decimal, "must not be given beside %s", name)
		}
		return revenue.MRRScale * r.Integer(name, minor, least, revenue.AmountMax), true
	case connectors.Given(major):
		mrr = r.MRRText(decimal, r.decimal(decimal, major), r.event.Currency)
		if mrr < 0 && least == 0 {
			r.Invalid(decimal, "must not be negative but for mrr_delta")
		}
		return mrr, true
	}
	return 0, false
}

// beforeDiscounts is what the MRR of a term was before the discounts that it is after; 0 if
// it was no more.
func (r *reader) beforeDiscounts() int64 {
	const name = "mrr_before_discounts"
	b, e := &r.body, &r.event
	before, given := r.monthly(name, b.MRRBeforeDiscounts, b.MRRBeforeDiscountsDecimal, 0)
	switch {
	case !given || before == e.MRR:
		return 0
	case e.Kind != revenue.KindSubscription && e.Kind != revenue.KindPeriod:
		r.Invalid(name, "must be of a subscription or period")
	case before < e.MRR:
		r.Invalid(name, "must not be less than the mrr, which is after them")
	}
	return before
}

// worthKind reports whether facts of the kind say what something is worth a month.
func (r *reader) worthKind() bool {
	kind := r.event.Kind
	return kind == revenue.KindSubscription || kind == revenue.KindPeriod || kind == revenue.KindMRRDelta
}

func (r *reader) cashKind() bool {
	switch r.event.Kind {
	case revenue.KindCharge, revenue.KindRefund, revenue.KindRefundTotal, revenue.KindDispute,
		revenue.KindDisputeReversal, revenue.KindFee:
		return true
	}
	return false
}

// rules holds members against the kind: what a kind cannot do without. A
// tombstone needs its identity alone.
func (r *reader) rules() {
	b, e := &r.body, &r.event
	if e.Deleted || r.Err() != nil {
		return
	}
	switch {
	case r.cashKind() || e.Kind == revenue.KindLink:
		if !connectors.Given(b.Amount) && !connectors.Given(b.AmountDecimal) {
			r.Missing("amount")
		}
	case e.Kind != revenue.KindAttribution:
		if !connectors.Given(b.Customer) && !connectors.Given(b.Group) {
			r.Missing("customer")
		}
	}
	switch e.Kind {
	case revenue.KindRefundTotal, revenue.KindLink, revenue.KindAttribution:
		if e.Original == "" {
			r.Missing("original")
		}
	case revenue.KindSubscription:
		billable := e.Status == "" || e.Status == revenue.StatusActive || e.Status == revenue.StatusPastDue
		said := e.MRR != 0 || connectors.Given(b.MRR) || connectors.Given(b.MRRDecimal)
		if billable && !said {
			r.Missing("mrr")
		}
	case revenue.KindMRRDelta:
		if e.MRR == 0 && !e.ClosesMRR {
			r.Missing("mrr")
		}
	case revenue.KindPeriod:
		r.term()
	}
	if e.Tax > e.Amount {
		r.Invalid("tax", "must not exceed the amount, which includes it")
	}
}

// term checks a paid term, whose end follows from its interval if need be.
func (r *reader) term() {
	e := &r.event
	if e.MRR == 0 {
		r.Missing("mrr")
	}
	if e.PeriodStart == nil {
		start := e.OccurredAt
		e.PeriodStart = &start
	}
	if e.PeriodEnd == nil && e.Interval != "" {
		end := connectors.AddTerm(*e.PeriodStart, e.Interval, int(e.IntervalCount))
		r.CheckPeriodBound("interval_count", end)
		e.PeriodEnd = &end
	}
	switch {
	case e.PeriodEnd == nil:
		r.Missing("period_end")
	case !e.PeriodStart.Before(*e.PeriodEnd):
		r.Invalid("period_end", "must lie after the start of the period")
	}
}

// group is what the event is folded with, unless the sender says: the customer
// for what a subscription is worth and for the cash of a subscription that is
// named with its customer; the payment for other cash. A refund finds its charge
// only in the charge's group, so both have to name payment, customer and
// subscription alike.
func (r *reader) group() string {
	e := &r.event
	if named := r.Text("group", r.body.Group); named != "" {
		return named
	}
	of := func(id string) string { return revenue.GroupName(e.Provider, e.Account, e.Livemode, id) }
	ofSubscription := e.Customer != "" && e.Subscription != "" && e.Billing != revenue.BillingOneTime
	switch {
	case e.Customer != "" && !r.cashKind() && e.Kind != revenue.KindLink && e.Kind != revenue.KindAttribution:
		return of(e.Customer)
	case ofSubscription:
		return of(e.Customer)
	case e.Payment != "":
		return of(e.Payment)
	case e.Original != "":
		return of(e.Original)
	default:
		return of(e.ObjectID)
	}
}
