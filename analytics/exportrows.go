package analytics

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// exportedEntry is a row of the ledger as it is exported. The columns are those of the view
// `entries` that have one meaning in all forms: amounts in minor units beside their currency.
type exportedEntry struct {
	Row             uint64    `ch:"row"`
	Sign            int8      `ch:"sign"`
	KnownAt         time.Time `ch:"known_at"`
	Family          string    `ch:"family"`
	Kind            string    `ch:"kind"`
	Provider        string    `ch:"provider"`
	Account         string    `ch:"account"`
	Fact            string    `ch:"fact"`
	Group           string    `ch:"fact_group"`
	Version         int64     `ch:"version"`
	ObjectID        string    `ch:"object_id"`
	ExternalID      string    `ch:"external_id"`
	OccurredAt      time.Time `ch:"occurred_at"`
	EndsAt          time.Time `ch:"ends_at"`
	ReceivedAt      time.Time `ch:"received_at"`
	Currency        string    `ch:"currency"`
	Amount          int64     `ch:"amount"`
	Tax             int64     `ch:"tax"`
	Fee             int64     `ch:"fee"`
	Discount        int64     `ch:"discount"`
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
	Imported        bool      `ch:"imported"`
	Metadata        string    `ch:"metadata"`
}

// exportedEvent is a statement as it is exported: a row of the view `events`.
type exportedEvent struct {
	Provider   string    `ch:"provider"`
	Kind       string    `ch:"kind"`
	Fact       string    `ch:"fact"`
	Group      string    `ch:"fact_group"`
	Version    int64     `ch:"version"`
	Deleted    bool      `ch:"deleted"`
	OccurredAt time.Time `ch:"occurred_at"`
	ReceivedAt time.Time `ch:"received_at"`
	Slice      uint16    `ch:"slice"`
	Offset     int64     `ch:"offset"`
	Statement  string    `ch:"statement"`
}

// exportPlace is the place of a row in the order of its export, and the moment as of which
// that was begun: what comes after it is the rest of the same state.
type exportPlace struct {
	AsOf int64 `json:"as"` // Unix microseconds
	// Of entries: kind, time, row, and since when it is known.
	Kind    string `json:"k,omitempty"`
	At      int64  `json:"at,omitempty"` // Unix microseconds
	Row     uint64 `json:"r,omitempty"`
	KnownAt int64  `json:"n,omitempty"` // Unix microseconds
	Sign    int8   `json:"s,omitempty"`
	// Of events: group, fact, version, and the place in the log.
	Group   string `json:"g,omitempty"`
	Fact    string `json:"f,omitempty"`
	Version int64  `json:"v,omitempty"`
	Slice   uint16 `json:"sl,omitempty"`
	Offset  int64  `json:"o,omitempty"`
}

func (r *exportedEntry) place() exportPlace {
	return exportPlace{Kind: r.Kind, At: r.OccurredAt.UnixMicro(), Row: r.Row, KnownAt: r.KnownAt.UnixMicro(), Sign: r.Sign}
}

func (r *exportedEvent) place() exportPlace {
	return exportPlace{Group: r.Group, Fact: r.Fact, Version: r.Version, Slice: r.Slice, Offset: r.Offset}
}

// String is the cursor of the place.
func (p exportPlace) String() string {
	text, _ := json.Marshal(p) // numbers and texts always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseExportPlace(text string) (exportPlace, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return exportPlace{}, errCursor
	}
	var p exportPlace
	if err := json.Unmarshal(decoded, &p); err != nil || p.String() != text {
		return exportPlace{}, errCursor
	}
	for _, micros := range []int64{p.AsOf, p.At, p.KnownAt} {
		if at := time.UnixMicro(micros); at.Before(timeMin) || at.After(always) {
			return exportPlace{}, errCursor
		}
	}
	return p, nil
}

// entryPlaceRow and eventPlaceRow are the row at which a part of an export ends.
type entryPlaceRow struct {
	Kind       string    `ch:"kind"`
	OccurredAt time.Time `ch:"occurred_at"`
	Row        uint64    `ch:"row"`
	KnownAt    time.Time `ch:"known_at"`
	Sign       int8      `ch:"sign"`
}

func (r *entryPlaceRow) place() exportPlace {
	return exportPlace{Kind: r.Kind, At: r.OccurredAt.UnixMicro(), Row: r.Row, KnownAt: r.KnownAt.UnixMicro(), Sign: r.Sign}
}

type eventPlaceRow struct {
	Group   string `ch:"fact_group"`
	Fact    string `ch:"fact"`
	Version int64  `ch:"version"`
	Slice   uint16 `ch:"slice"`
	Offset  int64  `ch:"offset"`
}

func (r *eventPlaceRow) place() exportPlace {
	return exportPlace{Group: r.Group, Fact: r.Fact, Version: r.Version, Slice: r.Slice, Offset: r.Offset}
}
