package simulation

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// questionsAtOnce bounds how many questions are put at a time.
const questionsAtOnce = 4

// Difference is a figure that is not what it should be.
type Difference struct {
	Endpoint string `json:"endpoint"`
	Range    Range  `json:"range"`
	Figure   string `json:"figure"`
	// Truth is what the run adds up to, Answer what the service says that the run
	// came to: its answer less the one before the run. MRR and its movements are in
	// 1/10,000 minor units, unless Figure says cents.
	Truth  int64 `json:"truth"`
	Answer int64 `json:"answer"`
}

// before reads the answers that the workspace gives without the run; none if it
// is empty.
func (i *inspector) before(ctx context.Context) (answers, error) {
	complete, now, err := i.completeThrough(ctx)
	if err != nil {
		return nil, err
	}
	if !complete.IsZero() { // what others have sent may still be on its way
		if err := i.settle(ctx, now); err != nil {
			return nil, err
		}
	}
	given, err := i.answers(ctx, questionsAbout(i.options.everything()))
	if err != nil {
		return nil, err
	}
	for _, value := range given {
		if value != 0 {
			return i.answers(ctx, i.options.questions())
		}
	}
	return answers{}, nil
}

// question is an endpoint and the range to ask it about.
type question struct {
	endpoint string
	r        Range
}

// questionsAbout is every endpoint about a range.
func questionsAbout(r Range) []question {
	return []question{{endpointRevenue, r}, {endpointMetricsRevenue, r}, {endpointMetricsRefunds, r}, {endpointMetricsMRR, r}}
}

// questions are all that a comparison asks. Months are buckets of the series of
// longer ranges, so only the summary is asked about them.
func (o Options) questions() []question {
	var all []question
	for _, r := range o.ranges() {
		all = append(all, questionsAbout(r)...)
	}
	for _, month := range o.months() {
		all = append(all, question{endpointRevenue, month})
	}
	return all
}

// fewQuestions are some of them, for the many times.
func (o Options) fewQuestions(time uint64) []question {
	some := questionsAbout(o.everything())
	for _, door := range Doors {
		if o.uses(door) {
			r := o.everything()
			r.Door = door
			some = append(some, question{endpointRevenue, r})
		}
	}
	ragged := o.ragged()
	return append(some, questionsAbout(ragged[time%uint64(len(ragged))])...)
}

func (i *inspector) answers(ctx context.Context, questions []question) (answers, error) {
	all := answers{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(questionsAtOnce)
	for _, q := range questions {
		group.Go(func() error {
			given := answers{}
			if err := i.put(ctx, q, given); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(all, given)
			return nil
		})
	}
	return all, group.Wait()
}

// compare asks the questions again and holds it against the truth.
func (i *inspector) compare(ctx context.Context, questions []question, truth *Truth, before answers, report *Report) error {
	after, err := i.answers(ctx, questions)
	if err != nil {
		return err
	}
	report.Lines = nil
	history := Range{Since: i.options.span().begin, Until: i.options.span().end}
	figures := map[Range]Figures{}
	lines := map[string]*Line{}
	balances := before.balances()
	for c, answer := range after {
		known, held := figures[c.r]
		if !held {
			known = truth.Figures(c.r)
			figures[c.r] = known
		}
		d := judge(c, known[c.figure], answer, before[c], balances[balanceAt(c.r)])
		report.Compared++
		if d.Truth != d.Answer {
			report.Differences = append(report.Differences, d)
		}
		if c.r == history && !c.cents {
			lines[d.Figure] = &Line{d.Figure, d.Truth, d.Answer}
		}
	}
	slices.SortFunc(report.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Range.Door, b.Range.Door), a.Range.Since.Compare(b.Range.Since), a.Range.Until.Compare(b.Range.Until),
			cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Figure, b.Figure))
	})
	addMovements(lines, figures, before, after, history)
	for f := range figureCount {
		if line := lines[figureNames[f]]; line != nil {
			report.Lines = append(report.Lines, *line)
		}
	}
	report.Inconsistent = i.inconsistent
	return nil
}

// judge subtracts what was there before. Of MRR in cents only the rounded sum is
// known, so there the run's part is what it has to add to the exact balance.
func judge(c cell, truth, answer, before, balance int64) Difference {
	d := Difference{Endpoint: c.endpoint, Range: c.r, Figure: figureNames[c.figure]}
	if !c.cents {
		d.Truth, d.Answer = truth, answer-before
		return d
	}
	d.Figure += " in cents"
	d.Truth, d.Answer = roundUnits(balance+truth)-roundUnits(balance), answer-roundUnits(balance)
	return d
}

// moment is whose balance, and when.
type moment struct {
	at   int64
	door Door
}

func balanceAt(r Range) moment { return moment{r.Until.UnixMicro(), r.Door} }

// balances are the exact MRRs among the answers, by the end of their ranges.
func (a answers) balances() map[moment]int64 {
	balances := map[moment]int64{}
	for c, value := range a {
		if c.figure == figureMRR && !c.cents {
			balances[balanceAt(c.r)] = value
		}
	}
	return balances
}

// addMovements adds up the months of the history: there is no other total of
// movements.
func addMovements(lines map[string]*Line, figures map[Range]Figures, before, after answers, history Range) {
	for c, answer := range after {
		within := c.endpoint == endpointMetricsMRR && c.r.Door == "" && !c.cents &&
			!c.r.Since.Before(history.Since) && !c.r.Until.After(history.Until) && c.r.Until.Sub(c.r.Since) > 48*time.Hour
		if !within || c.figure == figureActiveSubscriptions {
			continue
		}
		if c.figure == figureMRR || c.figure == figureCustomers {
			if c.r.Until.Equal(history.Until) {
				lines[figureNames[c.figure]] = &Line{figureNames[c.figure], figures[c.r][c.figure], answer - before[c]}
			}
			continue
		}
		line := lines[figureNames[c.figure]]
		if line == nil {
			line = &Line{Figure: figureNames[c.figure]}
			lines[figureNames[c.figure]] = line
		}
		line.Truth += figures[c.r][c.figure]
		line.Answer += answer - before[c]
	}
}
