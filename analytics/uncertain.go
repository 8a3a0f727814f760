package analytics

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"revstream/clickhouse"
	"revstream/ingest/control"
	"revstream/ingest/revenue"
)

// Uncertain is the body of /v1/uncertain: what figures do not have, or have for want of
// something better, because the source did not tell everything.
type Uncertain struct {
	WorkspaceSlug string `json:"workspaceSlug"`
	// Until is the moment that it is about.
	Until string `json:"until"`
	AsOf  string `json:"asOf,omitempty"`

	DefinitionVersion string         `json:"definitionVersion"`
	CompleteThrough   *string        `json:"completeThrough"`
	Rows              []UncertainRow `json:"rows"`
}

// UncertainRow are the facts of a provider with one note and one detail. What each note
// means, and when a fact is uncertain no more, is said by revenue.Uncertainties.
type UncertainRow struct {
	Note     string `json:"note"`
	Provider string `json:"provider"`
	// Detail is what is not known.
	Detail string `json:"detail"`
	// Facts are subscriptions or payments, of which there are FactCount.
	Facts     string `json:"facts"`
	FactCount int64  `json:"factCount"`
	// Amounts are what the facts count with, by currency: payments, or MRR. It is null where
	// that is what is not known.
	Amounts []UncertainAmount `json:"amounts"`
	// Examples are some of the facts.
	Examples []UncertainFact `json:"examples"`
}

// UncertainAmount is in minor units of the currency.
type UncertainAmount struct {
	Currency    string `json:"currency"`
	AmountCents int64  `json:"amountCents"`
}

// UncertainFact says where to begin looking.
type UncertainFact struct {
	ObjectID     string `json:"objectId"`
	Subscription string `json:"subscription"`
	Customer     string `json:"customer"`
}

func (f UncertainFact) compare(other UncertainFact) int {
	return cmp.Or(cmp.Compare(f.Subscription, other.Subscription), cmp.Compare(f.ObjectID, other.ObjectID))
}

const uncertainExamplesMax = 10

var uncertainParameters = []string{"workspaceSlug", "provider", "until", "timeZone", "asOf", "mode"}

// parseUncertainQuery reads the parameters of /v1/uncertain.
func parseUncertainQuery(raw string, now time.Time, zone *time.Location, config Config) (Filter, time.Time, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return Filter{}, time.Time{}, err
	}
	p := parser{values: values}
	p.only(uncertainParameters)
	p.slug()
	zone = p.zone(zone)
	filter := Filter{Provider: p.provider(), AsOf: p.asOf(now, zone), Test: p.test()}
	until, given := p.instant("until", zone, true)
	if !given {
		until = filter.present(now)
	}
	return filter, until, errors.Join(p.errs...)
}

// uncertain answers GET /v1/uncertain.
func (s *Server) uncertain(ctx context.Context, request asked) (answered, error) {
	workspace, zone, err := s.whoseQuestion(request)
	if err != nil {
		return answered{}, err
	}
	filter, until, err := parseUncertainQuery(request.query, s.now(), zone, s.config)
	if err != nil {
		return answered{}, badRequest(err)
	}
	r := s.reading(workspace, filter)
	complete, err := r.completeThrough(ctx)
	if err != nil {
		return r.answered(nil, complete), err
	}
	rows, err := r.uncertain(ctx, until)
	if err != nil {
		return r.answered(nil, complete), err
	}
	return r.answered(r.uncertainAnswer(workspace, until, complete, rows), complete), nil
}

func (r *reading) uncertainAnswer(workspace control.Workspace, until, complete time.Time, rows []UncertainRow) *Uncertain {
	body := &Uncertain{WorkspaceSlug: workspace.Slug, Until: exactInstant(until), DefinitionVersion: r.profile.version(), Rows: rows}
	if !r.AsOf.IsZero() {
		body.AsOf = exactInstant(r.AsOf)
	}
	if !complete.IsZero() {
		body.CompleteThrough = new(complete.Format(time.RFC3339Nano))
	}
	return body
}

// uncertain is what is uncertain at a moment. The groups with a statement that may be are
// folded as they are read, however many there are: nothing but sums is kept, and the limit
// is the time that a question may take.
func (r *reading) uncertain(ctx context.Context, until time.Time) ([]UncertainRow, error) {
	sums := uncertainSums{}
	var mu sync.Mutex
	groups := groupReading{take: func(events []revenue.Event) {
		facts := revenue.Uncertainties(events, until)
		mu.Lock()
		defer mu.Unlock()
		for i := range facts {
			if facts[i].Live != r.Test {
				sums.add(&facts[i])
			}
		}
	}}
	err := groups.read(ctx, r, "what is uncertain", r.questions.uncertain, clickhouse.Named{Name: "as_of", Value: r.knownUntil()})
	if err != nil {
		return nil, err
	}
	return sums.rows(), nil
}

// uncertainKey is what a row is about.
type uncertainKey struct {
	note             revenue.Note
	provider, detail string
	payment          bool
}

func (k uncertainKey) compare(other uncertainKey) int {
	return cmp.Or(slices.Index(revenue.Notes, k.note)-slices.Index(revenue.Notes, other.note),
		cmp.Compare(k.provider, other.provider), cmp.Compare(k.detail, other.detail), cmp.Compare(k.facts(), other.facts()))
}

func (k uncertainKey) facts() string {
	if k.payment {
		return "payments"
	}
	return "subscriptions"
}

// uncertainSum adds up the facts of a row: amounts in minor units, MRR in 1/10,000 of them.
type uncertainSum struct {
	count       int64
	amount, mrr map[string]int64
	examples    []UncertainFact
}

type uncertainSums map[uncertainKey]*uncertainSum

func (s uncertainSums) add(u *revenue.Uncertain) {
	key := uncertainKey{u.Note, u.Provider, u.Detail, u.Payment}
	sum := s[key]
	if sum == nil {
		sum = &uncertainSum{amount: map[string]int64{}, mrr: map[string]int64{}}
		s[key] = sum
	}
	sum.count++
	if u.Currency != "" {
		sum.amount[u.Currency] += u.Amount
		sum.mrr[u.Currency] += u.MRR
	}
	example := UncertainFact{u.ObjectID, u.Subscription, u.Customer}
	at, _ := slices.BinarySearchFunc(sum.examples, example, UncertainFact.compare)
	if at < uncertainExamplesMax {
		sum.examples = slices.Insert(sum.examples, at, example)
		sum.examples = sum.examples[:min(len(sum.examples), uncertainExamplesMax)]
	}
}

// rows are in the order of their keys, so that they are the same whatever the order in which
// the groups were taken.
func (s uncertainSums) rows() []UncertainRow {
	rows := []UncertainRow{}
	for _, key := range slices.SortedFunc(maps.Keys(s), uncertainKey.compare) {
		sum := s[key]
		row := UncertainRow{Note: string(key.note), Provider: key.provider, Detail: key.detail,
			Facts: key.facts(), FactCount: sum.count, Examples: sum.examples}
		if key.note != revenue.NoteMRRUnknown {
			row.Amounts = []UncertainAmount{}
		}
		for _, currency := range slices.Sorted(maps.Keys(sum.amount)) {
			row.Amounts = append(row.Amounts, UncertainAmount{currency, sum.amount[currency] + revenue.RoundMRR(sum.mrr[currency])})
		}
		rows = append(rows, row)
	}
	return rows
}
