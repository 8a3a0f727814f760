package clickhouse

import (
	"encoding/json"
	"time"

	"revstream/ingest/revenue"
)

// ledgerRecord is a row of `ledger` as the driver reads it.
type ledgerRecord struct {
	Row             uint64    `ch:"row"`
	Sign            int8      `ch:"sign"`
	KnownAt         time.Time `ch:"known_at"`
	Workspace       string    `ch:"workspace"`
	Group           string    `ch:"fact_group"`
	Fact            string    `ch:"fact"`
	ObjectID        string    `ch:"object_id"`
	Version         int64     `ch:"version"`
	Kind            string    `ch:"kind"`
	Provider        string    `ch:"provider"`
	Account         string    `ch:"account"`
	Integration     string    `ch:"integration"`
	Livemode        bool      `ch:"livemode"`
	TestClock       string    `ch:"test_clock"`
	OccurredAt      time.Time `ch:"occurred_at"`
	EndsAt          time.Time `ch:"ends_at"`
	ReceivedAt      time.Time `ch:"received_at"`
	Amount          int64     `ch:"amount"`
	Tax             int64     `ch:"tax"`
	Fee             int64     `ch:"fee"`
	Discount        int64     `ch:"discount"`
	Currency        string    `ch:"currency"`
	Recurring       bool      `ch:"recurring"`
	MRR             int64     `ch:"mrr"`
	Subscriptions   int64     `ch:"subscriptions"`
	Customers       int64     `ch:"customers"`
	Reason          string    `ch:"reason"`
	Customer        string    `ch:"customer"`
	CustomerName    string    `ch:"customer_name"`
	Country         string    `ch:"country"`
	Subscription    string    `ch:"subscription"`
	Invoice         string    `ch:"invoice"`
	Payment         string    `ch:"payment"`
	Product         string    `ch:"product"`
	Plan            string    `ch:"plan"`
	Quantity        int64     `ch:"quantity"`
	Interval        string    `ch:"interval"`
	IntervalCount   int64     `ch:"interval_count"`
	PaymentMethod   string    `ch:"payment_method"`
	Message         string    `ch:"message"`
	Offer           string    `ch:"offer"`
	Contact         string    `ch:"contact"`
	Campaign        string    `ch:"campaign"`
	Source          string    `ch:"source"`
	Visitor         string    `ch:"visitor"`
	Session         string    `ch:"session"`
	AttributionType string    `ch:"attribution_type"`
	ExternalID      string    `ch:"external_id"`
	Imported        bool      `ch:"imported"`
	Metadata        string    `ch:"metadata"`
}

// row is the record in the words of the business.
func (r *ledgerRecord) row() revenue.LedgerRow {
	return revenue.LedgerRow{
		Entry: revenue.Entry{
			Workspace: r.Workspace, Group: r.Group, Fact: r.Fact, ObjectID: r.ObjectID, Version: r.Version,
			Kind: revenue.EntryKind(r.Kind), Provider: r.Provider, Account: r.Account, Integration: r.Integration, Livemode: r.Livemode,
			TestClock: r.TestClock, OccurredAt: r.OccurredAt.UTC(), EndsAt: noneAtEpoch(r.EndsAt), ReceivedAt: r.ReceivedAt.UTC(),
			Amount: r.Amount, Tax: r.Tax, Fee: r.Fee, Discount: r.Discount, Currency: r.Currency, Recurring: r.Recurring,
			MRR: r.MRR, Subscriptions: r.Subscriptions, Customers: r.Customers, Reason: r.Reason,
			Dimensions: r.dimensions(),
		},
		RowID: r.Row, Sign: r.Sign, KnownAt: r.KnownAt.UTC(),
	}
}

func (r *ledgerRecord) dimensions() revenue.Dimensions {
	d := revenue.Dimensions{
		Customer: r.Customer, CustomerName: r.CustomerName, Country: r.Country, Subscription: r.Subscription,
		Invoice: r.Invoice, Payment: r.Payment, Product: r.Product, Plan: r.Plan, Quantity: r.Quantity,
		Interval: r.Interval, IntervalCount: r.IntervalCount, PaymentMethod: r.PaymentMethod,
		Message: r.Message, Offer: r.Offer, Contact: r.Contact, Campaign: r.Campaign, Source: r.Source,
		Visitor: r.Visitor, Session: r.Session, AttributionType: r.AttributionType,
		ExternalID: r.ExternalID, Imported: r.Imported,
	}
	if r.Metadata != "" {
		d.Metadata = json.RawMessage(r.Metadata)
	}
	return d
}

// noneAtEpoch reads back how "no time" is stored.
func noneAtEpoch(t time.Time) time.Time {
	if t.UnixMicro() == 0 {
		return time.Time{}
	}
	return t.UTC()
}
