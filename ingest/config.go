// Package ingest accepts revenue over HTTP: five APIs, each in the words and the
// error shapes of its contract, and the webhooks of payment providers; and it has
// the API by which those are managed who may send. It answers 2xx only for what
// Kafka has acknowledged. It knows nothing of ClickHouse or of what the statements
// come to.
package ingest

import (
	"errors"
	"fmt"
	"time"
)

// Config is the limits and times of accepting revenue.
type Config struct {
	// BodyBytesMax bounds a request's body as sent, DecodedBytesMax what a
	// compressed one may become.
	BodyBytesMax    int `koanf:"body_bytes_max"`
	DecodedBytesMax int `koanf:"decoded_bytes_max"`
	// RecordsPerRequestMax bounds the records of a bulk request, the events of a
	// native one and the things registered at once. The contracts name 1,000.
	RecordsPerRequestMax int `koanf:"records_per_request_max"`
	// RequestsInFlightMax bounds the requests that wait for Kafka; beyond it the
	// answer is 503 at once, for a longer queue would only time out later.
	RequestsInFlightMax int `koanf:"requests_in_flight_max"`
	// RequestTimeout bounds one request, waiting for Kafka included.
	RequestTimeout time.Duration `koanf:"request_timeout"`
	// RetryAfter is what a 503 asks callers to wait.
	RetryAfter time.Duration `koanf:"retry_after"`

	// KeyRequestsPerSecond and KeyRequestsBurst limit each API key that has no
	// limits of its own. LimitedKeysMax bounds how many keys are remembered.
	KeyRequestsPerSecond float64 `koanf:"key_requests_per_second"`
	KeyRequestsBurst     int     `koanf:"key_requests_burst"`
	LimitedKeysMax       int     `koanf:"limited_keys_max"`
	// AdminRequestsPerSecond and AdminRequestsBurst do so at the admin API.
	AdminRequestsPerSecond float64 `koanf:"admin_requests_per_second"`
	AdminRequestsBurst     int     `koanf:"admin_requests_burst"`

	// IdempotencyTTL is how long the answer to an Idempotency-Key is kept, and
	// IdempotencySweepInterval how often older ones are dropped.
	IdempotencyTTL           time.Duration `koanf:"idempotency_ttl"`
	IdempotencySweepInterval time.Duration `koanf:"idempotency_sweep_interval"`
	// RecentEventsMax bounds the memory of Pulsora events by which a retry keeps
	// the time it was first accepted at.
	RecentEventsMax int `koanf:"recent_events_max"`

	// ReadTimeout, WriteTimeout and IdleTimeout are those of connections.
	ReadTimeout  time.Duration `koanf:"read_timeout"`
	WriteTimeout time.Duration `koanf:"write_timeout"`
	IdleTimeout  time.Duration `koanf:"idle_timeout"`
}

// DefaultConfig suits one node.
func DefaultConfig() Config {
	return Config{
		BodyBytesMax:         4 << 20,
		DecodedBytesMax:      16 << 20,
		RecordsPerRequestMax: 1000,
		RequestsInFlightMax:  2048,
		RequestTimeout:       10 * time.Second,
		RetryAfter:           time.Second,

		KeyRequestsPerSecond: 5000,
		KeyRequestsBurst:     10_000,
		LimitedKeysMax:       10_000,

		AdminRequestsPerSecond: 10,
		AdminRequestsBurst:     100,

		IdempotencyTTL:           48 * time.Hour,
		IdempotencySweepInterval: time.Hour,
		RecentEventsMax:          50_000,

		ReadTimeout:  15 * time.Second,
		WriteTimeout: 30 * time.Second,
		IdleTimeout:  2 * time.Minute,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	for _, setting := range []struct {
		name  string
		value int64
	}{
		{"body_bytes_max", int64(c.BodyBytesMax)}, {"decoded_bytes_max", int64(c.DecodedBytesMax)},
		{"records_per_request_max", int64(c.RecordsPerRequestMax)}, {"requests_in_flight_max", int64(c.RequestsInFlightMax)},
		{"request_timeout", int64(c.RequestTimeout)}, {"retry_after", int64(c.RetryAfter)},
		{"key_requests_burst", int64(c.KeyRequestsBurst)}, {"limited_keys_max", int64(c.LimitedKeysMax)},
		{"admin_requests_burst", int64(c.AdminRequestsBurst)},
		{"idempotency_ttl", int64(c.IdempotencyTTL)}, {"idempotency_sweep_interval", int64(c.IdempotencySweepInterval)},
		{"recent_events_max", int64(c.RecentEventsMax)}, {"read_timeout", int64(c.ReadTimeout)},
		{"write_timeout", int64(c.WriteTimeout)}, {"idle_timeout", int64(c.IdleTimeout)},
	} {
		if setting.value <= 0 {
			faults = append(faults, fmt.Errorf("%s: must be positive, not %d", setting.name, setting.value))
		}
	}
	if !(c.KeyRequestsPerSecond > 0) { // also refuses NaN
		faults = append(faults, fmt.Errorf("key_requests_per_second: must be positive, not %v", c.KeyRequestsPerSecond))
	}
	if !(c.AdminRequestsPerSecond > 0) {
		faults = append(faults, fmt.Errorf("admin_requests_per_second: must be positive, not %v", c.AdminRequestsPerSecond))
	}
	if c.DecodedBytesMax < c.BodyBytesMax {
		faults = append(faults, fmt.Errorf("decoded_bytes_max %d is less than body_bytes_max %d", c.DecodedBytesMax, c.BodyBytesMax))
	}
	if c.RecordsPerRequestMax > 1000 {
		faults = append(faults, fmt.Errorf("records_per_request_max %d: the contracts allow 1000", c.RecordsPerRequestMax))
	}
	if c.RequestTimeout >= c.WriteTimeout {
		faults = append(faults, fmt.Errorf("request_timeout %v must be less than write_timeout %v", c.RequestTimeout, c.WriteTimeout))
	}
	return errors.Join(faults...)
}
