package analytics

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"revstream/ingest/revenue"
)

// The rows of a table are rounded as the parts of a breakdown are, and its pages are those
// of all rows in order.
func TestTableRowsAreParts(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		x := newExchange("USD")
		x.found["EUR"] = map[int64]*big.Int{day.Unix(): new(big.Int).Div(new(big.Int).Mul(rateScale, big.NewInt(10_837)), big.NewInt(10_000))}
		x.found["JPY"] = map[int64]*big.Int{day.Unix(): nil}
		rows, whole := newTableRows(x), x.totals(1)
		parts := map[string]*totals{}
		for range rapid.IntRange(0, 40).Draw(t, "amounts") {
			name := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "part"))
			currency := rapid.SampledFrom([]string{"USD", "EUR", "JPY"}).Draw(t, "currency")
			amount := rapid.Int64Range(-30_000, 100_000).Draw(t, "amount")
			rows.add(&rows.of(Part{Value: name}).mrr, amount, currency, day)
			if parts[name] == nil {
				parts[name] = x.totals(1)
			}
			parts[name].add(currency, day, []int64{amount})
			whole.add(currency, day, []int64{amount})
		}
		names := slices.Sorted(maps.Keys(parts))
		var inOrder []*totals
		for _, name := range names {
			inOrder = append(inOrder, parts[name])
		}
		want, err := apportioned(whole, inOrder, revenue.MRRScale)
		if err != nil {
			t.Fatal(err)
		}
		total, err := rows.total()
		if err != nil {
			t.Fatal(err)
		}
		if rounded, _ := whole.rounded(0, revenue.MRRScale); total.mrr.rounded != rounded {
			t.Errorf("all rows are %d, want %d", total.mrr.rounded, rounded)
		}
		for i, name := range names {
			if got := rows.of(Part{Value: name}).mrr.rounded; got != want[i][0] {
				t.Errorf("row %s is %d, want %d", name, got, want[i][0])
			}
		}
		checkPages(t, rows)
	})
}

func checkPages(t *rapid.T, rows *tableRows) {
	sort := tableSorts["mrr"]
	var seen []Part
	var after *tableCursor
	limit := rapid.IntRange(1, 6).Draw(t, "limit")
	for more := true; more; {
		var page []*tableSums
		page, more = rows.page(sort, after, limit)
		for _, row := range page {
			seen = append(seen, row.Part)
			place := placeOf(row, sort)
			after = &place
		}
		if more && len(page) != limit {
			t.Errorf("a page of %d rows is not the last", len(page))
		}
	}
	want := slices.Clone(rows.rows)
	slices.SortFunc(want, func(a, b *tableSums) int {
		return cmp.Or(cmp.Compare(b.mrr.rounded, a.mrr.rounded), cmp.Compare(a.Value, b.Value))
	})
	if !slices.EqualFunc(seen, want, func(part Part, row *tableSums) bool { return part == row.Part }) {
		t.Errorf("the pages have %v, want %v", seen, want)
	}
}
