package simulation

import (
	"net/http"
	"time"
)

// The API versions that endpoints of the simulation have. What an event looks
// like depends on the version, and several fields have moved since the first.
const (
	versionCharges = "2020-08-27" // payment intents list charges, charges their refunds
	versionClassic = "2023-10-16"
	versionBasil   = "2025-06-30.basil" // payments do not name invoices; invoice_payment.paid does
)

// merchant is a Stripe account as seen by one of its customers.
type merchant struct {
	*scene
	version  string
	customer string
	account  *customer
	// test says that none of it is real money.
	test bool
	// quiet endpoints get invoices, subscriptions and refunds only.
	quiet bool
	// totals endpoints hear of refunds by the charge alone.
	totals bool
}

// playStripe is a customer who subscribes, or buys now and then, or both.
func (s *scene) playStripe() {
	m := &merchant{scene: s, version: pick(s.dice, versionCharges, versionClassic, versionBasil, versionBasil), customer: s.name("cus_")}
	m.account = s.customer()
	m.quiet = m.version != versionBasil && s.chance(0.15)
	m.totals = m.version == versionClassic && s.chance(0.3)
	if s.chance(0.7) {
		m.subscriber()
	}
	for range s.between(0, 3) {
		m.oneTime()
	}
	if m.test = s.chance(0.03); m.test {
		m.pretend()
	}
}

// pretend makes the story one of test mode: it is told, and comes to nothing.
func (m *merchant) pretend() {
	m.flows, m.customers = nil, nil
	for i := range m.errands {
		for j := range m.errands[i].deliveries {
			d := &m.errands[i].deliveries[j]
			d.Body = replaceOnce(d.Body, `"livemode":true`, `"livemode":false`)
			d.Label += " (test mode)"
		}
	}
}

// event tells of an event. Now and then Stripe makes two of one change.
func (m *merchant) event(kind string, created time.Time, object members) {
	m.changed(kind, created, object, nil)
}

func (m *merchant) changed(kind string, created time.Time, object, previous members) {
	data := members{"object": object}
	if previous != nil {
		data["previous_attributes"] = previous
	}
	for {
		body := members{
			"id": m.name("evt_"), "object": "event", "api_version": m.version, "created": created.Unix(), "livemode": true,
			"pending_webhooks": 1, "type": kind, "data": data, "request": members{"id": nil, "idempotency_key": nil},
		}
		m.tell(created, Delivery{
			Door: DoorStripe, Label: kind, Method: http.MethodPost, Path: "/webhooks/stripe/" + m.endpoint,
			Header: withHeader("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"), Body: body.text(), Events: 1,
		})
		if !m.chance(0.01) {
			return
		}
	}
}

// oneTime is a purchase without a subscription, in one of the ways there are.
func (m *merchant) oneTime() {
	p := &payment{merchant: m, at: m.startBefore(48 * time.Hour), amount: m.amount(3, 400)}
	switch way := m.IntN(6); {
	case way == 0 && m.version == versionCharges:
		m.legacyCharge(p)
	case way == 1:
		m.manualInvoice(p)
	case m.quiet:
		return // nobody would hear of it
	default:
		m.checkoutPayment(p)
	}
	m.reversals(p)
}

// checkoutPayment is a payment through Checkout: three events, one sale.
func (m *merchant) checkoutPayment(p *payment) {
	p.intent, p.charge = m.name("pi_"), m.name("ch_")
	m.event("charge.succeeded", p.at, p.chargeObject())
	m.event("payment_intent.succeeded", p.at, p.intentObject())
	m.event("checkout.session.completed", p.at.Add(time.Second), members{
		"id": m.name("cs_live_"), "object": "checkout.session", "mode": "payment", "payment_status": "paid", "status": "complete",
		"payment_intent": p.intent, "invoice": nil, "subscription": nil, "customer": m.customer, "created": p.at.Unix() - 60,
		"amount_total": p.amount, "currency": m.lower(), "client_reference_id": "visitor-" + m.customer, "metadata": members{"utm_source": "ad"},
	})
	m.add(flow{what: purchase, at: p.at, amount: p.amount})
}

// legacyCharge is a charge as they were before there were payment intents, maybe
// authorised first and captured, in part, later.
func (m *merchant) legacyCharge(p *payment) {
	p.charge = m.name("ch_")
	if m.chance(0.5) {
		m.event("charge.succeeded", p.at, p.chargeObject())
		m.add(flow{what: purchase, at: p.at, amount: p.amount})
		return
	}
	authorised := p.chargeObject()
	authorised["captured"], authorised["amount_captured"] = false, 0
	m.event("charge.succeeded", p.at, authorised)
	whole := p.amount
	p.amount, p.at = 1+m.Int64N(whole), p.at.Add(24*time.Hour)
	captured := p.chargeObject()
	captured["amount"], captured["amount_captured"], captured["amount_refunded"] = whole, p.amount, whole-p.amount
	p.released = whole - p.amount
	m.event("charge.captured", p.at, captured)
	m.add(flow{what: purchase, at: p.at, amount: p.amount})
}

// manualInvoice is one that a person wrote. Some are paid by bank transfer,
// outside Stripe.
func (m *merchant) manualInvoice(p *payment) {
	p.invoice, p.reason = m.name("in_"), "manual"
	if m.version != versionBasil && m.chance(0.2) {
		p.outside = true
		m.event("invoice.paid", p.at, p.invoiceObject())
		m.add(flow{what: purchase, at: p.at, amount: p.amount})
		return
	}
	p.tax = p.amount / 11
	p.tell()
	m.add(flow{what: purchase, at: p.at, amount: p.amount, tax: p.tax})
}
