package stripe

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Versions of a subscription's terms at one moment: what more is known of stands above
// what less is known of, and an event that changed them takes them back.
const (
	termsPresumed   = 0 // from what it is today: see listedSubscription
	termsStated     = 1 // as an event shows them
	termsInPart     = 2 // with some of what it leaves out, or with what became of that: see complete
	termsWhole      = 3 // with all of what it leaves out
	termsSuperseded = 4
)

// createdTerms is the place in the order of one moment of what a subscription
// began as.
const createdTerms = "0.created"

// terms are what a subscription comes to, as one rendering of it says.
type terms struct {
	status            revenue.Status
	terminal          bool // it never comes back
	mrr               int64
	beforeDiscounts   int64 // see worth
	currency          string
	cancelRequestedAt *time.Time
	endsAt            *time.Time
	reason            string
	product, plan     string
	quantity          int64
	interval          string
	intervalCount     int64
	// unknown are the reasons why mrr is incomplete.
	unknown []string
	// shows is what the body shows of items and discounts, if it does not say what they
	// come to: then that tells terms apart.
	shows []string
	// estimated says that they are those of a later time.
	estimated bool
	version   int64
}

// subscription states the terms of a subscription from the moment of the event.
//
// Stripe's times are whole seconds, several changes can fall into one, and events
// come in any order; so the time cannot decide between two of one second, nor can
// anything that one event says of itself. But an update says how it was before,
// and that is the state that another event left behind. So the terms at a moment
// are a fact named by their content, which every event with that outcome states;
// and an update that changed them takes back the fact of the terms that it ended.
// Of a chain of updates in one second, only the last link is left, whatever the
// order of arrival; a chain that returns to where it began leaves nothing new.
// Updates that changed nothing of interest state what already holds.
func (d *reader) subscription() {
	now := d.terms(d.object)
	at, name := d.created, d.shown(d.object).name()
	switch {
	case now.terminal:
		at = d.endedAt(d.object)
	case d.kind == "customer.subscription.created":
		// What it began as cannot be taken back: it is first whatever else happened
		// in its second.
		at, name = cmp.Or(d.seconds(d.object, "created"), d.created), createdTerms
	}
	for _, reason := range now.unknown {
		d.metrics.unknown.WithLabelValues(reason).Inc()
	}
	d.emit(d.state(now, at, name, now.version))
	if len(d.previous) == 0 || now.terminal {
		return
	}
	if was := d.shown(before(d.object, d.previous)); was.name() != name {
		e := d.state(was, at, was.name(), termsSuperseded)
		e.Deleted = true
		d.emit(e)
	}
}

// state is the statement that terms hold, or with termsSuperseded no longer hold,
// from a moment on.
func (d *reader) state(t terms, at time.Time, name string, version int64) revenue.Event {
	o := d.object
	id := o.ID("id")
	customer := invoiceCustomer(o)
	e := d.statement(revenue.KindSubscription, fmt.Sprintf("%s@%d/%s", id, at.Unix(), name), cmp.Or(customer, id), at)
	e.Version = version
	e.Status, e.MRR, e.MRRBeforeDiscounts, e.Currency = t.status, t.mrr, t.beforeDiscounts, t.currency
	e.Reason, e.Recurring = t.reason, true
	e.CancelRequestedAt, e.EndsAt = t.cancelRequestedAt, t.endsAt
	e.Customer, e.Subscription, e.ExternalID = customer, id, id
	e.Product, e.Plan, e.Quantity = t.product, t.plan, t.quantity
	e.Interval, e.IntervalCount = t.interval, t.intervalCount
	notes := map[string]string{}
	if len(t.unknown) > 0 {
		notes[connectors.MRRUnknown] = strings.Join(t.unknown, ",")
	}
	if t.estimated {
		notes[connectors.Estimated] = connectors.EstimatedNote
	}
	note(&e.Dimensions, o, notes, "metadata")
	return e
}

// terms reads what a subscription comes to, with what the API says of what its body leaves
// out. What they are called does not depend on that: see shown.
func (d *reader) terms(o object) terms {
	shown := d.shown(o)
	if d.api == nil || len(shown.unknown) == 0 {
		return shown
	}
	full, later := d.complete(o)
	t := d.shown(full)
	switch {
	case slices.Equal(t.unknown, shown.unknown):
		return shown
	case later || len(t.unknown) > 0:
		t.version, t.estimated = termsInPart, later
	default:
		t.version = termsWhole
	}
	return t
}

// shown reads what a subscription comes to by its body, which is the same for whoever
// reads it: with a key or without, and whenever.
func (d *reader) shown(o object) terms {
	worth := monthlyWorth(o, d.config.Discounts)
	t := terms{
		version: termsStated,
		mrr:     worth.mrr, beforeDiscounts: worth.beforeDiscounts, currency: worth.currency, unknown: worth.unknown,
		product: worth.main.product, plan: worth.main.plan, quantity: worth.main.quantity,
		interval: worth.main.interval, intervalCount: worth.main.intervalCount,
		reason: churnReasons[o.Text("cancellation_details.reason")],
	}
	var known bool
	t.status, t.terminal, known = d.status(o)
	if len(t.unknown) > 0 {
		t.shows = shows(o)
	}
	if !known {
		t.unknown = append(t.unknown, "status")
	}
	scheduled := o.Flag("cancel_at_period_end") || o.Value("cancel_at") != nil
	switch {
	case t.status == revenue.StatusCanceled:
		at := d.endedAt(o)
		t.endsAt = &at
		t.cancelRequestedAt = cmp.Or(d.moment(o, "canceled_at"), t.endsAt)
	case t.terminal:
	case scheduled:
		// canceled_at is when it was asked for; a term fixed from the outset has none.
		t.cancelRequestedAt = d.moment(o, "canceled_at", "created")
		t.endsAt = cmp.Or(d.moment(o, "cancel_at"), d.periodEnd(o))
	}
	return t
}

// shows is what a body shows of a subscription's items and discounts.
func shows(o object) []string {
	var shown []string
	for _, line := range itemsOf(o) {
		shown = append(shown, line.ID("price", "plan"), quantityOf(line).RatString())
		for _, discount := range elements(line, "discounts") {
			shown = append(shown, idOf(discount))
		}
	}
	for _, discount := range elements(o, "discounts") {
		shown = append(shown, idOf(discount))
	}
	return shown
}

// churnReasons are the house's words for why a subscription ended.
var churnReasons = map[string]string{
	"cancellation_requested": "voluntary",
	"payment_failed":         "delinquent",
	"payment_disputed":       "dispute",
}

// status maps the status of a subscription. An incomplete one waits for its first
// payment, which for MRR is as good as unpaid. A paused collection leaves Stripe's
// status alone, so its behaviour decides.
func (d *reader) status(o object) (status revenue.Status, terminal, known bool) {
	ended := o.Value("ended_at") != nil
	switch text := o.Text("status"); text {
	case "canceled":
		return revenue.StatusCanceled, true, true
	case "incomplete_expired": // was never a subscription, so cannot be cancelled
		return revenue.StatusUnpaid, true, true
	case "incomplete", "unpaid":
		return revenue.StatusUnpaid, ended, true
	case "trialing":
		return revenue.StatusTrialing, ended, true
	case "paused":
		return revenue.StatusPaused, ended, true
	case "active", "past_due":
		if d.collectionPaused(o) {
			return revenue.StatusPaused, ended, true
		}
		return revenue.Status(text), ended, true
	default:
		return revenue.StatusPaused, ended, false
	}
}

func (d *reader) collectionPaused(o object) bool {
	pause := o.Child("pause_collection")
	return pause != nil && (pause.Text("behavior") != "keep_as_draft" || !d.config.PausedDraftsCount)
}

// endedAt is when a subscription ended for good.
func (d *reader) endedAt(o object) time.Time {
	return cmp.Or(d.seconds(o, "ended_at", "canceled_at"), d.created)
}

// periodEnd is when the paid period ends: the latest of its items, since basil.
func (d *reader) periodEnd(o object) *time.Time {
	end := d.moment(o, "current_period_end")
	for _, item := range list(o, "items") {
		if at := d.moment(item, "current_period_end"); at != nil && (end == nil || at.After(*end)) {
			end = at
		}
	}
	return end
}

// name identifies terms among those of one moment. It begins with a digit by
// which the fold, which orders what happens at once by name, puts an end last and
// otherwise guesses at a subscription's usual course; that matters only while an
// event between two others is missing.
func (t terms) name() string {
	place := slices.Index([]revenue.Status{
		revenue.StatusUnpaid, revenue.StatusTrialing, revenue.StatusActive, revenue.StatusPastDue, revenue.StatusPaused,
	}, t.status) + 1
	if t.cancelRequestedAt != nil {
		place = 7
	}
	if t.terminal {
		place = 9
	}
	content := fmt.Appendf(nil, "%q %d %q %d %d %q %q %q %d %q %d %q",
		t.status, t.mrr, t.currency, unix(t.cancelRequestedAt), unix(t.endsAt), t.reason,
		t.product, t.plan, t.quantity, t.interval, t.intervalCount, t.unknown)
	if t.beforeDiscounts != 0 { // only then, so that all others are called what they always were
		content = fmt.Appendf(content, " %d", t.beforeDiscounts)
	}
	if t.shows != nil {
		content = fmt.Appendf(content, " %q", t.shows)
	}
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%d.%s", place, hex.EncodeToString(sum[:6]))
}

// unix is a time's Unix second, -1 for none.
func unix(at *time.Time) int64 {
	if at == nil {
		return -1
	}
	return at.Unix()
}
