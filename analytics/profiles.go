package analytics

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
)

// ProfileHouse is the profile of our own definitions.
const ProfileHouse = "house"

// profile is where definitions differ from the house's (reference/metrics.md sections 2a
// and 2b), as far as they can be applied to what is stored.
type profile struct {
	name string
	// week and day are what MRR of weekly and daily terms is worth, as parts of what the
	// house says, which are 52/12 weeks and 365/12 days to a month; nil is as the house.
	week, day *big.Rat
	// retention works out the rates of a bucket anew, from it and the movements in it.
	retention func(figures *RetentionFigures, moved *MRRBucket)
	// trials is what trial conversion is worked out of; empty if nothing is known of it.
	trials string
	// refunds is when refunds count; empty if nothing is known of it.
	refunds string
	// policy is when subscriptions that are past due or cancelled cease to count, and whether
	// discounts make them worth less. What it does not say is as in the house. judged is the
	// one that an answer follows; empty in those that subscriptions are of no concern to.
	policy, judged policy
	// said names what the question has said itself of the policy, beside the profile.
	said string
	// lifetimeOver is over how many buckets before it a bucket's lifetime value takes the
	// mean of the churn rates; 0 is over the bucket itself.
	lifetimeOver int
}

// ofMonth is a month of so many weeks or days, as a part of the house's.
func ofMonth(numerator, denominator, perYear int64) *big.Rat {
	return new(big.Rat).Mul(big.NewRat(numerator, denominator), big.NewRat(12, perYear))
}

const weeksPerYear, daysPerYear = 52, 365

var profiles = map[string]profile{
	ProfileHouse: {},
	// Of whoever was there or is new, who left: customers who came and left count twice, and
	// who came back is not new.
	// What is past due counts until Stripe calls it unpaid, and what is to end at the end of
	// its term is gone when that was asked for.
	"stripe": {trials: trialsByEnded, policy: policy{pastDueDays: pastDueNever, churnTiming: churnAtRequest}, retention: func(figures *RetentionFigures, moved *MRRBucket) {
		figures.CustomerChurnRate = ratio(moved.LostCustomers, figures.OpeningCustomers+moved.NewCustomers)
	}},
	// Net and gross retention by what moved, whoever it was of. What is past due counts until
	// it is cancelled.
	"chartmogul": {policy: policy{pastDueDays: pastDueNever}, trials: trialsByCohort, lifetimeOver: 6, retention: func(figures *RetentionFigures, moved *MRRBucket) {
		lost := moved.ContractionCents + moved.ChurnCents
		figures.GrossRevenueRetention = ratio(figures.OpeningMRRCents-lost, figures.OpeningMRRCents)
		figures.NetRevenueRetention = ratio(figures.OpeningMRRCents+moved.ExpansionCents-lost, figures.OpeningMRRCents)
	}},
	// Who came back makes up for who left; the rate may be negative. A refund takes from the
	// day of what it refunds.
	"revenuecat": {trials: trialsByCohort, refunds: refundsByOriginal, week: ofMonth(4, 1, weeksPerYear), day: ofMonth(30, 1, daysPerYear),
		retention: func(figures *RetentionFigures, moved *MRRBucket) {
			figures.CustomerChurnRate = ratio(moved.LostCustomers-moved.ReactivatedCustomers, figures.OpeningCustomers)
		}},
	// Customers who come and leave within a bucket count as neither, as in the house. Who is
	// past due is active for as long as the provider tries again.
	"profitwell": {policy: policy{pastDueDays: pastDueNever}},
	// As long as the dunning of an invoice lasts.
	"recurly": {policy: policy{pastDueDays: pastDueNever}, day: ofMonth(30, 1, daysPerYear)},
	// The price of the plan, whatever is taken off it, and whether or not it is paid.
	"lago": {policy: policy{pastDueDays: pastDueNever, discounts: discountsIgnored}},
	// List prices, and what is to end at the end of its term is gone when that was asked for.
	"paddle_classic": {policy: policy{churnTiming: churnAtRequest, discounts: discountsIgnored}},
	"average_month":  {week: ofMonth(4345, 1000, weeksPerYear), day: ofMonth(30437, 1000, daysPerYear)},
	"thirty_day":     {week: ofMonth(30, 7, weeksPerYear), day: ofMonth(30, 1, daysPerYear)},
}

var profileNames = slices.Sorted(maps.Keys(profiles))

// profileOf is a profile that a question has asked for.
func profileOf(name string) profile {
	p := profiles[name]
	p.name = name
	return p
}

// profilesVersion changes when a figure of the same ledger would by some profile.
const profilesVersion = "3"

// version names the definitions that an answer follows, such as house-1+stripe-2.
func (p profile) version() string {
	if p.name == "" || p.name == ProfileHouse {
		return DefinitionVersion + p.said
	}
	return DefinitionVersion + "+" + p.name + "-" + profilesVersion + p.said
}

// judging is the profile in an answer about what subscriptions are worth, which the question
// may have said a policy of its own for.
func (p profile) judging(own policy) profile {
	usual := p.policy.or(housePolicy)
	p.said, p.judged = own.beyond(usual), own.or(usual)
	return p
}

// restates reports whether subscriptions count at other moments, or for more, than in the house.
func (p profile) restates() bool { return p.judged != policy{} && p.judged != housePolicy }

// weighs reports whether some billing intervals are worth something else.
func (p profile) weighs() bool { return p.week != nil || p.day != nil }

// weights are what MRR of weekly and of daily terms is worth, as parts of whole.
func (p profile) weights() (week, day, whole int64) {
	same := big.NewRat(1, 1)
	weekly, daily := cmp.Or(p.week, same), cmp.Or(p.day, same)
	whole = weekly.Denom().Int64() * daily.Denom().Int64()
	return weekly.Num().Int64() * daily.Denom().Int64(), daily.Num().Int64() * weekly.Denom().Int64(), whole
}

// lifetimes fills in what customers come to over their lives: the average MRR of a
// customer over the rate at which they leave, null where nobody left.
func (p profile) lifetimes(buckets []RetentionBucket) {
	if p.retention == nil {
		return // as the house, exactly
	}
	for i := range buckets {
		figures := &buckets[i].RetentionFigures
		figures.LTVCents = nil
		over := buckets[i : i+1]
		if p.lifetimeOver > 0 {
			over = buckets[max(0, i-p.lifetimeOver):i]
		}
		var churned, rates int64
		for j := range over {
			if rate := over[j].CustomerChurnRate; rate != nil {
				churned, rates = churned+int64(*rate), rates+1
			}
		}
		if churned <= 0 || figures.OpeningCustomers == 0 {
			continue
		}
		// opening / customers / (churned / 1000 / rates), rounded once
		value := quotient(big.NewInt(figures.OpeningMRRCents), big.NewInt(1000*rates),
			new(big.Int).Mul(big.NewInt(figures.OpeningCustomers), big.NewInt(churned)))
		if value.IsInt64() {
			lifetime := value.Int64()
			figures.LTVCents = &lifetime
		}
	}
}
