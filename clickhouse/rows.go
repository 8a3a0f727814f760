package clickhouse

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"revstream/ingest/revenue"
)

// Position is where a statement came from, or what a row was written for.
type Position struct {
	// Slice is the Kafka partition.
	Slice int32
	// Epoch is the writer's, as TakeOver gave it.
	Epoch uint64
	// Offset is that of the record in Kafka; of a ledger row, the last of the
	// batch that wrote it.
	Offset int64
	// TopicID is the id of the Kafka topic, so that a recreated topic's offsets
	// are not taken for those of the old one.
	TopicID string
}

// Statement is an accepted event as it is kept in `events`.
type Statement struct {
	Position
	Event *revenue.Event
	// Encoded is the record's value in Kafka, kept as it is.
	Encoded []byte
}

// Row is a row of the ledger and who wrote it.
type Row struct {
	Position
	*revenue.LedgerRow
}

// GroupHash is how `events` and the never-seen filter name a group: 64 bits of
// its Kafka key.
func GroupHash(key revenue.GroupKey) uint64 {
	var digest xxhash.Digest
	digest.Reset()
	digest.WriteString(key.Workspace)
	digest.WriteString("|")
	digest.WriteString(key.Group)
	return digest.Sum64()
}

// statementColumns are those of `events`, in the order of its schema.
func statementColumns() []column[Statement] {
	return []column[Statement]{
		text("topic_id", func(s *Statement) string { return s.TopicID }),
		sliceNumber("slice", func(s *Statement) uint16 { return uint16(s.Slice) }),
		unsigned("epoch", func(s *Statement) uint64 { return s.Epoch }),
		number("offset", func(s *Statement) int64 { return s.Offset }),
		text("workspace", func(s *Statement) string { return s.Event.Workspace }),
		text("fact_group", func(s *Statement) string { return s.Event.Group }),
		unsigned("group_hash", func(s *Statement) uint64 { return GroupHash(s.Event.GroupKey()) }),
		text("fact", func(s *Statement) string { return s.Event.FactID() }),
		text("kind", func(s *Statement) string { return string(s.Event.Kind) }),
		text("provider", func(s *Statement) string { return s.Event.Provider }),
		number("version", func(s *Statement) int64 { return s.Event.Version }),
		flag("deleted", func(s *Statement) bool { return s.Event.Deleted }),
		instant("occurred_at", func(s *Statement) time.Time { return s.Event.OccurredAt }),
		instant("received_at", func(s *Statement) time.Time { return s.Event.ReceivedAt }),
		text("statement", func(s *Statement) string { return unsafeText(s.Encoded) }),
		flag("past_due", func(s *Statement) bool { return pastDue(s.Event) }),
		flag("ending", func(s *Statement) bool { return ending(s.Event) }),
		flag("uncertain", func(s *Statement) bool { return s.Event.MayBeUncertain() }),
		flag("discounted", func(s *Statement) bool { return s.Event.MRRBeforeDiscounts != 0 }),
	}
}

// pastDue reports whether a statement says that a subscription is past due, and ending
// whether that it ended, will end, or was asked to: the schema says the same of older ones.
func pastDue(e *revenue.Event) bool {
	return e.Kind == revenue.KindSubscription && e.Status == revenue.StatusPastDue
}

func ending(e *revenue.Event) bool {
	return e.Kind == revenue.KindCancellation || e.Kind == revenue.KindSubscription &&
		(e.CancelRequestedAt != nil || e.EndsAt != nil || e.Status == revenue.StatusCanceled)
}

// rowColumns are those of `ledger`, in the order of its schema.
func rowColumns() []column[Row] {
	return slices.Concat(rowIdentityColumns(), rowMeasureColumns(), rowDimensionColumns())
}

func rowIdentityColumns() []column[Row] {
	return []column[Row]{
		text("topic_id", func(r *Row) string { return r.TopicID }),
		sliceNumber("slice", func(r *Row) uint16 { return uint16(r.Slice) }),
		unsigned("epoch", func(r *Row) uint64 { return r.Epoch }),
		number("offset", func(r *Row) int64 { return r.Offset }),
		unsigned("row", func(r *Row) uint64 { return r.LedgerRow.RowID }),
		sign("sign", func(r *Row) int8 { return r.Sign }),
		instant("known_at", func(r *Row) time.Time { return r.KnownAt }),
		text("workspace", func(r *Row) string { return r.Workspace }),
		text("fact_group", func(r *Row) string { return r.Group }),
		text("fact", func(r *Row) string { return r.Fact }),
		text("object_id", func(r *Row) string { return r.ObjectID }),
		number("version", func(r *Row) int64 { return r.Version }),
		text("family", func(r *Row) string { return string(r.Kind.Family()) }),
		text("kind", func(r *Row) string { return string(r.Kind) }),
		text("provider", func(r *Row) string { return r.Provider }),
		text("account", func(r *Row) string { return r.Account }),
		text("integration", func(r *Row) string { return r.Integration }),
		flag("livemode", func(r *Row) bool { return r.Livemode }),
		text("test_clock", func(r *Row) string { return r.TestClock }),
		flag("live", func(r *Row) bool { return r.Live() }),
		instant("occurred_at", func(r *Row) time.Time { return r.OccurredAt }),
		instant("ends_at", func(r *Row) time.Time { return r.EndsAt }),
		instant("received_at", func(r *Row) time.Time { return r.ReceivedAt }),
	}
}

func rowMeasureColumns() []column[Row] {
	return []column[Row]{
		number("amount", func(r *Row) int64 { return r.Amount }),
		number("tax", func(r *Row) int64 { return r.Tax }),
		number("fee", func(r *Row) int64 { return r.Fee }),
		number("discount", func(r *Row) int64 { return r.Discount }),
		text("currency", func(r *Row) string { return r.Currency }),
		flag("recurring", func(r *Row) bool { return r.Recurring }),
		number("mrr", func(r *Row) int64 { return r.MRR }),
		number("subscriptions", func(r *Row) int64 { return r.Subscriptions }),
		number("customers", func(r *Row) int64 { return r.Customers }),
		text("reason", func(r *Row) string { return r.Reason }),
	}
}

func rowDimensionColumns() []column[Row] {
	return []column[Row]{
		text("customer", func(r *Row) string { return r.Customer }),
		text("customer_name", func(r *Row) string { return r.CustomerName }),
		text("country", func(r *Row) string { return r.Country }),
		text("subscription", func(r *Row) string { return r.Subscription }),
		text("invoice", func(r *Row) string { return r.Invoice }),
		text("payment", func(r *Row) string { return r.Payment }),
		text("product", func(r *Row) string { return r.Product }),
		text("plan", func(r *Row) string { return r.Plan }),
		number("quantity", func(r *Row) int64 { return r.Quantity }),
		text("interval", func(r *Row) string { return r.Interval }),
		number("interval_count", func(r *Row) int64 { return r.IntervalCount }),
		text("payment_method", func(r *Row) string { return r.PaymentMethod }),
		text("message", func(r *Row) string { return r.Message }),
		text("offer", func(r *Row) string { return r.Offer }),
		text("contact", func(r *Row) string { return r.Contact }),
		text("campaign", func(r *Row) string { return r.Campaign }),
		text("source", func(r *Row) string { return r.Source }),
		text("visitor", func(r *Row) string { return r.Visitor }),
		text("session", func(r *Row) string { return r.Session }),
		text("attribution_type", func(r *Row) string { return r.AttributionType }),
		text("external_id", func(r *Row) string { return r.ExternalID }),
		flag("imported", func(r *Row) bool { return r.Imported }),
		text("metadata", func(r *Row) string { return unsafeText(r.Metadata) }),
	}
}
