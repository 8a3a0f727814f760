package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"
)

// Rate is an exchange rate: on Day, one unit of Base was worth Value units of
// Quote.
type Rate struct {
	Day         time.Time // midnight UTC
	Base, Quote string    // ISO 4217
	Value       decimal.Decimal
	Source      string
}

// InsertRates records exchange rates. A rate of a day and pair that has one
// already goes before it in answers from then on; stored amounts do not change.
func (s *Store) InsertRates(ctx context.Context, rates []Rate) error {
	if len(rates) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO fx_rates (day, base, quote, rate, source, loaded_at)")
	if err != nil {
		return fmt.Errorf("inserting into fx_rates: %w", classify(err))
	}
	loadedAt := time.Now().UTC()
	for _, rate := range rates {
		if err := batch.Append(rate.Day, rate.Base, rate.Quote, rate.Value, rate.Source, loadedAt); err != nil {
			return fmt.Errorf("inserting the rate of %s to %s on %s: %w", rate.Base, rate.Quote, rate.Day.Format(time.DateOnly), err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting %d rates: %w", len(rates), classify(err))
	}
	return nil
}

// RatePair is what is known of a pair of currencies: its newest rate, and how many
// days have one.
type RatePair struct {
	Base   string    `ch:"base"`
	Quote  string    `ch:"quote"`
	Days   int64     `ch:"days"`
	First  time.Time `ch:"first"`
	Last   time.Time `ch:"last"`
	Rate   string    `ch:"rate"` // on Last
	Source string    `ch:"source"`
}

// LatestRates lists the pairs in order of their currencies.
func (s *Store) LatestRates(ctx context.Context) ([]RatePair, error) {
	pairs, _, err := Select[RatePair](ctx, s, s.sql.latestRates)
	return pairs, err
}
