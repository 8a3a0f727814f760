package analytics

import (
	"context"
	"maps"
	"math/big"
	"slices"
	"time"

	"revstream/ingest/revenue"
)

// MRRSeries is the body of /v1/metrics/mrr. In every bucket, to the cent and
// exactly: mrr = opening + new + reactivation + expansion - contraction - churn + transfer + fx.
type MRRSeries struct {
	SeriesHead
	Series []MRRBucket `json:"series"`
	// Breakdown is there if it was asked for. Exact values of all parts add up to those of
	// the series.
	Breakdown []MRRPart `json:"breakdown,omitempty"`
	// Previous is the answer to the same question about the period that it is compared
	// with, if it is.
	Previous *MRRSeries `json:"previous,omitempty"`
	// Unconverted is absent unless a currency had no exchange rate: it is then in
	// no figure but its native ones.
	Unconverted []UnconvertedMRR `json:"unconverted,omitempty"`
}

// UnconvertedMRR is the MRR at the end of the range of a currency without rate.
type UnconvertedMRR struct {
	Currency string `json:"currency"`
	MRRCents int64  `json:"mrrCents"`
}

// MRRBucket is a bucket with its figures in the currency of the answer, and
// natively.
type MRRBucket struct {
	Bucket
	MRRFigures
	// ActiveSubscriptions and Customers are those at the end of the bucket.
	ActiveSubscriptions int64 `json:"activeSubscriptions"`
	Customers           int64 `json:"customers"`
	// Customers who came, came back and left, as often as they did, and subscriptions
	// that became active and ceased to be.
	NewCustomers         int64 `json:"newCustomers"`
	ReactivatedCustomers int64 `json:"reactivatedCustomers"`
	LostCustomers        int64 `json:"lostCustomers"`
	NewSubscriptions     int64 `json:"newSubscriptions"`
	EndedSubscriptions   int64 `json:"endedSubscriptions"`
	// AverageSalePriceCents is the average MRR that a new customer begins with; null
	// without new customers, or where some are worth what no rate is known for.
	AverageSalePriceCents *int64 `json:"averageSalePriceCents"`
	// ARPACents is the average MRR of a paying customer at the end; null without
	// customers, or where some are worth what no rate is known for.
	ARPACents *int64      `json:"arpaCents"`
	Native    []NativeMRR `json:"native"`
}

// NativeMRR are the figures of one currency in its own minor units.
type NativeMRR struct {
	Currency string `json:"currency"`
	MRRFigures
}

// MRRFigures are a balance and its movements. Contraction and churn are
// magnitudes. Cents are rounded so that they add up; Exact has the unrounded
// values.
type MRRFigures struct {
	OpeningMRRCents   int64 `json:"openingMrrCents"`
	NewCents          int64 `json:"newCents"`
	ReactivationCents int64 `json:"reactivationCents"`
	ExpansionCents    int64 `json:"expansionCents"`
	ContractionCents  int64 `json:"contractionCents"`
	ChurnCents        int64 `json:"churnCents"`
	// TransferCents is what came from other plans, say, less what went to them; 0 unless
	// the figures are of some only.
	TransferCents int64    `json:"transferCents"`
	FXCents       int64    `json:"fxCents"`
	MRRCents      int64    `json:"mrrCents"`
	ARRCents      int64    `json:"arrCents"`
	Exact         ExactMRR `json:"exact"`
	Rates         MRRRates `json:"rates"`
}

// MRRRates are ratios of the exact values (reference/metrics.md section 2b), null of
// nothing.
type MRRRates struct {
	// GrossMRRChurn is (contraction + churn) / opening; NetMRRChurn takes expansion and
	// reactivation off, and may be negative.
	GrossMRRChurn *Thousandths `json:"grossMrrChurn"`
	NetMRRChurn   *Thousandths `json:"netMrrChurn"`
	// QuickRatio is (new + expansion) / (contraction + churn), with reactivation on top if
	// the question includes it.
	QuickRatio *Thousandths `json:"quickRatio"`
}

// mrrRates are those of exact movements, signed as in the ledger.
func mrrRates(opening *big.Int, parts []*big.Int, includeReactivation bool) MRRRates {
	lost := new(big.Int).Add(parts[movementContraction], parts[movementChurn])
	lost.Neg(lost)
	net := new(big.Int).Sub(lost, parts[movementExpansion])
	net.Sub(net, parts[movementReactivation])
	won := new(big.Int).Add(parts[movementNew], parts[movementExpansion])
	if includeReactivation {
		won.Add(won, parts[movementReactivation])
	}
	return MRRRates{exactRatio(lost, opening), exactRatio(net, opening), exactRatio(won, lost)}
}

// ExactMRR are minor units with all their decimals, as decimal text.
type ExactMRR struct {
	OpeningMRR   string `json:"openingMrr"`
	New          string `json:"new"`
	Reactivation string `json:"reactivation"`
	Expansion    string `json:"expansion"`
	Contraction  string `json:"contraction"`
	Churn        string `json:"churn"`
	Transfer     string `json:"transfer"`
	FX           string `json:"fx"`
	MRR          string `json:"mrr"`
}

// mrrSeries answers GET /v1/metrics/mrr.
func (s *Server) mrrSeries(ctx context.Context, request asked) (answered, error) {
	query, workspace, err := s.seriesQuestion(request, append(policyChoices, choice{"includeReactivation", []string{"true", "false"}})...)
	if err != nil {
		return answered{}, err
	}
	query.IncludeReactivation = query.chosen["includeReactivation"] == "true"
	if err := query.refuseWhatMoves(); err != nil {
		return answered{}, err
	}
	r := s.reading(workspace, query.Filter)
	r.profile = query.profile()
	complete, err := r.completeThrough(ctx)
	if err != nil {
		return answered{}, err
	}
	if err := r.restate(ctx, complete); err != nil {
		return r.answered(nil, complete), err
	}
	body, err := r.mrrAnswer(ctx, &query)
	if err != nil {
		return r.answered(nil, complete), err
	}
	body.SeriesHead = query.head("mrr", workspace, complete)
	if previous, compared := query.previous(); compared {
		if body.Previous, err = r.mrrAnswer(ctx, &previous); err != nil {
			return r.answered(nil, complete), err
		}
		body.Previous.SeriesHead = previous.head("mrr", workspace, complete)
	}
	return r.answered(body, complete), nil
}

// mrrAnswer is the answer but for its head.
func (r *reading) mrrAnswer(ctx context.Context, query *SeriesQuery) (*MRRSeries, error) {
	rows, history, exchange, err := r.mrrHistory(ctx, query)
	if err != nil {
		return nil, err
	}
	body := &MRRSeries{Series: []MRRBucket{}}
	unknown := history.unknown(exchange)
	for i, bucket := range query.buckets() {
		one, err := history.bucket(i, exchange, unknown)
		if err != nil {
			return nil, err
		}
		one.Bucket = bucket
		body.Series = append(body.Series, one)
	}
	last := history.balances[len(history.balances)-1]
	for _, currency := range sortedKeys(unknown) {
		body.Unconverted = append(body.Unconverted, UnconvertedMRR{currency, revenue.RoundMRR(last.mrr[currency])})
	}
	if query.Breakdown.dimension != "" {
		body.Breakdown, err = r.mrrParts(ctx, query, rows, exchange, unknown)
	}
	return body, err
}

// mrrHistory reads the balances and movements of a question, and the rates for them.
func (r *reading) mrrHistory(ctx context.Context, query *SeriesQuery) ([]movementRow, *history, *exchange, error) {
	r.by = query.Breakdown
	edges := slices.CompactFunc(append([]time.Time{beginning}, query.Edges...), time.Time.Equal)
	rows, err := r.movements(ctx, edges, true)
	if err != nil {
		return nil, nil, nil, err
	}
	history := newHistory(rows, query)
	if r.placed() {
		if err := r.countPaying(ctx, query.Edges, &history); err != nil {
			return nil, nil, nil, err
		}
	}
	exchange, err := r.exchange(ctx, history.needs(r.into))
	return rows, &history, exchange, err
}

// history is the balance at every edge, and the movements between.
type history struct {
	balances            []balance
	movements           [][]movementRow
	includeReactivation bool
}

func newHistory(rows []movementRow, query *SeriesQuery) history {
	edges := query.Edges
	bucketOf := func(row *movementRow) int64 { return row.Bucket }
	before, rows := splitBefore(rows, edges[0], bucketOf)
	h := history{balances: []balance{balanceAt(before, edges[0])}, includeReactivation: query.IncludeReactivation}
	for _, edge := range edges[1:] {
		var within []movementRow
		within, rows = splitBefore(rows, edge, bucketOf)
		last := h.balances[len(h.balances)-1]
		next := balance{at: edge, mrr: maps.Clone(last.mrr), subscriptions: last.subscriptions, customers: last.customers}
		for i := range within {
			next.add(&within[i])
		}
		h.balances = append(h.balances, next)
		h.movements = append(h.movements, within)
	}
	return h
}

// visit calls fn with every amount that has to be converted.
func (h *history) visit(fn func(currency string, day time.Time)) {
	for i := range h.balances {
		for currency, mrr := range h.balances[i].mrr {
			if mrr != 0 {
				fn(currency, h.balances[i].rateDay())
			}
		}
	}
	for _, rows := range h.movements {
		for i := range rows {
			if rows[i].MRR != 0 {
				fn(rows[i].Currency, rows[i].Day)
			}
		}
	}
}

func (h *history) needs(into string) rateNeeds {
	var needs rateNeeds
	h.visit(func(currency string, day time.Time) { needs.add(into, currency, day) })
	return needs
}

// unknown are the currencies that lack a rate somewhere. They are left out of all
// buckets: were they to come in on the day of their first rate, that would look
// like a movement.
func (h *history) unknown(x *exchange) map[string]bool {
	unknown := map[string]bool{}
	h.visit(func(currency string, day time.Time) {
		if x.rate(currency, day) == nil {
			unknown[currency] = true
		}
	})
	return unknown
}

// bucket derives the figures of the i-th bucket.
func (h *history) bucket(i int, x *exchange, unknown map[string]bool) (MRRBucket, error) {
	closing := h.balances[i+1]
	bucket := MRRBucket{ActiveSubscriptions: closing.subscriptions, Customers: closing.customers, Native: []NativeMRR{}}
	bucket.count(h.movements[i])
	var err error
	if bucket.MRRFigures, err = h.figures(i, x, func(currency string) bool {
		return !unknown[currency]
	}); err != nil {
		return bucket, err
	}
	if len(unknown) == 0 {
		bucket.ARPACents = average(bucket.MRRCents, closing.customers)
		bucket.AverageSalePriceCents = average(bucket.NewCents, bucket.NewCustomers)
	}
	for _, currency := range slices.Sorted(maps.Keys(closing.mrr)) {
		native := NativeMRR{Currency: currency}
		if native.MRRFigures, err = h.figures(i, newExchange(currency), func(other string) bool {
			return other == currency
		}); err != nil {
			return bucket, err
		}
		bucket.Native = append(bucket.Native, native)
	}
	return bucket, nil
}

// count adds up who came and left.
func (b *MRRBucket) count(rows []movementRow) {
	for i := range rows {
		row := &rows[i]
		switch revenue.EntryKind(row.Kind) {
		case revenue.EntryNew:
			b.NewCustomers += row.Customers
		case revenue.EntryReactivation:
			b.ReactivatedCustomers += row.Customers
		case revenue.EntryChurn:
			b.LostCustomers -= row.Customers
		case revenue.EntryActive:
			b.NewSubscriptions += row.Subscriptions
		case revenue.EntryInactive:
			b.EndedSubscriptions -= row.Subscriptions
		}
	}
}

// average is an amount by number, rounded, or null of nothing.
func average(amount, number int64) *int64 {
	if number <= 0 {
		return nil
	}
	value := quotient(big.NewInt(amount), big.NewInt(1), big.NewInt(number)).Int64()
	return &value
}
