package analytics

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"revstream/ingest/revenue"
)

// Period is a half-open range of instants, in UTC with microseconds.
type Period struct {
	Since, Until time.Time
}

// Query is the question of GET /revenue, with its defaults filled in.
type Query struct {
	WorkspaceSlug string
	Period        Period
	// Previous is the period to compare with, if one was asked for.
	Previous *Period
	// Filter has the provider, and as of when the question is asked.
	Filter
	// Kinds filter the items, and only those.
	Kinds         []revenue.EntryKind
	Page          int
	PageSize      int
	IncludeSeries bool
	SortBy        Sort
	Descending    bool
}

// Sort is a field that items can be sorted by.
type Sort string

// The sorts. Ties are in the order of the time they occurred.
const (
	SortOccurredAt  Sort = "occurredAt"
	SortCreatedAt   Sort = "createdAt"
	SortAmountCents Sort = "amountCents"
	SortEventType   Sort = "eventType"
	SortProvider    Sort = "provider"
	SortCurrency    Sort = "currency"
)

var sorts = []Sort{SortOccurredAt, SortCreatedAt, SortAmountCents, SortEventType, SortProvider, SortCurrency}

// listedKinds are the kinds of items: the event types of the contract, and three of
// ours.
var listedKinds = [...]revenue.EntryKind{
	revenue.EntryPurchase, revenue.EntrySubscriptionPurchase, revenue.EntryTrialConversion, revenue.EntryRenewal,
	revenue.EntryRefund, revenue.EntryCancellation, revenue.EntryExpiration, revenue.EntryTrialStart,
	revenue.EntryDispute, revenue.EntryDisputeReversal, revenue.EntryFee,
}

// contractKinds are what is listed unless eventTypes says otherwise. A client that
// was written to the contract need not know the others.
var contractKinds = listedKinds[:8]

const (
	slugBytesMax     = 128
	providerBytesMax = 128
)

// ParseQuery reads the parameters of GET /revenue from the raw query string. now
// is the until of a range that has none. Parameters that the contract does not
// know are ignored, as its clients may send them; one that it knows must be
// given once (eventTypes excepted) and have a value. Its errors are for the
// caller's eyes and join all that is wrong.
func ParseQuery(raw string, now time.Time, config Config) (Query, error) {
	values, err := parseValues(raw, config)
	if err != nil {
		return Query{}, err
	}
	p := parser{values: values}
	query := Query{
		WorkspaceSlug: p.slug(),
		Filter:        Filter{Provider: p.provider(), AsOf: p.asOf(now, time.UTC), Test: p.test()},
		Kinds:         p.kinds(),
		Page:          p.number("page", 1, 1_000_000_000),
		PageSize:      p.pageSize(config),
		IncludeSeries: p.boolean("includeSeries"),
		SortBy:        Sort(p.choice("sortBy", texts(sorts), string(SortOccurredAt))),
		Descending:    p.choice("sortOrder", []string{"asc", "desc"}, "desc") == "desc",
	}
	for _, name := range append([]string{"profile"}, policyParameters...) {
		if len(p.values[name]) == 0 {
			continue
		}
		p.fail(name, "the figures here are defined by the contract; those of /v1/metrics and /v1/tables follow profiles")
	}
	query.Period = p.period(query.present(now), config)
	query.Previous = p.previous(config)
	return query, errors.Join(p.errs...)
}

func parseValues(raw string, config Config) (url.Values, error) {
	if len(raw) > config.QueryStringBytesMax {
		return nil, fmt.Errorf("the parameters are longer than %d bytes", config.QueryStringBytesMax)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("the parameters are not URL-encoded: %w", err)
	}
	return values, nil
}

// parser reads one parameter after another and collects what is wrong.
type parser struct {
	values url.Values
	errs   []error
}

func (p *parser) fail(name, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

// text is the value of a parameter that may be given once. A parameter without a
// value is refused rather than taken as absent: the caller meant to say
// something.
func (p *parser) text(name string) (value string, given bool) {
	values := p.values[name]
	switch {
	case len(values) == 0:
		return "", false
	case len(values) > 1:
		p.fail(name, "is given %d times", len(values))
		return "", false
	case values[0] == "":
		p.fail(name, "has no value")
		return "", false
	}
	return values[0], true
}

func (p *parser) slug() string {
	slug, given := p.text("workspaceSlug")
	switch {
	case given && len(slug) > slugBytesMax:
		p.fail("workspaceSlug", "is longer than %d bytes", slugBytesMax)
	case !given && len(p.values["workspaceSlug"]) == 0:
		p.fail("workspaceSlug", "is required")
	}
	return slug
}

// provider is an open set, so any printable name is a question; what nobody sent
// has no entries.
func (p *parser) provider() string {
	provider, _ := p.text("provider")
	switch {
	case provider == "all":
		return ""
	case len(provider) > providerBytesMax:
		p.fail("provider", "is longer than %d bytes", providerBytesMax)
	case strings.ToValidUTF8(provider, "") != provider || strings.ContainsFunc(provider, unicode.IsControl):
		p.fail("provider", "has characters that are not printable")
	}
	return provider
}

// kinds reads eventTypes in each of its forms: repeated, as a comma list, with
// brackets, and any mixture.
func (p *parser) kinds() []revenue.EntryKind {
	var kinds []revenue.EntryKind
	given := false
	for _, name := range []string{"eventTypes", "eventTypes[]"} {
		for _, list := range p.values[name] {
			given = true
			for kind := range strings.SplitSeq(list, ",") {
				kind := revenue.EntryKind(strings.TrimSpace(kind))
				if !slices.Contains(listedKinds[:], kind) {
					p.fail("eventTypes", "%q is not one of %s", clip(string(kind)), strings.Join(texts(listedKinds[:]), ", "))
				} else if !slices.Contains(kinds, kind) {
					kinds = append(kinds, kind)
				}
			}
		}
	}
	if !given {
		return slices.Clone(contractKinds)
	}
	return kinds
}

// pageSize has an alias; both may be given if they agree, as in the contract's
// own example.
func (p *parser) pageSize(config Config) int {
	size := p.number("pageSize", config.PageSizeDefault, config.PageSizeMax)
	limit := p.number("limit", size, config.PageSizeMax)
	if len(p.values["pageSize"]) == 0 {
		return limit
	}
	if limit != size && len(p.errs) == 0 {
		p.fail("limit", "is %d but pageSize, which it is an alias of, is %d", limit, size)
	}
	return size
}

func (p *parser) number(name string, absent, most int) int {
	text, given := p.text(name)
	if !given {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most || strconv.Itoa(n) != text {
		p.fail(name, "%q is not a whole number from 1 to %d", clip(text), most)
		return absent
	}
	return n
}

func (p *parser) boolean(name string) bool {
	choice := p.choice(name, []string{"true", "false", "1", "0"}, "false")
	return choice == "true" || choice == "1"
}

func (p *parser) choice(name string, choices []string, absent string) string {
	text, given := p.text(name)
	if !given {
		return absent
	}
	if !slices.Contains(choices, text) {
		p.fail(name, "%q is not one of %s", clip(text), strings.Join(choices, ", "))
		return absent
	}
	return text
}

// period is all time until now unless since and until say otherwise. A since
// that lies ahead, without an until, is an empty range and no error.
func (p *parser) period(now time.Time, config Config) Period {
	since, hasSince := p.instant("since", time.UTC, false)
	until, hasUntil := p.instant("until", time.UTC, true)
	if !hasSince {
		since = beginning
	}
	if !hasUntil {
		until = now
		if until.Before(since) {
			until = since
		}
		return Period{since, until}
	}
	p.ordered("since", since, "until", until)
	if hasSince {
		p.within("until", Period{since, until}, config)
	}
	return Period{since, until}
}

func (p *parser) previous(config Config) *Period {
	since, hasSince := p.instant("prevSince", time.UTC, false)
	until, hasUntil := p.instant("prevUntil", time.UTC, true)
	if (len(p.values["prevSince"]) > 0) != (len(p.values["prevUntil"]) > 0) {
		p.fail("prevSince", "and prevUntil work together only")
	}
	if !hasSince || !hasUntil {
		return nil
	}
	p.ordered("prevSince", since, "prevUntil", until)
	p.within("prevUntil", Period{since, until}, config)
	return &Period{since, until}
}

func (p *parser) instant(name string, zone *time.Location, endOfDay bool) (time.Time, bool) {
	text, given := p.text(name)
	if !given {
		return time.Time{}, false
	}
	at, err := parseInstant(text, zone, endOfDay)
	if err != nil {
		p.fail(name, "%q %v", clip(text), err)
		return time.Time{}, false
	}
	return at, true
}

func (p *parser) ordered(sinceName string, since time.Time, untilName string, until time.Time) {
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		p.fail(sinceName, "is not before %s", untilName)
	}
}

func (p *parser) within(name string, period Period, config Config) {
	if period.Until.Sub(period.Since) > time.Duration(config.RangeDaysMax)*dayLength {
		p.fail(name, "the range is longer than %d days", config.RangeDaysMax)
	}
}

// clip keeps an error message short whatever was sent.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func texts[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = string(value)
	}
	return list
}
