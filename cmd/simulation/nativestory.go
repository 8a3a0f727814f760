package simulation

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// shop speaks our own API. It says what happened in one of three ways: by the
// terms that were paid, by what a subscription is worth from when on, or by
// changes of MRR.
type shop struct {
	*scene
	customer string
	account  *customer
	events   []told
	charges  []*charged
	// tried is the subscription that began with a trial whose conversion nobody
	// declared: its first charge is that.
	tried string
}

// told is an event with the moment that it is told at.
type told struct {
	at   time.Time
	body members
}

// charged is a charge as it is in the end.
type charged struct {
	id, subscription string
	at               time.Time
	amount           int64
	deleted          bool
}

// playNative is a customer of a shop that has been connected with care.
func (s *scene) playNative() {
	n := &shop{scene: s, customer: s.name("customer"), account: s.customer()}
	switch s.IntN(4) {
	case 0:
		n.termsStory()
	case 1, 2:
		n.statesStory()
	default:
		n.deltasStory()
	}
	for range s.between(0, 3) {
		n.sale()
	}
	n.close()
	n.send()
}

// event begins the body of an event about the customer.
func (n *shop) event(kind, id string, at time.Time, version int) members {
	return members{
		"kind": kind, "object_id": id, "occurred_at": at.Format(time.RFC3339), "version": version,
		"customer": n.customer, "currency": n.currency,
	}
}

func (n *shop) say(at time.Time, body members) { n.events = append(n.events, told{at, body}) }

// charge tells of money received, and by chance corrects it: by another amount, a
// tombstone, or a tombstone that is taken back. Versions say what stands.
func (n *shop) charge(subscription string, at time.Time, amount int64) *charged {
	c := &charged{id: n.name("ch"), subscription: subscription, at: at, amount: amount}
	n.charges = append(n.charges, c)
	body := func(version int) members {
		b := n.event("charge", c.id, at, version)
		b["payment"] = "pay-" + c.id
		if c.subscription != "" {
			b["subscription"] = subscription
		} else {
			b["billing"] = "one_time"
		}
		if n.chance(0.5) {
			b["amount"] = c.amount
		} else {
			b["amount_decimal"] = number(decimal(c.amount))
		}
		return b
	}
	n.say(at, body(1))
	if !n.corrected() {
		return c
	}
	later := at.Add(time.Hour)
	switch n.IntN(3) {
	case 0:
		c.amount += int64(n.between(1, 5000))
		n.say(later, body(2))
	case 1:
		c.deleted = true
		n.say(later, tombstone(body(2)))
	default:
		n.say(later, tombstone(body(2)))
		n.say(later.Add(time.Hour), body(3))
	}
	return c
}

// tombstone says that the fact of a body never was. It needs the body for the
// group alone.
func tombstone(body members) members {
	body["deleted"] = true
	return body
}

// sale is a one-time purchase, which may be refunded or disputed.
func (n *shop) sale() {
	c := n.charge("", n.startBefore(24*time.Hour), n.amount(2, 500))
	n.reversals(c)
	if n.chance(0.1) {
		at, amount := c.at.Add(time.Minute), int64(n.between(10, 200))
		body := n.event("fee", n.name("fee"), at, 1)
		body["payment"], body["amount"], body["billing"] = "pay-"+c.id, amount, "one_time"
		n.say(at, body)
		n.add(flow{what: fee, at: at, amount: amount})
	}
}

// reversals are refunds, and disputes that are lost or won.
func (n *shop) reversals(c *charged) {
	if c.deleted || !n.chance(0.1) {
		return
	}
	at := earliest(c.at.Add(time.Duration(n.between(1, 900))*time.Hour), n.span.end.Add(-time.Hour))
	amount := c.amount
	if n.chance(0.5) {
		amount = 1 + n.Int64N(c.amount)
	}
	reverse := func(kind string, what happening, at time.Time) {
		body := n.event(kind, n.name("rev"), at, 1)
		body["original"], body["payment"], body["amount"] = c.id, "pay-"+c.id, amount
		if c.subscription != "" {
			body["subscription"] = c.subscription // else it would look for its charge elsewhere
		} else {
			body["billing"] = "one_time"
		}
		n.say(at, body)
		n.add(flow{what: what, at: at, amount: amount, recurring: c.subscription != ""})
	}
	if n.chance(0.7) {
		reverse("refund", refund, at)
		return
	}
	reverse("dispute", dispute, at)
	if n.chance(0.5) {
		reverse("dispute_reversal", disputeReversal, at.Add(30*time.Minute))
	}
}

// close books the charges: the first one that stands of a subscription is its
// first purchase, whatever was sent first.
func (n *shop) close() {
	slices.SortFunc(n.charges, func(a, b *charged) int { return a.at.Compare(b.at) })
	paid := map[string]bool{}
	for _, c := range n.charges {
		if c.deleted {
			continue
		}
		what := purchase
		switch {
		case c.subscription != "" && paid[c.subscription]:
			what = renewal
		case c.subscription != "" && c.subscription == n.tried:
			what = trialConversion
		case c.subscription != "":
			what = subscriptionPurchase
		}
		paid[c.subscription] = true
		n.add(flow{what: what, at: c.at, amount: c.amount, recurring: c.subscription != ""})
	}
}

// send packs the events into requests: an array or lines, compressed or not, now
// and then with an event that is wrong and alone refused.
func (n *shop) send() {
	slices.SortStableFunc(n.events, func(a, b told) int { return a.at.Compare(b.at) })
	for len(n.events) > 0 {
		size := min(len(n.events), n.between(1, 12))
		batch := n.events[:size]
		n.events = n.events[size:]
		n.tell(batch[0].at, n.request(batch))
	}
}

func (n *shop) request(batch []told) Delivery {
	bodies := make([]members, 0, len(batch)+1)
	for _, event := range batch {
		bodies = append(bodies, event.body)
	}
	wrong := 0
	if n.chance(0.03) {
		wrong = 1
		bodies = append(bodies, members{"kind": "charge", "amount": "twelve", "currency": n.currency})
	}
	header := withHeader("Authorization", "Bearer "+n.key)
	body, label := encodeBatch(bodies, n.IntN(3), header)
	if n.chance(0.3) {
		body, label = compressed(body), label+" gzip"
		header.Set("Content-Encoding", "gzip")
	}
	return Delivery{
		Door: DoorNative, Label: label, Method: http.MethodPost, Path: "/v1/events", Header: header, Body: body,
		Events: len(batch), Check: expectAccepted(len(batch), wrong),
	}
}

// encodeBatch writes one event alone, otherwise an array, or lines.
func encodeBatch(bodies []members, form int, header http.Header) (body []byte, label string) {
	if len(bodies) == 1 && form != 0 {
		return bodies[0].text(), "event"
	}
	lines := make([][]byte, len(bodies))
	for i, b := range bodies {
		lines[i] = b.text()
	}
	if form == 1 {
		header.Set("Content-Type", "application/x-ndjson")
		return append(bytes.Join(lines, []byte("\n")), '\n'), "lines"
	}
	return slices.Concat([]byte("["), bytes.Join(lines, []byte(",")), []byte("]")), "array"
}

// compressed is the body by gzip; writing to memory does not fail.
func compressed(body []byte) []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write(body)
	_ = writer.Close()
	return packed.Bytes()
}

// expectAccepted wants so many events accepted and the others refused.
func expectAccepted(accepted, rejected int) func(Answer) error {
	return func(a Answer) error {
		var counts struct{ Accepted, Rejected int }
		if err := json.Unmarshal(a.Body, &counts); err != nil || a.Status != http.StatusAccepted ||
			counts.Accepted != accepted || counts.Rejected != rejected {
			return fmt.Errorf("answered %d for %d good and %d bad events: %s", a.Status, accepted, rejected, clip(a.Body))
		}
		return nil
	}
}
