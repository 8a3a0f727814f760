package stream

import "revstream/ingest/revenue"

// member is one member of the published encoding.
type member struct {
	name string
	// always says that it is written even if it is empty.
	always bool
	// of is where a statement has it: a *string, *int64, *bool, *time.Time,
	// **time.Time, *json.RawMessage, or the *[]member of an object within; or it is
	// the version of the encoding, which a statement does not have.
	of func(*revenue.Event) any
}

// members are those of revenue.Event by their json names, in its order, which is
// that of the encoding. Encoder and decoder go by the list, for they run once for
// every statement in every process, and the library's reflection over the struct
// is most of what it would cost them. TestMembersAreAllFields holds it to the
// struct.
var members = []member{
	{"v", true, func(*revenue.Event) any { return version(revenue.EncodingVersion) }},
	{"workspace", true, func(e *revenue.Event) any { return &e.Workspace }},
	{"provider", true, func(e *revenue.Event) any { return &e.Provider }},
	{"account", false, func(e *revenue.Event) any { return &e.Account }},
	{"livemode", true, func(e *revenue.Event) any { return &e.Livemode }},
	{"object_id", true, func(e *revenue.Event) any { return &e.ObjectID }},
	{"kind", true, func(e *revenue.Event) any { return (*string)(&e.Kind) }},
	{"test_clock", false, func(e *revenue.Event) any { return &e.TestClock }},
	{"group", true, func(e *revenue.Event) any { return &e.Group }},
	{"version", true, func(e *revenue.Event) any { return &e.Version }},
	{"deleted", false, func(e *revenue.Event) any { return &e.Deleted }},
	{"withdrawn", false, func(e *revenue.Event) any { return &e.Withdrawn }},
	{"revision", false, func(e *revenue.Event) any { return &e.Revision }},
	{"occurred_at", true, func(e *revenue.Event) any { return &e.OccurredAt }},
	{"received_at", true, func(e *revenue.Event) any { return &e.ReceivedAt }},

	{"amount", false, func(e *revenue.Event) any { return &e.Amount }},
	{"tax", false, func(e *revenue.Event) any { return &e.Tax }},
	{"fee", false, func(e *revenue.Event) any { return &e.Fee }},
	{"discount", false, func(e *revenue.Event) any { return &e.Discount }},
	{"currency", false, func(e *revenue.Event) any { return &e.Currency }},
	{"recurring", false, func(e *revenue.Event) any { return &e.Recurring }},
	{"billing", false, func(e *revenue.Event) any { return (*string)(&e.Billing) }},
	{"status", false, func(e *revenue.Event) any { return (*string)(&e.Status) }},
	{"original", false, func(e *revenue.Event) any { return &e.Original }},

	{"mrr", false, func(e *revenue.Event) any { return &e.MRR }},
	{"mrr_before_discounts", false, func(e *revenue.Event) any { return &e.MRRBeforeDiscounts }},
	{"closes_mrr", false, func(e *revenue.Event) any { return &e.ClosesMRR }},
	{"ends_at", false, func(e *revenue.Event) any { return &e.EndsAt }},
	{"cancel_requested_at", false, func(e *revenue.Event) any { return &e.CancelRequestedAt }},
	{"period_start", false, func(e *revenue.Event) any { return &e.PeriodStart }},
	{"period_end", false, func(e *revenue.Event) any { return &e.PeriodEnd }},
	{"presumed_end", false, func(e *revenue.Event) any { return &e.PresumedEnd }},
	{"reason", false, func(e *revenue.Event) any { return &e.Reason }},
	{"presumed", false, func(e *revenue.Event) any { return &e.Presumed }},

	{"customer", false, func(e *revenue.Event) any { return &e.Customer }},
	{"customer_name", false, func(e *revenue.Event) any { return &e.CustomerName }},
	{"country", false, func(e *revenue.Event) any { return &e.Country }},
	{"subscription", false, func(e *revenue.Event) any { return &e.Subscription }},
	{"invoice", false, func(e *revenue.Event) any { return &e.Invoice }},
	{"payment", false, func(e *revenue.Event) any { return &e.Payment }},
	{"product", false, func(e *revenue.Event) any { return &e.Product }},
	{"plan", false, func(e *revenue.Event) any { return &e.Plan }},
	{"quantity", false, func(e *revenue.Event) any { return &e.Quantity }},
	{"interval", false, func(e *revenue.Event) any { return &e.Interval }},
	{"interval_count", false, func(e *revenue.Event) any { return &e.IntervalCount }},
	{"payment_method", false, func(e *revenue.Event) any { return &e.PaymentMethod }},

	{"message", false, func(e *revenue.Event) any { return &e.Message }},
	{"offer", false, func(e *revenue.Event) any { return &e.Offer }},
	{"contact", false, func(e *revenue.Event) any { return &e.Contact }},
	{"campaign", false, func(e *revenue.Event) any { return &e.Campaign }},
	{"source", false, func(e *revenue.Event) any { return &e.Source }},
	{"visitor", false, func(e *revenue.Event) any { return &e.Visitor }},
	{"session", false, func(e *revenue.Event) any { return &e.Session }},
	{"attribution_type", false, func(e *revenue.Event) any { return &e.AttributionType }},
	{"external_id", false, func(e *revenue.Event) any { return &e.ExternalID }},
	{"imported", false, func(e *revenue.Event) any { return &e.Imported }},
	{"metadata", false, func(e *revenue.Event) any { return &e.Metadata }},

	{"delivery", false, func(*revenue.Event) any { return &deliveryMembers }},
}

// deliveryMembers are those of revenue.Delivery.
var deliveryMembers = []member{
	{"id", false, func(e *revenue.Event) any { return &e.Delivery.ID }},
	{"type", false, func(e *revenue.Event) any { return &e.Delivery.Type }},
	{"api_version", false, func(e *revenue.Event) any { return &e.Delivery.APIVersion }},
	{"integration", false, func(e *revenue.Event) any { return &e.Delivery.Integration }},
}
