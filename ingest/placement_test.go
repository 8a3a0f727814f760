package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"revstream/ingest/revenue"
)

// statedCharge is a charge of the object o, with other members.
func statedCharge(amount int, members ...string) string {
	return fmt.Sprintf(`{"kind":"charge","object_id":"o","amount":%d%s}`, amount, strings.Join(append([]string{""}, members...), ","))
}

const (
	ofCustomer1 = `"customer":"c1","subscription":"s1"`
	ofCustomer2 = `"customer":"c2","subscription":"s2"`
	ofNobody    = `"product":"p"`
)

// total is all cash, in minor units.
func (s *service) total() (total int64) {
	for _, amount := range s.cash() {
		total += amount
	}
	return total
}

// TestNativeFactMoves: a fact counts once, as its last version has it, through corrections
// that put it into other groups.
func TestNativeFactMoves(t *testing.T) {
	s := start(t, settings{})
	for _, step := range []struct {
		does, body string
		total      int64
	}{
		{"alone", statedCharge(1), 1},
		{"names a customer", statedCharge(2, ofCustomer1), 2},
		{"names another", statedCharge(3, ofCustomer2), 3},
		{"of the first again", statedCharge(4, ofCustomer1), 4},
		{"of nobody", statedCharge(5, ofNobody), 5},
		{"of a payment", statedCharge(6, `"payment":"p1"`), 6},
		{"in a group that is given", statedCharge(7, `"group":"mine"`), 7},
		{"of a customer", statedCharge(8, ofCustomer1), 8},
		{"deleted without a word of the customer", `{"kind":"charge","object_id":"o","deleted":true}`, 0},
		{"stated again", statedCharge(9, ofCustomer2), 9},
		{"an older version, elsewhere", statedCharge(10, `"version":5`), 9},
		{"twice in a request", "[" + statedCharge(11, ofCustomer1) + "," + statedCharge(12, ofNobody) + "]", 12},
		{"by mistake, and mended in the same request", "[" + statedCharge(13, ofCustomer1) + "," + statedCharge(14, ofNobody) + "]", 14},
	} {
		if answer := s.post("/v1/events", step.body); answer.status != 202 {
			t.Fatalf("%s: %d %s", step.does, answer.status, answer.body)
		}
		if got := s.total(); got != step.total {
			t.Errorf("%s: %d, want %d", step.does, got, step.total)
		}
	}
	if n := len(s.published()); n > 60 {
		t.Errorf("%d statements of 15 events", n)
	}
}

// TestNativeVersionTaken: of two statements of one version in two groups the second is
// refused, in words that say what to do.
func TestNativeVersionTaken(t *testing.T) {
	s := start(t, settings{})
	s.post("/v1/events", statedCharge(1, `"version":7`))
	s.post("/v1/events", "["+statedCharge(2, `"version":7`, ofCustomer1)+`,{"kind":"charge","object_id":"other","amount":100}]`).expect(t, 202,
		`{"accepted":1,"rejected":1,"results":[{"index":0,"status":"rejected","code":"version_taken",`+
			`"detail":"A statement of this version has the fact in another group. A correction has a higher version.","pointer":"/version"},`+
			`{"index":1,"id":"native||live|other|charge","status":"accepted"}]}`)
	if got := s.total(); got != 101 {
		t.Errorf("total %d", got)
	}
	s.post("/v1/events", statedCharge(3, `"version":8`, ofCustomer1))
	if got := s.total(); got != 103 {
		t.Errorf("total %d", got)
	}
}

// TestNativeRefundFindsTheChargeThatMoved: what is folded with others finds them where it
// has come to.
func TestNativeRefundFindsTheChargeThatMoved(t *testing.T) {
	s := start(t, settings{})
	s.post("/v1/events", `[`+statedCharge(500)+`,{"kind":"refund","object_id":"r","original":"o","amount":200}]`)
	s.post("/v1/events", `[`+statedCharge(500, ofCustomer1)+`,{"kind":"refund","object_id":"r","original":"o","amount":200,`+ofCustomer1+`}]`)
	for _, entry := range s.entries() {
		if !entry.Recurring || entry.Customer != "c1" {
			t.Errorf("%s of %d: recurring %v, of customer %q", entry.Kind, entry.Amount, entry.Recurring, entry.Customer)
		}
	}
	if cash := s.cash(); cash[revenue.EntrySubscriptionPurchase] != 500 || cash[revenue.EntryRefund] != -200 || len(cash) != 2 {
		t.Errorf("cash %v", cash)
	}
}

// TestNativeFactsMoveBetweenNodes sends corrections of many facts to two nodes, in any
// order of their versions, some twice: the figures are those of the last versions.
func TestNativeFactsMoveBetweenNodes(t *testing.T) {
	const facts, versions = 20, 6
	nodes := []*service{start(t, settings{})}
	nodes = append(nodes, nodes[0].beside())
	random := rand.New(rand.NewPCG(1, 2))
	groups := []string{ofCustomer1, ofCustomer2, ofNobody, `"payment":"p"`, `"group":"mine"`}
	var bodies []string
	want := int64(0)
	for fact := range facts {
		for version := range versions {
			amount := random.Int64N(10_000)
			bodies = append(bodies, fmt.Sprintf(`{"kind":"charge","object_id":"o%d","amount":%d,"version":%d,%s}`,
				fact, amount, version, groups[random.IntN(len(groups))]))
			if version == versions-1 {
				want += amount
			}
		}
	}
	bodies = append(bodies, bodies[:len(bodies)/4]...)
	random.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
	for chunk := range slices.Chunk(bodies, 7) {
		answer := nodes[random.IntN(2)].post("/v1/events", "["+strings.Join(chunk, ",")+"]")
		if answer.status != 202 || answer.field(t, "rejected") != "0" {
			t.Fatalf("%d %s", answer.status, answer.body)
		}
	}
	if got := nodes[0].total(); got != want {
		t.Errorf("total %d, want %d", got, want)
	}
}

// TestNativeFactMovesUnderConcurrentRequests: of requests about the same facts at a time,
// to one node and to another, each knows of those before it.
func TestNativeFactMovesUnderConcurrentRequests(t *testing.T) {
	const rounds, senders, facts = 10, 6, 20
	s := start(t, settings{})
	nodes := []*service{s, s.beside()}
	groups := []string{ofCustomer1, ofCustomer2, ofNobody, `"payment":"p"`, `"group":"mine"`, `"group":"yours"`}
	for round := range rounds {
		var group sync.WaitGroup
		for sender := range senders {
			group.Go(func() {
				var events []string
				for fact := range facts {
					events = append(events, fmt.Sprintf(`{"kind":"charge","object_id":"%d of %d","amount":%d,"version":%d,%s}`,
						fact, round, 1+sender, sender, groups[(sender+fact)%len(groups)]))
				}
				for answer := (response{status: 503}); answer.status != 202; {
					if answer = nodes[sender%2].post("/v1/events", "["+strings.Join(events, ",")+"]"); answer.status != 202 && answer.status != 503 {
						t.Errorf("%d %s", answer.status, answer.body)
						return
					}
				}
			})
		}
		group.Wait()
	}
	if got, want := s.total(), int64(rounds*facts*senders); got != want {
		t.Errorf("total %d, want %d", got, want)
	}
}

// TestNativeMoveInterrupted: wherever a move is cut off, sending it again completes it, and
// so does whatever is said of the fact next.
func TestNativeMoveInterrupted(t *testing.T) {
	s := start(t, settings{fake: true})
	interrupted := func(topic, body string) {
		t.Helper()
		mend := s.refuse(topic)
		if answer := s.post("/v1/events", body); answer.status != 503 || answer.header.Get("Retry-After") == "" {
			t.Fatalf("interrupted at %s: %d %s", topic, answer.status, answer.body)
		}
		mend()
	}
	for _, topic := range []string{s.stream.PlacementsTopic, s.stream.EventsTopic} {
		s.post("/v1/events", statedCharge(1, ofNobody))
		interrupted(topic, statedCharge(2, ofCustomer1))
		s.post("/v1/events", statedCharge(2, ofCustomer1))
		if got := s.total(); got != 2 {
			t.Errorf("sent again after %s failed: %d", topic, got)
		}
		interrupted(topic, statedCharge(3, ofCustomer2))
		s.post("/v1/events", statedCharge(4, `"group":"mine"`))
		if got := s.total(); got != 4 {
			t.Errorf("something else sent after %s failed: %d", topic, got)
		}
	}
}
