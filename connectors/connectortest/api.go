package connectortest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// API is a provider's API as far as its lists go: pages of a few, a cursor, requests that
// are refused for their rate, and answers that fail.
type API struct {
	// Authorised tells requests with the right key.
	Authorised func(*http.Request) bool
	// Find is what a request asks for, in the provider's order; known is false of what
	// the API does not have.
	Find func(*http.Request) (found []map[string]any, known bool)
	// Cursor is the parameter with the id after which a page begins, PageSize the most
	// on one, and Render how a provider writes it, with the id of its last if there is
	// more.
	Cursor   string
	PageSize int
	Render   func(page []map[string]any, next string) any
	// Fail is the status to refuse the nth request with; 0 is none, and below 0 the
	// connection is cut. Nil never fails.
	Fail func(n int64) int

	requests atomic.Int64
}

// ServeHTTP answers.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.requests.Add(1)
	if !a.Authorised(r) {
		http.Error(w, "no key", http.StatusUnauthorized)
		return
	}
	if a.Fail != nil {
		switch status := a.Fail(n); {
		case status < 0:
			panic(http.ErrAbortHandler)
		case status > 0:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "not now", status)
			return
		}
	}
	found, known := a.Find(r)
	if !known {
		http.NotFound(w, r)
		return
	}
	if after := r.URL.Query().Get(a.Cursor); after != "" {
		at := slices.IndexFunc(found, func(o map[string]any) bool { return idOf(o) == after })
		if at < 0 {
			http.Error(w, "no such cursor", http.StatusBadRequest)
			return
		}
		found = found[at+1:]
	}
	page, next := append([]map[string]any{}, found[:min(a.PageSize, len(found))]...), ""
	if len(found) > len(page) {
		next = idOf(page[len(page)-1])
	}
	_ = json.NewEncoder(w).Encode(a.Render(page, next)) // whoever asked may have gone
}

// idOf is the id of an object, or of an event where that has a name of its own.
func idOf(o map[string]any) string {
	if id, given := o["id"]; given {
		return fmt.Sprint(id)
	}
	return fmt.Sprint(o["event_id"])
}

// Bodies are the JSON bodies of a scenario's deliveries, with numbers as they are written.
func (s Scenario) Bodies(t testing.TB) []map[string]any {
	t.Helper()
	var bodies []map[string]any
	for _, fixture := range s.Deliveries {
		decoder := json.NewDecoder(strings.NewReader(string(fixture.Body)))
		decoder.UseNumber()
		var body map[string]any
		if err := decoder.Decode(&body); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

// Renderings keeps of each object the last of its renderings, in the order in which they
// were first shown.
type Renderings []map[string]any

// Show adds a rendering; before says whether one is older than another.
func (r *Renderings) Show(o map[string]any, before func(a, b map[string]any) bool) {
	held := slices.IndexFunc(*r, func(known map[string]any) bool { return known["id"] == o["id"] })
	switch {
	case held < 0:
		*r = append(*r, o)
	case !before(o, (*r)[held]):
		(*r)[held] = o
	}
}

// Number is a JSON number, or the text of one; 0 if it is none.
func Number(value any) float64 {
	n, _ := strconv.ParseFloat(fmt.Sprint(value), 64)
	return n
}
