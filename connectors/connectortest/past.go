package connectortest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"revstream/connectors"
	"revstream/ingest/revenue"
)

// Past is that of an account whose API the handler is, with the settings of an endpoint
// beside where that is. Until heard nobody told of changes.
func Past(t testing.TB, connector connectors.Connector, api http.Handler, settings map[string]string, livemode bool, heard time.Time) connectors.Past {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	given := map[string]string{APISetting: server.URL}
	maps.Copy(given, settings)
	settled, err := connector.Settle(given)
	if err != nil {
		t.Fatal(err)
	}
	return connectors.Past{
		Delivery: connectors.Delivery{
			Workspace: "acme", Integration: "we_1", Account: "acct_1", Livemode: livemode, Settings: settled, ReceivedAt: ReceivedAt,
		},
		Heard: heard,
	}
}

// All is the window of all that scenarios tell of.
func All() connectors.Window { return connectors.Window{From: time.Unix(0, 0), Until: ReceivedAt} }

// ReadPast reads the streams that are wanted to their ends, of which nothing is at fault
// but what isUnreadable expects; nil expects nothing.
func ReadPast(t testing.TB, connector connectors.Connector, past connectors.Past, wanted func(connectors.Stream) bool, isUnreadable func(error) bool) [][]revenue.Event {
	t.Helper()
	var statements [][]revenue.Event
	for _, stream := range connector.History.Streams {
		if !wanted(stream) {
			continue
		}
		for cursor := ""; ; {
			page, err := stream.Page(t.Context(), past, All(), cursor)
			if err != nil {
				t.Fatalf("%s: %v", stream.Name, err)
			}
			for _, item := range page.Items {
				if item.Err != nil && (isUnreadable == nil || !isUnreadable(item.Err)) {
					t.Fatalf("%s: %s: %v", stream.Name, item.ID, item.Err)
				}
				statements = append(statements, item.Events)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return statements
}

// Presumed is when each state of a subscription is presumed to have begun, RFC 3339, by
// the statements that are marked as estimated. Such a one states worth, takes precedence
// over nothing, and leaves its end to what follows.
func Presumed(t testing.TB, batches [][]revenue.Event) map[revenue.Status]string {
	t.Helper()
	presumed := map[revenue.Status]string{}
	for _, e := range slices.Concat(batches...) {
		if !strings.Contains(string(e.Metadata), connectors.Estimated) {
			continue
		}
		presumed[e.Status] = e.OccurredAt.Format(time.RFC3339)
		if e.MRR == 0 || e.Version != 0 || e.EndsAt != nil {
			t.Errorf("presumed %+v", e)
		}
	}
	return presumed
}

// Lost lets any of the deliveries be lost and the past be read after, and holds what that
// comes to, as comesTo tells it, against what all deliveries come to.
func Lost(t *testing.T, heard, read [][]revenue.Event, comesTo func([][]revenue.Event) string) {
	t.Helper()
	want := comesTo(heard)
	rapid.Check(t, func(r *rapid.T) {
		var arrived [][]revenue.Event
		for _, statements := range heard {
			if rapid.Bool().Draw(r, "delivered") {
				arrived = append(arrived, statements)
			}
		}
		if got := comesTo(append(arrived, read...)); got != want {
			r.Fatalf("after the backfill\n%s\nwithout an outage\n%s", got, want)
		}
	})
}

// Believed is what statements that arrive in their order come to, to the last entry.
func Believed(statements [][]revenue.Event) string {
	_, believed := Arrive(statements, inOrder(len(statements)))
	return believed
}

// Cash is the cash of statements by kind of entry and currency.
func Cash(statements [][]revenue.Event) map[string]int64 {
	rows, _ := Arrive(statements, inOrder(len(statements)))
	cash := map[string]int64{}
	for _, row := range rows {
		if row.Kind.Family() == revenue.FamilyCash {
			cash[string(row.Kind)+" "+row.Currency] += int64(row.Sign) * row.Amount
		}
	}
	maps.DeleteFunc(cash, func(_ string, sum int64) bool { return sum == 0 })
	return cash
}

// Totals are the flows of cash by currency, whatever its place in a subscription.
func Totals(statements [][]revenue.Event) string {
	rows, _ := Arrive(statements, inOrder(len(statements)))
	totals := map[string]int64{}
	for _, row := range rows {
		if row.Kind.Family() != revenue.FamilyCash {
			continue
		}
		flow := connectors.FlowCharge
		switch row.Kind {
		case revenue.EntryRefund, revenue.EntryDispute, revenue.EntryDisputeReversal, revenue.EntryFee:
			flow = string(row.Kind)
		}
		totals[flow+" "+row.Currency] += int64(row.Sign) * row.Amount
	}
	maps.DeleteFunc(totals, func(_ string, sum int64) bool { return sum == 0 })
	return fmt.Sprint(totals)
}

// CheckTotals holds what the provider says that it moved against the ledger of all
// deliveries, by flow and currency, and finds nothing outside the window. With an amount
// that cannot be read there are no totals.
func CheckTotals(t *testing.T, connector connectors.Connector, past connectors.Past, heard [][]revenue.Event, isUnreadable func(error) bool) {
	t.Helper()
	said, err := connector.History.Totals(t.Context(), past, All())
	if err != nil {
		if isUnreadable == nil || !isUnreadable(err) {
			t.Error(err)
		}
		return
	}
	totals := map[string]int64{}
	for _, total := range said {
		totals[total.Flow+" "+total.Currency] += total.Amount
	}
	maps.DeleteFunc(totals, func(_ string, sum int64) bool { return sum == 0 })
	if got, want := fmt.Sprint(totals), Totals(heard); got != want {
		t.Errorf("the provider's totals are %s, the ledger has %s", got, want)
	}
	none := connectors.Window{From: time.Unix(0, 0), Until: time.Unix(3600, 0)}
	if said, err := connector.History.Totals(t.Context(), past, none); err != nil || len(said) != 0 {
		t.Errorf("outside the window %v, %v", said, err)
	}
}
