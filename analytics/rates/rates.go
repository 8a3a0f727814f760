// Package rates reads exchange rates from the files in which they are published
// or kept: the European Central Bank's reference rates, and a plain table that a
// data team fills.
package rates

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"revstream/clickhouse"
)

// ErrInvalid is a file that is not what its form says; the message names the line.
var ErrInvalid = errors.New("not readable as exchange rates")

// Read reads rates in either form, which the first line tells apart. All of the
// file is good or there is an ErrInvalid: a rate that was read wrongly would not
// be noticed in any figure.
func Read(from io.Reader, source string) ([]clickhouse.Rate, error) {
	text := csv.NewReader(skipMark(from))
	text.TrimLeadingSpace = true
	text.FieldsPerRecord = -1
	head, err := text.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: first line: %w", ErrInvalid, err)
	}
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(head[i]))
	}
	switch {
	case len(head) > 1 && head[0] == "date":
		return readECB(text, head, source)
	case strings.Join(head, ",") == "day,base,quote,rate":
		return readTable(text, source)
	}
	return nil, fmt.Errorf("%w: the first line is neither the ECB's (Date,USD,...) nor day,base,quote,rate", ErrInvalid)
}

// skipMark leaves out the byte order mark that spreadsheets write.
func skipMark(from io.Reader) io.Reader {
	buffered := bufio.NewReader(from)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3) // they were just seen
	}
	return buffered
}

// ecbSource and ecbBase are who publishes the reference rates and against what.
// See https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates
const (
	ecbSource = "ecb"
	ecbBase   = "EUR"
)

// readECB reads eurofxref.csv and eurofxref-hist.csv: a line a day, a column a
// currency, what one euro was worth; N/A where there was none.
func readECB(text *csv.Reader, head []string, source string) ([]clickhouse.Rate, error) {
	if source == "" {
		source = ecbSource
	}
	var rates []clickhouse.Rate
	err := lines(text, func(fields []string) error {
		day, err := parseDay(fields[0])
		if err != nil {
			return err
		}
		for i, literal := range fields[1:] {
			literal = strings.TrimSpace(literal)
			if literal == "" || literal == "N/A" {
				continue
			}
			if i+1 >= len(head) {
				return fmt.Errorf("field %d has no currency in the first line", i+2)
			}
			rate, err := parseRate(day, ecbBase, head[i+1], literal, source)
			if err != nil {
				return err
			}
			rates = append(rates, rate)
		}
		return nil
	})
	return rates, err
}

// tableSource is who said so, unless told.
const tableSource = "file"

func readTable(text *csv.Reader, source string) ([]clickhouse.Rate, error) {
	if source == "" {
		source = tableSource
	}
	var rates []clickhouse.Rate
	err := lines(text, func(fields []string) error {
		if len(fields) != 4 {
			return fmt.Errorf("%d fields instead of day, base, quote and rate", len(fields))
		}
		day, err := parseDay(fields[0])
		if err != nil {
			return err
		}
		rate, err := parseRate(day, fields[1], fields[2], strings.TrimSpace(fields[3]), source)
		rates = append(rates, rate)
		return err
	})
	return rates, err
}

// lines calls do with each line after the first. It fails for a file that has no
// other, or as do does.
func lines(text *csv.Reader, do func(fields []string) error) error {
	for count := 0; ; count++ {
		fields, err := text.Read()
		switch {
		case errors.Is(err, io.EOF) && count == 0:
			return fmt.Errorf("%w: nothing after the first line", ErrInvalid)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrInvalid, err) // names its line
		}
		if err := do(fields); err != nil {
			line, _ := text.FieldPos(0)
			return fmt.Errorf("%w: line %d: %w", ErrInvalid, line, err)
		}
	}
}

// parseDay reads 2026-11-20, and 20 November 2026 as in eurofxref.csv.
func parseDay(literal string) (time.Time, error) {
	for _, layout := range [...]string{time.DateOnly, "2 January 2006"} {
		if day, err := time.Parse(layout, strings.TrimSpace(literal)); err == nil {
			return day, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a day (2026-11-20)", literal)
}

// The largest and finest rate that the store takes.
const (
	rateDecimalsMax = 18
	rateDigitsMax   = 20 // before the point
)

func parseRate(day time.Time, base, quote, literal, source string) (clickhouse.Rate, error) {
	base, quote = strings.ToUpper(strings.TrimSpace(base)), strings.ToUpper(strings.TrimSpace(quote))
	for _, currency := range [...]string{base, quote} {
		if !isCode(currency) {
			return clickhouse.Rate{}, fmt.Errorf("%q is not a currency", currency)
		}
	}
	if base == quote {
		return clickhouse.Rate{}, fmt.Errorf("a rate of %s to itself", base)
	}
	value, err := decimal.NewFromString(literal)
	switch {
	case err != nil || strings.ContainsAny(literal, "eE"):
		return clickhouse.Rate{}, fmt.Errorf("rate %q of %s to %s is not a decimal number", literal, base, quote)
	case value.Sign() <= 0:
		return clickhouse.Rate{}, fmt.Errorf("rate %q of %s to %s is not positive", literal, base, quote)
	case -value.Exponent() > rateDecimalsMax || len(value.Truncate(0).String()) > rateDigitsMax:
		return clickhouse.Rate{}, fmt.Errorf("rate %q of %s to %s has more than %d decimals or %d digits before them",
			literal, base, quote, rateDecimalsMax, rateDigitsMax)
	}
	return clickhouse.Rate{Day: day, Base: base, Quote: quote, Value: value, Source: source}, nil
}

// isCode reports whether the text has the form of a currency code. Codes that are
// no longer in use are in the history of the rates, so it need not be known.
func isCode(text string) bool {
	return len(text) == 3 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
