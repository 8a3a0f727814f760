package alerts

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/control"
)

// A receiver that fails is tried again, later each time, with the same id; in the end it
// is given up, and by hand it begins anew.
func TestFailingReceiver(t *testing.T) {
	h, r := newHouse(t, func(c *Config) { c.AttemptsMax = 5 }), newReceiver(t)
	a := h.alert(r.url, movements)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	r.says(http.StatusInternalServerError)
	h.look()
	var ids []string
	wait := h.config.BackoffMin
	for n := range h.config.AttemptsMax {
		h.tell()
		ids = append(ids, r.one("movement.new").id)
		h.tell()
		r.none("it is not due yet")
		if n < h.config.AttemptsMax-1 {
			if next := h.log(a)[0].NextAt.Sub(h.now); next < wait*8/10 || next > wait*12/10 {
				t.Errorf("after %d attempts the next is in %v, want about %v", n+1, next, wait)
			}
		}
		h.pass(wait * 12 / 10)
		wait *= 4
	}
	h.pass(30 * 24 * time.Hour)
	h.tell()
	r.none("it was given up")
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("one notification has ids %v", ids)
	}
	log := h.log(a)
	if len(log) != 1 || log[0].State != clickhouse.NotificationDead || len(log[0].TriedAt) != 5 ||
		log[0].Statuses[4] != 500 || log[0].Errors[4] != "the receiver answered 500" {
		t.Errorf("%+v", log)
	}
	r.says(http.StatusOK)
	for _, order := range []control.AlertOrder{
		{Alert: a.ID, Action: control.AlertRedeliver, Notification: ids[0]},
		{Alert: a.ID, Action: control.AlertRedeliver, Since: log[0].CreatedAt}, // it is dead no more: nothing
		{Alert: a.ID, Action: control.AlertRedeliver, Notification: "ntf_of_nobody"},
	} {
		if _, err := h.directory.OrderAlert(within(t), "test", order); err != nil {
			t.Fatal(err)
		}
	}
	h.tell()
	if again := r.one("movement.new"); again.id != ids[0] {
		t.Errorf("%s is sent again as %s", ids[0], again.id)
	}
	if log := h.log(a); log[0].State != clickhouse.NotificationDelivered || len(log[0].TriedAt) != 6 {
		t.Errorf("%+v", log)
	}
	if left := h.directory.AlertOrders(); len(left) != 0 {
		t.Errorf("orders are left: %+v", left)
	}
}

// All that is dead since a moment is sent again at once.
func TestRedeliverSince(t *testing.T) {
	h, r := newHouse(t, func(c *Config) { c.AttemptsMax = 1 }), newReceiver(t)
	a := h.alert(r.url, movements)
	r.says(http.StatusServiceUnavailable)
	var since time.Time
	for i := range 4 {
		h.pass(time.Minute)
		if i == 1 {
			since = h.now
		}
		h.say(subscription(fmt.Sprint("c", i), h.now, 1000))
		h.tell()
	}
	r.got()
	r.says(http.StatusNoContent)
	if _, err := h.directory.OrderAlert(within(t), "test", control.AlertOrder{Alert: a.ID, Action: control.AlertRedeliver, Since: since}); err != nil {
		t.Fatal(err)
	}
	h.tell()
	var customers []any
	for _, arrived := range r.got() {
		customers = append(customers, arrived.body.Data["customer"])
	}
	if fmt.Sprint(customers) != "[c1 c2 c3]" {
		t.Errorf("sent again: %v", customers)
	}
}

// A receiver that was down gets all that it missed, in order, once each.
func TestReceiverDownForAWhile(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	a := h.alert(r.url, movements)
	address := r.server.Listener.Addr().String()
	r.server.Close()
	for i := range 5 {
		h.pass(time.Second)
		h.say(subscription(fmt.Sprint("c", i), h.now, 1000))
		h.tell()
	}
	for _, n := range h.log(a) {
		if n.State != clickhouse.NotificationPending || len(n.TriedAt) == 0 || n.Statuses[0] != 0 || strings.Contains(strings.Join(n.Errors, ""), "/hook") {
			t.Errorf("%+v", n)
		}
	}
	h.pass(10 * time.Hour)
	h.restart()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	up := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = up.Serve(listener) }()
	t.Cleanup(func() { _ = up.Close() })
	h.tell()
	var customers []any
	for _, arrived := range r.got() {
		customers = append(customers, arrived.body.Data["customer"])
	}
	if fmt.Sprint(customers) != "[c0 c1 c2 c3 c4]" {
		t.Errorf("arrived: %v", customers)
	}
	h.tell()
	r.none("all of it was taken")
}

// One that is gone is told nothing any more, nor is one that was revoked.
func TestGoneEndsTheAlert(t *testing.T) {
	h, gone, revoked := newHouse(t), newReceiver(t), newReceiver(t)
	first, second := h.alert(gone.url, movements), h.alert(revoked.url, movements)
	gone.says(http.StatusGone)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000), subscription("b", h.now, 1000))
	h.look()
	if _, err := h.directory.RevokeAlert(within(t), "test", second.ID, ""); err != nil {
		t.Fatal(err)
	}
	h.tell()
	if got := gone.got(); len(got) != 1 {
		t.Errorf("%d arrived where nobody is", len(got))
	}
	revoked.none("it was revoked")
	ended, err := h.directory.FindAlert(first.ID)
	if err != nil || ended.Active() || !strings.Contains(ended.RevokedFor, "410") {
		t.Errorf("%+v, %v", ended, err)
	}
	for _, alert := range []control.Alert{first, second} {
		for _, n := range h.log(alert) {
			if n.State != clickhouse.NotificationDropped {
				t.Errorf("%+v", n)
			}
		}
	}
	h.say(subscription("c", h.now, 1000))
	h.tell()
	gone.none("it wants nothing any more")
}

// A receiver that hangs costs its own notifications time, and nobody else's.
func TestSlowReceiverHoldsUpNobody(t *testing.T) {
	h, slow, quick := newHouse(t, func(c *Config) { c.AttemptTimeout = 4 * time.Second }), newReceiver(t), newReceiver(t)
	release := make(chan struct{})
	slow.answers(func(_ http.ResponseWriter, request *http.Request) {
		select {
		case <-release:
		case <-request.Context().Done():
		}
	})
	defer close(release)
	a := h.alert(slow.url, movements)
	h.alert(quick.url, movements)
	h.pass(time.Second)
	for i := range 3 {
		h.say(subscription(fmt.Sprint("c", i), h.now, 1000))
	}
	h.look()
	if err := h.notifier.send(within(t)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(h.config.AttemptTimeout * 9 / 10); ; time.Sleep(time.Millisecond) {
		quick.mu.Lock()
		n := len(quick.arrived)
		quick.mu.Unlock()
		if n == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 3 arrived while another hangs", n)
		}
	}
	h.notifier.senders.Wait()
	log := h.log(a)
	if len(log) != 3 || len(log[0].TriedAt) != 1 || log[0].Errors[0] != "the receiver did not answer in time" || len(log[1].TriedAt)+len(log[2].TriedAt) != 0 {
		t.Errorf("%+v", log)
	}
}

// A receiver says when it wants to be called again.
func TestRetryAfter(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	a := h.alert(r.url, movements)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	h.tell()
	if next := h.log(a)[0].NextAt.Sub(h.now); next != time.Hour {
		t.Errorf("the next attempt is in %v", next)
	}
}

// We call public addresses only, whatever a name leads to, follow nobody elsewhere, and
// read no more than we must.
func TestWhereWeDoNotGo(t *testing.T) {
	h, r := newHouse(t, func(c *Config) { c.AllowPrivate = false }), newReceiver(t)
	alerts := []control.Alert{h.alert(r.url, movements), h.alert("http://localhost:1/", movements)}
	for _, address := range []string{"10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "[::ffff:127.0.0.1]", "[fd00::1]", "[fe80::1]", "0.0.0.0"} {
		alerts = append(alerts, h.alert("https://"+address+"/", movements))
	}
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	h.tell()
	r.none("it is on this machine")
	for _, a := range alerts {
		if log := h.log(a); len(log) != 1 || len(log[0].Errors) != 1 || !strings.Contains(log[0].Errors[0], "is not public") {
			t.Errorf("%s: %+v", a.URL, log)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect is followed") }))
	defer elsewhere.Close()
	r.answers(func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	a := h.alert(r.url, movements)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	h.tell()
	if log := h.log(a); log[0].Statuses[0] != http.StatusTemporaryRedirect || log[0].State != clickhouse.NotificationPending {
		t.Errorf("%+v", log)
	}
}

// An answer without end is an answer, of which no more is read than the limit.
func TestEndlessAnswer(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		for junk := make([]byte, 32<<10); ; {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	})
	a := h.alert(r.url, movements)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	began := time.Now()
	h.tell()
	if log := h.log(a); log[0].State != clickhouse.NotificationDelivered || time.Since(began) > h.config.AttemptTimeout {
		t.Errorf("after %v: %+v", time.Since(began), log)
	}
}

// The process ends between the receiver's yes and our note of it: it is told again,
// under the same id.
func TestEndedBeforeItWasNoted(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	a := h.alert(r.url, movements)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	h.look()
	due := h.log(a)
	if result := h.notifier.deliver(within(t), &a, due[0].ID, due[0].Body); result.err != nil { // and nothing is noted
		t.Fatal(result.err)
	}
	h.restart()
	h.tell()
	if got := r.got(); len(got) != 2 || got[0].id != got[1].id || got[0].text != got[1].text {
		t.Errorf("arrived:\n%s", texts(got))
	}
}

func TestTestsAndRotation(t *testing.T) {
	h, r := newHouse(t), newReceiver(t)
	a := h.alert(r.url, refunds)
	rotated, err := h.directory.RotateAlert(within(t), "test", a.ID, control.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.directory.OrderAlert(within(t), "test", control.AlertOrder{Alert: a.ID, Action: control.AlertTest}); err != nil {
		t.Fatal(err)
	}
	h.reach(time.Time{}) // before anything was stored
	h.tell()
	test := r.one("test")
	test.signed(t, a.Secrets[0])
	test.signed(t, rotated.Secrets[0])
	if _, err := h.directory.DropAlertSecrets(within(t), "test", a.ID); err != nil {
		t.Fatal(err)
	}
	h.tell()
	r.none("the order is carried out")
}

// Run does all of it by itself, and ends when it is told to.
func TestRun(t *testing.T) {
	h, r := newHouse(t, func(c *Config) { c.LookInterval = 10 * time.Millisecond }), newReceiver(t)
	h.alert(r.url, movements)
	h.pass(time.Second)
	h.say(subscription("a", h.now, 1000))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.notifier.Run(ctx)
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		n := len(r.arrived)
		r.mu.Unlock()
		if n > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing arrived")
		}
	}
	stop()
	<-ended
	h.tell()
	r.one("movement.new")
}
