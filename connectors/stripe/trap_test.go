package stripe

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// The traps are those of counting Stripe's events that others have fallen into. Most
// are scenarios, held in every order of arrival by TestConnector; the rest are the
// tests of this file, named by the trap's number.
var trapScenarios = map[int][]string{
	1: {
		"signup_acacia", "signup_basil", "checkout_sale", "checkout_sessions_only",
		"basil_without_links", "basil_invoice_receipt", "basil_sales", "clover_order_reference", "checkout_invoice_creation",
	},
	3:  {"partial_capture_2020", "authorisation_released"},
	4:  {"trial_converts"},
	5:  {"off_stripe", "off_stripe_excluded"},
	7:  {"partial_payments", "one_payment_for_two_invoices"},
	8:  {"refund_partial_then_full", "refund_totals_only", "refund_listed_2020"},
	10: {"refund_totals_only"},
	11: {"refund_fails_later"},
	12: {"dispute_won", "dispute_won_fee_returned", "dispute_lost", "dispute_lost_withdrawal_missed", "dispute_inquiry"},
	15: {"cancel_at_period_end", "same_second_updates", "same_second_round_trip", "same_second_created_updated_deleted"},
	16: {"renewal_acacia", "renewal_basil"},
	18: {"cancel_at_period_end", "cancel_then_resume"},
	20: {"trial_converts", "trial_cancelled"},
}

func TestEveryTrapIsTested(t *testing.T) {
	source, err := os.ReadFile("trap_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for trap := 1; trap <= 27; trap++ {
		for _, name := range trapScenarios[trap] {
			scenarioOf(t, name)
		}
		if own := fmt.Sprintf("func TestTrap%02d", trap); len(trapScenarios[trap]) == 0 && !strings.Contains(string(source), own) {
			t.Errorf("trap %d has neither a scenario nor a test", trap)
		}
	}
}

func TestTrap02PaidAndPaymentSucceededAreOneFact(t *testing.T) {
	const invoice = `,"created":1767225600,"object":{"id":"in_1","amount_paid":2000,"currency":"usd","customer":"cus_1","status_transitions":{"paid_at":1767225600}}}`
	paid, succeeded := one(t, `{"type":"invoice.paid"`+invoice), one(t, `{"type":"invoice.payment_succeeded"`+invoice)
	if paid.FactID() != succeeded.FactID() || paid.Digest() != succeeded.Digest() {
		t.Errorf("%s and %s", paid.FactID(), succeeded.FactID())
	}
}

func TestTrap04PaidInvoiceOfNothing(t *testing.T) {
	decoded := decodeOne(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","amount_paid":0,"currency":"usd","customer":"cus_1","billing_reason":"subscription_create","subscription":"sub_1","paid":true}}`)
	if len(decoded.Events) != 0 || !decoded.Ignored() {
		t.Errorf("%+v", decoded)
	}
}

func TestTrap05PaidOutOfBand(t *testing.T) {
	e := one(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","amount_paid":2000,"amount_paid_off_stripe":500,"currency":"usd","customer":"cus_1"}}`)
	if e.PaymentMethod != MethodOffStripe || string(e.Metadata) != `{"off_stripe_amount":"500"}` || e.Amount != 2000 {
		t.Errorf("%+v", e)
	}
}

func TestTrap03AuthorisationBeforeAmountCaptured(t *testing.T) {
	for text, want := range map[string]int64{
		`{"type":"charge.succeeded","created":1767225600,"object":{"id":"ch_1","amount":1000,"captured":false,"currency":"usd","created":1767225600}}`:                        0,
		`{"type":"charge.succeeded","created":1767225600,"object":{"id":"ch_1","amount":1000,"captured":true,"currency":"usd","created":1767225600}}`:                         1000,
		`{"type":"charge.captured","created":1767225600,"object":{"id":"ch_1","amount":1000,"amount_refunded":400,"captured":true,"currency":"usd","created":1767225600}}`:    600,
		`{"type":"charge.succeeded","created":1767225600,"object":{"id":"ch_1","amount":1000,"captured":true,"currency":"usd","created":1767225600,"payment_intent":"pi_1"}}`: 0,
	} {
		var got int64
		for _, e := range decodeOne(t, text).Events {
			got += e.Amount
		}
		if got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestTrap06CustomerBalanceIsNotCash(t *testing.T) {
	e := one(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","amount_due":6000,"amount_paid":6000,"total":12000,"tax":2000,"starting_balance":-6000,"ending_balance":0,"currency":"usd","customer":"cus_1"}}`)
	if e.Amount != 6000 || e.Tax != 1000 {
		t.Errorf("amount %d with tax %d, want 6000 with its half of the tax", e.Amount, e.Tax)
	}
}

func TestTrap07ExpandedPayments(t *testing.T) {
	events := decodeOne(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","amount_paid":2000,"currency":"usd","customer":"cus_1","payments":{"object":"list","data":[
		{"id":"inpay_1","amount_paid":500,"status":"paid","payment":{"type":"payment_intent","payment_intent":"pi_1"}},
		{"id":"inpay_2","amount_paid":900,"status":"paid","payment":{"type":"payment_intent","payment_intent":{"id":"pi_2","object":"payment_intent"}}},
		{"id":"inpay_3","amount_paid":600,"status":"paid","payment":{"type":"payment_intent","payment_intent":"pi_1"}},
		{"id":"inpay_4","amount_paid":null,"status":"canceled","payment":{"type":"payment_intent","payment_intent":"pi_3"}}]}}}`).Events
	if len(events) != 3 || events[0].Payment != "pi_1" || events[1].ObjectID != "pi_1:in_1" || events[1].Amount != 1100 ||
		events[2].ObjectID != "pi_2:in_1" || events[2].Amount != 900 || !strings.HasSuffix(events[2].Group, "|pi_2") {
		t.Errorf("%+v", events)
	}
}

func TestTrap09OneRefundUnderTwoNames(t *testing.T) {
	const refund = `,"created":1767225600,"object":{"id":"re_1","object":"refund","amount":500,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","created":1767225000,"status":"succeeded"}}`
	a, b := one(t, `{"type":"refund.updated"`+refund), one(t, `{"type":"charge.refund.updated"`+refund)
	if a.Digest() != b.Digest() {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestTrap12MovementsThatDoNotShow(t *testing.T) {
	for kind, want := range map[string]revenue.Kind{
		"charge.dispute.funds_withdrawn": revenue.KindDispute, "charge.dispute.funds_reinstated": revenue.KindDisputeReversal,
	} {
		e := one(t, `{"type":"`+kind+`","created":1770000000,"object":{"id":"dp_1","amount":4995,"currency":"usd","charge":"ch_1","status":"needs_response","created":1769000000,"balance_transactions":[]}}`)
		if e.Kind != want || e.Amount != 4995 || e.OccurredAt.Unix() != 1770000000 || e.Original != "ch_1" {
			t.Errorf("%s: %+v", kind, e)
		}
	}
	e := one(t, `{"type":"charge.dispute.closed","created":1770000000,"object":{"object":"dispute","amount":4995,"currency":"usd","charge":"ch_1","status":"lost","created":1769000000}}`)
	if e.ObjectID != "ch_1" || e.Kind != revenue.KindDispute {
		t.Errorf("a dispute of 2013: %+v", e)
	}
}

func TestTrap14CreditNotesAreNotCash(t *testing.T) {
	ignored(t, "credit_note.created", "credit_note.updated")
}

func TestTrap17PlanOfTheSamePrice(t *testing.T) {
	const subscription = `"object":{"id":"sub_1","customer":"cus_1","currency":"usd","status":"active","created":1767225600,"items":{"data":[{"quantity":1,"price":{"id":"PRICE","currency":"usd","unit_amount":2000,"recurring":{"interval":"month"}}}]}}}`
	first := one(t, `{"type":"customer.subscription.created","created":1767225600,`+strings.Replace(subscription, "PRICE", "price_basic", 1))
	second := one(t, `{"type":"customer.subscription.updated","created":1767398400,`+strings.Replace(subscription, "PRICE", "price_renamed", 1))
	if second.Plan != "price_renamed" || second.MRR != 2000_0000 {
		t.Fatalf("%+v", second)
	}
	// Nothing moves but what the MRR is of.
	byPlan := map[string]int64{}
	for _, entry := range revenue.Fold([]revenue.Event{first, second}) {
		byPlan[entry.Plan] += entry.MRR
		if entry.OccurredAt.Equal(second.OccurredAt) && entry.Kind != revenue.EntryTransfer {
			t.Errorf("%s of %d", entry.Kind, entry.MRR)
		}
	}
	if byPlan["price_basic"] != 0 || byPlan["price_renamed"] != 2000_0000 {
		t.Errorf("MRR by plan: %v", byPlan)
	}
}

func TestTrap19TrialWillEnd(t *testing.T) { ignored(t, "customer.subscription.trial_will_end") }

func TestTrap21InvoicesThatAreNotPaid(t *testing.T) {
	ignored(t, "invoice.upcoming", "invoice.created", "invoice.finalized")
}

func TestTrap22VoidAfterPaidIsNoRefund(t *testing.T) {
	ignored(t, "invoice.voided", "invoice.marked_uncollectible")
}

func TestTrap23RevisedInvoiceIsVoid(t *testing.T) {
	// A revision names the invoice that it is from, and is one of its own.
	e := one(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_2","amount_paid":2000,"currency":"usd","customer":"cus_1","from_invoice":{"action":"revision","invoice":"in_1"},"latest_revision":null}}`)
	if e.ObjectID != "in_2" || e.Amount != 2000 {
		t.Errorf("%+v", e)
	}
	for _, text := range []string{
		`{"type":"invoice.voided","created":1767225600,"object":{"id":"in_1","amount_paid":0,"amount_due":2000,"currency":"usd","customer":"cus_1","status":"void","latest_revision":"in_2"}}`,
		`{"type":"invoice.updated","created":1767225600,"object":{"id":"in_1","amount_paid":0,"amount_due":2000,"currency":"usd","customer":"cus_1","status":"void","latest_revision":"in_2"}}`,
	} {
		if item := decodeOne(t, text); !item.Ignored() {
			t.Errorf("%+v", item)
		}
	}
}

// A refund of what is disputed: both leave, and the dispute's money comes back once
// when Stripe finds out.
func TestTrap13RefundAndDisputeOfOneCharge(t *testing.T) {
	var events []revenue.Event
	for _, text := range []string{
		`{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd"}}`,
		`{"type":"charge.dispute.funds_withdrawn","created":1767312000,"object":{"id":"dp_1","amount":2000,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","status":"needs_response","created":1767312000,"balance_transactions":[]}}`,
		`{"type":"refund.created","created":1767398400,"object":{"id":"re_1","amount":2000,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","status":"succeeded","created":1767398400}}`,
		`{"type":"charge.dispute.funds_reinstated","created":1767484800,"object":{"id":"dp_1","amount":2000,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","status":"won","created":1767312000,"balance_transactions":[]}}`,
	} {
		events = append(events, decodeOne(t, text).Events...)
	}
	net := map[int]int64{}
	for seen := 1; seen <= len(events); seen++ {
		for _, entry := range revenue.Fold(events[:seen]) {
			net[seen] += entry.Amount
		}
	}
	if want := map[int]int64{1: 2000, 2: 0, 3: -2000, 4: 0}; !maps.Equal(net, want) {
		t.Errorf("net %v, want %v", net, want)
	}
}

func TestTrap24TestClocksAreKeptApart(t *testing.T) {
	// A simulated clock runs a year ahead of ours.
	e := one(t, `{"type":"invoice.paid","created":1830297600,"test":true,"object":{"id":"in_1","amount_paid":2000,"currency":"usd","customer":"cus_1","test_clock":"clock_1"}}`)
	if e.TestClock != "clock_1" || e.Livemode || e.Live() || e.OccurredAt.Year() != 2028 {
		t.Errorf("%+v", e)
	}
}

func TestTrap25ConnectAccountsAreKeptApart(t *testing.T) {
	const rest = `"created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd"}}`
	own := one(t, `{"type":"payment_intent.succeeded",`+rest)
	connected := one(t, `{"type":"payment_intent.succeeded","account":"acct_connected",`+rest)
	test := one(t, `{"type":"payment_intent.succeeded","test":true,`+rest)
	if own.Account != "acct_endpoint" || connected.Account != "acct_connected" {
		t.Errorf("accounts %q and %q", own.Account, connected.Account)
	}
	if own.Group == connected.Group || own.Group == test.Group || own.FactID() == connected.FactID() || own.FactID() == test.FactID() {
		t.Error("facts of two accounts or modes meet")
	}
}

func TestTrap26ThinBesideSnapshot(t *testing.T) { TestThinEventIsIgnoredAndCounted(t) }

func TestTrap27RepeatedDeliveryIsOneStatement(t *testing.T) {
	const text = `{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd"}}`
	first, again := one(t, text), one(t, text)
	again.ReceivedAt = again.ReceivedAt.Add(72 * time.Hour)
	if rows := revenue.Ledger([]revenue.Event{again, first}); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

// ignored checks that events of the types book nothing, even about an object
// that looks paid.
func ignored(t *testing.T, types ...string) {
	t.Helper()
	for _, kind := range types {
		decoded := decodeOne(t, `{"type":"`+kind+`","created":1767225600,"object":{"id":"x_1","amount_paid":2000,"amount":2000,"currency":"usd","customer":"cus_1","status":"active"}}`)
		if len(decoded.Events) != 0 || !decoded.Ignored() {
			t.Errorf("%s: %+v", kind, decoded)
		}
	}
}

func TestRefundInheritsTheSubscription(t *testing.T) {
	var events []revenue.Event
	for _, statements := range scenarioOf(t, "refund_of_renewal").Statements(t, New(DefaultConfig(), nil), nil) {
		for _, e := range statements {
			if strings.HasSuffix(e.Group, "|pi_1") {
				events = append(events, e)
			}
		}
	}
	for _, entry := range revenue.Fold(events) {
		if entry.Kind != revenue.EntryRefund || !entry.Recurring || entry.Subscription != "sub_1" || entry.Customer != "cus_1" || entry.Invoice != "in_1" || entry.Plan != "price_basic" {
			t.Errorf("%+v", entry)
		}
	}
}

// TestRefundAtBasil: what a refund is of is put together from what the links of its
// payment know.
func TestRefundAtBasil(t *testing.T) {
	for name, wantInvoice := range map[string]string{"basil_without_links": "", "clover_order_reference": "in_1"} {
		var events []revenue.Event
		for _, statements := range scenarioOf(t, name).Statements(t, New(DefaultConfig(), nil), nil) {
			events = append(events, statements...)
		}
		events = slices.DeleteFunc(events, func(e revenue.Event) bool { return !strings.HasSuffix(e.Group, "|pi_1") })
		entries := revenue.Fold(events)
		if len(entries) != 1 {
			t.Fatalf("%s: %+v", name, entries)
		}
		if e := entries[0]; e.Kind != revenue.EntryRefund || !e.Recurring || e.Customer != "cus_1" || e.Invoice != wantInvoice {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestEnvelopeDecidesTheMode(t *testing.T) {
	e := one(t, `{"type":"payment_intent.succeeded","created":1767225600,"object":{"id":"pi_1","amount_received":2000,"currency":"usd","livemode":false}}`)
	if !e.Livemode {
		t.Error("the object's flag won")
	}
}

func TestDisputeOfAPartOfTheEvents(t *testing.T) {
	// Any one event that shows the movements tells all of them.
	events := decodeOne(t, `{"type":"charge.dispute.closed","created":1770000000,"object":{"id":"dp_1","amount":4995,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","status":"won","created":1769000000,
		"balance_transactions":[{"id":"txn_1","amount":-4500,"fee":1500,"currency":"eur","created":1769000000},{"id":"txn_2","amount":4490,"fee":-300,"currency":"eur","created":1770000000}]}}`).Events
	got := map[revenue.Kind]string{}
	for _, e := range events {
		got[e.Kind] = revenue.FormatAmount(e.Amount, e.Currency) + " " + e.Currency
	}
	if len(events) != 3 || got[revenue.KindDispute] != "49.95 USD" || got[revenue.KindDisputeReversal] != "49.95 USD" || got[revenue.KindFee] != "12.00 EUR" {
		t.Errorf("%v", got)
	}
}
