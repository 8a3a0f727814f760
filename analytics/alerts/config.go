package alerts

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds how subscribers are told.
type Config struct {
	// Group is the consumer group whose leader tells; all processes of an installation
	// have the same.
	Group string `koanf:"group"`
	// LookInterval is how often the ledger is looked at for what is new, and for what is
	// to be sent; ThresholdInterval how often thresholds are judged.
	LookInterval      time.Duration `koanf:"look_interval"`
	ThresholdInterval time.Duration `koanf:"threshold_interval"`
	// Lookback is how long ago something may have happened when it becomes known and
	// still be news. What is older is history that was imported.
	Lookback time.Duration `koanf:"lookback"`

	// AttemptsMax is how often a notification is sent at most before it is given up.
	// Between attempts are BackoffMin, four times as long, and so on up to BackoffMax,
	// each a fifth more or less.
	AttemptsMax int           `koanf:"attempts_max"`
	BackoffMin  time.Duration `koanf:"backoff_min"`
	BackoffMax  time.Duration `koanf:"backoff_max"`
	// AttemptTimeout bounds an attempt, from the look-up of the name to the last byte of
	// the answer, of which ResponseBytesMax are read.
	AttemptTimeout   time.Duration `koanf:"attempt_timeout"`
	ResponseBytesMax int64         `koanf:"response_bytes_max"`
	// ReceiversAtOnceMax bounds how many receivers are sent to at a time, and
	// BatchRowsMax how many notifications one of them is sent in a row.
	ReceiversAtOnceMax int `koanf:"receivers_at_once_max"`
	BatchRowsMax       int `koanf:"batch_rows_max"`
	// AllowPrivate lets receivers be on this machine and in private networks, which
	// whoever registers them could otherwise reach through us.
	AllowPrivate bool `koanf:"allow_private"`
	// Mail is who takes mail to people; without a host nobody does.
	Mail MailConfig `koanf:"mail"`
}

// DefaultConfig gives a receiver up to five days, and tells of a payment within some
// three seconds.
func DefaultConfig() Config {
	return Config{
		Group: "revstream-alerts", LookInterval: 2 * time.Second, ThresholdInterval: time.Minute, Lookback: 7 * 24 * time.Hour,
		AttemptsMax: 16, BackoffMin: 5 * time.Second, BackoffMax: 12 * time.Hour,
		AttemptTimeout: 10 * time.Second, ResponseBytesMax: 64 << 10, ReceiversAtOnceMax: 16, BatchRowsMax: 50,
		Mail: MailConfig{Port: 587, TLS: mailSTARTTLS},
	}
}

// retention is how long the log is kept: as in the table's TTL.
const retention = 90 * 24 * time.Hour

// Validate says everything that is wrong.
func (c Config) Validate() error {
	var faults []error
	check := func(holds bool, format string, args ...any) {
		if !holds {
			faults = append(faults, fmt.Errorf("alerts."+format, args...))
		}
	}
	check(c.Group != "", "group is empty")
	check(c.LookInterval > 0, "look_interval %v is not positive", c.LookInterval)
	check(c.ThresholdInterval >= c.LookInterval, "threshold_interval %v is less than look_interval %v", c.ThresholdInterval, c.LookInterval)
	check(c.Lookback > 0 && c.Lookback <= retention/2, "lookback %v is not within 0 and %v: what was told has to be known for longer", c.Lookback, retention/2)
	check(c.AttemptsMax > 0 && c.AttemptsMax <= 100, "attempts_max %d is not within 1 and 100", c.AttemptsMax)
	check(c.BackoffMin > 0 && c.BackoffMax >= c.BackoffMin, "backoff_min %v and backoff_max %v are not a range", c.BackoffMin, c.BackoffMax)
	check(c.AttemptTimeout > 0, "attempt_timeout %v is not positive", c.AttemptTimeout)
	check(c.ResponseBytesMax > 0, "response_bytes_max %d is not positive", c.ResponseBytesMax)
	check(c.ReceiversAtOnceMax > 0, "receivers_at_once_max %d is not positive", c.ReceiversAtOnceMax)
	check(c.BatchRowsMax > 0, "batch_rows_max %d is not positive", c.BatchRowsMax)
	return errors.Join(append(faults, c.Mail.validate())...)
}
