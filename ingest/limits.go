package ingest

import (
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"revstream/ingest/control"
)

// limits keeps one token bucket for each API key, the least recently used ones
// forgotten: a forgotten key starts again with a full bucket.
type limits struct {
	rate    float64
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

func newLimits(cfg Config) (*limits, error) {
	buckets, err := lru.New[string, *rate.Limiter](cfg.LimitedKeysMax)
	if err != nil {
		return nil, fmt.Errorf("make cache of rate limits: %w", err)
	}
	return &limits{rate: cfg.KeyRequestsPerSecond, burst: cfg.KeyRequestsBurst, buckets: buckets}, nil
}

// quota is what a key has left after a request.
type quota struct {
	allowed    bool
	burst      int
	rate       float64 // requests per second
	remaining  int
	retryAfter time.Duration // until one more request is allowed
}

// take counts one request of the key.
func (l *limits) take(key control.Key, now time.Time) quota {
	perSecond, burst := key.RatePerSecond, key.Burst
	if perSecond <= 0 {
		perSecond = l.rate
	}
	if burst <= 0 {
		burst = l.burst
	}
	bucket, ok := l.buckets.Get(key.ID)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(perSecond), burst)
		if held, found, _ := l.buckets.PeekOrAdd(key.ID, bucket); found {
			bucket = held
		}
	}
	// A key's limits may have been changed since.
	if bucket.Limit() != rate.Limit(perSecond) {
		bucket.SetLimitAt(now, rate.Limit(perSecond))
	}
	if bucket.Burst() != burst {
		bucket.SetBurstAt(now, burst)
	}
	q := quota{allowed: bucket.AllowN(now, 1), burst: burst, rate: perSecond}
	tokens := bucket.TokensAt(now)
	q.remaining = max(0, int(tokens))
	if !q.allowed {
		q.retryAfter = time.Duration((1 - tokens) / perSecond * float64(time.Second))
	}
	return q
}

// show sets the RateLimit headers: those of the IETF draft, and the three of its
// earlier revisions, which most clients read.
func (q quota) show(c *fiber.Ctx) {
	reset := int(math.Ceil(float64(q.burst-q.remaining) / q.rate)) // seconds until full
	if !q.allowed {
		// Callers come back at the later of the two, and there is no use in waiting
		// until all of it is there.
		reset = seconds(q.retryAfter)
	}
	window := max(1, int(math.Ceil(float64(q.burst)/q.rate)))
	c.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, q.burst, window))
	c.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, q.remaining, reset))
	c.Set("RateLimit-Limit", strconv.Itoa(q.burst))
	c.Set("RateLimit-Remaining", strconv.Itoa(q.remaining))
	c.Set("RateLimit-Reset", strconv.Itoa(reset))
}

// gate bounds how many requests are inside.
type gate struct {
	most   int64
	inside atomic.Int64
}

// enter reports whether there was room; only then leave is due.
func (g *gate) enter() bool {
	if g.inside.Add(1) > g.most {
		g.inside.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.inside.Add(-1) }
