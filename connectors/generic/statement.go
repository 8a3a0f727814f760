package generic

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// members are the words of a statement, as README.md explains them. Any other is a
// mistake.
var members = strings.Fields(`
kind id group version deleted at livemode account
amount tax fee discount unit currency recurring billing status original reason
worth worth_before_discounts interval interval_count ends_at cancel_requested_at period_start period_end
customer customer_name country subscription invoice payment product plan quantity payment_method
message offer contact campaign source visitor session attribution_type metadata`)

// kinds are the kinds of fact that a mapping may speak of.
var kinds = []revenue.Kind{
	revenue.KindCharge, revenue.KindRefund, revenue.KindRefundTotal, revenue.KindDispute, revenue.KindDisputeReversal, revenue.KindFee,
	revenue.KindSubscription, revenue.KindPeriod,
	revenue.KindTrialStart, revenue.KindTrialConversion, revenue.KindCancellation, revenue.KindExpiration,
}

var billings = []revenue.Billing{"", revenue.BillingOneTime, revenue.BillingFirst, revenue.BillingRenewal}

// statusesOf are the statuses of a kind: those of money, or of subscriptions.
func statusesOf(kind revenue.Kind) []revenue.Status {
	if kind == revenue.KindSubscription {
		return []revenue.Status{
			revenue.StatusActive, revenue.StatusTrialing, revenue.StatusPastDue, revenue.StatusUnpaid, revenue.StatusPaused, revenue.StatusCanceled,
		}
	}
	return []revenue.Status{revenue.StatusSettled, revenue.StatusPending, revenue.StatusFailed}
}

// state reads one output of the mapping as a statement.
func state(r *connectors.Reader, o connectors.Object) {
	for name := range o {
		if !slices.Contains(members, name) {
			r.Invalid(name, "is no word of a statement")
		}
	}
	kind := revenue.Kind(o.Text("kind"))
	if !slices.Contains(kinds, kind) {
		r.Invalid("kind", "%q is no kind of fact", kind)
	}
	defer func(livemode bool, account string) { r.Livemode, r.Account = livemode, account }(r.Livemode, r.Account)
	if livemode, given := o.Value("livemode").(bool); given {
		r.Livemode = livemode
	}
	if account := o.ID("account"); account != "" {
		r.Account = account
	}
	at := r.RequiredTime(o, "at")
	id := r.RequiredID(o, "id")
	group := o.ID("group", "customer", "original", "id")
	s := r.Statement(kind, id, group, at)
	s.Version, s.Deleted = version(r, o), o.Flag("deleted")
	s.Recurring, s.Original, s.Reason = o.Flag("recurring"), o.ID("original"), o.Text("reason")
	s.Billing, s.Status = revenue.Billing(o.Text("billing")), revenue.Status(o.Text("status"))
	if !slices.Contains(billings, s.Billing) {
		r.Invalid("billing", "%q is not one of one_time, first and renewal", s.Billing)
	}
	if !slices.Contains(statusesOf(kind), s.Status) && !s.Deleted {
		r.Invalid("status", "%q is no status of a %s", s.Status, kind)
	}
	describe(&s.Dimensions, o)
	money(r, &s, o)
	terms(r, &s, o)
	r.Emit(s)
}

// version reads what orders the statements about a fact: a number, or a time.
func version(r *connectors.Reader, o connectors.Object) int64 {
	if text, isTime := o.Value("version").(string); isTime {
		if at, ok := connectors.ParseTime(text); ok && at.After(time.Unix(0, 0)) {
			return connectors.Version(at)
		}
	}
	number := o.Count("version")
	if number <= 0 {
		r.Invalid("version", "must be a number above 0 or a time, by which the last of several statements about one fact is known")
	}
	return number
}

// amount reads an amount in the unit of the statement.
func amount(r *connectors.Reader, o connectors.Object, currency, name string) int64 {
	switch o.Text("unit") {
	case "major":
		return r.Major(o, currency, name)
	case "", "minor":
		return r.Minor(o, currency, name)
	default:
		r.Invalid("unit", "%q is neither minor nor major", o.Text("unit"))
		return 0
	}
}

func money(r *connectors.Reader, s *revenue.Event, o connectors.Object) {
	needed := o.Value("amount", "worth", "worth_before_discounts") != nil
	if !needed && o.Text("currency") == "" {
		return
	}
	s.Currency = r.Currency(o, "currency")
	s.Amount, s.Tax = amount(r, o, s.Currency, "amount"), amount(r, o, s.Currency, "tax")
	s.Fee, s.Discount = amount(r, o, s.Currency, "fee"), amount(r, o, s.Currency, "discount")
	if s.Amount >= 0 && max(s.Tax, s.Fee) > s.Amount {
		r.Invalid("tax", "tax and fee are parts of the amount, and cannot be more")
	}
	if o.Value("worth") != nil {
		s.Interval, s.IntervalCount = o.Text("interval"), max(1, o.Count("interval_count"))
		s.MRR = r.MRR("worth", amount(r, o, s.Currency, "worth"), s.Interval, s.IntervalCount)
	}
	if o.Value("worth_before_discounts") != nil {
		listed(r, s, o)
	}
}

// listed reads what a term costs before the discounts that its worth is after.
func listed(r *connectors.Reader, s *revenue.Event, o connectors.Object) {
	const name = "worth_before_discounts"
	if o.Value("worth") == nil || s.Kind != revenue.KindSubscription && s.Kind != revenue.KindPeriod {
		r.Invalid(name, "is for a subscription or period, beside its worth")
		return
	}
	mrr := r.MRR(name, amount(r, o, s.Currency, name), s.Interval, s.IntervalCount)
	if mrr < s.MRR {
		r.Invalid(name, "is less than worth, which is after discounts")
	}
	connectors.ListPrice(s, mrr)
}

// terms reads what is said of a subscription. Each moment of one is a fact of its own.
func terms(r *connectors.Reader, s *revenue.Event, o connectors.Object) {
	s.EndsAt, s.CancelRequestedAt = r.Moment(o, "ends_at"), r.Moment(o, "cancel_requested_at")
	s.PeriodStart, s.PeriodEnd = r.Moment(o, "period_start"), r.Moment(o, "period_end")
	if s.Kind == revenue.KindPeriod && (s.PeriodStart == nil || s.PeriodEnd == nil) {
		r.Invalid("period_start", "a period needs period_start and period_end")
	}
	if s.Kind != revenue.KindSubscription {
		return
	}
	if s.Subscription == "" {
		s.Subscription = s.ObjectID
	}
	s.ObjectID = fmt.Sprintf("%s@%d", s.ObjectID, s.OccurredAt.UnixMicro())
	s.Recurring = true
	if o.Value("worth") == nil && s.Status != revenue.StatusCanceled {
		connectors.Noted(&s.Dimensions, connectors.MRRUnknown, "worth")
	}
}

func describe(to *revenue.Dimensions, o connectors.Object) {
	connectors.Note(to, o, "metadata")
	to.Customer, to.CustomerName, to.Country = o.ID("customer"), o.Text("customer_name"), o.Text("country")
	to.Subscription, to.Invoice, to.Payment = o.ID("subscription"), o.ID("invoice"), o.ID("payment")
	to.Product, to.Plan, to.Quantity = o.ID("product"), o.ID("plan"), o.Count("quantity")
	to.PaymentMethod = o.Text("payment_method")
	for name, dimension := range map[string]*string{
		"message": &to.Message, "offer": &to.Offer, "contact": &to.Contact, "campaign": &to.Campaign,
		"source": &to.Source, "visitor": &to.Visitor, "session": &to.Session, "attribution_type": &to.AttributionType,
	} {
		if given := o.ID(name); given != "" {
			*dimension = given
		}
	}
}
