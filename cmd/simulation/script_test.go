package simulation

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// told is everything that a run would send, in order.
func allDeliveries(o Options, stories int) [][]byte {
	script, mail := newScript(o), newMail(o.Seed, o)
	for number := range stories {
		for _, e := range script.story(number).errands {
			mail.post(e)
		}
	}
	var bodies [][]byte
	for {
		p, due := mail.due(true)
		if !due {
			return bodies
		}
		for _, d := range p.deliveries {
			bodies = append(bodies, []byte(d.Method+" "+d.Path+" "+d.Header.Get("Idempotency-Key")+"\n"), d.Body)
		}
	}
}

func TestSameSeedTellsTheSame(t *testing.T) {
	once, again := allDeliveries(testOptions(5), 60), allDeliveries(testOptions(5), 60)
	if !slices.EqualFunc(once, again, bytes.Equal) {
		t.Error("one seed told two different things")
	}
	if other := allDeliveries(testOptions(6), 60); slices.EqualFunc(once, other, bytes.Equal) {
		t.Error("another seed told the same")
	}
	o := testOptions(5)
	o.Run = "u"
	elsewhere := allDeliveries(o, 60)
	for i := 1; i < len(once) && i < len(elsewhere); i += 2 {
		if bytes.Equal(once[i], elsewhere[i]) {
			t.Fatalf("another run told the same: %s", clip(once[i]))
		}
	}
}

// What changes for a customer within an hour is one movement to the service, so
// stories keep changes apart.
func TestChangesOfACustomerAreApart(t *testing.T) {
	script := newScript(testOptions(3))
	for number := range 600 {
		for _, c := range script.story(number).customers {
			var changes []time.Time
			for _, s := range c.subscriptions {
				last := int64(0)
				for i, level := range s.levels {
					if i > 0 && !s.levels[i-1].at.Before(level.at) {
						t.Fatalf("story %d: levels of %s are not in order", number, s.id)
					}
					if level.mrr != last {
						changes = append(changes, level.at)
					}
					last = level.mrr
				}
			}
			slices.SortFunc(changes, time.Time.Compare)
			for i := 1; i < len(changes); i++ {
				if apart := changes[i].Sub(changes[i-1]); apart != 0 && apart < time.Hour {
					t.Errorf("story %d: MRR changes at %v and %v", number, changes[i-1], changes[i])
				}
			}
		}
	}
}

// Every way of telling something is made use of, or a door is not really tried.
func TestScriptTellsEverything(t *testing.T) {
	script, labels := newScript(testOptions(1)), map[string]int{}
	var kinds [fee + 1]int
	for number := range 1500 {
		told := script.story(number)
		for _, e := range told.errands {
			for _, d := range e.deliveries {
				labels[string(d.Door)+" "+d.Label]++
			}
		}
		for _, f := range told.flows {
			kinds[f.what]++
		}
	}
	for _, label := range []string{
		"trackly messages", "trackly revenue", "trackly revenue/bulk", "trackly revenue, wrong",
		"thrivestack POST", "thrivestack PUT", "thrivestack DELETE", "thrivestack PUT of unknown", "thrivestack DELETE of unknown",
		"pulsora purchase", "pulsora subscription", "pulsora renewal", "pulsora upgrade", "pulsora downgrade", "pulsora churn", "pulsora refund",
		"native event", "native array", "native lines", "native array gzip", "native lines gzip", "native event gzip",
		"stripe charge.succeeded", "stripe charge.captured", "stripe charge.refunded", "stripe charge.refund.updated",
		"stripe charge.dispute.created", "stripe charge.dispute.funds_withdrawn", "stripe charge.dispute.funds_reinstated", "stripe charge.dispute.closed",
		"stripe payment_intent.succeeded", "stripe invoice.paid", "stripe invoice.payment_succeeded", "stripe invoice.finalized", "stripe invoice_payment.paid",
		"stripe refund.created", "stripe refund.updated", "stripe refund.failed", "stripe checkout.session.completed",
		"stripe customer.subscription.created", "stripe customer.subscription.updated", "stripe customer.subscription.deleted",
		"stripe invoice.paid (test mode)",
	} {
		if labels[label] == 0 {
			t.Errorf("no %q was told", label)
		}
	}
	for what, n := range kinds {
		if n == 0 {
			t.Errorf("nothing of kind %d happened", what)
		}
	}
	for _, version := range []string{versionCharges, versionClassic, versionBasil} {
		found := false
		for number := range 100 {
			for _, e := range script.story(number).errands {
				found = found || strings.Contains(string(e.deliveries[0].Body), version)
			}
		}
		if !found {
			t.Errorf("no event of API version %s was told", version)
		}
	}
}

// Previous attributes have to be what an update changed, since the order of
// updates within a second is known by them.
func TestUpdatesSayWhatTheyChanged(t *testing.T) {
	script, updates := newScript(testOptions(2, DoorStripe)), 0
	for number := range 40 {
		for _, e := range script.story(number).errands {
			if e.deliveries[0].Label != "customer.subscription.updated" {
				continue
			}
			var event struct {
				Data struct {
					Object   map[string]json.RawMessage
					Previous map[string]json.RawMessage `json:"previous_attributes"`
				}
			}
			if err := json.Unmarshal(e.deliveries[0].Body, &event); err != nil {
				t.Fatal(err)
			}
			updates++
			if len(event.Data.Previous) == 0 {
				t.Errorf("an update changed nothing: %s", clip(e.deliveries[0].Body))
			}
			for name, was := range event.Data.Previous {
				if bytes.Equal(was, event.Data.Object[name]) {
					t.Errorf("%s is said to have changed, and is what it was: %s", name, was)
				}
			}
		}
	}
	if updates < 50 {
		t.Errorf("only %d updates", updates)
	}
}

func TestMailDisturbsTheOrderAndRepeats(t *testing.T) {
	o := testOptions(1)
	count := func(duplicates, disorder float64) (out []int, repeated int) {
		o.Duplicates, o.Disorder = duplicates, disorder
		m := newMail(1, o)
		for i := range 2000 {
			m.post(errand{deliveries: []Delivery{{Events: i}}})
			for {
				p, due := m.due(i == 1999)
				if !due {
					break
				}
				if out = append(out, p.deliveries[0].Events); p.duplicate {
					repeated++
				}
			}
		}
		return out, repeated
	}
	if out, repeated := count(0, 0); repeated != 0 || !slices.IsSorted(out) || len(out) != 2000 {
		t.Errorf("undisturbed mail: %d deliveries, %d repeated, in order: %v", len(out), repeated, slices.IsSorted(out))
	}
	out, repeated := count(0.1, 0.3)
	if repeated < 150 || repeated > 300 || slices.IsSorted(out) {
		t.Errorf("%d of 2000 deliveries were repeated, want about 220; in order: %v", repeated, slices.IsSorted(out))
	}
	slices.Sort(out)
	if got := len(slices.Compact(out)); got != 2000 {
		t.Errorf("%d errands left, want all 2000", got)
	}
}
