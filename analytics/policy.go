package analytics

import (
	"cmp"
	"strconv"
	"time"

	"revstream/ingest/revenue"
)

// When a subscription that was cancelled is worth nothing any more.
const (
	churnAtEnd     = "end"     // of what is paid
	churnAtRequest = "request" // when the cancellation was asked for
)

// Whether what a subscription is worth is after the discounts that last.
const (
	discountsDeducted = "deducted"
	discountsIgnored  = "ignored" // list prices
)

const (
	pastDueDaysMax = 90
	pastDueNever   = "never"
)

// housePolicy is ours (reference/metrics.md section 2b).
var housePolicy = policy{
	pastDueDays: strconv.Itoa(int(revenue.PastDueGrace / dayLength)), churnTiming: churnAtEnd, discounts: discountsDeducted,
}

// policy is how long a past due subscription counts, in days or never ending, when a
// cancelled one ceases to, and whether discounts make it worth less, as parameters say it.
// What is empty is not said.
type policy struct {
	pastDueDays, churnTiming, discounts string
}

// policyParameters are those of answers about what subscriptions are worth. Others refuse
// them.
var policyParameters = []string{"pastDueDays", "churnTiming", "discounts"}

// policyChoices are the same of a series.
var policyChoices = []choice{{name: policyParameters[0]}, {name: policyParameters[1]}, {name: policyParameters[2]}}

// policy reads what a question says of it.
func (p *parser) policy() policy {
	days, given := p.text("pastDueDays")
	if n, err := strconv.Atoi(days); given && days != pastDueNever && (err != nil || n < 0 || n > pastDueDaysMax || strconv.Itoa(n) != days) {
		p.fail("pastDueDays", "%q is not a whole number from 0 to %d, or %s", clip(days), pastDueDaysMax, pastDueNever)
	}
	return policy{days, p.choice("churnTiming", []string{churnAtEnd, churnAtRequest}, ""),
		p.choice("discounts", []string{discountsDeducted, discountsIgnored}, "")}
}

// or is the policy with what it does not say taken from another.
func (p policy) or(other policy) policy {
	return policy{cmp.Or(p.pastDueDays, other.pastDueDays), cmp.Or(p.churnTiming, other.churnTiming), cmp.Or(p.discounts, other.discounts)}
}

// beyond names what the policy says that another does not, for the version of a definition.
func (p policy) beyond(other policy) (name string) {
	if p.pastDueDays != "" && p.pastDueDays != other.pastDueDays {
		name += "+pastDueDays-" + p.pastDueDays
	}
	if p.churnTiming != "" && p.churnTiming != other.churnTiming {
		name += "+churnTiming-" + p.churnTiming
	}
	if p.discounts != "" && p.discounts != other.discounts {
		name += "+discounts-" + p.discounts
	}
	return name
}

// folds is the policy as the fold knows it. All has to be said.
func (p policy) folds() revenue.Policy {
	folded := revenue.Policy{
		PastDueGrace: revenue.PastDueNever, ChurnAtRequest: p.churnTiming == churnAtRequest, IgnoreDiscounts: p.discounts == discountsIgnored,
	}
	if days, err := strconv.Atoi(p.pastDueDays); err == nil {
		folded.PastDueGrace = time.Duration(days) * dayLength
	}
	return folded
}
