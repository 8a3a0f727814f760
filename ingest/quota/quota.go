// Package quota bounds how often each API key may ask, and says so in the headers
// by which callers pace themselves. It knows no HTTP library: whoever answers
// passes what sets a header.
package quota

import (
	"fmt"
	"math"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"revstream/ingest/control"
)

// Budget is what each key may ask that has no limits of its own.
type Budget struct {
	// Policy names it in the headers.
	Policy string
	// PerSecond is requests per second in the long run, Burst requests at once.
	PerSecond float64
	Burst     int
}

// Limiter keeps one token bucket for each API key, the least recently used ones
// forgotten: a forgotten key starts again with a full bucket. It is safe for
// concurrent use.
type Limiter struct {
	budget  Budget
	buckets *lru.Cache[string, *rate.Limiter]
}

// New makes a limiter that remembers so many keys. A key's own limits, if it has
// any, stand in the place of the budget's. The error is a number of keys that is
// not positive.
func New(budget Budget, keysMax int) (*Limiter, error) {
	buckets, err := lru.New[string, *rate.Limiter](keysMax)
	if err != nil {
		return nil, fmt.Errorf("make cache of rate limits: %w", err)
	}
	return &Limiter{budget: budget, buckets: buckets}, nil
}

// Of is the key's own budget, completed by that of all.
func (l *Limiter) Of(key control.Key) Budget {
	budget := l.budget
	if key.RatePerSecond > 0 {
		budget.PerSecond = key.RatePerSecond
	}
	if key.Burst > 0 {
		budget.Burst = key.Burst
	}
	return budget
}

// Left is what a key has left after a request.
type Left struct {
	Budget
	// Allowed reports whether the request was within the budget; if not, one more is
	// after RetryAfter.
	Allowed    bool
	RetryAfter time.Duration
	remaining  int
}

// Take counts one request of the key.
func (l *Limiter) Take(key control.Key, now time.Time) Left {
	budget := l.Of(key)
	bucket, ok := l.buckets.Get(key.ID)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(budget.PerSecond), budget.Burst)
		if held, found, _ := l.buckets.PeekOrAdd(key.ID, bucket); found {
			bucket = held
		}
	}
	// A key's limits may have been changed since.
	if bucket.Limit() != rate.Limit(budget.PerSecond) {
		bucket.SetLimitAt(now, rate.Limit(budget.PerSecond))
	}
	if bucket.Burst() != budget.Burst {
		bucket.SetBurstAt(now, budget.Burst)
	}
	left := Left{Budget: budget, Allowed: bucket.AllowN(now, 1)}
	tokens := bucket.TokensAt(now)
	left.remaining = max(0, int(tokens))
	if !left.Allowed {
		left.RetryAfter = time.Duration((1 - tokens) / budget.PerSecond * float64(time.Second))
	}
	return left
}

// Show sets the RateLimit headers: those of the IETF draft, and the three of its
// earlier revisions, which most clients read. Times are in seconds.
func (l Left) Show(set func(name, value string)) {
	reset := int(math.Ceil(float64(l.Burst-l.remaining) / l.PerSecond)) // until full
	if !l.Allowed {
		// Callers come back at the later of the two, and there is no use in waiting
		// until all of it is there.
		reset = Seconds(l.RetryAfter)
	}
	window := max(1, int(math.Ceil(float64(l.Burst)/l.PerSecond)))
	set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, l.Policy, l.Burst, window))
	set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, l.Policy, l.remaining, reset))
	set("RateLimit-Limit", strconv.Itoa(l.Burst))
	set("RateLimit-Remaining", strconv.Itoa(l.remaining))
	set("RateLimit-Reset", strconv.Itoa(reset))
}

// Seconds are whole ones for a Retry-After, rounded up, for a caller who comes
// back too early is refused again.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
