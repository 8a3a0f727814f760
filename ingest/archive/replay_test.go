package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"revstream/clickhouse"
	"revstream/connectors"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

// readings are what the mapping of today makes of deliveries, by their ids.
type readings map[string]func(d *stream.Delivery) ([]connectors.Item, error)

func (r readings) decode(_ context.Context, d *stream.Delivery) ([]connectors.Item, map[string]json.RawMessage, error) {
	items, err := r[d.ID](d)
	return items, map[string]json.RawMessage{"/of/" + d.ID: json.RawMessage(`{"n":1.50}`)}, err
}

// says reads a delivery as one event about sales, each of so many cents.
func says(cents int64, sales ...string) func(d *stream.Delivery) ([]connectors.Item, error) {
	return func(d *stream.Delivery) ([]connectors.Item, error) {
		item := connectors.Item{ID: d.Items[0].ID, Type: "sale.paid"}
		for _, sale := range sales {
			item.Events = append(item.Events, charge(d, sale, cents))
		}
		return []connectors.Item{item}, nil
	}
}

func fails(err error) func(*stream.Delivery) ([]connectors.Item, error) {
	return func(*stream.Delivery) ([]connectors.Item, error) { return nil, err }
}

// lacks reads a delivery as one of which the provider's API refuses to say more.
func lacks(d *stream.Delivery) ([]connectors.Item, error) {
	return []connectors.Item{{ID: d.Items[0].ID, Events: []revenue.Event{charge(d, "sale_0", 1)}, Lacks: &connectors.RefusedError{Path: "/prices", Status: 403}}}, nil
}

func isMalformed(d *stream.Delivery) ([]connectors.Item, error) {
	return []connectors.Item{{ID: d.Items[0].ID, Err: &connectors.InvalidError{Detail: "is no sale"}}}, nil
}

func (b *books) replay(today readings) Replay {
	at := testNow.Add(24 * time.Hour)
	return Replay{
		Store: b.store, Publish: b.publish, Decode: today.decode,
		Accepts: func(_ *stream.Delivery, livemode bool) bool { return livemode },
		Now:     func() time.Time { at = at.Add(time.Second); return at },
	}
}

// run replays all deliveries of the workspace, and tells what became of each.
func (b *books) run(r Replay) (changes map[string]string, total Total, err error) {
	b.t.Helper()
	b.published, changes = nil, map[string]string{}
	r.Progress = func(c Change) {
		text := ""
		for _, e := range c.Withdrawn {
			text += fmt.Sprintf("-%s %d ", e.ObjectID, e.Amount)
		}
		for _, e := range c.Stated {
			text += fmt.Sprintf("+%s %d ", e.ObjectID, e.Amount)
		}
		if c.Skipped != nil {
			text += "skipped"
		}
		changes[c.Delivery.ID] = text
	}
	total, err = r.Run(b.t.Context(), clickhouse.DeliveryFilter{Workspace: "ws_1"})
	return changes, total, err
}

// believed are the cents that stand.
func (b *books) believed() map[string]int64 {
	b.t.Helper()
	var keys []revenue.GroupKey
	for i := range 9 {
		keys = append(keys, revenue.GroupKey{Workspace: "ws_1", Group: fmt.Sprintf("toypay||live|sale_%d", i)})
	}
	groups, err := b.store.ReadGroups(b.t.Context(), keys)
	if err != nil {
		b.t.Fatal(err)
	}
	stands := map[string]int64{}
	for _, group := range groups {
		for _, entry := range revenue.Fold(group.Events) {
			stands[entry.ObjectID] += entry.Amount
		}
	}
	return stands
}

// What a corrected mapping no longer says is withdrawn, unless another delivery says it
// still; what is new is stated; what cannot be read again, or not as fully, is left as it
// is, and what could not be read fully before is completed. A second replay says nothing,
// and neither does a dry one.
func TestReplay(t *testing.T) {
	b := newBooks(t)
	refused, truncated, other := saleDelivery(7, "sale_7", 0), saleDelivery(8, "sale_8", 800), saleDelivery(6, "sale_6", 600)
	refused.Refusal, refused.Statements, truncated.Truncated = "wrong_secret", nil, true
	full, partial := saleDelivery(10, "sale_0", 50), saleDelivery(11, "sale_9", 0)
	partial.Items[0].Outcome = "incomplete"
	b.hear(full, partial, saleDelivery(1, "sale_1", 100), saleDelivery(2, "sale_2", 200), saleDelivery(3, "sale_2", 200),
		saleDelivery(4, "sale_4", 400), saleDelivery(5, "sale_5", 500), other, refused, truncated)
	today := readings{
		"dlv_1": says(1, "sale_1", "sale_3"), // the mapping took cents for units, and missed one
		"dlv_2": says(0),                     // no longer about a sale; but its twin is
		"dlv_3": says(200, "sale_2"),
		"dlv_4": isMalformed,         // its object is gone: what it said was true
		"dlv_5": says(500, "sale_5"), // as it was
		"dlv_6": func(d *stream.Delivery) ([]connectors.Item, error) { // turns out to be of test mode
			items, err := says(600, "sale_6")(d)
			items[0].Events[0].Livemode = false
			return items, err
		},
		"dlv_8":  says(1, "sale_8"),
		"dlv_10": lacks, "dlv_11": says(0, "sale_9"),
	}
	before := b.believed()
	dry := b.replay(today)
	dry.DryRun = true
	want := map[string]string{
		"dlv_1": "-sale_1 100 +sale_1 1 +sale_3 1 ", "dlv_2": "", "dlv_3": "", "dlv_4": "skipped", "dlv_5": "",
		"dlv_6": "-sale_6 600 ", "dlv_7": "skipped", "dlv_8": "skipped", "dlv_10": "skipped", "dlv_11": "",
	}
	changes, total, err := b.run(dry)
	if err != nil || fmt.Sprint(changes) != fmt.Sprint(want) || len(b.published) != 0 || fmt.Sprint(b.believed()) != fmt.Sprint(before) {
		t.Fatalf("dry: %v, %v, published %d; want %v", changes, err, len(b.published), want)
	}
	if total != (Total{Deliveries: 10, Changed: 2, Skipped: 4, Withdrawn: 2, Stated: 2}) {
		t.Errorf("total %+v", total)
	}
	if changes, _, err = b.run(b.replay(today)); err != nil || fmt.Sprint(changes) != fmt.Sprint(want) || len(b.published) != 4 {
		t.Fatalf("%v, %v, published %d; want %v", changes, err, len(b.published), want)
	}
	stands := map[string]int64{"sale_0": 50, "sale_1": 1, "sale_2": 200, "sale_3": 1, "sale_4": 400, "sale_5": 500, "sale_8": 800}
	if got := b.believed(); fmt.Sprint(got) != fmt.Sprint(stands) {
		t.Errorf("believed %v, want %v", got, stands)
	}
	if found, err := Find(t.Context(), b.store.Answers(), clickhouse.DeliveryFilter{Workspace: "ws_1", Outcome: "incomplete"}, 10); err != nil || len(found) != 0 {
		t.Errorf("incomplete still %+v, %v", found, err)
	}
	kept, err := Find(t.Context(), b.store.Answers(), clickhouse.DeliveryFilter{Workspace: "ws_1", Name: "sale_3"}, 10)
	if err != nil || len(kept) != 1 || kept[0].ID != "dlv_1" || kept[0].Revision == 0 || string(kept[0].Answers["/of/dlv_1"]) != `{"n":1.50}` {
		t.Errorf("the delivery as it reads now: %+v, %v", kept, err)
	}
	if changes, total, err = b.run(b.replay(today)); err != nil || total.Changed != 0 || len(b.published) != 0 {
		t.Errorf("the second replay: %v, %+v, %v", changes, total, err)
	}
}

// An API that does not answer stops a replay, which can be run again; what was done until
// then is done.
func TestReplayStopsAndGoesOn(t *testing.T) {
	b := newBooks(t)
	b.hear(saleDelivery(1, "sale_1", 100), saleDelivery(2, "sale_2", 200))
	down := errors.New("the API is down")
	today := readings{"dlv_1": says(1, "sale_1"), "dlv_2": fails(down)}
	if _, total, err := b.run(b.replay(today)); !errors.Is(err, down) || total.Changed != 1 {
		t.Fatalf("%+v, %v", total, err)
	}
	today["dlv_2"] = says(2, "sale_2")
	if changes, total, err := b.run(b.replay(today)); err != nil || total.Changed != 1 || changes["dlv_1"] != "" {
		t.Fatalf("%v, %+v, %v", changes, total, err)
	}
	if got := b.believed(); fmt.Sprint(got) != fmt.Sprint(map[string]int64{"sale_1": 1, "sale_2": 2}) {
		t.Errorf("believed %v", got)
	}
	today["dlv_1"], today["dlv_2"] = fails(fmt.Errorf("%w: no settings", ErrNotNow)), fails(&connectors.InvalidError{Detail: "no JSON"})
	if changes, total, err := b.run(b.replay(today)); err != nil || total.Skipped != 2 || len(b.published) != 0 {
		t.Errorf("%v, %+v, %v", changes, total, err)
	}
}

// A replay pages through what there is, each once and the oldest first.
func TestReplayReadsAll(t *testing.T) {
	b := newBooks(t)
	today, want := readings{}, []string{}
	var rows []clickhouse.Delivery
	for i := range 2*replayPage + 1 {
		d := saleDelivery(i, fmt.Sprintf("sale_%d", i), 100)
		d.Statements, d.Items[0].Outcome, today[d.ID] = nil, "ignored", says(0)
		want = append(want, d.ID)
		row, err := rowOf(&d)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := b.store.InsertDeliveries(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	var read []string
	replay := b.replay(today)
	replay.Progress = func(c Change) { read = append(read, c.Delivery.ID) }
	if _, err := replay.Run(t.Context(), clickhouse.DeliveryFilter{Workspace: "ws_1"}); err != nil || !slices.Equal(read, want) {
		t.Errorf("read %d of %d, %v", len(read), len(want), err)
	}
}
