package stripe

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"revstream/ingest/revenue"
)

// scenario is what happened to one customer, all events that Stripe sends of it,
// and the figures that it comes to, worked out by hand.
type scenario struct {
	About  string    `json:"about"`
	Config string    `json:"config,omitempty"` // a choice other than the default
	Events []fixture `json:"events"`
	// Net is the sum of all flows, Cash the sum by kind of entry and currency
	// ("renewal USD"), in minor units.
	Net  map[string]int64 `json:"net"`
	Cash map[string]int64 `json:"cash"`
	// Entries counts the entries of the lifecycle kinds.
	Entries map[string]int64 `json:"entries,omitempty"`
	// MRR is the monthly worth right before moments, in minor units.
	MRR []struct {
		At  int64  `json:"at"`
		USD string `json:"usd"`
	} `json:"mrr,omitempty"`
}

func loadScenario(t testing.TB, name string) scenario {
	t.Helper()
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "scenarios", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var s scenario
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func (s scenario) configure(t *testing.T) func(*Config) {
	return func(config *Config) {
		switch s.Config {
		case "":
		case OffStripeExclude:
			config.OffStripe = OffStripeExclude
		case OneTimeCheckoutSessions:
			config.OneTimeSource = OneTimeCheckoutSessions
		default:
			t.Fatalf("config %q", s.Config)
		}
	}
}

// TestScenarios holds every scenario against its golden file, and every order of
// its events, with repeats, against the figures worked out by hand.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "scenarios", "*.json"))
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d scenarios, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) { runScenario(t, name) })
	}
}

func runScenario(t *testing.T, name string) {
	s := loadScenario(t, name)
	statements := decodeAll(t, newDecode(t, s.configure(t)), s.Events)
	compareGolden(t, name, statements)
	var first string
	orders := 0
	for order := range arrivals(len(statements)) {
		orders++
		got, believed := s.arrive(statements, order)
		if got != s.want() {
			t.Fatalf("order %v:\n got %s\nwant %s", order, got, s.want())
		}
		if first == "" {
			first = believed
		}
		if believed != first {
			t.Fatalf("order %v is believed otherwise:\n%s\nthan the first:\n%s", order, believed, first)
		}
	}
	t.Logf("%d orders of %d events", orders, len(statements))
}

// permutedMost is the number of events up to which every permutation is tried;
// for more, sampledOrders of them.
const (
	permutedMost  = 6
	sampledOrders = 500
)

// arrivals yields orders of arrival of n events, each followed by repeats of some.
func arrivals(n int) func(func([]int) bool) {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	withRepeats := func(order []int) []int {
		order = slices.Clone(order)
		for range random.IntN(n + 1) {
			order = slices.Insert(order, random.IntN(len(order)+1), random.IntN(n))
		}
		return order
	}
	return func(yield func([]int) bool) {
		identity := make([]int, n)
		for i := range identity {
			identity[i] = i
		}
		if n > permutedMost {
			for range sampledOrders {
				if !yield(withRepeats(random.Perm(n))) {
					return
				}
			}
			return
		}
		permute(identity, 0, func(order []int) bool { return yield(withRepeats(order)) })
	}
}

func permute(order []int, fixed int, yield func([]int) bool) bool {
	if fixed == len(order) {
		return yield(order)
	}
	for i := fixed; i < len(order); i++ {
		order[fixed], order[i] = order[i], order[fixed]
		if !permute(order, fixed+1, yield) {
			return false
		}
		order[fixed], order[i] = order[i], order[fixed]
	}
	return true
}

// arrive lets the statements of the events arrive in the order, one event a
// second, and returns the figures that the ledger comes to and what is believed.
func (s scenario) arrive(statements [][]revenue.Event, order []int) (figures, believed string) {
	groups := map[string][]revenue.Event{}
	for position, event := range order {
		for _, e := range statements[event] {
			e.ReceivedAt = testReceivedAt.Add(time.Duration(position) * time.Second)
			groups[e.Group] = append(groups[e.Group], e)
		}
	}
	var rows []revenue.LedgerRow
	var entries []string
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		rows = append(rows, revenue.Ledger(groups[group])...)
		for _, e := range revenue.Fold(groups[group]) {
			e.ReceivedAt = time.Time{} // depends on the order, as it should
			entries = append(entries, fmt.Sprintf("%+v", e))
		}
	}
	slices.Sort(entries)
	return s.figures(rows), strings.Join(entries, "\n")
}

// figures sums signed rows the way that answers do.
func (s scenario) figures(rows []revenue.LedgerRow) string {
	net, cash, counts := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, row := range rows {
		sign := int64(row.Sign)
		switch row.Kind.Family() {
		case revenue.FamilyCash:
			net[row.Currency] += sign * row.Amount
			cash[string(row.Kind)+" "+row.Currency] += sign * row.Amount
		case revenue.FamilyLifecycle:
			counts[string(row.Kind)] += sign
		case revenue.FamilyState:
		}
	}
	var mrr []string
	for _, point := range s.MRR {
		var sum int64
		for _, row := range rows {
			if row.OccurredAt.Unix() < point.At {
				sum += int64(row.Sign) * row.MRR
			}
		}
		mrr = append(mrr, fmt.Sprintf("%d:%d.%04d", point.At, sum/revenue.MRRScale, sum%revenue.MRRScale))
	}
	return figuresText(net, cash, counts, mrr)
}

func (s scenario) want() string {
	var mrr []string
	for _, point := range s.MRR {
		mrr = append(mrr, fmt.Sprintf("%d:%s", point.At, point.USD))
	}
	return figuresText(s.Net, s.Cash, s.Entries, mrr)
}

func figuresText(net, cash, counts map[string]int64, mrr []string) string {
	for _, sums := range []map[string]int64{cash, counts} {
		maps.DeleteFunc(sums, func(_ string, sum int64) bool { return sum == 0 })
	}
	if net == nil {
		net = map[string]int64{}
	}
	return fmt.Sprintf("net %v, cash %v, lifecycle %v, mrr %v", net, cash, counts, mrr)
}
