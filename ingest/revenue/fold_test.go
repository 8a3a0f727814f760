package revenue

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

func day(text string) time.Time {
	layout := "2006-01-02T15:04"
	if len(text) == len("2006-01-02") {
		layout = "2006-01-02"
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		panic(err)
	}
	return at
}

// lines writes entries the way a person would read them: when, what, how much.
func lines(entries []Entry) string {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Fact, b.Fact))
	})
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %s", e.OccurredAt.Format("2006-01-02T15:04"), e.Kind)
		if e.Amount != 0 {
			fmt.Fprintf(&b, " %s", FormatAmount(e.Amount, e.Currency))
		}
		if e.MRR != 0 {
			fmt.Fprintf(&b, " mrr %s", FormatAmount(RoundMRR(e.MRR), e.Currency))
		}
		if e.Reason != "" {
			fmt.Fprintf(&b, " %s", e.Reason)
		}
		if !e.EndsAt.IsZero() {
			fmt.Fprintf(&b, " until %s", e.EndsAt.Format("2006-01-02"))
		}
		if e.Kind.Family() == FamilyCash && e.Recurring {
			b.WriteString(" recurring")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func fact(kind Kind, object, at string, amount int64, change ...func(*Event)) Event {
	e := Event{Workspace: "w", Provider: "p", Livemode: true, Group: "g", ObjectID: object, Kind: kind,
		OccurredAt: day(at), ReceivedAt: day(at), Currency: "USD", Amount: amount}
	for _, c := range change {
		c(&e)
	}
	return e
}

func subscription(at string, status Status, mrr int64, change ...func(*Event)) Event {
	return fact(KindSubscription, "sub@"+at, at, 0, append([]func(*Event){func(e *Event) {
		e.Subscription, e.Status, e.MRR = "sub", status, mrr*MRRScale
	}}, change...)...)
}

func term(object, from, to string, mrr int64) Event {
	return fact(KindPeriod, object, from, 0, func(e *Event) {
		e.MRR, e.PeriodStart, e.PeriodEnd = mrr*MRRScale, pointer(day(from)), pointer(day(to))
	})
}

func presumed(object, from, to string, mrr int64) Event {
	e := term(object, from, to, mrr)
	e.PresumedEnd = true
	return e
}

func of(subscription string, e Event) Event {
	e.Subscription = subscription
	return e
}

func concluded(e *Event)              { e.Presumed = true }
func recurring(e *Event)              { e.Recurring, e.Subscription = true, "sub" }
func original(id string) func(*Event) { return func(e *Event) { e.Original = id } }
func cancelAt(requested, end string) func(*Event) {
	return func(e *Event) { e.CancelRequestedAt, e.EndsAt = pointer(day(requested)), pointer(day(end)) }
}

// TestFoldHistories is a ledger to read: statements in, entries out.
func TestFoldHistories(t *testing.T) {
	for _, test := range []struct {
		name string
		in   []Event
		want string
	}{
		{"a purchase and its two partial refunds", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000, func(e *Event) { e.Tax = 500 }),
			fact(KindRefund, "re1", "2026-01-05", 1000, original("pi")),
			fact(KindRefund, "re2", "2026-01-03", 500, original("pi")),
		}, `
2026-01-01T00:00 purchase 50.00
2026-01-03T00:00 refund -5.00
2026-01-05T00:00 refund -10.00
`},
		{"a cancellation that is declared, and the term that is paid for after it", []Event{
			of("sub", term("t1", "2026-01-01", "2026-02-01", 1000)),
			fact(KindCancellation, "t1", "2026-01-15", 0, recurring),
			fact(KindCancellation, "of another", "2026-01-15", 0, func(e *Event) { e.Subscription = "other" }),
			of("sub", term("t2", "2026-03-01", "2026-04-01", 1000)),
			fact(KindCancellation, "t2", "2026-03-10", 0, recurring),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-01-15T00:00 cancellation
2026-01-15T00:00 cancellation until 2026-03-01
2026-02-01T00:00 churn mrr -10.00 voluntary
2026-02-01T00:00 expiration
2026-02-01T00:00 subscription_inactive
2026-03-01T00:00 reactivation mrr 10.00
2026-03-01T00:00 subscription_active
2026-03-10T00:00 cancellation
2026-04-01T00:00 churn mrr -10.00 voluntary
2026-04-01T00:00 expiration
2026-04-01T00:00 subscription_inactive
`},
		{"a cancellation that is declared with its change, and the customer who comes back", []Event{
			fact(KindMRRDelta, "d1", "2026-01-01", 0, recurring, func(e *Event) { e.MRR = 1000 * MRRScale }),
			fact(KindMRRDelta, "d2", "2026-01-15", 0, recurring, func(e *Event) { e.ClosesMRR = true }),
			fact(KindCancellation, "d2", "2026-01-15", 0, recurring),
			fact(KindMRRDelta, "d3", "2026-02-01", 0, recurring, func(e *Event) { e.MRR = 1000 * MRRScale }),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-01-15T00:00 cancellation until 2026-02-01
2026-01-15T00:00 churn mrr -10.00 voluntary
2026-01-15T00:00 subscription_inactive
2026-02-01T00:00 reactivation mrr 10.00
2026-02-01T00:00 subscription_active
`},
		{"a refund inherits from its charge, whichever came first", []Event{
			fact(KindRefund, "re", "2026-01-05", 999, original("in")),
			fact(KindCharge, "in", "2026-01-01", 999, recurring),
		}, `
2026-01-01T00:00 subscription_purchase 9.99 recurring
2026-01-05T00:00 refund -9.99 recurring
`},
		{"the total of refunds counts until single refunds are known", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000),
			fact(KindRefundTotal, "ch", "2026-01-02", 1500, original("pi")),
		}, `
2026-01-01T00:00 purchase 50.00
2026-01-02T00:00 refund -15.00
`},
		{"single refunds count first, the rest of their total beside them", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000),
			fact(KindRefundTotal, "ch", "2026-01-02", 1500, original("pi")),
			fact(KindRefund, "re1", "2026-01-02", 1000, original("pi")),
			fact(KindRefund, "re2", "2026-01-02", 200, original("pi"), func(e *Event) { e.Status = StatusFailed }),
		}, `
2026-01-01T00:00 purchase 50.00
2026-01-02T00:00 refund -3.00
2026-01-02T00:00 refund -10.00
`},
		{"single refunds that say more than a stale total", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000),
			fact(KindRefundTotal, "ch", "2026-01-02", 1000, original("pi")),
			fact(KindRefund, "re1", "2026-01-02", 1000, original("pi")),
			fact(KindRefund, "re2", "2026-01-03", 500, original("pi")),
		}, `
2026-01-01T00:00 purchase 50.00
2026-01-02T00:00 refund -10.00
2026-01-03T00:00 refund -5.00
`},
		{"a failed refund and a failed charge move nothing", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000, func(e *Event) { e.Status = StatusFailed }),
			fact(KindRefund, "re", "2026-01-02", 1000, original("pi"), func(e *Event) { e.Status = StatusFailed }),
		}, "\n"},
		{"a payment that an invoice counts is not counted again", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000),
			fact(KindLink, "pi:in", "2026-01-01", 3000, original("pi"), recurring),
			fact(KindRefund, "re", "2026-01-09", 100, original("pi")),
		}, `
2026-01-01T00:00 purchase 20.00
2026-01-09T00:00 refund -1.00 recurring
`},
		{"a dispute lost, another won", []Event{
			fact(KindCharge, "pi", "2026-01-01", 5000),
			fact(KindDispute, "dp1", "2026-01-02", 2000, original("pi")),
			fact(KindDispute, "dp2", "2026-01-03", 1000, original("pi")),
			fact(KindDisputeReversal, "dp2", "2026-02-03", 1000, original("pi")),
		}, `
2026-01-01T00:00 purchase 50.00
2026-01-02T00:00 dispute -20.00
2026-01-03T00:00 dispute -10.00
2026-02-03T00:00 dispute_reversal 10.00
`},
		{"a trial converts, renews, and is cancelled at the end of its term", []Event{
			subscription("2026-01-01", StatusTrialing, 1000),
			subscription("2026-01-15", StatusActive, 1000),
			fact(KindCharge, "in1", "2026-01-15", 1000, recurring, func(e *Event) { e.Billing = BillingRenewal }),
			fact(KindCharge, "in2", "2026-02-15", 1000, recurring, func(e *Event) { e.Billing = BillingRenewal }),
			subscription("2026-02-20", StatusActive, 1000, cancelAt("2026-02-20", "2026-03-15")),
			subscription("2026-03-15", StatusCanceled, 1000, cancelAt("2026-02-20", "2026-03-15")),
		}, `
2026-01-01T00:00 trial_start
2026-01-15T00:00 new mrr 10.00
2026-01-15T00:00 subscription_active
2026-01-15T00:00 trial_conversion 10.00 recurring
2026-02-15T00:00 renewal 10.00 recurring
2026-02-20T00:00 cancellation voluntary
2026-02-20T00:00 subscription_inactive
2026-03-15T00:00 churn mrr -10.00 voluntary
2026-03-15T00:00 expiration voluntary
`},
		{"a cancellation taken back", []Event{
			subscription("2026-01-01", StatusActive, 1000),
			subscription("2026-01-10", StatusActive, 1000, cancelAt("2026-01-10", "2026-02-01")),
			subscription("2026-01-20", StatusActive, 1000),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-01-10T00:00 cancellation voluntary until 2026-01-20
2026-01-10T00:00 subscription_inactive
2026-01-20T00:00 subscription_active
`},
		{"a plan swapped within the hour is an expansion", []Event{
			subscription("2026-01-01", StatusActive, 1000),
			subscription("2026-02-01T10:00", StatusCanceled, 0),
			subscription("2026-02-01T10:40", StatusActive, 2500),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-02-01T10:00 cancellation voluntary until 2026-02-01
2026-02-01T10:00 expansion mrr 15.00
2026-02-01T10:00 expiration voluntary
2026-02-01T10:00 subscription_inactive
2026-02-01T10:40 subscription_active
`},
		{"bills tell of the time before anybody was told, and of no other", []Event{
			subscription("2025-01-01", StatusActive, 1000, concluded),
			subscription("2025-06-01", StatusActive, 1500, concluded),
			subscription("2026-01-10", StatusActive, 1500, cancelAt("2026-01-10", "2026-03-01")),
			subscription("2026-02-01", StatusActive, 2000, concluded),
		}, `
2025-01-01T00:00 new mrr 10.00
2025-01-01T00:00 subscription_active
2025-06-01T00:00 expansion mrr 5.00
2026-01-10T00:00 cancellation voluntary
2026-01-10T00:00 subscription_inactive
2026-03-01T00:00 churn mrr -15.00 voluntary
2026-03-01T00:00 expiration voluntary
`},
		{"past due counts for thirty days", []Event{
			subscription("2026-01-01", StatusActive, 1000),
			subscription("2026-02-01", StatusPastDue, 1000),
			subscription("2026-02-05", StatusPastDue, 1000),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-03-03T00:00 churn mrr -10.00 delinquent
2026-03-03T00:00 subscription_inactive
`},
		{"paid terms join, run out by themselves, and come back", []Event{
			term("t1", "2026-01-01", "2026-02-01", 1000),
			term("t2", "2026-02-01", "2026-03-01", 1000),
			term("t3", "2026-04-01", "2026-05-01", 1500),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-03-01T00:00 churn mrr -10.00 voluntary
2026-03-01T00:00 expiration
2026-03-01T00:00 subscription_inactive
2026-04-01T00:00 reactivation mrr 15.00
2026-04-01T00:00 subscription_active
2026-05-01T00:00 churn mrr -15.00 voluntary
2026-05-01T00:00 expiration
2026-05-01T00:00 subscription_inactive
`},
		{"a presumed end gives way to a renewal a day early, a day late, and on the 31st", []Event{
			presumed("t1", "2025-11-30", "2025-12-30", 1000),
			presumed("t2", "2025-12-29", "2026-01-29", 1000),
			presumed("t3", "2026-01-31", "2026-02-28", 1000),
			presumed("t4", "2026-02-28", "2026-03-28", 1000),
			presumed("t5", "2026-03-31", "2026-04-30", 1200),
		}, `
2025-11-30T00:00 new mrr 10.00
2025-11-30T00:00 subscription_active
2026-03-31T00:00 expansion mrr 2.00
2026-04-30T00:00 churn mrr -12.00 voluntary
2026-04-30T00:00 expiration
2026-04-30T00:00 subscription_inactive
`},
		{"a presumed end that nobody renews in time stands", []Event{
			presumed("t1", "2026-01-01", "2026-02-01", 1000),
			presumed("t2", "2026-02-05", "2026-03-05", 1000),
		}, `
2026-01-01T00:00 new mrr 10.00
2026-01-01T00:00 subscription_active
2026-02-01T00:00 churn mrr -10.00 voluntary
2026-02-01T00:00 expiration
2026-02-01T00:00 subscription_inactive
2026-02-05T00:00 reactivation mrr 10.00
2026-02-05T00:00 subscription_active
2026-03-05T00:00 churn mrr -10.00 voluntary
2026-03-05T00:00 expiration
2026-03-05T00:00 subscription_inactive
`},
		{"declared changes, and a churn without an amount", []Event{
			fact(KindMRRDelta, "a", "2026-01-01", 0, func(e *Event) { e.MRR = 50 * 100 * MRRScale }),
			fact(KindMRRDelta, "b", "2026-02-01", 0, func(e *Event) { e.MRR = -20 * 100 * MRRScale }),
			fact(KindMRRDelta, "c", "2026-03-01", 0, func(e *Event) { e.ClosesMRR = true }),
		}, `
2026-01-01T00:00 new mrr 50.00
2026-01-01T00:00 subscription_active
2026-02-01T00:00 contraction mrr -20.00 voluntary
2026-03-01T00:00 churn mrr -30.00 voluntary
2026-03-01T00:00 subscription_inactive
`},
		{"a churn whose beginning was never reported takes nothing away", []Event{
			fact(KindMRRDelta, "c", "2026-03-01", 0, func(e *Event) { e.MRR = -4900 * MRRScale }),
		}, "\n"},
		{"a deleted fact and one that came back", []Event{
			fact(KindCharge, "a", "2026-01-01", 1000),
			fact(KindCharge, "a", "2026-01-01", 0, func(e *Event) { e.Version, e.Deleted = 1, true }),
			fact(KindCharge, "b", "2026-01-02", 1000),
			fact(KindCharge, "b", "2026-01-02", 0, func(e *Event) { e.Version, e.Deleted = 1, true }),
			fact(KindCharge, "b", "2026-01-02", 1200, func(e *Event) { e.Version = 2 }),
		}, `
2026-01-02T00:00 purchase 12.00
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := strings.TrimPrefix(test.want, "\n")
			if got := lines(Fold(test.in)); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestAttributionFillsEmptyDimensions(t *testing.T) {
	entries := Fold([]Event{
		fact(KindCharge, "pi", "2026-01-01", 1000, func(e *Event) { e.Campaign = "own" }),
		fact(KindAttribution, "cs", "2026-01-01", 0, original("pi"), func(e *Event) { e.Visitor, e.Campaign = "v1", "other" }),
	})
	if len(entries) != 1 || entries[0].Visitor != "v1" || entries[0].Campaign != "own" {
		t.Errorf("entries %+v", entries)
	}
}

func TestParseAmount(t *testing.T) {
	for _, test := range []struct {
		text, currency string
		want           int64
		err            error
	}{
		{"24.99", "USD", 2499, nil},
		{"12.5", "USD", 1250, nil},
		{"-5", "USD", -500, nil},
		{"0", "USD", 0, nil},
		{"1e2", "USD", 10000, nil},
		{"1.50e1", "USD", 1500, nil},
		{"24.990", "USD", 2499, nil},
		{"24.999", "USD", 0, ErrAmountPrecision},
		{"37.489999999999995", "USD", 3749, nil},
		{"-0.30000000000000004", "USD", -30, nil},
		{"4.9900000000000006e2", "JPY", 499, nil},
		{"1.0049999999999999", "USD", 0, ErrAmountPrecision},
		{"24.9900001000000001", "USD", 0, ErrAmountPrecision},
		{"123456789012.340000000001", "USD", 0, ErrAmountPrecision},
		{"500", "JPY", 500, nil},
		{"0.5", "JPY", 0, ErrAmountPrecision},
		{"1.234", "KWD", 1234, nil},
		{"99999999999.99", "USD", 9999999999999, nil},
		{"100000000000.01", "USD", 0, ErrAmountTooLarge},
		{"1e400", "USD", 0, ErrAmountTooLarge},
		{"1e99999999999999999999", "USD", 0, ErrAmountTooLarge},
		{strings.Repeat("9", 100), "USD", 0, ErrAmountTooLarge},
		{"NaN", "USD", 0, ErrAmountSyntax},
		{"Infinity", "USD", 0, ErrAmountSyntax},
		{"0x10", "USD", 0, ErrAmountSyntax},
		{"1_000", "USD", 0, ErrAmountSyntax},
		{"+1", "USD", 0, ErrAmountSyntax},
		{"01", "USD", 0, ErrAmountSyntax},
		{".5", "USD", 0, ErrAmountSyntax},
		{"5.", "USD", 0, ErrAmountSyntax},
		{"1/2", "USD", 0, ErrAmountSyntax},
		{"", "USD", 0, ErrAmountSyntax},
		{"1", "usd", 0, ErrCurrency},
		{"1", "XYZ", 0, ErrCurrency},
	} {
		got, err := ParseAmount(test.text, test.currency)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("ParseAmount(%q, %q) = %d, %v, want %d, %v", test.text, test.currency, got, err, test.want, test.err)
		}
	}
}

// FuzzParseAmount: whatever is accepted is written back as the same number.
func FuzzParseAmount(f *testing.F) {
	for _, text := range []string{"24.99", "-0.01", "1e2", "00", "1e-400", "9999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		minor, err := ParseAmount(text, "USD")
		if err != nil {
			return
		}
		again, err := ParseAmount(FormatAmount(minor, "USD"), "USD")
		if err != nil || again != minor {
			t.Errorf("%q is %d, written %q, read again %d, %v", text, minor, FormatAmount(minor, "USD"), again, err)
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok || exact.Mul(exact, big.NewRat(100, 1)).Cmp(new(big.Rat).SetInt64(minor)) != 0 {
			t.Errorf("%q is not %d hundredths", text, minor)
		}
	})
}

func TestMonthlyMRR(t *testing.T) {
	for _, test := range []struct {
		amount   int64
		interval string
		count    int64
		want     int64 // 1/10,000 minor units
	}{
		{9999, "month", 1, 99990000},
		{12000, "year", 1, 10000000},
		{10000, "year", 1, 8333333}, // 833.33333.. cents
		{20000, "year", 1, 16666667},
		{3000, "month", 3, 10000000},
		{1200, "week", 1, 52000000},
		{1200, "day", 1, 365000000},
		{-10000, "year", 1, -8333333},
		{-20000, "year", 1, -16666667},
	} {
		got, err := MonthlyMRR(new(big.Rat).SetInt64(test.amount), test.interval, test.count)
		if err != nil || got != test.want {
			t.Errorf("MonthlyMRR(%d, %s, %d) = %d, %v, want %d", test.amount, test.interval, test.count, got, err, test.want)
		}
	}
	for _, bad := range []struct {
		interval string
		count    int64
	}{{"month", 0}, {"fortnight", 1}, {"", 1}, {"year", -1}} {
		if _, err := MonthlyMRR(big.NewRat(1, 1), bad.interval, bad.count); !errors.Is(err, ErrInterval) {
			t.Errorf("MonthlyMRR(%q, %d): %v, want ErrInterval", bad.interval, bad.count, err)
		}
	}
}
