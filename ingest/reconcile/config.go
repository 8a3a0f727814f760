package reconcile

import (
	"errors"
	"fmt"
	"time"

	"revstream/ingest/backfill"
)

// Never is the Config.Hour of those who compare by hand only.
const Never = -1

// Config says when what providers moved is compared with the ledger by itself: of every
// endpoint with an API key, once a day, by one of the processes that run a sink.
type Config struct {
	// Hour is the hour of the day, UTC, from which on it is due; Never is none.
	Hour int `koanf:"hour"`
	// Days is how many whole days back it goes, up to the last midnight.
	Days int `koanf:"days"`
	// PerSecond is the most requests a second to a provider.
	PerSecond float64 `koanf:"per_second"`
	// CheckEvery is how often it is looked whether something is due.
	CheckEvery time.Duration `koanf:"check_every"`
	// RetryAfter is how long after an attempt that failed, or never ended, there is
	// another on the same day.
	RetryAfter time.Duration `koanf:"retry_after"`
}

// DefaultConfig compares the last week, early in the morning.
func DefaultConfig() Config {
	return Config{Hour: 4, Days: 7, PerSecond: backfill.DefaultPatience().PerSecond, CheckEvery: time.Minute, RetryAfter: time.Hour}
}

// Validate says everything that is wrong.
func (c Config) Validate() error {
	var problems []error
	check := func(holds bool, format string, args ...any) {
		if !holds {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(c.Hour >= Never && c.Hour < 24, "hour %d is none of a day, nor %d for never", c.Hour, Never)
	check(c.Days >= 1 && c.Days <= 400, "days %d: from 1 to 400", c.Days)
	check(c.PerSecond > 0, "per_second %v is not positive", c.PerSecond)
	check(c.CheckEvery >= 10*time.Millisecond, "check_every %v is shorter than 10ms", c.CheckEvery)
	check(c.RetryAfter >= c.CheckEvery, "retry_after %v is shorter than check_every %v", c.RetryAfter, c.CheckEvery)
	return errors.Join(problems...)
}
