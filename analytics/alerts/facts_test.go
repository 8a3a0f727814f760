package alerts

import (
	"slices"
	"testing"
	"time"

	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

var (
	movements = control.AlertRule{On: control.AlertMovements}
	refunds   = control.AlertRule{On: control.AlertRefunds}
)

func TestMovementsAreTold(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	// What was there before somebody asked to be told is no news.
	h.say(subscription("old", h.now.Add(-time.Hour), 5000))
	a := h.alert(r.url, movements)
	h.tell()
	r.none("nothing has happened since the alert was made")

	begin := h.now
	h.say(subscription("a", begin, 2000))
	h.tell()
	told := r.one("movement.new")
	told.signed(t, a.Secrets[0])
	told.has(t, "workspace", acme)
	told.has(t, "alert", a.ID)
	told.has(t, "customer", "a")
	told.has(t, "subscription", "sub_a")
	told.has(t, "currency", "USD")
	told.has(t, "mrrCents", 2000)
	told.has(t, "mrr", "2000")
	told.has(t, "occurredAt", instant(begin))
	if told.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", told.header)
	}

	h.say(subscription("a", begin.Add(2*time.Hour), 2000)) // the same, and lies ahead
	h.pass(3 * time.Hour)
	h.tell()
	r.none("nothing has changed")

	up := h.now
	h.say(subscription("a", up, 3050))
	h.tell()
	r.one("movement.expansion").has(t, "mrrCents", 1050)

	// An end that lies ahead is told when it has come, and not before.
	h.pass(2 * time.Hour)
	end := h.now.Add(48 * time.Hour)
	h.say(subscription("a", h.now, 3050, ends(end)))
	h.tell()
	r.none("the end lies ahead")
	h.pass(48*time.Hour + time.Second)
	h.tell()
	left := r.one("movement.churn")
	left.has(t, "mrrCents", -3050)
	left.has(t, "occurredAt", instant(end))

	// One that never comes is never told.
	h.say(subscription("b", h.now, 1000, ends(h.now.Add(24*time.Hour))))
	h.tell()
	r.one("movement.new").has(t, "customer", "b")
	h.pass(23 * time.Hour)
	h.say(subscription("b", h.now, 1000))
	h.pass(24 * time.Hour)
	h.tell()
	r.none("it was taken back before it came")
}

// What was corrected before it could be told was never told, and what was told is told
// to be otherwise, once.
func TestCorrectionsAreTold(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	h.alert(r.url, movements)
	at := h.now.Add(time.Second)
	h.pass(2 * time.Second)
	h.say(subscription("a", at, 9900, version(1)))
	h.say(subscription("a", at, 4900, version(2)))
	h.say(subscription("gone", at, 7700, version(1)))
	h.say(subscription("gone", at, 0, version(2), deleted))
	h.tell()
	first := r.one("movement.new")
	first.has(t, "customer", "a")
	first.has(t, "mrrCents", 4900)
	first.has(t, "previous", nil)

	h.say(subscription("a", at, 5900, version(3)))
	h.tell()
	second := r.one("movement.corrected")
	second.has(t, "subject", first.body.Data["subject"])
	second.has(t, "mrrCents", 5900)
	second.has(t, "previous", map[string]any{"id": first.id, "mrr": "4900", "mrrCents": 4900})

	// Said again, and something about it that is no figure.
	h.say(subscription("a", at, 5900, version(4), func(e *revenue.Event) { e.Plan = "gold" }))
	h.tell()
	r.none("the figure is the same")

	h.say(subscription("a", at, 0, version(5), deleted))
	h.tell()
	third := r.one("movement.retracted")
	third.has(t, "subject", first.body.Data["subject"])
	third.has(t, "mrrCents", nil)
	third.has(t, "customer", "a")
	third.has(t, "previous", map[string]any{"id": second.id, "mrr": "5900", "mrrCents": 5900})

	// The deletion is undone: as before, under another id.
	h.say(subscription("a", at, 5900, version(6)))
	h.tell()
	fourth := r.one("movement.new")
	fourth.has(t, "mrrCents", 5900)
	if ids := []string{first.id, second.id, third.id, fourth.id}; len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 4 {
		t.Errorf("ids are not one for each: %v", ids)
	}
}

func TestRefundsAreTold(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	h.alert(r.url, control.AlertRule{On: control.AlertRefunds, Minimums: map[string]int64{"USD": 500, "EUR": 1000}})
	at := h.now.Add(time.Second)
	h.pass(2 * time.Second)
	h.say(
		charge("ch_1", at, 3000), refundOf("ch_1", "re_small", at, 499), refundOf("ch_1", "re_1", at, 500),
		charge("ch_2", at, 3000, in("EUR")), refundOf("ch_2", "re_2", at, 999, in("EUR")),
		charge("ch_3", at, 3000, in("JPY")), refundOf("ch_3", "re_3", at, 1, in("JPY")), // no minimum
		charge("ch_4", at, 3000, func(e *revenue.Event) { e.Livemode = false }), // no money
		subscription("a", at, 2000), // not asked for
	)
	h.tell()
	got := r.got()
	slices.SortFunc(got, func(a, b arrival) int { return len(a.text) - len(b.text) })
	if len(got) != 2 || got[0].body.Type != "refund.made" || got[1].body.Type != "refund.made" {
		t.Fatalf("arrived:\n%s", texts(got))
	}
	byID := map[any]arrival{got[0].body.Data["objectId"]: got[0], got[1].body.Data["objectId"]: got[1]}
	byID["re_1"].has(t, "refundCents", 500)
	byID["re_1"].has(t, "currency", "USD")
	byID["re_3"].has(t, "refundCents", 1)

	// Corrected below the minimum: who was told the other figure has to know. And the
	// time of a refund is no figure.
	h.say(refundOf("ch_1", "re_1", at.Add(-time.Hour), 100, version(2)))
	h.tell()
	corrected := r.one("refund.corrected")
	corrected.has(t, "refundCents", 100)
	corrected.has(t, "subject", byID["re_1"].body.Data["subject"])
	corrected.has(t, "previous", map[string]any{"id": byID["re_1"].id, "refundCents": 500})
	h.say(refundOf("ch_1", "re_1", at, 0, version(3), deleted))
	h.tell()
	r.one("refund.retracted").has(t, "refundCents", nil)
}

func TestWhatIsTold(t *testing.T) {
	h, all, some := newHouse(t), newReceiver(t), newReceiver(t)
	h.alert(all.url, movements)
	h.alert(some.url, control.AlertRule{On: control.AlertMovements, Kinds: []string{"churn", "contraction"}, Minimums: map[string]int64{"USD": 1000}})
	h.pass(time.Second)
	begin := h.now
	h.say(subscription("a", begin, 2000), subscription("b", begin, 2000), subscription("c", begin, 2000))
	h.pass(2 * time.Hour)
	h.say(subscription("a", h.now, 1000), subscription("b", h.now, 1001), subscription("c", h.now, 0, func(e *revenue.Event) { e.Status = revenue.StatusCanceled }))
	h.tell()
	if got := typesOf(all.got()); len(got) != 6 {
		t.Errorf("all: %v", got)
	}
	if got := typesOf(some.got()); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"movement.churn", "movement.contraction"}) {
		t.Errorf("some: %v", got)
	}
	// What becomes known long after it happened is history.
	h.pass(h.config.Lookback + 24*time.Hour)
	h.tell()
	h.say(subscription("late", begin.Add(time.Hour), 4000), subscription("d", h.now.Add(-h.config.Lookback/2), 4000))
	h.tell()
	all.one("movement.new").has(t, "customer", "d")
}

// While nobody tells, nothing is lost, and what was told is not told again.
func TestNothingIsSkippedOrRepeated(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	h.alert(r.url, movements)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	h.tell()
	r.one("movement.new")
	h.restart()
	h.tell()
	r.none("it was told before the restart")

	// Away for longer than what becomes known late is news.
	happened := h.now.Add(time.Hour)
	h.pass(2 * time.Hour)
	h.say(subscription("b", happened, 2000))
	h.pass(h.config.Lookback + 48*time.Hour)
	h.restart()
	h.tell()
	r.one("movement.new").has(t, "customer", "b")

	// Found out, kept, and not sent.
	h.pass(time.Second)
	h.say(subscription("c", h.now, 3000))
	h.look()
	r.none("nobody has sent it")
	h.restart()
	h.tell()
	r.one("movement.new").has(t, "customer", "c")

	// Two who tell at a time come to the same ids.
	h.say(subscription("d", h.now, 4000))
	other := h.notifier
	h.look()
	before := h.log(h.directory.ActiveAlerts()[0])
	h.restart()
	h.notifier.through = other.through.Add(-time.Minute)
	h.look()
	if after := h.log(h.directory.ActiveAlerts()[0]); len(after) != len(before) {
		t.Errorf("%d notifications, and %d after another look", len(before), len(after))
	}

	// A row that comes in later than it says, by the clock of another node.
	h.tell()
	r.got()
	late := subscription("e", h.now, 5000)
	late.ReceivedAt = h.now.Add(-5 * time.Minute)
	h.pass(time.Minute)
	h.tell()
	h.say(late)
	h.tell()
	r.one("movement.new").has(t, "customer", "e")
}

// What is not complete is not told yet: half of a batch may be stored.
func TestOnlyWhatIsCompleteIsTold(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	h.alert(r.url, movements)
	h.pass(time.Second)
	stored := h.now
	h.say(subscription("a", h.now, 1000))
	h.reach(stored) // everything before it, and it was accepted at that moment
	h.now = h.now.Add(time.Hour)
	h.tell()
	r.none("it is not complete")
	h.reach(h.now)
	h.tell()
	r.one("movement.new")
}
