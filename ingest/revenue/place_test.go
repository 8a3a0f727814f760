package revenue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// standing is MRR, or a number of subscriptions, by what it stands for.
type byPlace map[string]int64

func placeText(d *Dimensions) string {
	return fmt.Sprint(d.Plan, "|", d.Product, "|", d.Subscription, "|", d.Customer, "|", d.Country, "|", d.Interval)
}

// foldedAt adds up what entries say at an instant; those of a kind that is in none of
// the families of state say nothing.
func foldedAt(entries []Entry, at time.Time) (mrr, subscriptions byPlace) {
	mrr, subscriptions = byPlace{}, byPlace{}
	for i := range entries {
		e := &entries[i]
		if e.Kind.Family() == FamilyState && !e.OccurredAt.After(at) {
			mrr[placeText(&e.Dimensions)+e.Currency] += e.MRR
			subscriptions[placeText(&e.Dimensions)+e.Currency] += e.Subscriptions
		}
	}
	return mrr, subscriptions
}

// statedAt is what the last statement about each subscription says at an instant, the
// plain way: nothing is left unsaid here.
func statedAt(events []Event, at time.Time) (mrr, subscriptions byPlace) {
	last := map[string]*Event{}
	for i := range events {
		e := &events[i]
		if held := last[e.Subscription]; !e.OccurredAt.After(at) && (held == nil || e.OccurredAt.After(held.OccurredAt)) {
			last[e.Subscription] = e
		}
	}
	mrr, subscriptions = byPlace{}, byPlace{}
	for _, e := range last {
		if e.Status == StatusActive && e.MRR > 0 {
			mrr[placeText(&e.Dimensions)+e.Currency] += e.MRR
			subscriptions[placeText(&e.Dimensions)+e.Currency]++
		}
	}
	return mrr, subscriptions
}

func equalPlaces(a, b byPlace) bool {
	for _, pair := range [][2]byPlace{{a, b}, {b, a}} {
		for place, n := range pair[0] {
			if pair[1][place] != n {
				return false
			}
		}
	}
	return true
}

// MRR and subscriptions add up by plan, product, country, currency and subscription, at
// all times, however customers pass from one to another, and transfers come to nothing.
func TestMRRAddsUpByPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	transfers := 0
	for range 400 {
		var events []Event
		begin := day("2026-01-01")
		for n := range 2 + random.IntN(9) {
			// Changes of one window come together; windows are hours apart.
			at := begin.Add(time.Duration(n/2)*3*time.Hour + time.Duration(n%2)*time.Minute)
			e := fact(KindSubscription, fmt.Sprint("s", n), at.Format("2006-01-02T15:04"), 0)
			e.Status, e.MRR = StatusActive, int64(random.IntN(4))*MRRScale
			e.Currency, e.Subscription = pick("USD", "USD", "USD", "EUR"), pick("sub_1", "sub_2")
			e.Plan, e.Product, e.Customer, e.Country = pick("gold", "silver"), "p", "c", pick("DE", "DE", "FR")
			e.Interval = pick("month", "month", "year")
			if random.IntN(6) == 0 {
				e.Status = StatusCanceled
			}
			events = append(events, e)
		}
		entries := Fold(events)
		var moved, subscriptions, customers int64
		for i := range entries {
			if entries[i].Kind == EntryTransfer {
				transfers++
				moved, subscriptions, customers = moved+entries[i].MRR, subscriptions+entries[i].Subscriptions, customers+entries[i].Customers
			}
		}
		if moved != 0 || subscriptions != 0 || customers != 0 {
			t.Fatalf("transfers come to %d, %d subscriptions, %d customers: %s", moved, subscriptions, customers, lines(entries))
		}
		for n := range 5 { // at the end of each window
			at := begin.Add(time.Duration(n)*3*time.Hour + 2*time.Hour)
			mrr, active := foldedAt(entries, at)
			wantMRR, wantActive := statedAt(events, at)
			if !equalPlaces(mrr, wantMRR) || !equalPlaces(active, wantActive) {
				t.Fatalf("at %v: %v %v, want %v %v\n%s", at, mrr, active, wantMRR, wantActive, lines(entries))
			}
		}
	}
	if transfers < 400 {
		t.Errorf("%d transfers only: the test shows little", transfers)
	}
}

// A customer who stays in one plan costs no row more than before.
func TestNoTransferWithoutAnotherPlan(t *testing.T) {
	worth := func(id, at string, mrr int64, plan string) Event {
		return fact(KindSubscription, id, at, 0, func(e *Event) {
			e.Status, e.MRR, e.Subscription, e.Plan = StatusActive, mrr*MRRScale, "s", plan
		})
	}
	events := []Event{worth("1", "2026-01-01", 20, "gold"), worth("2", "2026-02-01", 30, ""), worth("3", "2026-03-01", 0, "silver")}
	entries := Fold(events)
	if slices.ContainsFunc(entries, func(e Entry) bool { return e.Kind == EntryTransfer }) {
		t.Errorf("a transfer: %s", lines(entries))
	}
	for _, e := range entries {
		if e.Plan != "gold" && e.Kind.Family() == FamilyState {
			t.Errorf("%s is of plan %q: what is unsaid is as it was, and what ends ends where it was", e.Kind, e.Plan)
		}
	}
}
