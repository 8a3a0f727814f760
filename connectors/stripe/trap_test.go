package stripe

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// The traps are those of counting Stripe's events that others have fallen into.
// Most are scenarios, held in every order of arrival; see testdata/scenarios.

func TestTrap01FiveEventsOfOnePayment(t *testing.T) {
	runScenario(t, "signup_acacia")
	runScenario(t, "signup_basil")
	runScenario(t, "checkout_sale")
	runScenario(t, "checkout_sessions_only")
}

func TestTrap02PaidAndPaymentSucceededAreOneFact(t *testing.T) {
	const invoice = `,"created":1767225600,"object":{"id":"in_1","amount_paid":2000,"currency":"usd","customer":"cus_1","status_transitions":{"paid_at":1767225600}}}`
	paid, succeeded := one(t, `{"type":"invoice.paid"`+invoice), one(t, `{"type":"invoice.payment_succeeded"`+invoice)
	if paid.FactID() != succeeded.FactID() || paid.Digest() != succeeded.Digest() {
		t.Errorf("%s and %s", paid.FactID(), succeeded.FactID())
	}
}

func TestTrap03AuthorisationIsNoMoney(t *testing.T) {
	runScenario(t, "partial_capture_2020")
	runScenario(t, "authorisation_released")
}

func TestTrap04PaidInvoiceOfNothing(t *testing.T) {
	decoded := decodeOne(t, `{"type":"invoice.paid","created":1767225600,"object":{"id":"in_1","amount_paid":0,"currency":"usd","customer":"cus_1","billing_reason":"subscription_create","subscription":"sub_1","paid":true}}`)
	if len(decoded.Events) != 0 || !decoded.Ignored() {
		t.Errorf("%+v", decoded)
	}
	runScenario(t, "trial_converts")
}

func TestTrap05PaidOutOfBand(t *testing.T) {
	runScenario(t, "off_stripe")
	runScenario(t, "off_stripe_excluded")
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

func TestTrap07PartialPayments(t *testing.T) {
	runScenario(t, "partial_payments")
	runScenario(t, "one_payment_for_two_invoices")
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

func TestTrap08CumulativeRefunds(t *testing.T) {
	runScenario(t, "refund_partial_then_full")
	runScenario(t, "refund_totals_only")
	runScenario(t, "refund_listed_2020")
}

func TestTrap09OneRefundUnderTwoNames(t *testing.T) {
	const refund = `,"created":1767225600,"object":{"id":"re_1","object":"refund","amount":500,"currency":"usd","charge":"ch_1","payment_intent":"pi_1","created":1767225000,"status":"succeeded"}}`
	a, b := one(t, `{"type":"refund.updated"`+refund), one(t, `{"type":"charge.refund.updated"`+refund)
	if a.Digest() != b.Digest() {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestTrap10AccountsWithoutRefundEvents(t *testing.T) { runScenario(t, "refund_totals_only") }

func TestTrap11RefundFailsLater(t *testing.T) { runScenario(t, "refund_fails_later") }

func TestTrap12Disputes(t *testing.T) {
	for _, name := range []string{"dispute_won", "dispute_won_fee_returned", "dispute_lost", "dispute_lost_withdrawal_missed", "dispute_inquiry"} {
		runScenario(t, name)
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

func TestTrap15SubscriptionEventsInAnyOrder(t *testing.T) {
	runScenario(t, "cancel_at_period_end")
	runScenario(t, "same_second_updates")
	runScenario(t, "same_second_round_trip")
	runScenario(t, "same_second_created_updated_deleted")
}

func TestTrap16RenewalIsNoChange(t *testing.T) {
	runScenario(t, "renewal_acacia")
	runScenario(t, "renewal_basil")
}

func TestTrap17PlanOfTheSamePrice(t *testing.T) {
	s := loadScenario(t, "upgrade_and_downgrade")
	var groups []revenue.Event
	for _, statements := range decodeAll(t, newDecode(t, nil), s.Events[:1]) {
		groups = append(groups, statements...)
	}
	renamed := s.Events[0]
	renamed.Type, renamed.Created = "customer.subscription.updated", renamed.Created+3600*48
	renamed.Object = json.RawMessage(strings.Replace(string(renamed.Object), "price_basic", "price_renamed", 1))
	for _, statements := range decodeAll(t, newDecode(t, nil), []fixture{renamed}) {
		groups = append(groups, statements...)
	}
	if len(groups) != 2 || groups[1].Plan != "price_renamed" {
		t.Fatalf("%+v", groups)
	}
	for _, entry := range revenue.Fold(groups) {
		if entry.OccurredAt.Unix() == renamed.Created {
			t.Errorf("%s of %d", entry.Kind, entry.MRR)
		}
	}
}

func TestTrap18CancellationAtPeriodEndIsNotChurn(t *testing.T) {
	runScenario(t, "cancel_at_period_end")
	runScenario(t, "cancel_then_resume")
}

func TestTrap19TrialWillEnd(t *testing.T) { ignored(t, "customer.subscription.trial_will_end") }

func TestTrap20ConversionIsTheFirstPayment(t *testing.T) {
	runScenario(t, "trial_converts")
	runScenario(t, "trial_cancelled")
}

func TestTrap21InvoicesThatAreNotPaid(t *testing.T) {
	ignored(t, "invoice.upcoming", "invoice.created", "invoice.finalized")
}

func TestTrap22VoidAfterPaidIsNoRefund(t *testing.T) {
	ignored(t, "invoice.voided", "invoice.marked_uncollectible")
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
	s := loadScenario(t, "refund_of_renewal")
	var events []revenue.Event
	for _, statements := range decodeAll(t, newDecode(t, nil), s.Events) {
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
