package alerts

import (
	"fmt"
	"testing"
	"time"

	"revstream/clickhouse"
	"revstream/clickhouse/embedded/enginetest"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// judged lets the interval of thresholds pass, and tells.
func (h *house) judged() {
	h.t.Helper()
	h.pass(h.config.ThresholdInterval)
	h.tell()
}

func TestRefundRate(t *testing.T) {
	h, byNumber, byAmount := newHouse(t), newReceiver(t), newReceiver(t)
	day := 24 * time.Hour
	a := h.alert(byNumber.url, control.AlertRule{On: control.AlertRefundRate, PerMille: 200, Period: day, ChargesMin: 5})
	h.alert(byAmount.url, control.AlertRule{On: control.AlertRefundRate, PerMille: 200, Period: day, ByAmount: true})
	begin := h.now
	h.say(charge("ch_1", begin, 1000), refundOf("ch_1", "re_1", begin, 200))
	h.judged() // 1 of 1 charges, and 200 of 1,000: not over 20 %; and of too few charges
	byNumber.none("there are too few charges")
	byAmount.none("it is the threshold and not over it")
	for i := range 4 {
		h.say(charge(fmt.Sprint("ch_n", i), h.now, 1000))
	}
	h.judged() // 1 of 5 charges
	byNumber.none("it is the threshold and not over it")
	h.say(refundOf("ch_1", "re_2", h.now, 1))
	h.judged() // 2 of 5 charges; 201 of 5,000
	h.judged() // still
	raised := byNumber.one("refund_rate.raised")
	raised.signed(t, a.Secrets[0])
	raised.has(t, "raised", true)
	raised.has(t, "value", 400)
	raised.has(t, "threshold", 200)
	raised.has(t, "unit", "per_mille")
	raised.has(t, "refunds", 2)
	raised.has(t, "charges", 5)
	byAmount.none("it is 4 % of the amount")
	h.restart()
	h.judged()
	byNumber.none("it was told, before the restart")

	// The refund was none: the rate is back to what it was. And it is raised again.
	h.say(refundOf("ch_1", "re_2", h.now, 0, version(2), deleted))
	h.judged()
	byNumber.one("refund_rate.cleared").has(t, "value", 200)
	h.say(refundOf("ch_1", "re_3", h.now, 900))
	h.judged() // 2 of 5; 1,100 of 5,000
	if again := byNumber.one("refund_rate.raised"); again.id == raised.id {
		t.Error("two alarms have one id")
	}
	byAmount.one("refund_rate.raised").has(t, "value", 220)
	h.pass(2 * day) // out of the period
	h.judged()
	byNumber.one("refund_rate.cleared")
	byAmount.one("refund_rate.cleared")
}

func TestMRRDrop(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	week := 7 * 24 * time.Hour
	h.alert(r.url, control.AlertRule{On: control.AlertMRRDrop, PerMille: 100, Period: week})
	h.say(subscription("a", h.now, 9001), subscription("b", h.now, 999))
	h.pass(week)
	h.judged()
	h.say(subscription("b", h.now, 0, func(e *revenue.Event) { e.Status = revenue.StatusCanceled }))
	h.judged() // 9,001 of 10,000 is less by 9.99 %
	r.none("it is not a tenth")
	h.pass(time.Hour)
	h.say(subscription("a", h.now, 9000))
	h.judged()
	told := r.one("mrr_drop.raised")
	told.has(t, "value", 100)
	told.has(t, "mrrCents", 9000)
	told.has(t, "previousMrrCents", 10000)
	told.has(t, "currency", "USD")
	h.pass(2 * time.Hour)
	h.say(subscription("c", h.now, 1000))
	h.judged()
	r.one("mrr_drop.cleared").has(t, "mrrCents", 10000)

	// A currency without rate: what it would come to nobody knows.
	h.pass(2 * time.Hour)
	h.say(subscription("c", h.now, 0, func(e *revenue.Event) { e.Status = revenue.StatusCanceled }),
		subscription("d", h.now, 100, in("NOK")))
	h.judged()
	r.none("it cannot be judged")
}

// A figure that the rollups have for a moment only is not told.
func TestOnlyWhatTheLedgerHasIsTold(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	h.alert(r.url, control.AlertRule{On: control.AlertMRRDrop, PerMille: 100, Period: 7 * 24 * time.Hour})
	h.say(subscription("a", h.now, 10000))
	h.pass(10 * 24 * time.Hour)
	// As after a crash between the ledger and its rollups, which the sink will mend.
	database := h.store.Answers()
	rows, _, err := clickhouse.Select[string](within(t), database, "SELECT currentDatabase()")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"mrr_daily", "mrr_monthly"} {
		column := map[string]string{"mrr_daily": "day", "mrr_monthly": "month"}[table]
		enginetest.Exec(t, enginetest.Start(t), fmt.Sprintf("INSERT INTO %s.%s SELECT * REPLACE (-%d AS mrr, 9 AS slice, %s AS %s) FROM %s.%s LIMIT 1",
			rows[0], table, 5000*revenue.MRRScale, "toDate('"+h.now.Add(-36*time.Hour).Format(time.DateOnly)+"')", column, rows[0], table))
	}
	h.judged()
	r.none("the ledger has no drop")
}

func TestSilenceAndLag(t *testing.T) {
	h, silent, lagging := newHouse(t), newReceiver(t), newReceiver(t)
	endpoint, err := h.directory.CreateEndpoint(within(t), "test", control.NewEndpoint{
		Workspace: acme, Provider: "stripe", Secrets: []control.Secret{control.NewSigningSecret()}})
	if err != nil {
		t.Fatal(err)
	}
	h.alert(silent.url, control.AlertRule{On: control.AlertSourceSilent, Period: time.Hour})
	h.alert(lagging.url, control.AlertRule{On: control.AlertLag, Period: 5 * time.Minute})
	deliver := func() {
		delivery := clickhouse.Delivery{ID: instant(h.now), Workspace: acme, Endpoint: endpoint.ID, Provider: "stripe", ReceivedAt: h.now,
			EventIDs: []string{}, Types: []string{}, Versions: []string{}, Outcomes: []string{}, HappenedAt: []time.Time{}, Names: []string{}}
		if err := h.store.InsertDeliveries(within(t), []clickhouse.Delivery{delivery}); err != nil {
			t.Fatal(err)
		}
	}
	deliver()
	delivered := h.now
	h.pass(time.Hour)
	h.tell()
	silent.none("it is an hour, and not more")
	h.judged()
	told := silent.one("source_silent.raised")
	told.has(t, "endpoint", endpoint.ID)
	told.has(t, "lastDeliveryAt", instant(delivered))
	told.has(t, "value", 3660)
	deliver()
	h.judged()
	silent.one("source_silent.cleared")

	// Nothing is stored for two hours: that is a lag, and nobody's silence.
	h.now = h.now.Add(2 * time.Hour)
	h.tell()
	silent.none("nobody knows whether it is silent")
	lagging.one("lag.raised").has(t, "value", 7200)
	deliver()
	h.judged()
	lagging.one("lag.cleared")
	silent.none("it was not silent for an hour at the time until which we know")
}
