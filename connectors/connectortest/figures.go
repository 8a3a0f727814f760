package connectortest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"revstream/ingest/revenue"
)

// Arrive lets the statements of deliveries arrive in an order, one delivery a
// second, and returns the ledger's rows and what is believed in the end, as text
// that does not depend on when what arrived.
func Arrive(statements [][]revenue.Event, order []int) (rows []revenue.LedgerRow, believed string) {
	groups := arrived(statements, order)
	var entries []string
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		rows = append(rows, revenue.Ledger(groups[group])...)
		for _, e := range revenue.Fold(groups[group]) {
			e.ReceivedAt = time.Time{} // depends on the order, as it should
			entries = append(entries, fmt.Sprintf("%+v", e))
		}
	}
	slices.Sort(entries)
	return rows, strings.Join(entries, "\n")
}

// arrived are the statements of deliveries that arrived in an order, by their groups.
func arrived(statements [][]revenue.Event, order []int) map[string][]revenue.Event {
	groups := map[string][]revenue.Event{}
	for position, delivery := range order {
		for _, e := range statements[delivery] {
			e.ReceivedAt = ReceivedAt.Add(time.Duration(position) * time.Second)
			groups[e.Group] = append(groups[e.Group], e)
		}
	}
	return groups
}

// AtListPrices is what those say otherwise of statements that arrived in an order who ignore
// discounts: rows that come on top of the ledger's.
func AtListPrices(statements [][]revenue.Event, order []int) (rows []revenue.LedgerRow) {
	policy := revenue.HousePolicy()
	policy.IgnoreDiscounts = true
	for _, group := range arrived(statements, order) {
		rows = append(rows, policy.Restate(group)...)
	}
	return rows
}

// inOrder is the order in which n deliveries were sent.
func inOrder(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// Orders draws orders of arrival of n deliveries: any permutation, with repeats.
func Orders(n int) *rapid.Generator[[]int] {
	return rapid.Custom(func(t *rapid.T) []int {
		order := rapid.Permutation(inOrder(n)).Draw(t, "order")
		for range rapid.IntRange(0, n).Draw(t, "repeats") {
			order = slices.Insert(order, rapid.IntRange(0, len(order)).Draw(t, "at"), rapid.IntRange(0, n-1).Draw(t, "repeated"))
		}
		return order
	})
}

// figures sums signed rows the way that answers do.
func (s Scenario) figures(rows []revenue.LedgerRow) string {
	cash, lifecycle := map[string]int64{}, map[string]int64{}
	for _, row := range rows {
		switch row.Kind.Family() {
		case revenue.FamilyCash:
			cash[string(row.Kind)+" "+row.Currency] += int64(row.Sign) * row.Amount
		case revenue.FamilyLifecycle:
			lifecycle[string(row.Kind)] += int64(row.Sign)
		case revenue.FamilyState:
		}
	}
	return figuresText(cash, lifecycle, worthAt(s.MRR, rows))
}

// worthAt is what rows come to right before the moments of others.
func worthAt(others []Worth, rows []revenue.LedgerRow) []Worth {
	points := make([]Worth, len(others))
	for i, point := range others {
		sums := map[string]int64{}
		for _, row := range rows {
			if row.OccurredAt.Before(point.Before) && row.MRR != 0 {
				sums[row.Currency] += int64(row.Sign) * row.MRR
			}
		}
		points[i] = Worth{point.Before, map[string]string{}}
		for currency, sum := range sums {
			if sum != 0 {
				points[i].Worth[currency] = fmt.Sprintf("%d.%04d", sum/revenue.MRRScale, sum%revenue.MRRScale)
			}
		}
	}
	return points
}

func (s Scenario) want() string {
	return figuresText(maps.Clone(s.Cash), maps.Clone(s.Lifecycle), s.MRR)
}

func figuresText(cash, lifecycle map[string]int64, mrr []Worth) string {
	for _, sums := range []map[string]int64{cash, lifecycle} {
		maps.DeleteFunc(sums, func(_ string, sum int64) bool { return sum == 0 })
	}
	var text strings.Builder
	fmt.Fprintf(&text, "cash %v, lifecycle %v%s", cash, lifecycle, worthText(mrr))
	return text.String()
}

func worthText(points []Worth) string {
	var text strings.Builder
	for _, point := range points {
		fmt.Fprintf(&text, ", mrr before %s %v", point.Before.Format(time.RFC3339), point.Worth)
	}
	return text.String()
}

// checkOrders holds every order of arrival, with repeats, against the figures
// worked out by hand.
func (s Scenario) checkOrders(t *testing.T, statements [][]revenue.Event) {
	t.Helper()
	rows, first := Arrive(statements, inOrder(len(statements)))
	if got := s.figures(rows); got != s.want() {
		t.Fatalf("in order:\n got %s\nwant %s", got, s.want())
	}
	listed := func(order []int, rows []revenue.LedgerRow) string {
		return worthText(worthAt(s.ListMRR, slices.Concat(rows, AtListPrices(statements, order))))
	}
	if got, want := listed(inOrder(len(statements)), rows), worthText(s.ListMRR); got != want {
		t.Fatalf("without discounts:\n got %s\nwant %s", got, want)
	}
	rapid.Check(t, func(r *rapid.T) {
		order := Orders(len(statements)).Draw(r, "arrivals")
		rows, believed := Arrive(statements, order)
		if got := s.figures(rows); got != s.want() {
			r.Fatalf("order %v:\n got %s\nwant %s", order, got, s.want())
		}
		if got, want := listed(order, rows), worthText(s.ListMRR); got != want {
			r.Fatalf("order %v without discounts:\n got %s\nwant %s", order, got, want)
		}
		if believed != first {
			r.Fatalf("order %v is believed otherwise:\n%s\nthan in order:\n%s", order, believed, first)
		}
	})
}
