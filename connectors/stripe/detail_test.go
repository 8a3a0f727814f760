package stripe

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

func TestBeforePutsBackWhatChanged(t *testing.T) {
	now, err := connectors.ParseObject([]byte(`{"status":"active","pause_collection":{"behavior":"keep_as_draft","resumes_at":9},"items":{"object":"list","data":[{"id":"a"}],"has_more":false},"metadata":{"k":"v"},"cancel_at":null}`))
	if err != nil {
		t.Fatal(err)
	}
	previous, err := connectors.ParseObject([]byte(`{"pause_collection":{"resumes_at":7},"items":{"data":[{"id":"b"}]},"cancel_at":5,"metadata":{"k":null},"discount":{"id":"di_1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want, err := connectors.ParseObject([]byte(`{"status":"active","pause_collection":{"behavior":"keep_as_draft","resumes_at":7},"items":{"object":"list","data":[{"id":"b"}],"has_more":false},"metadata":{"k":null},"cancel_at":5,"discount":{"id":"di_1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := before(now, previous); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if now.Text("status") != "active" || now.Value("cancel_at") != nil || now.Child("pause_collection").Literal("resumes_at") != "9" {
		t.Errorf("the object itself was changed: %v", now)
	}
}

func TestInvoiceTaxAndDiscount(t *testing.T) {
	for rest, want := range map[string]string{
		// 2014: a discount without its amount.
		`"subtotal":2500,"tax":200,"total":2200,"discount":{"coupon":{"percent_off":20}},"amount_paid":2200`: "2200 tax 200 discount 500",
		// A total that a balance lowered, and no discount.
		`"subtotal":2500,"tax":200,"total":2500,"discount":null,"amount_paid":2500`: "2500 tax 200 discount 0",
		// 2020
		`"subtotal":2500,"tax":200,"total":2200,"total_discount_amounts":[{"amount":300,"discount":"di_1"},{"amount":200,"discount":"di_2"}],"total_tax_amounts":[{"amount":150,"inclusive":false},{"amount":50,"inclusive":false}],"amount_paid":2200`: "2200 tax 200 discount 500",
		// basil
		`"subtotal":2500,"total":2200,"total_discount_amounts":[{"amount":500,"discount":"di_1"}],"total_taxes":[{"amount":200,"type":"tax_rate_details"}],"amount_paid":2200`: "2200 tax 200 discount 500",
		// Half of it now, the rest later.
		`"subtotal":2000,"total":2200,"total_taxes":[{"amount":201}],"amount_paid":1100`: "1100 tax 101 discount 0",
		// With what was owed from before, only this invoice's tax.
		`"subtotal":2000,"total":2200,"total_taxes":[{"amount":200}],"amount_paid":3000`: "3000 tax 200 discount 0",
	} {
		e := one(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","currency":"usd","customer":"cus_1",`+rest+`}}`)
		if got := fmt.Sprintf("%d tax %d discount %d", e.Amount, e.Tax, e.Discount); got != want {
			t.Errorf("%s: %s, want %s", rest, got, want)
		}
	}
}

func TestMainLine(t *testing.T) {
	line := func(id, amount, rest string) string {
		return `{"id":"il_` + id + `","amount":` + amount + `,"quantity":2,"price":{"id":"price_` + id + `","product":"prod_` + id + `","recurring":{"interval":"year","interval_count":1}}` + rest + `}`
	}
	for lines, want := range map[string]string{
		line("setup", "9000", "") + "," + line("plan", "2000", `,"subscription":"sub_1","proration":false`) + "," + line("old", "3000", `,"subscription":"sub_1","proration":true`):                                                                                   "prod_plan price_plan 2 year 1",
		line("setup", "9000", "") + "," + line("plan", "2000", `,"parent":{"subscription_item_details":{"subscription":"sub_1","proration":false}}`) + "," + line("old", "9500", `,"parent":{"subscription_item_details":{"subscription":"sub_1","proration":true}}`): "prod_plan price_plan 2 year 1",
		line("credit", "-500", `,"subscription":"sub_1","proration":true`) + "," + line("rest", "1500", `,"subscription":"sub_1","proration":true`):                                                                                                                   "prod_rest price_rest 2 year 1",
		`{"id":"il_new","amount":5,"quantity":1,"pricing":{"price_details":{"price":"price_new","product":"prod_new"}}}`:                                                                                                                                              "prod_new price_new 1  0",
		``: "  0  0",
	} {
		e := one(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","currency":"usd","customer":"cus_1","subscription":"sub_1","amount_paid":5,"lines":{"data":[`+lines+`]}}}`)
		if got := fmt.Sprintf("%s %s %d %s %d", e.Product, e.Plan, e.Quantity, e.Interval, e.IntervalCount); got != want {
			t.Errorf("%s: %q, want %q", lines, got, want)
		}
	}
}

func TestInvoiceBilling(t *testing.T) {
	for rest, want := range map[string]string{
		`"billing_reason":"subscription_create","subscription":"sub_1"`:                                    "first sub_1 true",
		`"billing_reason":"subscription_cycle","parent":{"subscription_details":{"subscription":"sub_1"}}`: "renewal sub_1 true",
		`"billing_reason":"subscription_update","subscription":{"id":"sub_1","object":"subscription"}`:     "renewal sub_1 true",
		`"billing_reason":"subscription_threshold","subscription":"sub_1"`:                                 "renewal sub_1 true",
		`"billing_reason":"subscription","subscription":"sub_1"`:                                           " sub_1 true",
		`"billing_reason":"manual","subscription":"sub_1"`:                                                 " sub_1 true",
		`"subscription":"sub_1"`: " sub_1 true",
		`"billing_reason":"subscription_cycle","lines":{"data":[{"id":"il_1"},{"id":"il_2","subscription":"sub_2"}]}`: "renewal sub_2 true",
		`"billing_reason":"manual","parent":null`:                                           "one_time  false",
		`"billing_reason":"manual","lines":{"data":[{"id":"il_2","subscription":"sub_2"}]}`: "one_time  false",
	} {
		e := one(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","currency":"usd","customer":"cus_1","amount_paid":5,`+rest+`}}`)
		if got := fmt.Sprintf("%s %s %v", e.Billing, e.Subscription, e.Recurring); got != want {
			t.Errorf("%s: %q, want %q", rest, got, want)
		}
	}
}

func TestAttributionFromMetadata(t *testing.T) {
	e := one(t, `{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd",
		"metadata":{"message_id":"m","offer":"o","contact_id":"c","utm_campaign":"first","campaign":"second","source":"s","visitor_id":"v","session":"w","attribution_type":"last_click"}}}`)
	got := strings.Join([]string{e.Message, e.Offer, e.Contact, e.Campaign, e.Source, e.Visitor, e.Session, e.AttributionType}, " ")
	if got != "m o c first s v w last_click" {
		t.Error(got)
	}
}

func TestProvisionalPaymentsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	decode := decodeWith(New(DefaultConfig(), registry))
	payment := func(version, invoice string) fixture {
		return fixture{Type: "payment_intent.succeeded", Created: 1767225600, APIVersion: version,
			Object: []byte(`{"id":"pi_1","amount_received":2000,"currency":"usd","customer":"cus_1","invoice":` + invoice + `}`)}
	}
	// Only the last two do not say whether it was for an invoice.
	decodeAll(t, decode, []fixture{payment("2024-09-30.acacia", "null"), payment("2024-09-30.acacia", `"in_1"`), payment("2025-03-31.basil", "null"), payment("2026-03-25.dahlia", "null")})
	const want = "# HELP revstream_stripe_provisional_payments_total Payments of which Stripe does not say whether they were for an invoice. Each counts as a one-time sale until an invoice_payment.paid event says otherwise.\n" +
		"# TYPE revstream_stripe_provisional_payments_total counter\nrevstream_stripe_provisional_payments_total 2\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "revstream_stripe_provisional_payments_total"); err != nil {
		t.Error(err)
	}
}

// TestWhatAPaymentSaysOfItsInvoice: the kinds of statements and what counts, of a
// payment of 20.00 USD rendered at basil or later.
func TestWhatAPaymentSaysOfItsInvoice(t *testing.T) {
	const customer, marked = `"customer":"cus_1",`, "charge attribution"
	for rest, want := range map[string]string{
		customer + `"payment_details":{"order_reference":"in_1"}`:                                                     "link charge",
		customer + `"payment_details":{"order_reference":"in_1"},"description":"Subscription update"`:                 "link link charge",
		customer + `"payment_details":{"order_reference":"cs_1"},"description":"Subscription creation"`:               "link charge",
		customer + `"payment_details":{"order_reference":"cs_1"},"description":null`:                                  "charge",
		customer + `"payment_details":{"order_reference":"order 5"}`:                                                  marked,
		customer + `"description":"Payment for Invoice"`:                                                              "link charge",
		customer + `"description":"subscription creation"`:                                                            marked,
		customer + `"latest_charge":{"id":"ch_1","receipt_url":"https://pay.stripe.com/receipts/invoices/CAca?s=ap"}`: "link charge",
		customer + `"latest_charge":{"id":"ch_1","receipt_url":"https://pay.stripe.com/receipts/payment/CAca"}`:       marked,
		customer + `"latest_charge":"ch_1"`:                                                                           marked,
		`"customer":null`:                                                                                             "charge",
		`"customer_account":"acct_7"`:                                                                                 marked,
	} {
		var kinds []string
		events := decodeOne(t, `{"type":"payment_intent.succeeded","api_version":"2025-11-17.clover","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd",`+rest+`}}`).Events
		for _, e := range events {
			kinds = append(kinds, string(e.Kind))
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: %s, want %s", rest, got, want)
		}
		counted := 0
		for _, entry := range revenue.Fold(events) {
			counted += int(entry.Amount)
		}
		if linked := strings.Contains(want, "link"); linked != (counted == 0) {
			t.Errorf("%s: %d counts", rest, counted)
		}
	}
}

func TestSubscriptionStatuses(t *testing.T) {
	for rest, want := range map[string]string{
		`"status":"active"`:     "active",
		`"status":"past_due"`:   "past_due",
		`"status":"trialing"`:   "trialing",
		`"status":"incomplete"`: "unpaid",
		`"status":"incomplete_expired","ended_at":1767225700`: "unpaid",
		`"status":"unpaid"`:                                                        "unpaid",
		`"status":"paused"`:                                                        "paused",
		`"status":"canceled","ended_at":1767225700`:                                "canceled ends 1767225700",
		`"status":"active","pause_collection":{"behavior":"void"}`:                 "paused",
		`"status":"past_due","pause_collection":{"behavior":"mark_uncollectible"}`: "paused",
		`"status":"active","pause_collection":{"behavior":"keep_as_draft"}`:        "active",
		`"status":"trialing","pause_collection":{"behavior":"void"}`:               "trialing",
		`"status":"dormant"`:                                                       "paused",
		`"status":"active","cancel_at_period_end":true,"canceled_at":1767225601,"current_period_end":1769904000`:                      "active ends 1769904000",
		`"status":"active","cancel_at_period_end":true,"canceled_at":1767225601,"items":{"data":[{"current_period_end":1769904000}]}`: "active ends 1769904000",
		`"status":"active","cancel_at":1767830400,"canceled_at":1767225601`:                                                           "active ends 1767830400",
	} {
		events := decodeOne(t, `{"type":"customer.subscription.updated","created":1767225605,"object":{"id":"sub_1","customer":"cus_1","currency":"usd","created":1767225600,`+rest+`}}`).Events
		e := events[0]
		got := string(e.Status)
		if e.EndsAt != nil {
			got += fmt.Sprintf(" ends %d", e.EndsAt.Unix())
			if e.CancelRequestedAt == nil {
				t.Errorf("%s: ends without a request", rest)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", rest, got, want)
		}
	}
}
