package analytics

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the limits of the query API. Every limit has a unit in its name
// or its type; DefaultConfig has the reasons.
type Config struct {
	// QueryTimeout bounds all questions of one request together; what takes longer
	// is answered 504.
	QueryTimeout time.Duration `koanf:"query_timeout"`
	// RetryAfter is what a 503 or 504 advises to wait.
	RetryAfter time.Duration `koanf:"retry_after"`
	// RequestsInFlightMax bounds the requests that are answered at one time; more
	// are told 503 at once instead of queueing on the store.
	RequestsInFlightMax int `koanf:"requests_in_flight_max"`
	// KeyRequestsPerSecond and KeyRequestsBurst limit each API key that has no
	// limits of its own. LimitedKeysMax bounds how many keys are remembered.
	KeyRequestsPerSecond float64 `koanf:"key_requests_per_second"`
	KeyRequestsBurst     int     `koanf:"key_requests_burst"`
	LimitedKeysMax       int     `koanf:"limited_keys_max"`
	// QueryStringBytesMax bounds the text of a request's parameters.
	QueryStringBytesMax int `koanf:"query_string_bytes_max"`
	// RangeDaysMax bounds a range that was asked for by both its ends.
	RangeDaysMax int `koanf:"range_days_max"`
	// PageSizeDefault and PageSizeMax are items per page.
	PageSizeDefault int `koanf:"page_size_default"`
	PageSizeMax     int `koanf:"page_size_max"`
	// SeriesBucketsMax bounds the buckets of a series.
	SeriesBucketsMax int `koanf:"series_buckets_max"`
	// SortRowsMax bounds how many items may be sorted by anything but the time
	// they occurred, which no index helps with.
	SortRowsMax int64 `koanf:"sort_rows_max"`
	// LocateRowsMax is how many items the days that hold a page may have before
	// the page is looked for by the hour.
	LocateRowsMax int64 `koanf:"locate_rows_max"`
	// HorizonAgeMax is for how long an answer of the store how far it is stands for the
	// next ones: that much older completeThrough may be, and that much later exchange
	// rates count.
	HorizonAgeMax time.Duration `koanf:"horizon_age_max"`
	// RateTablesMax bounds the tables of exchange rates that are kept, of some currencies
	// and days each: some hundred kilobytes for ten years of one currency.
	RateTablesMax int `koanf:"rate_tables_max"`
	// RestatedGroupsMax bounds the customers that an answer judges one by one, because they
	// were past due, or asked to end, and it is by another policy than the house's. What it
	// restates of them is held in memory.
	RestatedGroupsMax int `koanf:"restated_groups_max"`
	// ExportsInFlightMax bounds the exports that are read at one time, beside the
	// requests; each holds a page of ExportPageRows rows.
	ExportsInFlightMax int `koanf:"exports_in_flight_max"`
	ExportPageRows     int `koanf:"export_page_rows"`
	// ExportWriteTimeout is how long the caller of an export may take for what it was
	// sent last.
	ExportWriteTimeout time.Duration `koanf:"export_write_timeout"`
	// StreamsMax and StreamsPerKeyMax bound the streams that are open at one time, of all
	// keys and of one.
	StreamsMax       int `koanf:"streams_max"`
	StreamsPerKeyMax int `koanf:"streams_per_key_max"`
	// StreamPollInterval is how often a stream looks for what is new. All look together.
	StreamPollInterval time.Duration `koanf:"stream_poll_interval"`
	// StreamHeartbeat is after how long without an event a stream gives a sign of life,
	// and looks whether its key is still one.
	StreamHeartbeat time.Duration `koanf:"stream_heartbeat"`
	// StreamPageRows is about how many rows a stream reads at a time.
	StreamPageRows int `koanf:"stream_page_rows"`
}

// DefaultConfig is sized for one machine: a summary of ten million entries takes
// tens of milliseconds, so ten seconds are a sign of trouble, not of size. A
// dashboard of thirty panels that is opened three times at once stays below the
// burst of its key; a loop without a pause does not. A page of an export is some tens of
// megabytes, so those of all exports together are a fraction of what a process has.
func DefaultConfig() Config {
	return Config{
		QueryTimeout:        10 * time.Second,
		RetryAfter:          2 * time.Second,
		RequestsInFlightMax: 64,

		KeyRequestsPerSecond: 50,
		KeyRequestsBurst:     100,
		LimitedKeysMax:       10_000,

		QueryStringBytesMax: 8 << 10,
		RangeDaysMax:        36_525,
		PageSizeDefault:     20,
		PageSizeMax:         1_000,
		SeriesBucketsMax:    1_500,
		SortRowsMax:         1_000_000,
		LocateRowsMax:       50_000,

		HorizonAgeMax: 250 * time.Millisecond,
		RateTablesMax: 32,

		RestatedGroupsMax: 50_000,

		ExportsInFlightMax: 4,
		ExportPageRows:     20_000,
		ExportWriteTimeout: time.Minute,

		StreamsMax:         256,
		StreamsPerKeyMax:   5,
		StreamPollInterval: 500 * time.Millisecond,
		StreamHeartbeat:    15 * time.Second,
		StreamPageRows:     1_000,
	}
}

// Validate reports every limit that is not positive and every relation between
// limits that does not hold.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, value int64) {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("%s must be positive, is %d", name, value))
		}
	}
	positive("query_timeout", int64(c.QueryTimeout))
	positive("retry_after", int64(c.RetryAfter))
	positive("requests_in_flight_max", int64(c.RequestsInFlightMax))
	positive("key_requests_burst", int64(c.KeyRequestsBurst))
	positive("limited_keys_max", int64(c.LimitedKeysMax))
	if !(c.KeyRequestsPerSecond > 0) { // also refuses NaN
		errs = append(errs, fmt.Errorf("key_requests_per_second must be positive, is %v", c.KeyRequestsPerSecond))
	}
	positive("query_string_bytes_max", int64(c.QueryStringBytesMax))
	positive("range_days_max", int64(c.RangeDaysMax))
	positive("page_size_default", int64(c.PageSizeDefault))
	positive("series_buckets_max", int64(c.SeriesBucketsMax))
	positive("sort_rows_max", c.SortRowsMax)
	positive("locate_rows_max", c.LocateRowsMax)
	positive("horizon_age_max", int64(c.HorizonAgeMax))
	positive("rate_tables_max", int64(c.RateTablesMax))
	positive("restated_groups_max", int64(c.RestatedGroupsMax))
	positive("exports_in_flight_max", int64(c.ExportsInFlightMax))
	positive("export_page_rows", int64(c.ExportPageRows))
	positive("export_write_timeout", int64(c.ExportWriteTimeout))
	positive("streams_max", int64(c.StreamsMax))
	positive("streams_per_key_max", int64(c.StreamsPerKeyMax))
	positive("stream_poll_interval", int64(c.StreamPollInterval))
	positive("stream_page_rows", int64(c.StreamPageRows))
	if c.StreamHeartbeat < c.StreamPollInterval {
		errs = append(errs, fmt.Errorf("stream_heartbeat %v is below stream_poll_interval %v", c.StreamHeartbeat, c.StreamPollInterval))
	}
	if c.PageSizeMax < c.PageSizeDefault {
		errs = append(errs, fmt.Errorf("page_size_max %d is below page_size_default %d", c.PageSizeMax, c.PageSizeDefault))
	}
	if int64(c.PageSizeMax) > c.LocateRowsMax {
		errs = append(errs, fmt.Errorf("locate_rows_max %d is below page_size_max %d", c.LocateRowsMax, c.PageSizeMax))
	}
	return errors.Join(errs...)
}
