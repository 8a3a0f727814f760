package backfill

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/time/rate"

	"revstream/connectors"
)

// Patience is how a provider's API is spoken to.
type Patience struct {
	// PerSecond is the most requests a second.
	PerSecond float64
	// Retries is how often a request is repeated that the API refuses for its rate or
	// fails to answer. WaitMin and WaitMax bound the wait before, which doubles, is
	// half as long again at random, and is what Retry-After says if the API says so.
	Retries          int
	WaitMin, WaitMax time.Duration
	// Timeout bounds one object with all its repetitions.
	Timeout time.Duration
}

// DefaultPatience suits Stripe's 25 reads a second of a test account, and leaves
// something to others.
func DefaultPatience() Patience {
	return Patience{PerSecond: 15, Retries: 10, WaitMin: 500 * time.Millisecond, WaitMax: time.Minute, Timeout: 10 * time.Minute}
}

// Client is a client with this patience.
func (p Patience) Client() connectors.Client {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax, client.RetryWaitMin, client.RetryWaitMax = p.Retries, p.WaitMin, p.WaitMax
	client.Backoff = jittered
	client.HTTPClient.Timeout = 30 * time.Second // each attempt
	client.HTTPClient.Transport = paced{client.HTTPClient.Transport, rate.NewLimiter(rate.Limit(p.PerSecond), 1)}
	// A redirect would carry the API key elsewhere.
	client.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return connectors.Client{Transport: client.StandardClient().Transport, Timeout: p.Timeout}
}

// jittered is the usual back-off, which heeds Retry-After, and up to half as much again
// of it, so that several clients do not come back at once.
func jittered(least, most time.Duration, attempt int, response *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(least, most, attempt, response)
	return wait + time.Duration(rand.Int64N(int64(wait)/2+1))
}

// paced keeps to a rate, repetitions included.
type paced struct {
	next    http.RoundTripper
	limiter *rate.Limiter
}

// RoundTrip waits for its turn.
func (p paced) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := p.limiter.Wait(request.Context()); err != nil {
		return nil, err
	}
	return p.next.RoundTrip(request)
}
