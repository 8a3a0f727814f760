package simulation

import (
	"slices"
	"time"
)

// Truth is a naive ledger of what the stories came to. It keeps everything and
// adds it up anew for every question, so that there is nothing to get wrong.
type Truth struct {
	books []*book
}

func (t *Truth) add(b *book) { t.books = append(t.books, b) }

// Range is a half-open range of time, and whose events to look at.
type Range struct {
	Since, Until time.Time
	// Door is the provider to look at; empty is all.
	Door Door
}

// Figures are what can be asked about a range.
type Figures [figureCount]int64

// figure numbers the figures.
type figure int

const (
	figureGross figure = iota
	figureRefunds
	figureNet
	figureRecurringNet
	figurePurchases
	figureSubscriptionPurchases
	figureRenewals
	figureRefundCount
	figureCancellations
	figurePositiveCharges
	figureTrials
	figureTrialConversions
	figureMRR // 1/10,000 minor units, at the end of the range
	figureCancelledSubscriptions
	figureActiveSubscriptions
	figureItems
	figureTax
	figureFees
	figureDiscounts
	figureDisputes
	figureDisputeReversals
	figureDisputeCount
	figureDisputeReversalCount
	// Movements of MRR in the range, signed, in 1/10,000 minor units.
	figureNew
	figureReactivation
	figureExpansion
	figureContraction
	figureChurn
	figureCustomers // paying at the end of the range
	figureCount
)

// figureNames are their names in reports.
var figureNames = [figureCount]string{
	"gross revenue", "refunds", "net revenue", "recurring net", "purchases", "subscription purchases", "renewals",
	"refund count", "cancellations", "positive charges", "trials", "trial conversions", "MRR", "cancelled subscriptions",
	"active subscriptions", "items", "tax", "fees", "discounts", "disputes", "dispute reversals", "dispute count",
	"dispute reversal count", "new MRR", "reactivation MRR", "expansion MRR", "contraction MRR", "churn MRR", "customers",
}

// Figures adds up the range.
func (t *Truth) Figures(r Range) Figures {
	var f Figures
	for _, b := range t.books {
		if r.Door != "" && b.door != r.Door {
			continue
		}
		cancelled := map[string]bool{}
		for i := range b.flows {
			happened := &b.flows[i]
			if happened.at.Before(r.Since) || !happened.at.Before(r.Until) {
				continue
			}
			f.count(happened)
			if happened.what == cancellation && (happened.takenBack.IsZero() || happened.takenBack.After(r.Until)) {
				cancelled[happened.subscription] = true
			}
		}
		f[figureCancelledSubscriptions] += int64(len(cancelled))
		for _, c := range b.customers {
			f.balance(c, r.Until)
			f.movements(c, r)
		}
	}
	f[figureNet] = f[figureGross] - f[figureRefunds]
	return f
}

func (f *Figures) count(happened *flow) {
	amount := happened.amount
	if happened.what.listed() {
		f[figureItems]++
	}
	if happened.what.charge() {
		f[figureGross] += amount
		f[figureTax] += happened.tax
		f[figureFees] += happened.fee
		f[figureDiscounts] += happened.discount
		if amount > 0 {
			f[figurePositiveCharges]++
		}
		if happened.what != purchase {
			f[figureRecurringNet] += amount
		}
	}
	switch happened.what {
	case purchase:
		f[figurePurchases]++
	case subscriptionPurchase, trialConversion:
		if amount > 0 {
			f[figureSubscriptionPurchases]++
		}
		if happened.what == trialConversion {
			f[figureTrialConversions]++
		}
	case renewal:
		f[figureRenewals]++
	case refund:
		f[figureRefunds] += amount
		f[figureRefundCount]++
		if happened.recurring {
			f[figureRecurringNet] -= amount
		}
	case cancellation:
		f[figureCancellations]++
	case trialStart:
		f[figureTrials]++
	case dispute:
		f[figureDisputes] += amount
		f[figureDisputeCount]++
	case disputeReversal:
		f[figureDisputeReversals] += amount
		f[figureDisputeReversalCount]++
	case fee:
		f[figureFees] += amount
	}
}

// balance adds what the customer is worth right before the moment.
func (f *Figures) balance(c *customer, at time.Time) {
	paying := false
	for _, s := range c.subscriptions {
		level := s.until(at)
		f[figureMRR] += level.mrr
		paying = paying || level.mrr > 0
		if level.active {
			f[figureActiveSubscriptions]++
		}
	}
	if paying {
		f[figureCustomers]++
	}
}

// movements adds the changes of the customer's MRR within the range.
func (f *Figures) movements(c *customer, r Range) {
	var moments []time.Time
	for _, s := range c.subscriptions {
		for _, level := range s.levels {
			moments = append(moments, level.at)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	before, paid := int64(0), false
	for _, at := range slices.CompactFunc(moments, time.Time.Equal) {
		after := int64(0)
		for _, s := range c.subscriptions {
			after += s.until(at.Add(time.Microsecond)).mrr
		}
		if !at.Before(r.Since) && at.Before(r.Until) && after != before {
			f[movementOf(before, after, paid)] += after - before
		}
		before, paid = after, paid || after > 0
	}
}

func movementOf(before, after int64, paidBefore bool) figure {
	switch {
	case before == 0 && paidBefore:
		return figureReactivation
	case before == 0:
		return figureNew
	case after == 0:
		return figureChurn
	case after > before:
		return figureExpansion
	default:
		return figureContraction
	}
}

// roundUnits turns MRR units into minor units, halves away from zero.
func roundUnits(mrr int64) int64 {
	if mrr < 0 {
		return -roundUnits(-mrr)
	}
	return (mrr + mrrUnits/2) / mrrUnits
}
