package clickhouse

import (
	"encoding/json"
	"fmt"
	"testing"

	"revstream/ingest/revenue"
)

// What one batch of new events costs, statements and rows one after the other:
//
//	go test -run '^$' -bench Insert -benchtime 8x ./clickhouse/
//
// views=none is the ledger without what is derived from it.
func BenchmarkInsert(b *testing.B) {
	for _, size := range []int{10_000, 50_000} {
		for _, views := range []string{"all", "none"} {
			b.Run(fmt.Sprintf("events=%d/views=%s", size, views), func(b *testing.B) {
				store := open(b)
				if views == "none" {
					for _, table := range derivedTables {
						exec(b, store, "DROP VIEW ledger_to_"+table)
					}
				}
				w := takeOver(b, store, 0)
				seed := uint64(0)
				for b.Loop() {
					b.StopTimer()
					seed++
					events := fat(charges(seed, size), size)
					statements, rows := w.statements(0, events), w.rows(0, ledgerOf(events))
					b.StartTimer()
					must(b, store.InsertStatements(b.Context(), statements))
					must(b, store.InsertRows(b.Context(), rows))
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// fat gives the first n events the dimensions that a real one has.
func fat(events []revenue.Event, n int) []revenue.Event {
	events = events[:n]
	for i := range events {
		e := &events[i]
		e.Product, e.Plan, e.Country, e.Message = "prod_Nabcdefg", "price_1Mxyzabcdef", "US", "msg_17"
		e.ExternalID, e.Source = fmt.Sprintf("ord_%08x", i), "newsletter"
		e.Metadata = json.RawMessage(`{"order_id":"6735","channel":"web"}`)
		e.Delivery = revenue.Delivery{ID: "evt_" + e.ObjectID, Type: "payment_intent.succeeded", Integration: "ep_1"}
	}
	return events
}
