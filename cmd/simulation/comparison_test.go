package simulation

import (
	"strings"
	"testing"
)

func TestWhatWasThereBeforeIsSubtracted(t *testing.T) {
	r := Range{Since: day(1, 1), Until: day(2, 1)}
	before := answers{
		{endpointMetricsMRR, r, figureMRR, false}:                       5_004_000, // 500.4 minor units
		{endpointMetricsMRR, r, figureMRR, true}:                        500,
		{endpointMetricsMRR, Range{Until: day(3, 1)}, figureMRR, false}: 9,
	}
	gross := judge(cell{endpointRevenue, r, figureGross, false}, 250, 1250, 1000, 0)
	if gross.Truth != 250 || gross.Answer != 250 {
		t.Errorf("gross is judged %+v, want 250 to be right", gross)
	}
	// 500.4 and 0.2 are 500.6, which is 501: one cent more for a fifth of one.
	balance := before.balances()[balanceAt(r)]
	cents := judge(cell{endpointRevenue, r, figureMRR, true}, 2_000, 501, 500, balance)
	if cents.Truth != cents.Answer || cents.Truth != 1 {
		t.Errorf("MRR in cents is judged %+v, want 1 to be right", cents)
	}
	if wrong := judge(cell{endpointRevenue, r, figureMRR, true}, 2_000, 500, 500, balance); wrong.Truth == wrong.Answer {
		t.Errorf("MRR in cents is judged %+v, want a difference", wrong)
	}
}

func TestRatesAreHeldAgainstTheirAnswer(t *testing.T) {
	i := newInspector(testOptions(1))
	var a summaryAnswer
	a.Summary.TrialCount, a.Summary.TrialConversionCount, a.Summary.TrialConversionRate = 3, 2, 0.667
	a.Summary.RefundCount, a.Summary.PositiveChargeCount, a.Summary.RefundRate = 1, 16, 0.063
	a.Summary.UniqueCancelledSubs, a.Summary.UniqueActiveSubs, a.Summary.CancellationRate = 1, 7, 0.125
	a.Summary.NetRevenueCents, a.Summary.AverageOrderValueCents = 24, 2 // 1.5
	i.checkRates(Range{}, &a)
	if len(i.inconsistent) != 0 {
		t.Errorf("right rates are complained of: %v", i.inconsistent)
	}
	a.Summary.RefundRate, a.Summary.AverageOrderValueCents = 0.062, 1
	i.checkRates(Range{}, &a)
	if len(i.inconsistent) != 2 {
		t.Errorf("of two wrong rates these are complained of: %v", i.inconsistent)
	}
}

func TestRangesCoverTheHistory(t *testing.T) {
	o := testOptions(1)
	ranges := o.ranges()
	var ragged, perDoor int
	for _, r := range ranges {
		if !r.Since.Before(r.Until) {
			t.Errorf("%s is empty", r)
		}
		if r.Since.Nanosecond() != 0 {
			ragged++
		}
		if r.Door != "" {
			perDoor++
		}
	}
	if months := len(o.months()); months < 24 || ragged < 8 || perDoor != 20 {
		t.Errorf("%d months, %d ragged ranges, %d of one provider", months, ragged, perDoor)
	}
}

func TestUnitsOf(t *testing.T) {
	for text, want := range map[string]int64{"12": 120_000, "0.1234": 1234, "-3.5": -35_000, "0": 0, "-0": 0} {
		if got, err := unitsOf(text); err != nil || got != want {
			t.Errorf("unitsOf(%q) is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "0.00001"} {
		if got, err := unitsOf(text); err == nil {
			t.Errorf("unitsOf(%q) is %d, want an error", text, got)
		}
	}
}

func TestReportNamesWhatIsWrong(t *testing.T) {
	r := Report{Run: "r", Stories: 1, Compared: 2, Failures: []Failure{{Door: DoorStripe, Label: "refund.created", Ambiguous: true, Error: "gone"}},
		Lines:       []Line{{"gross revenue", 100, 250}},
		Differences: []Difference{{Endpoint: "/revenue", Range: Range{Since: day(1, 1), Until: day(2, 1)}, Figure: "gross revenue", Truth: 100, Answer: 250}}}
	var out strings.Builder
	r.Print(&out)
	for _, want := range []string{"stripe refund.created, without an answer: gone", "gross revenue is 2.50, and should be 1.00 (1.50 too much)", "2 figures compared, 1 differ"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	if r.Exact() {
		t.Error("the report is called exact")
	}
}
