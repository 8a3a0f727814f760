package connectors

import (
	"cmp"
	"slices"
	"time"
)

// The flows that DayTotal sums up.
const (
	FlowCharge          = "charge"
	FlowRefund          = "refund"
	FlowDispute         = "dispute"
	FlowDisputeReversal = "dispute_reversal"
)

// DayTotal is the money of one flow that moved on a UTC day, signed: what went out is
// negative.
type DayTotal struct {
	Day      time.Time
	Currency string // ISO 4217
	Flow     string
	Amount   int64 // minor units
}

// DayTotals adds up what moved. The zero value is nothing.
type DayTotals struct{ sums map[DayTotal]int64 }

// Add adds what moved at a moment.
func (d *DayTotals) Add(at time.Time, currency, flow string, amount int64) {
	if d.sums == nil {
		d.sums = map[DayTotal]int64{}
	}
	d.sums[DayTotal{Day: at.UTC().Truncate(24 * time.Hour), Currency: currency, Flow: flow}] += amount
}

// Sorted are the sums, by day, currency and flow.
func (d *DayTotals) Sorted() []DayTotal {
	totals := make([]DayTotal, 0, len(d.sums))
	for of, amount := range d.sums {
		of.Amount = amount
		totals = append(totals, of)
	}
	slices.SortFunc(totals, func(a, b DayTotal) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Flow, b.Flow))
	})
	return totals
}
