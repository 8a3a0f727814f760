// Package trackly reads what the Trackly SMS revenue API accepts, one record or
// many, and states it as charges. It looks nothing up by itself: who keeps the
// messages, contacts and offers is the caller's business.
package trackly

import (
	"encoding/json"
	"fmt"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Provider is the provider of every fact of this package.
const Provider = "trackly"

// Codes of the contract that do not follow from a field's name.
const (
	CodeMissingRecords  = "missing_records"
	CodeTooManyRecords  = "too_many_records"
	CodeMessageNotFound = "message_not_found"
	CodeContactNotFound = "contact_not_found"
)

// Record is one revenue record, valid in itself.
type Record struct {
	MessageID string
	// Amount is in minor units of Currency, never negative.
	Amount          int64
	Currency        string
	AttributionType string // sale, click or send
	// OfferID is what the caller named: our id or an external one; maybe empty.
	OfferID    string
	OccurredAt time.Time
	// Imported says that the record itself is marked as history.
	Imported bool
}

// RecordBody is the JSON of a record, of which nothing has been judged but that it is
// JSON.
type RecordBody struct {
	MessageID       connectors.Value `json:"message_id"`
	Revenue         connectors.Value `json:"revenue"`
	AttributionType connectors.Value `json:"attribution_type"`
	OfferID         connectors.Value `json:"offer_id"`
	Timestamp       connectors.Value `json:"timestamp"`
	Imported        connectors.Value `json:"imported"`
	// fault says that it is not an object.
	fault error
}

// UnmarshalJSONFrom reads a record among others. One that is no object is a fault of its
// own, not of the request.
func (b *RecordBody) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	if b.fault = connectors.NotObject(from.PeekKind()); b.fault != nil {
		return from.SkipValue()
	}
	type members RecordBody // without this method
	return jsonv2.UnmarshalDecode(from, (*members)(b))
}

// ReadRecord reads the JSON of a single record: see RecordBody.Record.
func ReadRecord(text []byte, currency string, now time.Time) (Record, error) {
	var body RecordBody
	if err := connectors.ReadObject(text, &body); err != nil {
		return Record{}, err
	}
	return body.Record(currency, now)
}

// Record is the record whose amount is of the currency. Without a timestamp it occurred
// now. The error is a *connectors.InvalidError with a code of the contract
// (invalid_json, invalid_message_id, invalid_offer_id, invalid_timestamp and
// invalid_imported are ours, where the contract has none).
func (b *RecordBody) Record(currency string, now time.Time) (Record, error) {
	if b.fault != nil {
		return Record{}, b.fault
	}
	fields := connectors.Fields{Now: now}
	for _, required := range [...]struct {
		name  string
		value connectors.Value
	}{
		{"message_id", b.MessageID}, {"revenue", b.Revenue}, {"attribution_type", b.AttributionType},
	} {
		if !connectors.Given(required.value) || string(required.value) == `""` {
			fields.Missing(required.name)
		}
	}
	record := Record{
		MessageID:  fields.RequiredText("message_id", b.MessageID),
		Currency:   currency,
		OfferID:    fields.Text("offer_id", b.OfferID),
		OccurredAt: now,
	}
	if record.Amount = fields.Amount("revenue", b.Revenue, currency); record.Amount < 0 {
		fields.Invalid("revenue", "must be a number greater than or equal to 0")
	}
	record.AttributionType = fields.Choice("attribution_type", b.AttributionType, "sale", "click", "send")
	if at := fields.OccurredAt("timestamp", b.Timestamp); !at.IsZero() {
		record.OccurredAt = at
	}
	record.Imported = fields.Flag("imported", b.Imported)
	return record, fields.Err()
}

// Bulk is the body of a bulk request; its records are not judged yet.
type Bulk struct {
	Records []RecordBody
	// Imported marks all of them as history, whatever they say themselves.
	Imported bool
}

// recordList is a list of records; empty if it is none. What is beyond max of them is
// counted and not kept: a body of a few megabytes may have millions.
type recordList struct {
	kept       []RecordBody
	count, max int
}

// UnmarshalJSONFrom reads the list.
func (l *recordList) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	if from.PeekKind() != '[' {
		return from.SkipValue()
	}
	if _, err := from.ReadToken(); err != nil {
		return err
	}
	for ; from.PeekKind() != ']'; l.count++ {
		if l.count >= l.max {
			if err := from.SkipValue(); err != nil {
				return err
			}
			continue
		}
		var record RecordBody
		if err := record.UnmarshalJSONFrom(from); err != nil {
			return err
		}
		l.kept = append(l.kept, record)
	}
	_, err := from.ReadToken()
	return err
}

// ReadBulk reads the body of a bulk request in one pass: at least one record, at most
// recordsMax. The error is a *connectors.InvalidError, with code missing_records
// or too_many_records for those two.
func ReadBulk(text []byte, recordsMax int) (Bulk, error) {
	var body struct {
		Records  recordList       `json:"records"`
		Imported connectors.Value `json:"imported"`
	}
	body.Records.max = recordsMax
	if err := connectors.ReadObject(text, &body); err != nil {
		return Bulk{}, err
	}
	var fields connectors.Fields
	bulk := Bulk{Records: body.Records.kept, Imported: fields.Flag("imported", body.Imported)}
	if err := fields.Err(); err != nil {
		return Bulk{}, err
	}
	switch count := body.Records.count; {
	case count == 0:
		return Bulk{}, &connectors.InvalidError{Field: "records", Code: CodeMissingRecords,
			Detail: "The records field is required and must be a non-empty array."}
	case count > recordsMax:
		return Bulk{}, &connectors.InvalidError{Field: "records", Code: CodeTooManyRecords,
			Detail: fmt.Sprintf("Exceeded the maximum of %d records per request.", recordsMax)}
	}
	return bulk, nil
}

// Acceptance is what only the acceptance of a record can say of it.
type Acceptance struct {
	Workspace   string
	Integration string // id of the API key
	// RevenueID identifies the fact and its group.
	RevenueID string
	// Version orders statements about the fact.
	Version    int64
	ReceivedAt time.Time
	// Imported is said of the whole request.
	Imported bool
}

// Event states the record as a one-time charge of its own group.
func (r Record) Event(a Acceptance, resolved Resolution) revenue.Event {
	return revenue.Event{
		Workspace: a.Workspace, Provider: Provider, Livemode: true, ObjectID: a.RevenueID, Kind: revenue.KindCharge,
		Group: revenue.GroupName(Provider, "", true, a.RevenueID), Version: a.Version,
		OccurredAt: r.OccurredAt, ReceivedAt: a.ReceivedAt,
		Amount: r.Amount, Currency: r.Currency, Billing: revenue.BillingOneTime,
		Dimensions: revenue.Dimensions{
			Message: r.MessageID, Offer: resolved.OfferID, Contact: resolved.ContactID, Campaign: resolved.Campaign,
			AttributionType: r.AttributionType, ExternalID: a.RevenueID, Imported: a.Imported || r.Imported,
		},
		Delivery: revenue.Delivery{ID: a.RevenueID, Type: "revenue", Integration: a.Integration},
	}
}

// Number writes minor units as the exact JSON number that the contract's answers
// carry: 3749 USD is 37.49.
func Number(minor int64, currency string) json.RawMessage {
	return json.RawMessage(revenue.FormatAmount(minor, currency))
}
