package backfill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"revstream/connectors"
	"revstream/ingest/revenue"
	"revstream/ingest/stream"
)

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// numbers is a stream of the hours of the past, ten to a page, each a charge; every
// seventh cannot be read, and every fifth is of test mode.
func numbers(name string, keptFor time.Duration, fail *error) connectors.Stream {
	return connectors.Stream{Name: name, KeptFor: keptFor,
		Page: func(_ context.Context, _ connectors.Past, window connectors.Window, cursor string) (connectors.Page, error) {
			if *fail != nil {
				return connectors.Page{}, *fail
			}
			first, _ := strconv.Atoi(cursor)
			var page connectors.Page
			for n := first; n < first+10; n++ {
				at := window.From.Add(time.Duration(n) * time.Hour)
				if !at.Before(window.Until) {
					return page, nil
				}
				hour := int(at.Unix() / 3600)
				item := connectors.Item{ID: fmt.Sprintf("%s_%d", name, hour)}
				if hour%7 == 0 {
					item.Err = &connectors.InvalidError{Detail: "is no hour"}
				} else {
					item.Events = []revenue.Event{{ObjectID: item.ID, Livemode: hour%5 != 0}}
				}
				page.Items = append(page.Items, item)
			}
			page.Next = strconv.Itoa(first + 10)
			return page, nil
		}}
}

type recorder struct {
	ids   map[string]int
	saved []Checkpoint
	busy  int
	cut   int // publish no more than so often
}

func (r *recorder) publish(_ context.Context, events ...revenue.Event) error {
	if r.busy--; r.busy >= 0 {
		return fmt.Errorf("not now: %w", stream.ErrBusy)
	}
	if r.cut--; r.cut == 0 {
		return errors.New("the power is gone")
	}
	for _, e := range events {
		r.ids[e.ObjectID]++
	}
	return nil
}

func (r *recorder) run(fail *error, from Checkpoint) Run {
	return Run{
		History: &connectors.History{Streams: []connectors.Stream{numbers("recent", 48*time.Hour, fail), numbers("all", 0, fail)}},
		Past:    connectors.Past{Delivery: connectors.Delivery{ReceivedAt: now}},
		Window:  connectors.Window{From: now.Add(-70 * 24 * time.Hour), Until: now},
		Accepts: func(livemode bool) bool { return livemode },
		Publish: r.publish, From: from,
		Save: func(at Checkpoint) error {
			r.saved = append(r.saved, at)
			return nil
		},
	}
}

// A run that is cut off anywhere and goes on from its last checkpoint reads what one
// that is not does, whatever comes twice.
func TestARunGoesOnFromItsCheckpoint(t *testing.T) {
	var none error
	whole := &recorder{ids: map[string]int{}}
	total, err := whole.run(&none, Checkpoint{}).Do(t.Context())
	if unreadable := new(Unreadable); !errors.As(err, &unreadable) || unreadable.Stream == "" {
		t.Fatalf("%v", err)
	}
	hours := int64(48 + 70*24)
	if total.Objects != hours || total.Unreadable != (hours+6)/7 && total.Unreadable != hours/7 || total.Statements+total.OtherMode+total.Unreadable != hours || len(whole.ids) != int(total.Statements) {
		t.Fatalf("%+v, %d published", total, len(whole.ids))
	}
	for cut := 1; cut < 30; cut++ {
		r := &recorder{ids: map[string]int{}, cut: cut}
		if _, err := r.run(&none, Checkpoint{}).Do(t.Context()); err == nil || errors.As(err, new(*Unreadable)) {
			t.Fatalf("cut off after %d pages it ended with %v", cut, err)
		}
		var from Checkpoint
		if len(r.saved) > 0 {
			from = r.saved[len(r.saved)-1]
		}
		again, _ := r.run(&none, from).Do(t.Context())
		if !reflect.DeepEqual(keys(r.ids), keys(whole.ids)) || again != total {
			t.Fatalf("cut off after %d pages it read %d, %+v; want %d, %+v", cut, len(r.ids), again, len(whole.ids), total)
		}
	}
}

func keys(m map[string]int) map[string]bool {
	set := map[string]bool{}
	for k := range m {
		set[k] = true
	}
	return set
}

// An API that fails stops the run; Kafka that is busy is waited for.
func TestARunStopsAndWaits(t *testing.T) {
	down := errors.New("the API is down")
	r := &recorder{ids: map[string]int{}}
	if _, err := r.run(&down, Checkpoint{}).Do(t.Context()); !errors.Is(err, down) || len(r.saved) != 0 {
		t.Errorf("%v, %d checkpoints", err, len(r.saved))
	}
	var none error
	r = &recorder{ids: map[string]int{}, busy: 1}
	run := r.run(&none, Checkpoint{})
	run.Window.From = now.Add(-3 * time.Hour)
	if _, err := run.Do(t.Context()); err != nil && !errors.As(err, new(*Unreadable)) || len(r.ids) == 0 {
		t.Errorf("%v, %d published", err, len(r.ids))
	}
	run.Publish = nil // a dry run counts
	if total, _ := run.Do(t.Context()); total.Statements == 0 {
		t.Errorf("%+v", total)
	}
}

// Of what began after a run's own list of events begins, nothing has to be presumed; but
// of all that began before there were deliveries, if the run leaves a time between untold.
func TestEventsThatARunReadsAreHeard(t *testing.T) {
	const kept = 30 * 24 * time.Hour
	created := now.Add(-24 * time.Hour)
	for _, c := range []struct {
		about             string
		keptFor           time.Duration
		from, until, want time.Time
	}{
		{"as far back as events are kept", kept, now.Add(-2 * kept), now, now.Add(-kept)},
		{"as far back as is asked for", kept, now.Add(-kept / 2), now, now.Add(-kept / 2)},
		{"not up to the first delivery", kept, now.Add(-2 * kept), created.Add(-time.Hour), created},
		{"after the first delivery", kept, created.Add(time.Hour), now, created},
		{"no list of events", 0, now.Add(-2 * kept), now, created},
	} {
		var heard time.Time
		run := Run{
			History: &connectors.History{Streams: []connectors.Stream{
				{Name: "objects", Whole: true, Page: func(_ context.Context, past connectors.Past, _ connectors.Window, _ string) (connectors.Page, error) {
					heard = past.Heard
					return connectors.Page{}, nil
				}},
				{Name: "events", KeptFor: c.keptFor, Page: func(context.Context, connectors.Past, connectors.Window, string) (connectors.Page, error) {
					return connectors.Page{}, nil
				}},
			}},
			Past:   connectors.Past{Delivery: connectors.Delivery{ReceivedAt: now}, Heard: created},
			Window: connectors.Window{From: c.from, Until: c.until},
			Save:   func(Checkpoint) error { return nil },
		}
		if _, err := run.Do(t.Context()); err != nil || !heard.Equal(c.want) {
			t.Errorf("%s: presumed before %v, %v; want %v", c.about, heard, err, c.want)
		}
	}
}

// The client repeats what is refused for its rate or fails, as long as the API asks it to
// wait, and gives up in the end.
func TestTheClientIsPatient(t *testing.T) {
	var requests atomic.Int64
	var waited [2]time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := requests.Add(1); {
		case r.URL.Path == "/never":
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case n == 1:
			waited[0] = time.Now()
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slower", http.StatusTooManyRequests)
		case n == 2:
			waited[1] = time.Now()
			panic(http.ErrAbortHandler) // a connection that is cut
		default:
			_, _ = w.Write([]byte(`{"id":"in_1"}`))
		}
	}))
	defer server.Close()
	patience := Patience{PerSecond: 1000, Retries: 3, WaitMin: time.Millisecond, WaitMax: 5 * time.Millisecond, Timeout: 20 * time.Second}
	client := patience.Client()
	o, err := client.Fetch(t.Context(), server.URL, "/v1/invoices", func(*http.Request) {})
	if err != nil || o.ID("id") != "in_1" || requests.Load() != 3 {
		t.Errorf("%v, %v after %d requests", o, err, requests.Load())
	}
	if pause := waited[1].Sub(waited[0]); pause < time.Second {
		t.Errorf("was told to wait a second and waited %v", pause)
	}
	requests.Store(0)
	if _, err := client.Fetch(t.Context(), server.URL, "/never", func(*http.Request) {}); err == nil || requests.Load() != 4 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}
