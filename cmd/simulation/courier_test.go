package simulation

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// script of answers: a service that gives them one after the other, then 200.
func answering(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) (Options, *atomic.Int64) {
	t.Helper()
	calls := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := int(calls.Add(1)); n <= len(answers) {
			answers[n-1](w, r)
			return
		}
		fmt.Fprint(w, "done")
	}))
	t.Cleanup(server.Close)
	o := testOptions(1)
	o.URL, o.Patience, o.RequestTimeout = server.URL, 10*time.Second, 5*time.Second
	return o, calls
}

func status(code int, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// hangUp takes the request in and breaks the connection without an answer.
func hangUp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		connection.Close()
	}
}

func delivery(label string) Delivery {
	return Delivery{Door: DoorNative, Label: label, Method: http.MethodPost, Path: "/", Body: []byte(label), Events: 1}
}

func TestCourierRetriesWhatIsTemporary(t *testing.T) {
	o, calls := answering(t, status(500), status(503), hangUp, status(429), status(409), status(502))
	c := newCourier(o)
	c.run(context.Background(), parcel{errand: errand{deliveries: []Delivery{delivery("a")}}})
	if len(c.failures) != 0 || calls.Load() != 7 || c.retried.Load() != 6 || c.delivered.Load() != 1 {
		t.Errorf("%d calls, %d retried, %d delivered, failures %v; want 7, 6, 1, none", calls.Load(), c.retried.Load(), c.delivered.Load(), c.failures)
	}
}

func TestCourierHonoursRetryAfter(t *testing.T) {
	o, _ := answering(t, status(503, "Retry-After", "1"))
	began := time.Now()
	c := newCourier(o)
	c.run(context.Background(), parcel{errand: errand{deliveries: []Delivery{delivery("a")}}})
	if took := time.Since(began); took < time.Second || len(c.failures) != 0 {
		t.Errorf("tried again after %v with failures %v, want after a second and none", took, c.failures)
	}
}

func TestCourierTellsRefusalFromSilence(t *testing.T) {
	o, _ := answering(t, status(400))
	c := newCourier(o)
	steps := []Delivery{delivery("a"), delivery("b")}
	c.run(context.Background(), parcel{errand: errand{deliveries: steps}})
	if len(c.failures) != 2 || c.failures[0].Ambiguous || c.failures[1].Ambiguous || !strings.Contains(c.failures[1].Error, "not sent") {
		t.Errorf("failures %+v, want a refusal, and what follows not sent", c.failures)
	}

	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.URL, o.Patience = "http://"+nobody.Addr().String(), 300*time.Millisecond
	nobody.Close()
	gaveUp := false
	c = newCourier(o)
	c.giveUp = func() { gaveUp = true }
	c.run(context.Background(), parcel{errand: errand{deliveries: steps[:1]}})
	if len(c.failures) != 1 || !c.failures[0].Ambiguous || c.retried.Load() == 0 || !gaveUp {
		t.Errorf("failures %+v after %d retries, want an ambiguous one after some, that ends the run", c.failures, c.retried.Load())
	}
}

func TestCourierKeepsTheOrderOfAnErrand(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	note := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			seen = append(seen, string(body))
			mu.Unlock()
			w.WriteHeader(code)
		}
	}
	o, _ := answering(t, note(503), note(200), note(200), note(500), note(200))
	newCourier(o).run(context.Background(), parcel{errand: errand{deliveries: []Delivery{delivery("a"), delivery("b"), delivery("c")}}})
	if got := strings.Join(seen, ""); got != "aabcc" {
		t.Errorf("delivered %s, want aabcc", got)
	}
}

func TestCourierWantsTheSameAnswerAgain(t *testing.T) {
	o, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "one") },
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "two") })
	again := delivery("a")
	again.SameAnswer = true
	c := newCourier(o)
	c.run(context.Background(), parcel{errand: errand{deliveries: []Delivery{delivery("a"), again}}})
	if len(c.failures) != 1 || c.failures[0].Ambiguous || c.events.Load() != 1 || c.repeated.Load() != 1 {
		t.Errorf("failures %+v, %d events, %d repeated; want a refusal, 1, 1", c.failures, c.events.Load(), c.repeated.Load())
	}
}

func TestCourierSignsEachAttemptForStripe(t *testing.T) {
	var signatures []string
	note := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			signatures = append(signatures, r.Header.Get("Stripe-Signature"))
			w.WriteHeader(code)
		}
	}
	o, _ := answering(t, note(503), note(200))
	c, signed := newCourier(o), 0
	c.sign = func(body []byte, _ time.Time) string {
		signed++
		return fmt.Sprintf("%s-%d", body, signed)
	}
	d := delivery("a")
	d.Door = DoorStripe
	c.run(context.Background(), parcel{errand: errand{deliveries: []Delivery{d}}})
	if got := strings.Join(signatures, " "); got != "a-1 a-2" {
		t.Errorf("signatures %q, want one for each attempt", got)
	}
}

// The vector is of the HMAC-SHA256 of "1700000000.{}" under the key "whsec_x",
// computed with openssl.
func TestStripeSignature(t *testing.T) {
	const want = "t=1700000000,v1=be8cb8325f2202445260a855532f967e30ad2a9394ce28da66ee02880ddcb661"
	if got := stripeSignature("whsec_x", []byte("{}"), time.Unix(1700000000, 0)); got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
}
