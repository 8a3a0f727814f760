package simulation

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/connectors/connectortest"
	"revstream/connectors/registry"
	"revstream/connectors/stripe"
	"revstream/ingest/revenue"
)

// fold is the service without its engines: the connectors decode what is
// delivered and revenue.Fold says what it comes to. The truth must agree with it,
// though neither knows the other.
type fold struct {
	t      *testing.T
	at     time.Time
	stripe connectors.Connector
	host   *connectortest.Host
	groups map[revenue.GroupKey][]revenue.Event
}

func newFold(t *testing.T) *fold {
	return &fold{
		t: t, at: testUntil.Add(time.Hour), stripe: stripe.New(stripe.DefaultConfig(), nil),
		host: connectortest.NewHost(), groups: map[revenue.GroupKey][]revenue.Event{},
	}
}

// testUntil is the end of the history of tests, and about when they are told.
var testUntil = time.Date(2026, 3, 17, 10, 11, 12, 0, time.UTC)

// next is the time of acceptance, each later than the one before.
func (f *fold) next() time.Time {
	f.at = f.at.Add(time.Microsecond)
	return f.at
}

func (f *fold) publish(events ...revenue.Event) {
	for i := range events {
		key := events[i].GroupKey()
		f.groups[key] = append(f.groups[key], events[i])
	}
}

// must fails the test on an error that no delivery should cause.
func (f *fold) must(d Delivery, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s %s: %v\n%s", d.Door, d.Label, err, clip(d.Body))
	}
}

// deliver takes in what the service would.
func (f *fold) deliver(d Delivery) {
	f.t.Helper()
	body := d.Body
	if d.Header.Get("Content-Encoding") == "gzip" {
		reader, err := gzip.NewReader(bytes.NewReader(body))
		f.must(d, err)
		body, err = io.ReadAll(reader)
		f.must(d, err)
	}
	switch d.Door {
	case DoorStripe:
		at := f.next()
		header := http.Header{"Stripe-Signature": {stripeSignature("whsec_test", body, at)}}
		_, items, err := f.stripe.Receive(context.Background(), connectors.Delivery{
			Workspace: "w", Integration: "e", Secrets: []string{"whsec_test"}, Header: header, Body: body, ReceivedAt: at})
		f.must(d, err)
		f.must(d, items[0].Err)
		f.publish(items[0].Events...)
	case DoorNative, DoorPulsora, DoorThriveStack, DoorTrackly:
		f.call(d, body)
	}
}

// call takes in a call of an API.
func (f *fold) call(d Delivery, body []byte) {
	for _, api := range registry.APIs() {
		for _, o := range api.Operations {
			if o.Method != d.Method || !slices.Contains(o.Paths, d.Path) {
				continue
			}
			reading, err := f.host.Accept(context.Background(), o, d.Header.Get("Idempotency-Key"), connectors.Call{Body: body, ContentType: d.Header.Get("Content-Type")})
			if refusal := connectors.RefusalOf(err); refusal != nil && (d.Events == 0 || refusal.Status == http.StatusNotFound) {
				return // it is meant to be, or it is a deletion that is sent again
			}
			f.must(d, err)
			if good := len(reading.Items) - reading.Refused(); len(reading.Register) == 0 && good != d.Events {
				f.t.Errorf("%s %s: %d records were read, not %d: %s", d.Door, d.Label, good, d.Events, clip(body))
			}
			f.publish(reading.Statements...)
			return
		}
	}
	f.t.Fatalf("%s %s: no such operation", d.Method, d.Path)
}

// figures adds up what the groups come to, as the service's questions do.
func (f *fold) figures(ranges []Range) map[Range]Figures {
	sums := map[Range]Figures{}
	for _, events := range f.groups {
		entries := revenue.Fold(events)
		for _, r := range ranges {
			sum := sums[r]
			cancelled := map[string]bool{}
			for i := range entries {
				if e := &entries[i]; e.Live() && e.OccurredAt.Before(r.Until) && (r.Door == "" || string(r.Door) == e.Provider) {
					sum.enter(e, r, cancelled)
				}
			}
			sum[figureCancelledSubscriptions] += int64(len(cancelled))
			sums[r] = sum
		}
	}
	for _, r := range ranges {
		sum := sums[r]
		sum[figureNet] = sum[figureGross] - sum[figureRefunds]
		sums[r] = sum
	}
	return sums
}

func (f *Figures) enter(e *revenue.Entry, r Range, cancelled map[string]bool) {
	f[figureMRR] += e.MRR
	f[figureActiveSubscriptions] += e.Subscriptions
	f[figureCustomers] += e.Customers
	if e.OccurredAt.Before(r.Since) {
		return
	}
	kinds := map[revenue.EntryKind]happening{
		revenue.EntryPurchase: purchase, revenue.EntrySubscriptionPurchase: subscriptionPurchase, revenue.EntryTrialConversion: trialConversion,
		revenue.EntryRenewal: renewal, revenue.EntryRefund: refund, revenue.EntryCancellation: cancellation, revenue.EntryExpiration: expiration,
		revenue.EntryTrialStart: trialStart, revenue.EntryDispute: dispute, revenue.EntryDisputeReversal: disputeReversal, revenue.EntryFee: fee,
	}
	if what, cash := kinds[e.Kind]; cash {
		happened := flow{what: what, amount: max(e.Amount, -e.Amount), tax: e.Tax, fee: e.Fee, discount: e.Discount, recurring: e.Recurring}
		f.count(&happened)
	}
	if e.Kind == revenue.EntryCancellation && (e.EndsAt.IsZero() || e.EndsAt.After(r.Until)) {
		cancelled[e.Provider+cmp.Or(e.Subscription, e.Customer)] = true
	}
	movements := map[revenue.EntryKind]figure{
		revenue.EntryNew: figureNew, revenue.EntryReactivation: figureReactivation, revenue.EntryExpansion: figureExpansion,
		revenue.EntryContraction: figureContraction, revenue.EntryChurn: figureChurn,
	}
	if f2, moves := movements[e.Kind]; moves {
		f[f2] += e.MRR
	}
}

// testOptions play a door, or all.
func testOptions(seed uint64, doors ...Door) Options {
	o := DefaultOptions()
	o.SecretKey, o.StripeEndpoint, o.StripeSecret = "rsk_test", "we_test", "whsec_test"
	o.Seed, o.Run, o.Until, o.Doors = seed, "t", testUntil, doors
	return o
}

func TestTruthAgreesWithConnectorsAndFold(t *testing.T) {
	for _, door := range Doors {
		t.Run(string(door), func(t *testing.T) {
			o := testOptions(11, door)
			o.Corrections = 0.2
			script, truth, service := newScript(o), &Truth{}, newFold(t)
			mail := newMail(7, o)
			for number := range 150 {
				told := script.story(number)
				truth.add(&told.book)
				for _, e := range told.errands {
					mail.post(e)
				}
			}
			for {
				p, due := mail.due(true)
				if !due {
					break
				}
				for _, d := range p.deliveries {
					service.deliver(d)
				}
			}
			compareFigures(t, truth, service, o)
		})
	}
}

func compareFigures(t *testing.T, truth *Truth, service *fold, o Options) {
	t.Helper()
	ranges := o.ranges()
	got := service.figures(ranges)
	wrong := 0
	for _, r := range ranges {
		want := truth.Figures(r)
		for f := range figureCount {
			if got[r][f] != want[f] {
				if wrong++; wrong <= 20 {
					t.Errorf("%s: %s is %d, the truth says %d", r, figureNames[f], got[r][f], want[f])
				}
			}
		}
	}
	if all := truth.Figures(o.everything()); all[figureGross] == 0 || all[figureItems] < 100 {
		t.Errorf("the stories come to next to nothing: %v", all)
	}
}
