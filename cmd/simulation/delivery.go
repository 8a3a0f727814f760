package simulation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Delivery is one HTTP request that tells the service something.
type Delivery struct {
	Door Door
	// Label says what it is, for the report: "charge.refunded", "PUT".
	Label        string
	Method, Path string
	Header       http.Header
	Body         []byte
	// Events is how many of the run's events it carries.
	Events int
	// Check judges the final answer; nil wants any 2xx.
	Check func(Answer) error
	// SameAnswer wants the answer of the delivery before it in the errand.
	SameAnswer bool
}

// Answer is a final one. What asks to be sent again (no answer, 429, 5xx) is none.
type Answer struct {
	Status int
	Body   []byte
	// Attempts is how many it took. After the first, the service may have done
	// before what it was asked for.
	Attempts int
	// At is not before the service acknowledged, by its own clock.
	At time.Time
}

// errand is deliveries that are made one after the other, each when the one
// before has been acknowledged: a correction by the order of acceptance has to
// come after what it corrects. What has no such order is an errand each.
type errand struct {
	// at is when it would have happened; it gives the undisturbed order.
	at         time.Time
	deliveries []Delivery
}

// expectStatus is a Check that wants one of the statuses.
func expectStatus(statuses ...int) func(Answer) error {
	return func(a Answer) error {
		if slices.Contains(statuses, a.Status) {
			return nil
		}
		return fmt.Errorf("answered %d, not %v: %s", a.Status, statuses, clip(a.Body))
	}
}

// expectSuccess is the Check of a delivery that has none.
func expectSuccess(a Answer) error {
	if a.Status >= 200 && a.Status < 300 {
		return nil
	}
	return fmt.Errorf("answered %d: %s", a.Status, clip(a.Body))
}

// members are those of a JSON object.
type members map[string]any

// text encodes what always can be.
func (m members) text() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encoding a body: %v", err)) // a programmer's error: bodies hold plain values
	}
	return text
}

// number is a decimal literal as a JSON number.
func number(literal string) json.RawMessage { return json.RawMessage(literal) }

// withHeader is a header with the content type of JSON and the given pairs.
func withHeader(pairs ...string) http.Header {
	header := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return header
}

// clip keeps a body short enough for an error.
func clip(body []byte) string {
	const most = 400
	if len(body) > most {
		return string(body[:most]) + "…"
	}
	return string(body)
}
