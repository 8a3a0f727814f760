package stripe

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"revstream/connectors"
)

// eventsKeptFor is how long Stripe keeps events.
const eventsKeptFor = 30 * 24 * time.Hour

// typesPerList is how many types of events one list may be asked for.
const typesPerList = 20

// history reads what Stripe has of the past. Events come first, because they are what
// deliveries are and say it best; then the objects of the time before there were any.
// A refund of today may be of a payment of years ago: lists are by when the listed
// object was made, so each kind of object that moves money has its own.
func (s *source) history() *connectors.History {
	return &connectors.History{
		Streams: append(s.eventStreams(),
			s.objects("invoices", "/v1/invoices", nil, (*reader).listedInvoice),
			s.objects("invoice payments", "/v1/invoice_payments", url.Values{"status": {"paid"}}, (*reader).invoicePayment),
			s.objects("payment intents", "/v1/payment_intents", url.Values{"expand[]": {"data.latest_charge"}}, (*reader).listedPaymentIntent),
			s.objects("charges", "/v1/charges", nil, (*reader).listedCharge),
			s.objects("refunds", "/v1/refunds", url.Values{"expand[]": {"data.charge"}}, (*reader).listedRefund),
			s.objects("disputes", "/v1/disputes", nil, (*reader).listedDispute),
			s.objects("checkout sessions", "/v1/checkout/sessions", url.Values{"status": {"complete"}}, (*reader).checkout),
			s.objects("subscriptions", "/v1/subscriptions", url.Values{"status": {"all"}}, (*reader).listedSubscription),
			s.objects("balance transactions", "/v1/balance_transactions", url.Values{"expand[]": {"data.source"}}, (*reader).balanceTransaction),
		),
		Totals: s.totals,
	}
}

// eventStreams are the events of the types that are read.
func (s *source) eventStreams() []connectors.Stream {
	var types []string
	for kind := range readers {
		types = append(types, kind)
	}
	slices.Sort(types)
	var streams []connectors.Stream
	for wanted := range slices.Chunk(types, typesPerList) {
		streams = append(streams, connectors.Stream{
			Name: fmt.Sprintf("events %d", len(streams)+1), KeptFor: eventsKeptFor,
			Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
				return s.page(ctx, past, window, cursor, "/v1/events", url.Values{"types[]": wanted}, func(api *fetcher, event object) (connectors.Item, error) {
					return s.readEvent(past.Delivery, event, past.Connected, api)
				})
			},
		})
	}
	return streams
}

// objects is a list of objects of one kind.
func (s *source) objects(name, path string, query url.Values, read func(*reader)) connectors.Stream {
	return connectors.Stream{
		Name: name,
		Page: func(ctx context.Context, past connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
			return s.page(ctx, past, window, cursor, path, query, func(api *fetcher, o object) (connectors.Item, error) {
				api.completeLines(o)
				return s.readListed(past, o, api, read)
			})
		},
	}
}

// page reads one page of a list, newest first as Stripe has them.
func (s *source) page(ctx context.Context, past connectors.Past, window connectors.Window, cursor, path string, query url.Values,
	read func(*fetcher, object) (connectors.Item, error),
) (connectors.Page, error) {
	api := newFetcher(ctx, past.Client, &past.Delivery, past.Connected)
	if api == nil {
		return connectors.Page{}, fmt.Errorf("the endpoint has no api_key: set it with `endpoints set`")
	}
	answer, err := api.list(path, window, cursor, query)
	if err != nil {
		return connectors.Page{}, err
	}
	var page connectors.Page
	for _, o := range list(answer, "data") {
		item, err := read(api, o)
		if err = cmp.Or(err, api.refused); err != nil { // whoever reads the past can mend the key first
			return connectors.Page{}, err
		}
		page.Items = append(page.Items, item)
		page.Next = o.ID("id")
	}
	if !answer.Flag("has_more") {
		page.Next = ""
	}
	return page, nil
}

// list asks for a page of a list.
func (f *fetcher) list(path string, window connectors.Window, cursor string, query url.Values) (object, error) {
	asked := url.Values{
		"limit":        {strconv.Itoa(pageSize)},
		"created[gte]": {strconv.FormatInt(window.From.Unix(), 10)},
		"created[lt]":  {strconv.FormatInt(window.Until.Unix(), 10)},
	}
	for name, values := range query {
		asked[name] = values
	}
	if cursor != "" {
		asked.Set("starting_after", cursor)
	}
	answer, err := f.fetch(path + "?" + asked.Encode())
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", path, err)
	}
	return answer, nil
}

// pageSize is the most that Stripe puts on a page.
const pageSize = 100

// completeLines puts into an invoice the rest of its lines, of which it shows the first
// ten.
func (f *fetcher) completeLines(invoice object) {
	lines := invoice.Child("lines")
	for lines.Flag("has_more") && f.failure == nil {
		shown := list(lines, "data")
		path, err := url.Parse(lines.Text("url"))
		if len(shown) == 0 || err != nil || path.Path == "" {
			return
		}
		rest := f.get(path.EscapedPath(), url.Values{
			"limit": {strconv.Itoa(pageSize)}, "starting_after": {shown[len(shown)-1].ID("id")}, "expand[]": {"data.discounts"},
		})
		if rest == nil {
			return // it still says that there is more
		}
		elements, _ := lines["data"].([]any)
		more, _ := rest["data"].([]any)
		lines["data"], lines["has_more"] = append(elements, more...), rest.Flag("has_more") && len(more) > 0
	}
}

// readListed reads an object of a list as if an event told of it.
func (s *source) readListed(past connectors.Past, o object, api *fetcher, read func(*reader)) (connectors.Item, error) {
	kind := o.Text("object") + ".listed"
	envelope := object{
		"id": "list:" + o.ID("id"), "type": kind, "api_version": apiVersion, "livemode": o.Value("livemode"), "created": o.Value("created"),
		"data": map[string]any{"object": map[string]any(o)},
	}
	if _, given := envelope["livemode"].(bool); !given { // a refund does not say
		envelope["livemode"] = past.Delivery.Livemode
	}
	if past.Connected != "" {
		envelope["account"] = past.Connected
	}
	d := newReader(&source{config: s.config.with(past.Delivery.Settings), metrics: s.metrics}, &past.Delivery, envelope)
	d.listed, d.heard, d.api = true, past.Heard, api
	if d.fault == nil {
		read(d)
	}
	return d.item()
}

// listedInvoice reads an invoice, of which only what was paid counts.
func (d *reader) listedInvoice() {
	if paid := d.seconds(d.object, "status_transitions.paid_at"); !paid.IsZero() {
		d.created = paid
	}
	d.invoice()
}

// listedPaymentIntent reads a payment that succeeded: when its charge did, as near as
// the list shows.
func (d *reader) listedPaymentIntent() {
	if d.object.Text("status") != "succeeded" {
		return
	}
	d.created = cmp.Or(d.seconds(latestCharge(d.object), "created"), d.created)
	d.paymentIntent()
}

// listedCharge reads a charge, of those that succeeded.
func (d *reader) listedCharge() {
	if d.object.Text("status") == "succeeded" || d.object.Flag("paid") {
		d.charge()
	}
}

// listedRefund reads a refund beside its charge, which says whether money moved.
func (d *reader) listedRefund() {
	charge := d.object.Child("charge")
	d.emitRefund(d.object, charge != nil && d.letGo(d.object, charge))
}

// listedDispute reads a dispute that was decided or not. Of a lost one the withdrawal
// is concluded if nothing shows it.
func (d *reader) listedDispute() {
	if d.object.Text("status") == "lost" {
		d.kind = "charge.dispute.closed"
	}
	d.dispute()
}
