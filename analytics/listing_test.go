package analytics

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// Paging through everything yields each item once, in order, whether a page is
// found by the day or by the hour, and in both directions.
func TestPaging(t *testing.T) {
	const seed = 2
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 150)
	f := newFixture(t)
	f.write(events...)
	since, until := at("2026-01-02T03:04:05Z"), at("2026-03-29T16:17:18Z")
	want := naiveItems(believed(events), Period{since, until}, "", contractKinds)
	if len(want) < 200 {
		t.Fatalf("only %d items", len(want))
	}
	// With a limit of one page, every page is looked for by the hour too.
	for _, byHour := range []bool{false, true} {
		f.server, f.app = newApp(t, f.store, func(c *Config) {
			if byHour {
				c.PageSizeMax, c.LocateRowsMax = 23, 23
			}
		})
		for _, sortOrder := range []string{"asc", "desc"} {
			var got []string
			for page := 1; ; page++ {
				answer := get[RevenueAnswer](f, PathRevenue, fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&pageSize=23&page=%d&sortOrder=%s",
					escape(since), escape(until), page, sortOrder))
				got = append(got, itemsOf(answer.Items)...)
				pages := (len(want) + 22) / 23
				if answer.Total != int64(len(want)) || answer.TotalPages != int64(pages) || answer.HasNext != (page < pages) || answer.HasPrev != (page > 1) {
					t.Fatalf("page %d: %d of %d, next %v, previous %v", page, answer.Total, answer.TotalPages, answer.HasNext, answer.HasPrev)
				}
				if !answer.HasNext {
					break
				}
			}
			if sortOrder == "desc" {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("by hour %v, %s: %d items, want %d in another order or others", byHour, sortOrder, len(got), len(want))
			}
		}
	}
	// Behind the last page there is nothing, and that is no error.
	beyond := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&page=1000000")
	if len(beyond.Items) != 0 || beyond.HasNext || !beyond.HasPrev || beyond.Total == 0 {
		t.Errorf("beyond: %+v", beyond)
	}
}

// Corrections and deletions in the hours that a range divides are not counted when
// a page is looked for.
func TestPagingOverCorrections(t *testing.T) {
	f := newFixture(t)
	var events []revenue.Event
	for n := range 6 {
		first, last := fmt.Sprintf("2026-03-01T10:%d0:00Z", n), fmt.Sprintf("2026-03-05T10:%d0:00Z", n)
		events = append(events, charge(fmt.Sprint("a", n), first, 1), charge(fmt.Sprint("a", n), first, 2, version(2, "2026-03-06T00:00:00Z")),
			charge(fmt.Sprint("b", n), last, 1), charge(fmt.Sprint("m", n), fmt.Sprintf("2026-03-03T0%d:00:00Z", n), 1))
	}
	events = append(events, charge("b3", "2026-03-05T10:30:00Z", 1, version(2, "2026-03-06T00:00:00Z"), deleted))
	f.write(events...)
	// a0 lies before the range and b5 behind it.
	period := Period{at("2026-03-01T10:05:00Z"), at("2026-03-05T10:45:00Z")}
	want := naiveItems(believed(events), period, "", contractKinds)
	if len(want) != 5+6+4 {
		t.Fatalf("%d items", len(want))
	}
	for page := range want {
		answer := get[RevenueAnswer](f, PathRevenue, fmt.Sprintf("workspaceSlug=acme&since=%s&until=%s&sortOrder=asc&limit=1&page=%d",
			escape(period.Since), escape(period.Until), page+1))
		if got := itemsOf(answer.Items); len(got) != 1 || got[0] != want[page] {
			t.Errorf("page %d: %v, want %s", page+1, got, want[page])
		}
	}
}

// The newest page is read without counting if the last hour of the range fills it.
func TestNewestPage(t *testing.T) {
	f := newFixture(t)
	var events []revenue.Event
	for n := range 50 {
		events = append(events, charge(fmt.Sprint("ch_", n), at("2026-03-01").Add(time.Duration(n)*time.Minute).Format(time.RFC3339), int64(n+1)))
	}
	events = append(events, charge("ch_49", "2026-03-01T00:49:00Z", 50, version(2, "2026-04-01T00:00:00Z"), deleted))
	f.write(events...)
	for _, until := range []string{"2026-03-01T01:00:00Z", "2026-03-01T00:30:30Z", "2026-03-01"} {
		period := Period{beginning, at("2026-03-02")}
		if len(until) > len(time.DateOnly) {
			period.Until = at(until)
		}
		want := naiveItems(believed(events), period, "", contractKinds)
		slices.Reverse(want)
		for _, size := range []int{1, 7, 30, 31, 49, 60} {
			answer := get[RevenueAnswer](f, PathRevenue, fmt.Sprintf("workspaceSlug=acme&until=%s&limit=%d", until, size))
			if got := itemsOf(answer.Items); !slices.Equal(got, want[:min(size, len(want))]) || answer.Total != int64(len(want)) {
				t.Errorf("until %s, %d: %v of %d", until, size, got, answer.Total)
			}
		}
	}
}

func TestSorts(t *testing.T) {
	const seed = 3
	random := rand.New(rand.NewPCG(seed, seed))
	events := randomEvents(random, 60)
	f := newFixture(t)
	f.write(events...)
	key := map[Sort]func(Item) string{
		SortOccurredAt:  func(i Item) string { return i.OccurredAt },
		SortCreatedAt:   func(i Item) string { return i.CreatedAt },
		SortAmountCents: func(i Item) string { return fmt.Sprintf("%020d", i.AmountCents+1_000_000) },
		SortEventType:   func(i Item) string { return i.EventType },
		SortProvider:    func(i Item) string { return i.Provider },
		SortCurrency:    func(i Item) string { return i.Currency },
	}
	for _, by := range sorts {
		var ids []string
		for _, sortOrder := range []string{"asc", "desc"} {
			var items []Item
			for page := 1; ; page++ {
				answer := get[RevenueAnswer](f, PathRevenue, fmt.Sprintf("workspaceSlug=acme&pageSize=31&page=%d&sortBy=%s&sortOrder=%s", page, by, sortOrder))
				items = append(items, answer.Items...)
				if !answer.HasNext {
					break
				}
			}
			if sortOrder == "desc" {
				slices.Reverse(items)
			}
			if !slices.IsSortedFunc(items, func(a, b Item) int { return strings.Compare(key[by](a), key[by](b)) }) {
				t.Errorf("%s %s is not sorted", by, sortOrder)
			}
			var these []string
			for _, item := range items {
				these = append(these, item.ID)
			}
			if ids == nil {
				ids = these
			}
			if len(ids) < 60 || !slices.Equal(ids, these) {
				t.Errorf("%s: one direction is not the other reversed", by)
			}
			distinct := slices.Compact(slices.Sorted(slices.Values(these)))
			if len(distinct) != len(ids) {
				t.Errorf("%s %s: an item is listed twice", by, sortOrder)
			}
		}
	}
	f.server, f.app = newApp(t, f.store, func(c *Config) { c.SortRowsMax = 10 })
	if response := f.ask(PathRevenue, "workspaceSlug=acme&sortBy=amountCents"); response.StatusCode != http.StatusBadRequest {
		t.Errorf("too many to sort: %d", response.StatusCode)
	}
}

// The text of an item, field by field.
func TestItem(t *testing.T) {
	f := newFixture(t)
	f.write(
		charge("txn_1234567890", "2024-01-15T10:30:00Z", 999, metadata(`{"productId":"prod_123","n":1.50}`), by("we_7")),
		refund("re_1", "txn_1234567890", "2024-01-16T00:00:00.123456Z", 99, func(e *revenue.Event) { e.ExternalID = "order-7" }),
		charge("plain", "2024-01-14T00:00:00Z", 0, in("JPY")),
	)
	body, err := io.ReadAll(f.ask(PathRevenue, "workspaceSlug=acme&sortOrder=asc").Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Items []json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Items) != 3 {
		t.Fatalf("%v: %s", err, body)
	}
	if len(answer.Items) != 3 {
		t.Fatalf("items: %s", body)
	}
	want := `{"id":"` + itemID("ws_1", "stripe||live|txn_1234567890|charge", "purchase", 0) + `","workspaceId":"ws_1","integrationId":"we_7",` +
		`"eventType":"purchase","amountCents":999,"currency":"USD","externalId":"txn_1234567890","metadata":{"productId":"prod_123","n":1.50},` +
		`"occurredAt":"2024-01-15T10:30:00.000Z","createdAt":"2024-01-15T10:30:05.000Z","provider":"stripe"}`
	if string(answer.Items[1]) != want {
		t.Errorf("got  %s\nwant %s", answer.Items[1], want)
	}
	for i, part := range []string{`"integrationId":null,"eventType":"purchase","amountCents":0,"currency":"JPY","externalId":"plain","metadata":null`, "",
		`"amountCents":-99,"currency":"USD","externalId":"order-7","metadata":{"productId":"prod_123","n":1.50},"occurredAt":"2024-01-16T00:00:00.123Z"`} {
		if !strings.Contains(string(answer.Items[i]), part) {
			t.Errorf("item %d: %s lacks %s", i, answer.Items[i], part)
		}
	}
	// A correction changes the item and not its id.
	before := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&eventTypes=purchase").Items[0]
	f = newFixture(t)
	f.write(charge("txn_1234567890", "2024-01-15T10:30:00Z", 999, by("we_7")),
		charge("txn_1234567890", "2024-01-15T10:30:00Z", 1000, version(2, "2024-01-17T00:00:00Z"), by("key_1")))
	after := get[RevenueAnswer](f, PathRevenue, "workspaceSlug=acme&eventTypes=purchase")
	if len(after.Items) != 1 || after.Items[0].ID != before.ID || after.Items[0].AmountCents != 1000 || after.Items[0].CreatedAt != "2024-01-17T00:00:00.000Z" ||
		after.Items[0].IntegrationID == nil || *after.Items[0].IntegrationID != "key_1" {
		t.Errorf("before %+v, after %+v", before, after.Items)
	}
}

// Two paid terms of one subscription that end at one instant come to two equal
// expirations in some histories; equal entries are counted and listed as often as
// they are believed. Here the ledger is written by hand.
func TestEqualEntriesAreListedTwice(t *testing.T) {
	f := newFixture(t)
	f.write(charge("a", "2026-01-01T00:00:00Z", 100), charge("b", "2026-01-03T00:00:00Z", 300))
	f.write(charge("a", "2026-01-01T00:00:00Z", 100))
	var got []string
	for page := 1; page <= 3; page++ {
		answer := get[RevenueAnswer](f, PathRevenue, fmt.Sprint("workspaceSlug=acme&pageSize=1&page=", page))
		if answer.Total != 3 || len(answer.Items) != 1 {
			t.Fatalf("page %d: %+v", page, answer)
		}
		got = append(got, answer.Items[0].ID)
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 3 {
		t.Errorf("ids are not distinct: %v", got)
	}
}

func TestLocatePage(t *testing.T) {
	day := func(n int) uint32 { return uint32(at("2026-01-01").Unix()) + uint32(n)*86400 }
	counts := []itemCount{{day(0), day(1), 5}, {day(1), day(2), 0}, {day(2), day(3), 7}, {day(3), day(4), 1}}
	within := Period{at("2026-01-01T06:00:00Z"), at("2026-01-04T12:00:00Z")}
	for _, test := range []struct {
		skip, size, before, items int64
		since, until              string
	}{
		{0, 5, 0, 5, "2026-01-01T06:00:00Z", "2026-01-02T00:00:00Z"},
		{0, 6, 0, 12, "2026-01-01T06:00:00Z", "2026-01-04T00:00:00Z"},
		{5, 2, 5, 7, "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"},
		{11, 10, 5, 8, "2026-01-03T00:00:00Z", "2026-01-04T12:00:00Z"},
		{12, 10, 12, 1, "2026-01-04T00:00:00Z", "2026-01-04T12:00:00Z"},
	} {
		found := locatePage(counts, test.skip, test.size, within)
		want := place{13, Period{at(test.since), at(test.until)}, test.before, test.items}
		if found != want {
			t.Errorf("skip %d size %d: %+v, want %+v", test.skip, test.size, found, want)
		}
	}
	if found := locatePage(counts, 13, 10, within); found.items != 0 || found.total != 13 {
		t.Errorf("beyond: %+v", found)
	}
	if got := earlier(testNow, testNow.Add(time.Second)); got != testNow {
		t.Error(got)
	}
}
