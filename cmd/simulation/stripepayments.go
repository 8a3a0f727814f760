package simulation

import (
	"bytes"
	"strings"
	"time"
)

// payment is money that a customer paid through Stripe.
type payment struct {
	*merchant
	at          time.Time
	amount, tax int64
	// intent, charge and invoice are ids; there may be no intent, or no invoice.
	intent, charge, invoice string
	// subscription and reason are those of the invoice.
	subscription *stripeSubscription
	reason       string
	// outside says that Stripe was only told of the payment.
	outside bool
	// refunded is how much of it went back, released how much was never taken.
	refunded, released int64
}

// lower is the currency as Stripe writes it.
func (m *merchant) lower() string { return strings.ToLower(m.currency) }

// replaceOnce replaces the first occurrence, which has to be there.
func replaceOnce(text []byte, old, replacement string) []byte {
	return bytes.Replace(text, []byte(old), []byte(replacement), 1)
}

// tell sends what Stripe sends for a paid invoice: up to five events of one
// payment.
func (p *payment) tell() {
	p.intent, p.charge = p.name("pi_"), p.name("ch_")
	if !p.quiet {
		p.event("charge.succeeded", p.at, p.chargeObject())
		p.event("payment_intent.succeeded", p.at, p.intentObject())
		p.event("invoice.payment_succeeded", p.at, p.invoiceObject())
		p.event("invoice.finalized", p.at.Add(-time.Minute), p.invoiceObject()) // which books nothing
	}
	p.event("invoice.paid", p.at, p.invoiceObject())
	if p.version == versionBasil {
		p.event("invoice_payment.paid", p.at, members{
			"id": p.name("inpay_"), "object": "invoice_payment", "invoice": p.invoice, "amount_paid": p.amount, "amount_requested": p.amount,
			"currency": p.lower(), "status": "paid", "is_default": true, "created": p.at.Unix(),
			"payment":            members{"type": "payment_intent", "payment_intent": p.intent},
			"status_transitions": members{"paid_at": p.at.Unix(), "canceled_at": nil},
		})
	}
}

// recurring is whether the service can know that the payment was for a
// subscription. From basil on no event names both a payment and the subscription,
// only the one and the invoice, or the invoice and the other, so that a refund,
// which names the payment, cannot be told.
func (p *payment) recurring() bool { return p.subscription != nil && p.version != versionBasil }

// reversals are refunds and disputes of some payments.
func (m *merchant) reversals(p *payment) {
	if p.outside || p.charge == "" {
		return
	}
	switch {
	case m.chance(0.06):
		m.refunds(p)
	case m.chance(0.02):
		m.dispute(p)
	}
}

// after is a later moment within the history.
func (p *payment) after(hours int) time.Time {
	return earliest(p.at.Add(time.Duration(1+p.IntN(hours))*time.Hour), p.span.end.Add(-time.Duration(1+p.IntN(3000))*time.Second))
}

// refunds gives the payment back, in whole or in parts, one of which may fail.
func (m *merchant) refunds(p *payment) {
	parts := []int64{p.amount}
	if p.amount > 1 && m.chance(0.6) {
		part := 1 + m.Int64N(p.amount-1)
		if parts = []int64{part}; m.chance(0.4) {
			parts = append(parts, p.amount-part)
		}
	}
	if m.totals {
		m.refundTotals(p, parts)
		return
	}
	for _, amount := range parts {
		m.refund(p, amount)
	}
}

// refundTotals are refunds of an account that hears only how much of the charge
// has gone back so far: one figure, as of the last.
func (m *merchant) refundTotals(p *payment, parts []int64) {
	at := p.after(400)
	for i, amount := range parts {
		p.refunded += amount
		at = at.Add(time.Duration(i) * time.Minute)
		m.event("charge.refunded", at, p.chargeObject())
	}
	m.add(flow{what: refund, at: at, amount: p.refunded, recurring: p.recurring()})
}

// refund is one refund through its states, told under every name that it has.
func (m *merchant) refund(p *payment, amount int64) {
	at, id := p.after(900), m.name("re_")
	object := func(status string) members {
		o := members{
			"id": id, "object": "refund", "amount": amount, "charge": p.charge, "currency": m.lower(), "created": at.Unix(),
			"payment_intent": nil, "status": status, "reason": "requested_by_customer", "metadata": members{},
		}
		if p.intent != "" {
			o["payment_intent"] = p.intent
		}
		return o
	}
	final, first := "succeeded", pick(m.dice, "succeeded", "pending", "requires_action")
	if m.chance(0.1) {
		final = pick(m.dice, "failed", "canceled")
	}
	m.event("refund.created", at, object(first))
	if final != first {
		m.event("refund.updated", at.Add(time.Minute), object(final))
		m.event("charge.refund.updated", at.Add(time.Minute), object(final))
	}
	if final == "failed" {
		m.event("refund.failed", at.Add(time.Minute), object(final))
	}
	p.refunded += amount
	charge := p.chargeObject()
	if m.version == versionCharges {
		charge["refunds"] = members{"object": "list", "data": []members{object(first)}, "has_more": false}
	}
	m.event("charge.refunded", at, charge)
	if final == "succeeded" {
		m.add(flow{what: refund, at: at, amount: amount, recurring: p.recurring()})
	}
}

// dispute takes the money away with a fee, and gives it back if it is won.
func (m *merchant) dispute(p *payment) {
	at, id, cost := p.after(600), m.name("dp_"), int64(1500)
	moves := []members{{"id": m.name("txn_"), "amount": -p.amount, "fee": cost, "currency": m.lower(), "created": at.Unix(), "type": "adjustment"}}
	object := func(status string) members {
		o := members{
			"id": id, "object": "dispute", "amount": p.amount, "charge": p.charge, "currency": m.lower(), "created": at.Unix(),
			"payment_intent": nil, "status": status, "reason": "fraudulent", "balance_transactions": moves, "metadata": members{},
		}
		if p.intent != "" {
			o["payment_intent"] = p.intent
		}
		return o
	}
	m.event("charge.dispute.created", at, object("needs_response"))
	m.event("charge.dispute.funds_withdrawn", at, object("needs_response"))
	m.add(flow{what: dispute, at: at, amount: p.amount, recurring: p.recurring()})
	closed := at.Add(40 * time.Minute)
	if m.chance(0.5) {
		m.event("charge.dispute.closed", closed, object("lost"))
		m.add(flow{what: fee, at: at, amount: cost, recurring: p.recurring()})
		return
	}
	back := int64(0)
	if m.chance(0.5) {
		back = cost
	}
	moves = append(moves, members{"id": m.name("txn_"), "amount": p.amount, "fee": -back, "currency": m.lower(), "created": closed.Unix(), "type": "adjustment"})
	m.event("charge.dispute.funds_reinstated", closed, object("won"))
	m.event("charge.dispute.closed", closed, object("won"))
	m.add(flow{what: disputeReversal, at: closed, amount: p.amount, recurring: p.recurring()})
	if cost > back {
		m.add(flow{what: fee, at: at, amount: cost - back, recurring: p.recurring()})
	}
}
