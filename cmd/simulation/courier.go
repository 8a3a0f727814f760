package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of the pauses between attempts. A provider waits longer; a test cannot.
const (
	pauseMin = 50 * time.Millisecond
	pauseMax = 3 * time.Second
	// retryAfterMax bounds what a Retry-After can ask for.
	retryAfterMax = 30 * time.Second
	answerBytes   = 4 << 20
	// refusalsMax is how many unexpected refusals end a run.
	refusalsMax = 50
)

// courier makes deliveries: it retries what got no answer or a temporary refusal,
// as providers do, and keeps count of what became of each.
type courier struct {
	client   *http.Client
	base     string
	sign     func(body []byte, at time.Time) string // Stripe-Signature
	patience time.Duration
	limiter  *rate.Limiter
	ownClock bool

	delivered, events, repeated, retried atomic.Int64
	perDoor                              sync.Map // Door -> *atomic.Int64, events

	// giveUp ends the run; see fail.
	giveUp func()

	mu       sync.Mutex
	failures []Failure
	// lastAck is the service's own time of its last acknowledgement.
	lastAck time.Time
}

// Failure is a delivery that was not acknowledged as it should have been.
type Failure struct {
	Door  Door   `json:"door"`
	Label string `json:"label"`
	// Ambiguous says that nobody knows whether it was taken in: no attempt got a
	// final answer.
	Ambiguous bool   `json:"ambiguous"`
	Error     string `json:"error"`
	Body      string `json:"body"`
}

func newCourier(options Options) *courier {
	c := &courier{
		client:   newClient(options),
		base:     strings.TrimSuffix(options.URL, "/"),
		patience: options.Patience,
		limiter:  rate.NewLimiter(rate.Inf, 1),
		ownClock: options.OwnClock,
		sign: func(body []byte, at time.Time) string {
			return stripeSignature(options.StripeSecret, body, at)
		},
	}
	if options.Rate > 0 {
		// A tenth of a second's worth at once, so that it is a steady rate.
		c.limiter = rate.NewLimiter(rate.Limit(options.Rate), max(1, int(options.Rate/10)))
	}
	return c
}

// newClient speaks to the service alone: no proxy, no redirects, and as many
// connections as there are workers.
func newClient(options Options) *http.Client {
	return &http.Client{
		Timeout:       options.RequestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: options.Workers, MaxConnsPerHost: options.Workers,
			IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		},
	}
}

// run makes the deliveries of an errand in order. After one that failed, the rest
// would say something else than the story: they are left out, as failures.
func (c *courier) run(ctx context.Context, p parcel) {
	var before []byte
	for i, d := range p.deliveries {
		body, err := c.deliver(ctx, d, p.duplicate || d.SameAnswer)
		if err == nil && d.SameAnswer && !bytes.Equal(body, before) {
			err = &refusal{fmt.Errorf("a repetition was answered %s, at first it was %s", clip(body), clip(before))}
		}
		if err != nil {
			c.fail(d, err)
			for _, rest := range p.deliveries[i+1:] {
				c.fail(rest, fmt.Errorf("not sent, since what it follows failed: %w", err))
			}
			return
		}
		before = body
	}
}

// refusal is a final answer that is not the one expected.
type refusal struct{ error }

func (c *courier) fail(d Delivery, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ambiguous := !errors.As(err, new(*refusal))
	c.failures = append(c.failures, Failure{d.Door, d.Label, ambiguous, err.Error(), clip(d.Body)})
	// What may or may not have been taken in cannot be compared any more, and a
	// service that refuses everything need not be asked for all of it.
	if (ambiguous || len(c.failures) > refusalsMax) && c.giveUp != nil {
		c.giveUp()
	}
}

// fill puts what became of the deliveries into the report.
func (c *courier) fill(report *Report, stories int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	report.Stories, report.Took, report.sentAt = stories, took, time.Now()
	report.Deliveries, report.Events = c.delivered.Load(), c.events.Load()
	report.Repeated, report.Retried = c.repeated.Load(), c.retried.Load()
	report.Failures, report.lastAck = c.failures, c.lastAck
	report.PerDoor = map[Door]int64{}
	c.perDoor.Range(func(door, events any) bool {
		report.PerDoor[door.(Door)] = events.(*atomic.Int64).Load()
		return true
	})
}

// deliver sends until there is a final answer. The error is a *refusal if that
// was not the expected one, anything else if there was none.
func (c *courier) deliver(ctx context.Context, d Delivery, repetition bool) ([]byte, error) {
	if err := c.await(ctx, d.Events); err != nil {
		return nil, fmt.Errorf("waiting for the rate limit: %w", err)
	}
	check := d.Check
	if check == nil {
		check = expectSuccess
	}
	answer, err := c.persist(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := check(answer); err != nil {
		return nil, &refusal{err}
	}
	c.count(d, answer, repetition)
	return answer.Body, nil
}

// await waits until the rate allows so many events, which can be more than it
// allows at once.
func (c *courier) await(ctx context.Context, events int) error {
	if c.limiter.Limit() == rate.Inf {
		return nil
	}
	for most := c.limiter.Burst(); events > 0; events -= most {
		if err := c.limiter.WaitN(ctx, min(events, most)); err != nil {
			return err
		}
	}
	return nil
}

func (c *courier) count(d Delivery, answer Answer, repetition bool) {
	c.delivered.Add(1)
	if repetition {
		c.repeated.Add(1)
	} else {
		c.events.Add(int64(d.Events))
		counter, _ := c.perDoor.LoadOrStore(d.Door, new(atomic.Int64))
		counter.(*atomic.Int64).Add(int64(d.Events))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.At.After(c.lastAck) {
		c.lastAck = answer.At
	}
}

// persist attempts until an answer is final or patience is at its end.
func (c *courier) persist(ctx context.Context, d Delivery) (Answer, error) {
	var deadline time.Time
	for attempt := 0; ; attempt++ {
		got, retryAfter, err := c.attempt(ctx, d)
		if err == nil {
			got.Attempts = attempt + 1
			return got, nil
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(c.patience)
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return Answer{}, fmt.Errorf("gave up after %d attempts: %w", attempt+1, err)
		}
		c.retried.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(max(pause(attempt), retryAfter)):
		}
	}
}

// pause doubles with each attempt, and is spread so that not all come again at
// one time.
func pause(attempt int) time.Duration {
	full := min(pauseMax, pauseMin<<min(attempt, 10))
	return full/2 + rand.N(full/2+1)
}

// attempt sends once. An error means that it is to be sent again, not before
// retryAfter.
func (c *courier) attempt(ctx context.Context, d Delivery) (got Answer, retryAfter time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, d.Method, c.base+d.Path, bytes.NewReader(d.Body))
	if err != nil {
		return Answer{}, 0, fmt.Errorf("making the request: %w", err)
	}
	for name, values := range d.Header {
		request.Header[name] = values
	}
	if d.Door == DoorStripe { // each attempt is signed anew
		request.Header.Set("Stripe-Signature", c.sign(d.Body, time.Now()))
	}
	response, err := c.client.Do(request)
	if err != nil {
		return Answer{}, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	if err != nil {
		return Answer{}, 0, fmt.Errorf("reading the answer: %w", err)
	}
	if temporary(response.StatusCode) {
		return Answer{}, parseRetryAfter(response.Header), fmt.Errorf("answered %d: %s", response.StatusCode, clip(body))
	}
	at := time.Now()
	if !c.ownClock {
		at = serverTime(response.Header)
	}
	return Answer{Status: response.StatusCode, Body: body, At: at}, 0, nil
}

// temporary statuses promise that the same request may be taken later.
func temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func parseRetryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, retryAfterMax)
}

// serverTime is an upper bound of the service's clock when it answered. Date is
// in whole seconds, and servers refresh it once a second.
func serverTime(header http.Header) time.Time {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Now()
	}
	return at.Add(2 * time.Second)
}
